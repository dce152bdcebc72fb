// Promise 1: a query is never answered with another client's data nor run on a server with somebody else's state.
// Hundreds of clients do at random what clients do, tag every query as their own, and check every answer to the byte.
//   PG_EDGE_SEED=N    the random choices of a run before (what the threads make of them differs all the same)
//   PG_EDGE_LONG=1    a minute each, with more clients
// A build with PG_EDGE_DELIBERATE_BUG must fail here: tests/isolation_catches_bug.
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/pq.hpp"
#include "tests/support/wire_client.hpp"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <sys/socket.h>
#include <thread>

using namespace pg_edge::test;

namespace {

using clock_type = std::chrono::steady_clock;

constexpr int pool_size = 8;
constexpr const char* zones[] = {"UTC", "Asia/Tokyo", "Europe/Rome", "America/Lima", "Africa/Cairo"};
constexpr const char* databases[] = {"app", "other"};

bool long_run() {
  return std::getenv("PG_EDGE_LONG") != nullptr;
}

unsigned seed_of_run() {
  const char* given = std::getenv("PG_EDGE_SEED");
  return given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device()() % 1000000;
}

/// What all clients of a run share.
struct run_state {
  std::uint16_t port = 0;
  unsigned seed = 0;
  clock_type::time_point end;
  std::atomic<bool> failed = false;
  std::atomic<int> answers = 0, sessions = 0, cancelled = 0;
  std::mutex lock;
  std::vector<std::string> failures;

  bool over() const { return failed || clock_type::now() >= end; }
  void report(const std::string& what) {
    std::lock_guard guard(lock);
    failures.push_back(what);
    failed = true;
  }
};

/// What raw and libpq clients have in common: who they are, and what they choose at random.
class random_client {
public:
  random_client(run_state& run, int number)
      : run_(run), name_("c" + std::to_string(number)), database_(databases[number % 2]),
        random_(run.seed * 1000U + static_cast<unsigned>(number)) {}
  virtual ~random_client() = default;

  void work() {
    while (!run_.over()) {
      try {
        start_zone_ = zone_ = zones[pick(std::size(zones))];
        log_in();
        ++run_.sessions;
        for (auto left = 1 + pick(25); left > 0 && !run_.over(); --left)
          act();
        leave();
      } catch (const std::exception& problem) {
        run_.report(name_ + " in " + doing_ + ", after " + tag_ + ": " + problem.what());
      }
    }
  }

protected:
  virtual void log_in() = 0;
  virtual void act() = 0;
  virtual void leave() = 0;

  std::size_t pick(std::size_t below) { return random_() % below; }
  bool chance(unsigned percent) { return random_() % 100 < percent; }
  /// A new tag: no other query of the run has it.
  const std::string& tag() { return tag_ = name_ + "x" + std::to_string(++tags_); }
  void rest() {
    if (chance(30)) std::this_thread::sleep_for(std::chrono::microseconds(pick(3000)));
  }

  /// One row that says whose query it is and what the server carries; expected_probe() is what it must be.
  std::string probe_sql(const std::string& tag_sql) const {
    return "select " + tag_sql +
           ", current_setting('application_name'), current_setting('timezone'), "
           "coalesce(nullif(current_setting('my.owner', true), ''), 'none'), "
           "(select count(*) from pg_class where relnamespace = pg_my_temp_schema()), "
           "(select count(*) from pg_listening_channels()), (select count(*) from pg_cursors where name like 'held%'), "
           "(select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'advisory'), "
           "current_setting('work_mem'), current_database()";
  }
  std::string expected_probe() const { return tag_ + "," + name_ + "," + zone_ + ",none,0,0,0,0,4MB," + database_; }

  run_state& run_;
  std::string name_, database_, zone_, start_zone_, tag_, doing_;
  std::mt19937 random_;
  int tags_ = 0;
};

// -- raw clients -------------------------------------------------------------------------------------------------

class raw_client : public random_client {
public:
  using random_client::random_client;

private:
  void log_in() override {
    doing_ = "login";
    statements_.clear();
    wire_options options;
    options.timeout = milliseconds(30000);
    client_ = std::make_unique<wire_client>(run_.port, options);
    client_->startup(
        {{"user", "trust_user"}, {"database", database_}, {"application_name", name_}, {"TimeZone", zone_}});
  }

  void act() override {
    using action = void (raw_client::*)();
    static constexpr std::pair<const char*, action> actions[] = {
        {"probe", &raw_client::probe},         {"transaction", &raw_client::transaction},
        {"error", &raw_client::error},         {"pipeline", &raw_client::pipeline},
        {"prepared", &raw_client::prepared},   {"settings", &raw_client::settings},
        {"leftovers", &raw_client::leftovers}, {"notify", &raw_client::notify},
        {"cancel", &raw_client::cancel},       {"copy", &raw_client::copy},
        {"portal", &raw_client::portal},       {"sql prepare", &raw_client::sql_prepare}};
    const auto& [name, what] = actions[pick(std::size(actions))];
    doing_ = name;
    (this->*what)();
    rest();
    if (chance(30)) {
      doing_ = std::string("probe after ") + name;
      probe();
    }
  }

  void ask(const std::string& sql, const std::string& pattern) {
    if (chance(5))
      client_->send_in_pieces(query_bytes(sql), 1 + pick(20));
    else
      client_->send(query_bytes(sql));
    client_->expect(pattern);
    ++run_.answers;
  }

  void probe() {
    tag();
    if (chance(50)) return ask(probe_sql("'" + tag_ + "'"), "T D(" + expected_probe() + ") C Z(I)");
    client_->send(parse_bytes("", probe_sql("$1::text")) + bind_bytes("", "", {tag_}) + execute_bytes() + sync_bytes());
    client_->expect("1 2 D(" + expected_probe() + ") C Z(I)");
    ++run_.answers;
  }

  void transaction() {
    const std::string row = tag();
    ask("begin", "C(BEGIN) Z(T)");
    const std::string where = "select pg_backend_pid(), pg_current_xact_id(), '" + row + "'";
    client_->send(query_bytes(where));
    const std::string same = summary(client_->read_until_ready());
    rest();
    ask("insert into isolation values ('" + row + "')", "C(INSERT 0 1) Z(T)");
    ask("set local my.owner to '" + row + "'", "C(SET) Z(T)");
    for (std::size_t i = pick(4); i > 0; --i) {
      rest();
      ask("select current_setting('my.owner'), count(*) from isolation where tag = '" + row + "'",
          "T D(" + row + ",1) C Z(T)");
    }
    if (chance(30)) {
      ask("savepoint one", "C Z(T)");
      ask("select '" + row + "'::int", "E(22P02) Z(E)");
      rest();
      ask("rollback to one", "C Z(T)");
    }
    client_->send(query_bytes(where));
    if (summary(client_->read_until_ready()) != same) throw test_failure("not the transaction it was: " + same);
    const bool fails = chance(25), commits = chance(60);
    if (fails) {
      ask("select '" + row + "'::int", "E(22P02) Z(E)");
      rest();
      ask("select 1", "E(25P02) Z(E)");
    }
    if (commits)
      ask("commit", fails ? "C(ROLLBACK) Z(I)" : "C(COMMIT) Z(I)");
    else
      ask("rollback", "C(ROLLBACK) Z(I)");
    ask("select count(*) from isolation where tag = '" + row + "'",
        std::string("T D(") + (commits && !fails ? "1" : "0") + ") C Z(I)");
  }

  void error() {
    client_->send(query_bytes("select '" + tag() + "'::int"));
    own_error("E(22P02) Z(I)");
  }

  /// An error whose text must name the present tag.
  void own_error(const std::string& pattern) {
    for (const wire_message& message : client_->expect(pattern))
      if (message.type == 'E' && error_field(message, 'M').find("\"" + tag_ + "\"") == std::string::npos)
        throw test_failure("another's error: " + error_field(message, 'M'));
    ++run_.answers;
  }

  void pipeline() {
    std::string bytes, pattern;
    for (std::size_t batch = 1 + pick(8); batch > 0; --batch) {
      const bool fails = chance(20);
      for (std::size_t i = 1 + pick(4); i > 0; --i) {
        bytes += parse_bytes("", "select $1::text, '" + name_ + "'") + bind_bytes("", "", {tag()}) + execute_bytes();
        pattern += "1 2 D(" + tag_ + "," + name_ + ") C ";
        if (chance(10)) bytes += flush_bytes();
      }
      if (fails) {
        bytes += parse_bytes("", "select $1::int") + bind_bytes("", "", {"none"}) + execute_bytes() +
                 parse_bytes("", "select 'skipped'") + bind_bytes("", "") + execute_bytes();
        pattern += "1 E(22P02) ";
      }
      bytes += sync_bytes();
      pattern += "Z(I) ";
      if (chance(20)) {
        bytes += query_bytes("select '" + tag() + "'");
        pattern += "T D(" + tag_ + ") C Z(I) ";
      }
    }
    if (chance(30))
      client_->send_in_pieces(bytes, 1 + pick(200));
    else
      client_->send(bytes);
    client_->expect(pattern);
    ++run_.answers;
  }

  void prepared() {
    const std::string name = "s" + std::to_string(pick(4));
    std::string bytes, pattern;
    if (statements_.contains(name) && chance(20)) {
      bytes += close_bytes('S', name);
      pattern += "3 ";
      statements_.erase(name);
    }
    if (!statements_.contains(name)) { // texts of its own, and texts that many clients share
      statements_[name] = chance(50) ? name_ + name + std::to_string(pick(3)) : "shared" + std::to_string(pick(5));
      bytes += parse_bytes(name, "select $1::text, '" + statements_[name] + "'");
      pattern += "1 ";
      if (chance(50)) {
        client_->send(bytes + sync_bytes());
        client_->expect(pattern + "Z(I)");
        bytes.clear();
        pattern.clear();
        rest();
      }
    }
    tag();
    client_->send(bytes + bind_bytes("", name, {tag_}) + execute_bytes() + sync_bytes());
    client_->expect(pattern + "2 D(" + tag_ + "," + statements_[name] + ") C Z(I)");
    ++run_.answers;
  }

  void settings() {
    const std::string to = zones[pick(std::size(zones))];
    ask("set timezone to '" + to + "'", to == zone_ ? "C(SET) Z(I)" : "C(SET) S(TimeZone=" + to + ") Z(I)");
    zone_ = to;
    if (chance(40)) ask("set work_mem to '1MB'", "C(SET) Z(I)");
    if (chance(40)) ask("set my.owner to '" + tag() + "'", "C(SET) Z(I)");
  }

  /// What a pooler has to take away.
  void leftovers() {
    tag();
    switch (pick(4)) {
    case 0:
      return ask("create temp table left_" + tag_ + " (n int)", "C(CREATE TABLE) Z(I)");
    case 1:
      return ask("select pg_advisory_lock_shared(" + std::to_string(pick(1000)) + ")", "T D C Z(I)");
    case 2:
      return ask("declare held" + tag_ + " cursor with hold for select 1", "C(DECLARE CURSOR) Z(I)");
    default:
      return ask("select set_config('my.owner', '" + tag_ + "', false)", "T D(" + tag_ + ") C Z(I)");
    }
  }

  void notify() {
    ask("listen " + name_, "C(LISTEN) Z(I)");
    rest();
    tag();
    client_->send(query_bytes("notify " + name_ + ", '" + tag_ + "'"));
    client_->expect("C(NOTIFY) A(" + name_ + ":" + tag_ + ") Z(I)");
    if (chance(90)) {
      ask("unlisten *", "C(UNLISTEN) Z(I)");
    } else {
      ask("discard all", "C(DISCARD ALL) S* Z(I)");
      statements_.clear();
      zone_ = start_zone_;
    }
    ++run_.answers;
  }

  void send_own_cancel(const std::string& secret) {
    if (!send_cancel(run_.port, client_->backend_pid(), secret, milliseconds(30000)))
      throw test_failure("a cancel was not taken");
  }

  void cancel() {
    switch (pick(4)) {
    case 0: // nothing to cancel; the probe behind it must not be hit
      send_own_cancel(client_->secret());
      return probe();
    case 1: // a wrong secret
      client_->send(query_bytes("select '" + tag() + "'"));
      send_own_cancel("none");
      client_->expect("T D(" + tag_ + ") C Z(I)");
      return;
    case 2: { // a query that may end before the cancel comes
      client_->send(query_bytes("select '" + tag() + "'"));
      send_own_cancel(client_->secret());
      const std::string answer = summary(client_->read_until_ready());
      if (answer != "T(?column?) D(" + tag_ + ") C(SELECT 1) Z(I)" && answer.find("E(57014) Z(I)") == std::string::npos)
        throw test_failure("a query that was cancelled late: " + answer);
      return probe();
    }
    default:
      client_->send(query_bytes("select pg_sleep(20), '" + tag() + "'"));
      std::optional<wire_message> first;
      do
        send_own_cancel(client_->secret());
      while (!(first = client_->try_read_message(milliseconds(200))) && !run_.failed);
      std::vector<wire_message> all{first.value_or(wire_message{})};
      if (all.back().type != 'Z')
        for (wire_message& message : client_->read_until_ready())
          all.push_back(std::move(message));
      if (summary(all).find("E(57014) Z(I)") == std::string::npos)
        throw test_failure("a query that was cancelled: " + summary(all));
      ++run_.cancelled;
    }
  }

  void copy() {
    tag();
    if (chance(50)) {
      client_->send(query_bytes("copy (select '" + tag_ + "' from generate_series(1, 50)) to stdout"));
      int rows = 0;
      for (const wire_message& message : client_->read_until_ready()) {
        if (message.type != 'd') continue;
        ++rows;
        if (message.body != tag_ + "\n") throw test_failure("another's row: " + message.body);
      }
      if (rows != 50) throw test_failure(std::to_string(rows) + " rows of 50");
    } else if (chance(70)) {
      const std::string rows = tag_ + "\n" + tag_ + "\n";
      client_->send(query_bytes("copy isolation from stdin") + copy_data_bytes(rows) + copy_done_bytes());
      client_->expect("G C(COPY 2) Z(I)");
      ask("select count(*) from isolation where tag = '" + tag_ + "'", "T D(2) C Z(I)");
    } else {
      client_->send(query_bytes("copy isolation from stdin") + copy_data_bytes(tag_) + copy_fail_bytes("no"));
      client_->expect("G E(57014) Z(I)");
    }
    ++run_.answers;
  }

  void portal() {
    client_->send(parse_bytes("", "select '" + tag() + "n' || n from generate_series(1, 5) n") + bind_bytes("p", "") +
                  execute_bytes("p", 2) + execute_bytes("p", 2) + flush_bytes());
    const std::string d = "D(" + tag_ + "n";
    client_->expect("1 2 " + d + "1) " + d + "2) s " + d + "3) " + d + "4) s");
    rest(); // no Sync yet: the server is still its own
    client_->send(execute_bytes("p") + sync_bytes());
    client_->expect(d + "5) C Z(I)");
    ++run_.answers;
  }

  void sql_prepare() {
    tag();
    ask("prepare p as select '" + tag_ + "'", "C(PREPARE) Z(I)");
    rest();
    ask("execute p", "T D(" + tag_ + ") C Z(I)");
    ask("deallocate p", "C(DEALLOCATE) Z(I)");
  }

  /// Politely, at once, or in the midst of anything.
  void leave() override {
    doing_ = "leave";
    const std::string insert = "insert into isolation values ('left" + tag() + "')";
    const std::string batch = parse_bytes("", insert) + bind_bytes("", "") + execute_bytes();
    switch (pick(10)) {
    case 0:
      client_->send(query_bytes("begin") + query_bytes(insert));
      break;
    case 1:
      client_->send(query_bytes("begin"));
      client_->expect("C Z(T)");
      client_->send(query_bytes(insert));
      client_->expect("C Z(T)");
      break;
    case 2:
      client_->send(batch.substr(0, 1 + pick(batch.size() - 1)));
      break;
    case 3:
      client_->send(batch + flush_bytes());
      break;
    case 4:
      client_->send(query_bytes("copy isolation from stdin") + copy_data_bytes("left" + tag_ + "\n"));
      break;
    case 5:
      client_->send(query_bytes("select repeat('" + tag_ + "', 100) from generate_series(1, 10000)"));
      break;
    case 6:
      client_->send(query_bytes("select pg_sleep(10), '" + tag_ + "'"));
      break;
    case 7:
      client_->send(query_bytes("select '" + tag_ + "'").substr(0, 1 + pick(8)));
      break;
    case 8:
      client_->send(query_bytes("listen " + name_) + query_bytes("notify " + name_ + ", '" + tag_ + "'"));
      break;
    default:
      client_->send(terminate_bytes());
    }
    rest();
    if (chance(50))
      client_->close_abruptly();
    else
      client_->close();
  }

  std::unique_ptr<wire_client> client_;
  std::map<std::string, std::string> statements_; // name -> what it says of itself
};

// -- clients with libpq ------------------------------------------------------------------------------------------

class libpq_client : public random_client {
public:
  using random_client::random_client;

private:
  void log_in() override {
    doing_ = "login";
    connection_ = std::make_unique<pq>("host=127.0.0.1 port=" + std::to_string(run_.port) + " dbname=" + database_ +
                                       " user=trust_user sslmode=disable gssencmode=disable connect_timeout=60 "
                                       "application_name=" +
                                       name_ + " options='-c TimeZone=" + zone_ + "'");
    prepared_ = 0;
  }

  void act() override {
    using action = void (libpq_client::*)();
    static constexpr std::pair<const char*, action> actions[] = {
        {"probe", &libpq_client::probe},       {"transaction", &libpq_client::transaction},
        {"prepared", &libpq_client::prepared}, {"pipeline", &libpq_client::pipeline},
        {"cancel", &libpq_client::cancel},     {"copy", &libpq_client::copy}};
    const auto& [name, what] = actions[pick(std::size(actions))];
    doing_ = std::string("libpq ") + name;
    (this->*what)();
    rest();
  }

  void must_be(const std::string& got, const std::string& wanted) {
    ++run_.answers;
    if (got != wanted) throw test_failure("got \"" + got + "\", not \"" + wanted + "\"");
  }

  static std::string joined(const pq_result& result) {
    std::string text;
    for (int i = 0; i < result.columns(); ++i)
      text += (i > 0 ? "," : "") + result.value(0, i);
    return text;
  }

  void probe() {
    tag();
    const bool simple = chance(50);
    must_be(joined(simple ? connection_->exec(probe_sql("'" + tag_ + "'"))
                          : connection_->exec_params(probe_sql("$1::text"), {tag_})),
            expected_probe());
  }

  void transaction() {
    const std::string row = tag();
    connection_->exec("begin");
    connection_->exec_params("insert into isolation values ($1)", {row});
    const std::string id = connection_->value("select pg_current_xact_id()");
    rest();
    must_be(connection_->exec_params("select count(*) from isolation where tag = $1", {row}).value(), "1");
    must_be(connection_->value("select pg_current_xact_id()"), id);
    if (connection_->transaction_status() != PQTRANS_INTRANS) throw test_failure("the transaction was lost");
    const bool commits = chance(50);
    connection_->exec(commits ? "commit" : "rollback");
    must_be(connection_->exec_params("select count(*) from isolation where tag = $1", {row}).value(),
            commits ? "1" : "0");
  }

  void prepared() {
    if (prepared_ == 0 || chance(20)) {
      ++prepared_;
      connection_->prepare("p" + std::to_string(prepared_), "select $1::text, '" +
                                                                (chance(50) ? std::string("everybody") : name_) +
                                                                "', " + std::to_string(prepared_));
    }
    const std::string number = std::to_string(1 + pick(prepared_));
    pq_result result = connection_->exec_prepared("p" + number, {tag()});
    must_be(result.value(0, 0) + "," + result.value(0, 2), tag_ + "," + number);
    if (result.value(0, 1) != "everybody") must_be(result.value(0, 1), name_);
  }

  void pipeline() {
    connection_->enter_pipeline();
    std::vector<std::string> tags;
    for (std::size_t i = 1 + pick(10); i > 0; --i) {
      connection_->send_params("select $1::text", {tag()});
      tags.push_back(tag_);
      if (chance(30)) {
        connection_->sync();
        tags.push_back("sync");
      }
    }
    connection_->sync();
    for (const std::string& wanted : tags) {
      pq_result result = connection_->next_result(milliseconds(30000));
      if (wanted == "sync") {
        must_be(std::to_string(result.status()), std::to_string(PGRES_PIPELINE_SYNC));
      } else {
        must_be(result.value(), wanted);
        if (connection_->next_result(milliseconds(30000))) throw test_failure("one result too many");
      }
    }
    must_be(std::to_string(connection_->next_result(milliseconds(30000)).status()),
            std::to_string(PGRES_PIPELINE_SYNC));
    connection_->exit_pipeline();
  }

  void cancel() {
    connection_->send_query("select pg_sleep(0.02), '" + tag() + "'");
    connection_->cancel();
    const std::vector<pq_result> results = connection_->results(milliseconds(30000));
    if (results.size() != 1) throw test_failure("not one result");
    if (results[0].ok())
      must_be(results[0].value(0, 1), tag_);
    else
      must_be(results[0].sqlstate(), "57014");
  }

  void copy() {
    const std::string row = tag() + "\n";
    if (chance(50))
      must_be(connection_->copy_out("copy (select '" + tag_ + "' from generate_series(1, 3)) to stdout"),
              row + row + row);
    else
      must_be(connection_->copy_in("copy isolation from stdin", row + row, 3).tag(), "COPY 2");
  }

  void leave() override {
    doing_ = "leave";
    if (chance(30)) {
      connection_->exec("begin");
      connection_->exec_params("insert into isolation values ($1)", {"left" + tag()});
    } else if (chance(30)) {
      connection_->send_query("select pg_sleep(1), '" + tag() + "'");
    }
    if (chance(30)) shutdown(PQsocket(connection_->raw()), SHUT_RDWR);
    connection_.reset();
  }

  std::unique_ptr<pq> connection_;
  std::size_t prepared_ = 0;
};

// -- a run -------------------------------------------------------------------------------------------------------

std::string last_of(const std::string& log) {
  constexpr std::size_t enough = 2000;
  return log.size() > enough ? log.substr(log.size() - enough) : log;
}

void run_clients(int reactors) {
  for (const char* database : databases)
    postgres::shared().query("drop table if exists isolation; create table isolation (tag text); "
                             "create index on isolation (tag); grant all on isolation to public",
                             database);
  pg_edge_process node(simple_toml("reactors = " + std::to_string(reactors) +
                                   "\ndefault_pool_size = " + std::to_string(pool_size) +
                                   "\nmax_client_conn = 5000\nlog_connections = false\n"
                                   "log_disconnections = false\nlog_pooler_errors = false\n"));
  backend_watcher app(postgres::shared(), "trust_user", "app"), other(postgres::shared(), "trust_user", "other");
  run_state run;
  run.port = node.port();
  run.seed = seed_of_run();
  run.end = clock_type::now() + std::chrono::seconds(long_run() ? 60 : 5);
  std::vector<std::thread> threads;
  for (int i = 0; i < (long_run() ? 600 : 240); ++i) {
    threads.emplace_back([&run, i] {
      if (i % 4 == 3)
        libpq_client(run, i).work();
      else
        raw_client(run, i).work();
    });
  }
  for (std::thread& thread : threads)
    thread.join();

  BOOST_TEST_MESSAGE(run.answers << " answers, " << run.sessions << " sessions, " << run.cancelled << " cancelled, "
                                 << app.samples() << " samples, seed " << run.seed);
  for (std::size_t i = 0; i < run.failures.size() && i < 5; ++i)
    BOOST_ERROR("seed " << run.seed << ": " << run.failures[i]);
  if (!node.running()) BOOST_ERROR("pg_edge died; the end of its log:\n" + last_of(node.log()));
  if (run.failed) return;
  BOOST_TEST(run.answers > 1000);
  BOOST_TEST(run.sessions > 240);
  BOOST_TEST(app.samples() > 20);
  BOOST_TEST(app.max() <= pool_size);
  BOOST_TEST(other.max() <= pool_size);
  // Nothing of those who left remains: no row of an open transaction, no backend at work.
  for (const char* database : databases) {
    BOOST_TEST(postgres::shared().query("select count(*) from isolation where tag like 'left%'", database) == "0");
    BOOST_TEST(wait_for([&] {
      return postgres::shared().query("select count(*) from pg_stat_activity where usename = 'trust_user' and state "
                                      "<> 'idle'") == "0";
    }));
  }
}

} // namespace

BOOST_AUTO_TEST_SUITE(isolation_pgtest)

BOOST_AUTO_TEST_CASE(B200_every_answer_is_the_clients_own_on_1_reactor) {
  run_clients(1);
}

BOOST_AUTO_TEST_CASE(B200_every_answer_is_the_clients_own_on_2_reactors) {
  run_clients(2);
}

BOOST_AUTO_TEST_SUITE_END()
