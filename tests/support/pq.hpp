// libpq with owners for its handles, and failures as exceptions: how tests speak to Postgres and pg_edge as
// applications do.
#pragma once

#include "tests/support/process.hpp"

#include <libpq-fe.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pg_edge::test {

/// A statement or connection that failed, with what Postgres said.
struct pq_error : test_failure {
  pq_error(const std::string& message, std::string state) : test_failure(message), sqlstate(std::move(state)) {}
  std::string sqlstate; // empty when the server sent none, e.g. the connection was lost
};

using pq_parameters = std::vector<std::optional<std::string>>; // nullopt is NULL

/// One result of libpq.
class pq_result {
public:
  explicit pq_result(PGresult* handle) : handle_(handle, PQclear) {}
  explicit operator bool() const { return handle_ != nullptr; }
  PGresult* raw() const { return handle_.get(); }
  ExecStatusType status() const { return PQresultStatus(raw()); }
  /// Neither an error nor missing.
  bool ok() const;
  int rows() const { return PQntuples(raw()); }
  int columns() const { return PQnfields(raw()); }
  std::string column_name(int column) const { return PQfname(raw(), column); }
  /// Throws test_failure when there is no such row or column; NULL is an empty string, see is_null.
  std::string value(int row = 0, int column = 0) const;
  /// Of the first row whose column `key` is `is`, "no such row" if there is none; columns by name. Throws test_failure
  /// when there is no such column.
  std::string cell(const std::string& key, const std::string& is, const std::string& column) const;
  bool is_null(int row = 0, int column = 0) const { return PQgetisnull(raw(), row, column) == 1; }
  std::string tag() const { return PQcmdStatus(raw()); }
  std::string sqlstate() const;
  std::string message() const { return PQresultErrorMessage(raw()); }
  /// A field of the error report, e.g. PG_DIAG_MESSAGE_HINT; empty when absent.
  std::string field(int code) const;

private:
  std::shared_ptr<PGresult> handle_;
};

/// One libpq connection.
class pq {
public:
  /// Connects; throws pq_error when refused. Without connect_timeout in conninfo it is 15 seconds.
  explicit pq(const std::string& conninfo);
  /// As the constructor, but hands back a connection that may have failed: see ok() and message().
  static pq attempt(const std::string& conninfo);

  PGconn* raw() const { return handle_.get(); }
  bool ok() const { return PQstatus(raw()) == CONNECTION_OK; }
  std::string message() const { return PQerrorMessage(raw()); }
  int backend_pid() const { return PQbackendPID(raw()); }
  std::string parameter(const char* name) const;
  PGTransactionStatusType transaction_status() const { return PQtransactionStatus(raw()); }

  /// Simple query; throws pq_error when it fails. The last result, when there are several.
  pq_result exec(const std::string& sql);
  /// The same without the exception.
  pq_result try_exec(const std::string& sql);
  /// The first value of the first row.
  std::string value(const std::string& sql) { return exec(sql).value(); }
  pq_result exec_params(const std::string& sql, const pq_parameters& parameters);
  pq_result try_exec_params(const std::string& sql, const pq_parameters& parameters);
  pq_result prepare(const std::string& name, const std::string& sql);
  pq_result try_prepare(const std::string& name, const std::string& sql);
  pq_result exec_prepared(const std::string& name, const pq_parameters& parameters = {});
  pq_result try_exec_prepared(const std::string& name, const pq_parameters& parameters = {});

  // -- asynchronous and pipelined -------------------------------------------------------------------------------
  void enter_pipeline();
  void exit_pipeline();
  void send_query(const std::string& sql); // not in pipeline mode
  void send_params(const std::string& sql, const pq_parameters& parameters = {});
  void send_prepare(const std::string& name, const std::string& sql);
  void send_prepared(const std::string& name, const pq_parameters& parameters = {});
  void sync();
  /// The next result, false-like at the end of one statement's results; throws test_failure after the limit.
  pq_result next_result(milliseconds limit = milliseconds(15000));
  /// Results until the end of what was sent by send_query; the nulls between are left out.
  std::vector<pq_result> results(milliseconds limit = milliseconds(15000));

  /// Sends a cancel request for this connection by one of its own; throws when that cannot be delivered.
  void cancel();

  // -- COPY -----------------------------------------------------------------------------------------------------
  /// COPY ... FROM STDIN with these bytes, sent in chunks; the final result, not checked.
  pq_result copy_in(const std::string& sql, const std::string& bytes, std::size_t chunk = 8192);
  /// COPY ... TO STDOUT; throws pq_error when it fails.
  std::string copy_out(const std::string& sql);

  /// The next notification within the limit: "channel:payload".
  std::optional<std::string> notification(milliseconds limit = milliseconds(5000));
  /// Notices received so far, each with its severity and text.
  const std::vector<std::string>& notices() const { return *notices_; }
  /// All that is known of why the connection has ended. A command's last result tells of the end only: what the server
  /// said stands in the connection's message, or among the notices if it came unasked.
  std::string last_words() const;

private:
  explicit pq(PGconn* handle);
  pq_result checked(PGresult* result, const std::string& what);
  void require(int success, const char* what);

  std::unique_ptr<std::vector<std::string>> notices_;
  std::unique_ptr<PGconn, void (*)(PGconn*)> handle_;
};

} // namespace pg_edge::test
