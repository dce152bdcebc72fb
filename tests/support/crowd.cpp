#include "tests/support/crowd.hpp"

#include <algorithm>
#include <random>

namespace pg_edge::test {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::size_t most_failures = 50;

/// The server said so, or the connection ended without a word ("lost"), or nothing came ("silent").
struct refusal {
  std::string state, text;
};

/// With these an autocommitted statement has had no effect: its client may send it again. Everything else that comes
/// instead of an answer leaves that open; 08006 above all, and 57P02, which a dying backend sends at any moment.
bool says_not_run(const std::string& state) {
  constexpr const char* states[] = {"53300", "57P03", "57P01", "57014", "08001", "28000", "57P05", "53200"};
  return std::any_of(std::begin(states), std::end(states), [&](const char* one) { return state == one; });
}

milliseconds since(clock::time_point began) {
  return std::chrono::duration_cast<milliseconds>(clock::now() - began);
}

} // namespace

// -- one client --------------------------------------------------------------------------------------------------

class crowd::member {
public:
  member(crowd& all, int number)
      : all_(all), options_(all.options_), name_(options_.name + std::to_string(number)),
        random_(options_.seed * 1000U + static_cast<unsigned>(number)) {}

  /// One session: until an error ends it, or it has had enough.
  void session() {
    busy_ = false;
    error_expected_ = false;
    statements_ = 0;
    log_in();
    ++all_.sessions_;
    for (std::size_t left = 5 + pick(60); left > 0 && !all_.stopping_ && !all_.away(); --left) {
      busy_ = true;
      act();
      busy_ = false;
      if (options_.rest.count() > 0)
        std::this_thread::sleep_for(
            std::chrono::microseconds(pick(static_cast<std::size_t>(options_.rest.count()) * 1000)));
    }
    client_->send(terminate_bytes());
    client_.reset();
  }

  bool busy() const { return busy_; }
  const std::string& doing() const { return doing_; }
  void drop() { client_.reset(); }
  std::size_t pick(std::size_t below) { return random_() % below; }

private:
  void log_in() {
    doing_ = "login";
    wire_options how;
    how.timeout = options_.silence;
    if (options_.tls) how.how = transport::tls;
    try {
      client_ = std::make_unique<wire_client>(all_.options_.port, how);
    } catch (const test_failure& problem) {
      throw refusal{"lost", problem.what()};
    }
    const start_parameters parameters{
        {"user", options_.user}, {"database", options_.database}, {"application_name", name_}};
    const auto began = clock::now();
    const std::vector<wire_message> answer =
        attempt([&] { return client_->try_startup(parameters, options_.password); });
    all_.note_wait(since(began));
    if (answer.empty()) throw refusal{"lost", "at login"};
    if (answer.back().type == 'E') throw refusal{error_field(answer.back(), 'C'), error_field(answer.back(), 'M')};
    if (answer.back().type != 'Z') throw refusal{"lost", "at login"};
  }

  void act() {
    using action = void (member::*)();
    struct row {
      const char* name;
      action what;
      bool transaction;
    };
    static constexpr row actions[] = {{"ask", &member::ask, false},
                                      {"ask by bind", &member::ask_by_bind, false},
                                      {"prepared", &member::prepared, false},
                                      {"pipeline", &member::pipeline, false},
                                      {"insert", &member::insert, false},
                                      {"insert by bind", &member::insert_by_bind, false},
                                      {"copy out", &member::copy_out, false},
                                      {"copy in", &member::copy_in, false},
                                      {"large result", &member::large, false},
                                      {"error", &member::own_error, false},
                                      {"transaction", &member::transaction, true}};
    const row& chosen = actions[pick(std::size(actions))];
    if (chosen.transaction && !options_.transactions) return;
    doing_ = chosen.name;
    (this->*chosen.what)();
  }

  // -- bytes
  template <class F>
  auto attempt(F body) -> decltype(body()) {
    try {
      return body();
    } catch (const test_failure& problem) { // the connection is gone
      throw refusal{"lost", problem.what()};
    }
  }

  void send(const std::string& bytes) {
    try {
      client_->send(bytes);
    } catch (const test_failure&) {
      // Why it went may stand in what it said last.
      for (;;)
        next();
    }
  }

  /// The next message that is neither a notice nor a parameter.
  wire_message next() {
    for (;;) {
      const auto began = clock::now();
      std::optional<wire_message> message = attempt([&] { return client_->try_read_message(options_.silence); });
      all_.note_wait(since(began));
      if (!message && clock::now() - began >= options_.silence) throw refusal{"silent", "no answer"};
      if (!message) throw refusal{"lost", "the connection ended"};
      if (message->type == 'N' || message->type == 'S') continue;
      if (message->type == 'E' && !error_expected_)
        throw refusal{error_field(*message, 'C'), error_field(*message, 'M')};
      return *message;
    }
  }

  /// Exactly these messages: "T D(x,y) C Z(I)".
  void expect(const std::string& pattern) {
    for (std::size_t at = 0; at < pattern.size();) {
      // Up to the next space that is not in parentheses.
      std::size_t end = at + 1;
      if (end < pattern.size() && pattern[end] == '(') end = pattern.find(')', end) + 1;
      const std::string wanted = pattern.substr(at, end - at);
      const wire_message got = next();
      const std::string is = wanted.size() == 1 ? std::string(1, got.type) : summary(got);
      if (is != wanted) throw test_failure("got " + summary(got) + ", not " + wanted + ", of " + pattern);
      at = end + 1;
    }
    ++all_.answers_;
  }

  const std::string& tag() { return tag_ = name_ + "x" + std::to_string(++tags_); }
  std::string own_values() const { return "current_setting('application_name'), '" + name_ + "'"; }
  std::string own_row() const { return "D(" + tag_ + "," + name_ + "," + name_ + ")"; }

  // -- questions
  void ask() {
    send(query_bytes("select '" + tag() + "', " + own_values()));
    expect("T " + own_row() + " C Z(I)");
  }

  void ask_by_bind() {
    send(parse_bytes("", "select $1::text, " + own_values()) + bind_bytes("", "", {tag()}) + execute_bytes() +
         sync_bytes());
    expect("1 2 " + own_row() + " C Z(I)");
  }

  void prepared() {
    if (statements_ == 0 || pick(10) == 0) {
      ++statements_;
      send(parse_bytes("s" + std::to_string(statements_),
                       "select $1::text, " + own_values() + ", " + std::to_string(statements_)) +
           sync_bytes());
      expect("1 Z(I)");
    }
    const std::string number = std::to_string(1 + pick(statements_));
    send(bind_bytes("", "s" + number, {tag()}) + execute_bytes() + sync_bytes());
    expect("2 D(" + tag_ + "," + name_ + "," + name_ + "," + number + ") C Z(I)");
  }

  void pipeline() {
    std::string bytes, pattern;
    for (std::size_t batch = 1 + pick(5); batch > 0; --batch) {
      for (std::size_t i = 1 + pick(4); i > 0; --i) {
        bytes += parse_bytes("", "select $1::text, " + own_values()) + bind_bytes("", "", {tag()}) + execute_bytes();
        pattern += "1 2 " + own_row() + " C ";
      }
      bytes += sync_bytes();
      pattern += "Z(I) ";
    }
    send(bytes);
    expect(pattern);
  }

  void large() {
    if (options_.large_rows == 0) return;
    std::string text = tag();
    while (text.size() < 90)
      text += tag_;
    send(
        query_bytes("select '" + text + "', n from generate_series(1, " + std::to_string(options_.large_rows) + ") n"));
    if (next().type != 'T') throw test_failure("no row description");
    for (int n = 1; n <= options_.large_rows; ++n) {
      const wire_message row = next();
      if (summary(row) != "D(" + text + "," + std::to_string(n) + ")")
        throw test_failure("row " + std::to_string(n) + " is " + summary(row));
    }
    expect("C Z(I)");
  }

  void copy_out() {
    send(query_bytes("copy (select '" + tag() + "' from generate_series(1, 30)) to stdout"));
    if (next().type != 'H') throw test_failure("no CopyOutResponse");
    for (int i = 0; i < 30; ++i) {
      const wire_message row = next();
      if (row.type != 'd' || row.body != tag_ + "\n") throw test_failure("another's row: " + row.body);
    }
    expect("c C(COPY 30) Z(I)");
  }

  void own_error() {
    send(query_bytes("select '" + tag() + "'::int"));
    error_expected_ = true;
    const wire_message answer = next();
    error_expected_ = false;
    const std::string state = answer.type == 'E' ? error_field(answer, 'C') : "";
    if (state != "22P02" && answer.type == 'E') throw refusal{state, error_field(answer, 'M')};
    if (answer.type != 'E' || error_field(answer, 'M').find("\"" + tag_ + "\"") == std::string::npos)
      throw test_failure("not the error of " + tag_ + ": " + summary(answer));
    expect("Z(I)");
  }

  // -- rows
  /// Runs what writes these rows in one statement and settles their fates by how it ends.
  template <class F>
  void writing(const std::vector<std::int64_t>& ids, F body) {
    try {
      body();
    } catch (const refusal& why) {
      settle(ids, says_not_run(why.state) ? ledger::fate::refused : ledger::fate::unknown);
      throw;
    }
    settle(ids, ledger::fate::written);
  }

  void settle(const std::vector<std::int64_t>& ids, ledger::fate what) {
    for (const std::int64_t id : ids)
      all_.rows_.tell(id, what);
  }

  void insert() {
    const std::int64_t id = all_.rows_.next();
    writing({id}, [&] {
      send(query_bytes("insert into " + all_.rows_.table() + " values (" + std::to_string(id) + ")"));
      expect("C(INSERT 0 1) Z(I)");
    });
  }

  void insert_by_bind() {
    const std::int64_t id = all_.rows_.next();
    writing({id}, [&] {
      send(parse_bytes("", "insert into " + all_.rows_.table() + " values ($1)") +
           bind_bytes("", "", {std::to_string(id)}) + execute_bytes() + sync_bytes());
      expect("1 2 C(INSERT 0 1) Z(I)");
    });
  }

  void copy_in() {
    std::vector<std::int64_t> ids;
    std::string data;
    for (std::size_t i = 1 + pick(20); i > 0; --i) {
      ids.push_back(all_.rows_.next());
      data += copy_data_bytes(std::to_string(ids.back()) + "\n");
    }
    writing(ids, [&] {
      send(query_bytes("copy " + all_.rows_.table() + " from stdin") + data + copy_done_bytes());
      expect("G C(COPY " + std::to_string(ids.size()) + ") Z(I)");
    });
  }

  void transaction() {
    std::vector<std::int64_t> ids{all_.rows_.next(), all_.rows_.next()};
    const bool commits = pick(4) != 0;
    bool commit_sent = false;
    try {
      send(query_bytes("begin"));
      expect("C(BEGIN) Z(T)");
      for (const std::int64_t id : ids) {
        send(query_bytes("insert into " + all_.rows_.table() + " values (" + std::to_string(id) + ")"));
        expect("C(INSERT 0 1) Z(T)");
      }
      send(query_bytes("select '" + tag() + "', " + own_values()));
      expect("T " + own_row() + " C Z(T)");
      commit_sent = commits;
      send(query_bytes(commits ? "commit" : "rollback"));
      expect(commits ? "C(COMMIT) Z(I)" : "C(ROLLBACK) Z(I)");
    } catch (const refusal& why) {
      // Without a COMMIT sent nothing can have been written, whatever the error says.
      settle(ids, !commit_sent || says_not_run(why.state) ? ledger::fate::refused : ledger::fate::unknown);
      throw;
    }
    settle(ids, commits ? ledger::fate::written : ledger::fate::refused);
  }

  crowd& all_;
  const crowd_options& options_;
  std::string name_, tag_, doing_;
  std::mt19937 random_;
  std::unique_ptr<wire_client> client_;
  std::size_t statements_ = 0;
  long tags_ = 0;
  bool busy_ = false, error_expected_ = false;
};

// -- the crowd ---------------------------------------------------------------------------------------------------

crowd::crowd(const crowd_options& options, ledger& rows) : options_(options), rows_(rows) {
  for (int i = 0; i < options_.clients; ++i)
    threads_.emplace_back([this, i] { live(i); });
}

crowd::~crowd() {
  stop();
}

void crowd::stop() {
  stopping_ = true;
  for (std::thread& thread : threads_)
    thread.join();
  threads_.clear();
}

void crowd::live(int number) {
  member who(*this, number);
  while (!stopping_) {
    if (away()) {
      std::this_thread::sleep_for(milliseconds(10));
      continue;
    }
    try {
      who.session();
    } catch (const refusal& why) {
      note_error(why.state);
      if (who.busy()) ++broken_;
      if (why.state == "silent" && !options_.may_be_silent) fail(who.doing() + ": no answer in time");
      who.drop();
      std::this_thread::sleep_for(milliseconds(5 + who.pick(40)));
    } catch (const std::exception& problem) {
      fail(who.doing() + ": " + problem.what());
      who.drop();
      std::this_thread::sleep_for(milliseconds(50));
    }
  }
}

void crowd::note_error(const std::string& state) {
  std::lock_guard guard(lock_);
  ++errors_[state];
}

void crowd::note_wait(milliseconds time) {
  long known = longest_wait_;
  while (time.count() > known && !longest_wait_.compare_exchange_weak(known, time.count())) {
  }
}

void crowd::fail(const std::string& what) {
  std::lock_guard guard(lock_);
  if (failures_.size() < most_failures) failures_.push_back(options_.name + ": " + what);
}

std::map<std::string, long> crowd::errors() const {
  std::lock_guard guard(lock_);
  return errors_;
}

long crowd::error_count() const {
  long sum = 0;
  for (const auto& [state, count] : errors())
    sum += count;
  return sum;
}

std::vector<std::string> crowd::failures() const {
  std::lock_guard guard(lock_);
  return failures_;
}

std::string joined(const std::map<std::string, long>& errors) {
  std::string text;
  for (const auto& [state, count] : errors)
    text += (text.empty() ? "" : ", ") + std::to_string(count) + " x " + state;
  return text.empty() ? "none" : text;
}

} // namespace pg_edge::test
