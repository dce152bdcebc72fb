// What the tests of session and transaction pooling share: a pg_edge whose backends can be counted from none, and what
// a client must find on a server that another had before.
#pragma once

#include "tests/support/pg_edge_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/pq.hpp"
#include "tests/support/wire_client.hpp"

#include <boost/test/unit_test.hpp>

#include <string>

namespace pg_edge::test {

/// A pg_edge of its own; waits until the backends of the one before are gone, so that they can be counted.
struct pool_node : pg_edge_process {
  explicit pool_node(const std::string& settings)
      : pg_edge_process((postgres::shared().wait_until_left(), simple_toml(settings))) {}
  wire_client client(start_parameters more = {}, const std::string& user = "trust_user") {
    wire_client made(port());
    more.insert(more.begin(), {{"user", user}, {"database", "app"}});
    made.startup(more);
    return made;
  }
};

inline std::string pid(wire_client& client) {
  return client.value("select pg_backend_pid()");
}

inline constexpr milliseconds a_while{150}; // long enough that an answer on its way would have come

/// A new table that everybody may use.
inline void table(const std::string& name, const std::string& columns = "(n int)") {
  postgres::shared().query("drop table if exists " + name + "; create table " + name + columns + "; grant all on " +
                           name + " to public");
}

inline std::string count(const std::string& name) {
  return postgres::shared().query("select count(*) from " + name);
}

/// What a client must find on a server that another had before: nothing. `statements` narrows which prepared statements
/// count.
inline void expect_untouched(wire_client& client, const std::string& statements = "") {
  client.query("select count(*) from pg_class where relpersistence = 't'", "T D(0) C Z(I)");
  client.query("select count(*) from pg_cursors", "T D(0) C Z(I)");
  client.query("select count(*) from pg_prepared_statements" + statements, "T D(0) C Z(I)");
  client.query("select count(*) from pg_listening_channels()", "T D(0) C Z(I)");
  client.query("select count(*) from pg_locks where locktype = 'advisory'", "T D(0) C Z(I)");
  client.query("select current_user = session_user, now() = statement_timestamp()", "T D(t,t) C Z(I)");
}

} // namespace pg_edge::test
