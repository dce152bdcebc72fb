// What a soak runs on: one Postgres, one pg_edge in front of it with pools in every mode, tenants, TLS and fault
// proxies on both sides of some of the traffic.
#pragma once

#include "tests/soak/pools.hpp"
#include "tests/support/fault_proxy.hpp"
#include "tests/support/ledger.hpp"
#include "tests/support/node_watch.hpp"
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/postgres.hpp"

#include <atomic>
#include <memory>
#include <string>

namespace pg_edge::soak {

/// Of the node.
inline constexpr pool_row pools[] = {
    {"trans", "trans", "trust_user", "transaction", 6, 0, false, false},
    {"session", "session", "trust_user", "session", 12, 0, false, true},
    {"statement", "statement", "trust_user", "statement", 4, 0, false, false},
    {"resized", "resized", "trust_user", "transaction", 8, 2, false, false},
    {"faulty", "faulty", "trust_user", "transaction", 4, 0, true, false},
    {"faultys", "faultys", "trust_user", "session", 6, 0, true, true},
    {"bench", "bench", "trust_user", "transaction", 6, 0, false, false},
    {"blue", "app", "trust_user.blue", "transaction", 5, 0, false, false},
    {"green", "app", "trust_user.green", "session", 8, 0, false, true},
};

class world {
public:
  explicit world(unsigned seed);

  postgres server;
  fault_proxy behind;                      // pg_edge -> Postgres
  std::unique_ptr<pg_edge_process> node;   //
  std::unique_ptr<fault_proxy> before;     // clients -> pg_edge
  std::unique_ptr<ledger> rows;            //
  std::atomic<bool> postgres_away = false; // stopped by us, or not yet back

  /// `small`: the pool that reloads resize has its smaller size.
  std::string toml(bool small) const;
  /// Reads the file anew.
  void reload(bool small);
};

} // namespace pg_edge::soak
