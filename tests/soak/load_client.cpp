#include "tests/soak/load_client.hpp"

namespace pg_edge::soak {

wire_client client_of(run& all, const pool_row& pool, const std::string& name, bool by_proxy) {
  wire_options how;
  how.timeout = milliseconds(90000);
  if (pool.tls) how.how = transport::tls;
  wire_client client(by_proxy ? all.in.before->port() : all.in.node->port(), how);
  client.startup({{"user", pool.login}, {"database", pool.database}, {"application_name", name}});
  return client;
}

const pool_row& any_pool(std::mt19937& random) {
  return pools[random() % std::size(pools)];
}

std::string answer_of(wire_client& client, const std::string& bytes) {
  client.send(bytes);
  return summary(client.read_until_ready());
}

std::string error_of(const std::string& answer) {
  const std::size_t at = answer.find("E(");
  return at == std::string::npos ? "" : answer.substr(at + 2, 5);
}

} // namespace pg_edge::soak
