// A Postgres backend in memory, as far as the exchange can tell: simple and extended queries, transactions, prepared
// statements, portals, COPY, parameters, LISTEN, and the errors Postgres gives for each. It exists so that the exchange
// is tested with every byte under control; doubtful points were compared with Postgres 15.
#pragma once

#include "protocol/bytes.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::test {

/// What all backends share: tables and their versions. A change of version changes the type of SELECT * FROM the table.
struct toy_database {
  std::map<std::string, int> tables{{"t", 1}};
  /// Postgres describes a statement without rows in an aborted transaction, where it takes no Parse. A pooler cannot,
  /// if the server has not got the statement: false lets no backend do so.
  bool describes_when_aborted = true;
};

using toy_settings = std::map<std::string, std::string>;

/// Parameters the toy reports; it knows any other name too.
inline const std::set<std::string> toy_reported{"application_name", "DateStyle", "TimeZone",
                                                "standard_conforming_strings"};

struct toy_prepared {
  std::string sql;
  std::vector<std::uint32_t> types;
  int version = 0; // of its table; 0: none
};

struct toy_portal {
  std::shared_ptr<toy_prepared> what;
  std::shared_ptr<toy_prepared> executes; // of EXECUTE, what the name meant when it was bound; null: nothing
  std::vector<std::string> parameters;
  std::optional<std::vector<std::string>> rows; // once it was run
  std::size_t at = 0;
  bool done = false;
};

class toy_server {
public:
  /// `startup` are the parameters of the start-up packet.
  explicit toy_server(toy_database& database, toy_settings startup = {});

  /// Reads what a client sent; any part of a message is kept.
  void feed(std::string_view in);
  /// What the backend has sent since the last call; what it has not flushed is not in it.
  std::string take();
  /// The parameters as the login reports them.
  toy_settings reported() const;
  /// A notification of another session.
  void notify(const std::string& channel);

  // -- for checks -----------------------------------------------------------------------------------------------
  bool quiet() const { return in_.empty() && out_.empty() && sent_.empty(); }
  bool idle() const {
    return status_ == 'I' && !copying_ && !ignore_till_sync_ && !in_implicit_ && in_.empty() && !closed_;
  }
  bool closed() const { return closed_; }
  const std::map<std::string, std::shared_ptr<toy_prepared>>& statements() const { return statements_; }
  const std::shared_ptr<toy_prepared>& unnamed() const { return unnamed_; }
  const toy_settings& settings() const { return state_.settings; }
  const toy_settings& startup() const { return startup_; }
  const std::set<std::string>& listens() const { return state_.listens; }
  const std::set<std::string>& temporary() const { return temporary_; }
  std::vector<std::string> executed; // the SQL of every statement that was run

private:
  struct session_state { // what a rollback takes back
    toy_settings settings;
    toy_settings after_transaction; // SET LOCAL: the values to go back to
    std::set<std::string> listens;
  };
  struct simple_query {
    std::vector<std::string> statements;
    std::size_t next = 0;
  };

  void message(char type, std::string_view body);
  void extended(char type, std::string_view body);
  void copy_message(char type, std::string_view body);

  void run_simple();
  void end_simple();
  void parse(std::string_view body);
  void bind(std::string_view body);
  void describe(std::string_view body);
  void execute(std::string_view body);
  void close(std::string_view body);

  std::shared_ptr<toy_prepared> analyze(const std::string& sql);
  std::shared_ptr<toy_prepared> find(const std::string& name);
  void revalidate(const toy_prepared& what) const;
  void check_aborted(const std::string& sql) const;
  /// Runs one statement; returns its tag, or nothing when COPY FROM STDIN has begun.
  std::optional<std::string> run(const std::string& sql, const std::vector<std::string>& parameters,
                                 std::vector<std::string>& rows, bool multi);
  std::optional<std::string> run_prepared_statement_command(const std::string& sql,
                                                            const std::vector<std::string>& words,
                                                            std::vector<std::string>& rows);
  std::string run_transaction_command(const std::string& verb);
  std::string run_setting(const std::vector<std::string>& words);
  void discard_all();

  void start_transaction();
  void commit();
  void roll_back();
  void ready();
  void report_settings();

  void send(char type, std::string_view body);
  void send_error(const std::string& code, const std::string& text, const std::string& routine,
                  const char* severity = "ERROR");
  void send_rows(const std::vector<std::string>& rows);
  void send_row_description(const toy_prepared& what);
  void flush();

  toy_database& database_;
  toy_settings startup_;
  session_state state_;
  std::optional<session_state> before_; // when the transaction began
  toy_settings last_reported_;
  std::map<std::string, std::shared_ptr<toy_prepared>> statements_;
  std::shared_ptr<toy_prepared> unnamed_;
  std::map<std::string, toy_portal> portals_;
  std::set<std::string> temporary_;
  std::string in_;
  std::string out_;  // not flushed
  std::string sent_; // flushed
  std::string pending_notifications_;
  simple_query query_;
  char status_ = 'I';
  bool in_implicit_ = false; // extended messages since the last Sync have begun a transaction of their own
  bool in_extended_ = false;
  bool ignore_till_sync_ = false;
  bool copying_ = false;
  bool copy_extended_ = false;
  bool copy_fails_early_ = false;
  int copied_ = 0;
  bool closed_ = false;
};

/// Whether a statement returns rows.
bool toy_returns_rows(const std::string& sql);

} // namespace pg_edge::test
