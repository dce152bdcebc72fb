// The pools of a soak: a row each, with a Postgres user of its own, so that pg_stat_activity tells them apart.
#pragma once

#include "tests/support/crowd.hpp"
#include "tests/support/postgres.hpp"

#include <cstdint>
#include <span>
#include <string>

namespace pg_edge::soak {

using namespace pg_edge::test;

struct pool_row {
  const char* name; // of the Postgres user: "soak_" and this
  const char* database;
  const char* login; // the user that clients name
  const char* mode;
  int size;           // the most it may have
  int size_by_reload; // 0: always `size`; else reloads switch between the two
  bool by_proxy;      // pg_edge reaches Postgres through world::behind
  bool tls;           // its clients use TLS
};

/// Makes their users in Postgres, and pgbench's tables in the database app, for everybody.
void make_pools(const postgres& server, std::span<const pool_row> pools);

/// What a file says of a pool's database, behind the table's name: `small`: as a reload may have it.
std::string database_settings(const pool_row& pool, const std::string& host, std::uint16_t port, bool small);

/// Clients of the pool, who take their time.
crowd_options crowd_of(const pool_row& pool, std::uint16_t port);

} // namespace pg_edge::soak
