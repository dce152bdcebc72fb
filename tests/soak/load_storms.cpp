// Clients that come for one query, and clients that go in the midst of one.
#include "tests/soak/load_client.hpp"
#include "tests/soak/loads.hpp"

namespace pg_edge::soak {

void storm(run& all, unsigned number) {
  std::mt19937 random = all.random(300 + number);
  for (unsigned i = 0; !all.stopping; ++i) {
    const std::string who = "s" + std::to_string(number) + "n" + std::to_string(i);
    try {
      wire_client client = client_of(all, any_pool(random), who, random() % 8 == 0);
      const std::string answer =
          answer_of(client, query_bytes("select '" + who + "', current_setting('application_name')"));
      const std::string error = error_of(answer);
      if (error.empty() && answer.find("D(" + who + "," + who + ")") == std::string::npos)
        throw wrong_answer("storm: " + who + " got " + answer);
      all.count(error.empty() ? "connect, query, disconnect" : "storms refused with " + error);
      if (random() % 2 == 0) client.send(terminate_bytes());
      if (random() % 8 == 0) client.close_abruptly();
    } catch (const wrong_answer& problem) {
      all.fail(problem.what());
    } catch (const test_failure&) {
      all.count("storms' connections lost");
      all.pause(milliseconds(20));
    }
    if (random() % 200 == 0) all.pause(milliseconds(500)); // a calm
  }
}

void vanish_in_queries(run& all, unsigned number) {
  std::mt19937 random = all.random(400 + number);
  for (unsigned i = 0; !all.stopping; ++i) {
    const std::string who = "v" + std::to_string(number) + "n" + std::to_string(i);
    try {
      const pool_row& pool = any_pool(random);
      fault_proxy own(all.in.node->port(), i);
      wire_options how;
      how.timeout = milliseconds(20000);
      if (pool.tls) how.how = transport::tls;
      wire_client client(own.port(), how);
      client.startup({{"user", pool.login}, {"database", pool.database}, {"application_name", who}});
      client.send(query_bytes(random() % 2 == 0
                                  ? "select pg_sleep(120), '" + who + "'"
                                  : "begin; select repeat('x', 100000) from generate_series(1, 2000), (select 1) s"));
      all.pause(milliseconds(random() % 100));
      own.end_all(static_cast<ending>(random() % 3), side::target);
      all.count("clients that vanished");
      // It stays vanished a while: a peer whose proxy is gone would be reset.
      all.pause(milliseconds(500 + random() % 3000));
    } catch (const test_failure&) {
      all.count("vanishing clients that never got in");
      all.pause(milliseconds(100));
    }
  }
}

} // namespace pg_edge::soak
