// Prepared statements by the thousand under names that clients share, on a table that changes all the while.
#include "tests/soak/load_client.hpp"
#include "tests/soak/loads.hpp"

namespace pg_edge::soak {

namespace {

/// The statement's own text says which of the client's names it is.
std::string statement(const std::string& client, unsigned name) {
  return "select $1::text, '" + client + "', " + std::to_string(name) + ", (select count(*) from churned where false)";
}

void use(run& all, wire_client& client, const std::string& who, std::mt19937& random) {
  unsigned names = 0;
  for (unsigned i = 0; i < 40 && !all.stopping; ++i) {
    std::string bytes, wanted;
    const bool fresh = names == 0 || random() % 4 == 0, again = !fresh && random() % 4 == 0;
    const unsigned name = fresh ? ++names : 1 + static_cast<unsigned>(random() % names);
    const std::string text = "s" + std::to_string(name);
    if (again) {
      bytes += message_bytes('C', "S" + c_string(text));
      wanted += "3 ";
    }
    if (fresh || again) {
      bytes += parse_bytes(text, statement(who, name));
      wanted += "1 ";
    }
    const std::string tag = who + "x" + std::to_string(i);
    bytes += bind_bytes("", text, {tag}) + execute_bytes() + sync_bytes();
    wanted += "2 D(" + tag + "," + who + "," + std::to_string(name) + ",0) C(SELECT 1) Z(I)";
    const std::string answer = answer_of(client, bytes);
    const std::string error = error_of(answer);
    if (error.empty() && answer != wanted) throw wrong_answer("prepared: got " + answer + ", not " + wanted);
    if (!error.empty()) return all.count("prepared statements refused with " + error);
    all.count("prepared statements run");
  }
}

} // namespace

void churn_prepared(run& all, unsigned number) {
  std::mt19937 random = all.random(100 + number);
  for (unsigned session = 0; !all.stopping; ++session) {
    const std::string who = "p" + std::to_string(number) + "n" + std::to_string(session);
    try {
      wire_client client = client_of(all, any_pool(random), who, random() % 4 == 0);
      use(all, client, who, random);
    } catch (const wrong_answer& problem) {
      all.fail(problem.what());
    } catch (const test_failure&) {
      all.count("prepared statements' connections lost");
      all.pause(milliseconds(50));
    }
  }
}

void change_tables(run& all, unsigned number) {
  std::mt19937 random = all.random(200 + number);
  for (unsigned column = 0; !all.stopping; ++column) {
    try {
      wire_client client = client_of(all, pools[0], "ddl", false);
      const std::string name = "c" + std::to_string(column);
      for (const std::string& sql :
           {"alter table churned add column " + name + " int", "alter table churned drop column if exists " + name})
        if (error_of(answer_of(client, query_bytes("set lock_timeout = '2s'; " + sql))).empty())
          all.count("tables changed");
      client.send(terminate_bytes());
    } catch (const test_failure&) {
      all.count("DDL connections lost");
    }
    // A table has room for 1,600 columns ever: a new one begins before that.
    all.pause(milliseconds(100 + random() % 400));
    if (column % 500 == 499) {
      try {
        all.in.server.query("drop table churned; create table churned (tag text); grant all on churned to public; "
                            "alter table churned owner to soak_trans");
      } catch (const test_failure&) {
        --column; // Postgres is away: at the next round
      }
    }
  }
}

} // namespace pg_edge::soak
