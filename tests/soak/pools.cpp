#include "tests/soak/pools.hpp"

#include <string_view>

namespace pg_edge::soak {

namespace {

constexpr const char* password = "soak";

} // namespace

void make_pools(const postgres& server, std::span<const pool_row> pools) {
  for (const pool_row& pool : pools)
    server.query(std::string("create user soak_") + pool.name + " password '" + password + "'");
  test::run({postgres::program("pgbench"), "-i", "-q", "-h", "127.0.0.1", "-p", std::to_string(server.port()), "-U",
             "postgres", "app"});
  for (const char* table : {"accounts", "branches", "tellers", "history"})
    server.query("grant all on pgbench_" + std::string(table) + " to public", "app");
}

std::string database_settings(const pool_row& pool, const std::string& host, std::uint16_t port, bool small) {
  const int size = small && pool.size_by_reload > 0 ? pool.size_by_reload : pool.size;
  return "host = \"" + host + "\"\nport = " + std::to_string(port) + "\ndbname = \"app\"\nuser = \"soak_" + pool.name +
         "\"\npassword = \"" + password + "\"\npool_mode = \"" + pool.mode + "\"\npool_size = " + std::to_string(size) +
         "\n";
}

crowd_options crowd_of(const pool_row& pool, std::uint16_t port) {
  crowd_options how;
  how.port = port;
  how.user = pool.login;
  how.database = pool.database;
  how.tls = pool.tls;
  how.transactions = std::string_view(pool.mode) != "statement";
  how.large_rows = 300;
  how.rest = milliseconds(20);
  how.silence = milliseconds(90000);
  return how;
}

} // namespace pg_edge::soak
