#include "tests/support/pq.hpp"

#include <poll.h>

namespace pg_edge::test {

namespace {

std::vector<const char*> pointers(const pq_parameters& parameters) {
  std::vector<const char*> result;
  for (const auto& parameter : parameters)
    result.push_back(parameter ? parameter->c_str() : nullptr);
  return result;
}

bool readable(PGconn* connection, milliseconds limit) {
  pollfd descriptor{PQsocket(connection), POLLIN, 0};
  return descriptor.fd >= 0 && poll(&descriptor, 1, static_cast<int>(limit.count())) > 0;
}

PGconn* open_connection(const std::string& conninfo) {
  // Fallbacks come first: what stands later in a connection string wins. A URL takes them as they are.
  bool url = conninfo.find("://") != std::string::npos;
  return PQconnectdb(url ? conninfo.c_str() : ("connect_timeout=15 " + conninfo).c_str());
}

} // namespace

// -- pq_result ---------------------------------------------------------------------------------------------------

bool pq_result::ok() const {
  ExecStatusType now = status();
  return handle_ != nullptr && now != PGRES_FATAL_ERROR && now != PGRES_BAD_RESPONSE && now != PGRES_PIPELINE_ABORTED;
}

std::string pq_result::cell(const std::string& key, const std::string& is, const std::string& column) const {
  const auto index = [&](const std::string& name) {
    for (int i = 0; i < columns(); ++i)
      if (column_name(i) == name) return i;
    throw test_failure("the result has no column " + name);
  };
  for (int row = 0; row < rows(); ++row)
    if (value(row, index(key)) == is) return value(row, index(column));
  return "no such row";
}

std::string pq_result::value(int row, int column) const {
  if (row >= rows() || column >= columns())
    throw test_failure("no row " + std::to_string(row) + " or column " + std::to_string(column) + " in a result of " +
                       std::to_string(rows()) + " rows: " + tag() + message());
  return {PQgetvalue(raw(), row, column), static_cast<std::size_t>(PQgetlength(raw(), row, column))};
}

std::string pq_result::sqlstate() const {
  return field(PG_DIAG_SQLSTATE);
}

std::string pq_result::field(int code) const {
  const char* text = PQresultErrorField(raw(), code);
  return text != nullptr ? text : "";
}

// -- pq ----------------------------------------------------------------------------------------------------------

pq::pq(PGconn* handle) : notices_(new std::vector<std::string>), handle_(handle, PQfinish) {
  PQsetNoticeReceiver(
      handle,
      [](void* list, const PGresult* notice) {
        const char* severity = PQresultErrorField(notice, PG_DIAG_SEVERITY);
        const char* text = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
        static_cast<std::vector<std::string>*>(list)->push_back(std::string(severity != nullptr ? severity : "?") +
                                                                ": " + (text != nullptr ? text : ""));
      },
      notices_.get());
}

pq::pq(const std::string& conninfo) : pq(open_connection(conninfo)) {
  if (!ok()) throw pq_error("cannot connect with \"" + conninfo + "\": " + message(), "");
}

pq pq::attempt(const std::string& conninfo) {
  return pq(open_connection(conninfo));
}

std::string pq::parameter(const char* name) const {
  const char* value = PQparameterStatus(raw(), name);
  return value != nullptr ? value : "";
}

std::string pq::last_words() const {
  std::string words = message();
  for (const std::string& notice : notices())
    words += notice;
  return words;
}

pq_result pq::checked(PGresult* handle, const std::string& what) {
  pq_result result(handle);
  if (result.ok()) return result;
  std::string why = result ? result.message() : message();
  if (PQstatus(raw()) == CONNECTION_BAD) why += " (" + last_words() + ")";
  throw pq_error("\"" + what.substr(0, 200) + "\" failed: " + why, result ? result.sqlstate() : "");
}

void pq::require(int success, const char* what) {
  if (success != 1) throw pq_error(std::string(what) + ": " + message(), "");
}

pq_result pq::try_exec(const std::string& sql) {
  return pq_result(PQexec(raw(), sql.c_str()));
}
pq_result pq::exec(const std::string& sql) {
  return checked(PQexec(raw(), sql.c_str()), sql);
}

pq_result pq::try_exec_params(const std::string& sql, const pq_parameters& parameters) {
  return pq_result(PQexecParams(raw(), sql.c_str(), static_cast<int>(parameters.size()), nullptr,
                                pointers(parameters).data(), nullptr, nullptr, 0));
}

pq_result pq::exec_params(const std::string& sql, const pq_parameters& parameters) {
  return checked(PQexecParams(raw(), sql.c_str(), static_cast<int>(parameters.size()), nullptr,
                              pointers(parameters).data(), nullptr, nullptr, 0),
                 sql);
}

pq_result pq::try_prepare(const std::string& name, const std::string& sql) {
  return pq_result(PQprepare(raw(), name.c_str(), sql.c_str(), 0, nullptr));
}

pq_result pq::prepare(const std::string& name, const std::string& sql) {
  return checked(PQprepare(raw(), name.c_str(), sql.c_str(), 0, nullptr), sql);
}

pq_result pq::try_exec_prepared(const std::string& name, const pq_parameters& parameters) {
  return pq_result(PQexecPrepared(raw(), name.c_str(), static_cast<int>(parameters.size()), pointers(parameters).data(),
                                  nullptr, nullptr, 0));
}

pq_result pq::exec_prepared(const std::string& name, const pq_parameters& parameters) {
  return checked(PQexecPrepared(raw(), name.c_str(), static_cast<int>(parameters.size()), pointers(parameters).data(),
                                nullptr, nullptr, 0),
                 "execute " + name);
}

// -- asynchronous and pipelined ------------------------------------------------------------------------------------

void pq::enter_pipeline() {
  require(PQenterPipelineMode(raw()), "PQenterPipelineMode");
}
void pq::exit_pipeline() {
  require(PQexitPipelineMode(raw()), "PQexitPipelineMode");
}
void pq::send_query(const std::string& sql) {
  require(PQsendQuery(raw(), sql.c_str()), "PQsendQuery");
}

void pq::send_params(const std::string& sql, const pq_parameters& parameters) {
  require(PQsendQueryParams(raw(), sql.c_str(), static_cast<int>(parameters.size()), nullptr,
                            pointers(parameters).data(), nullptr, nullptr, 0),
          "PQsendQueryParams");
}

void pq::send_prepare(const std::string& name, const std::string& sql) {
  require(PQsendPrepare(raw(), name.c_str(), sql.c_str(), 0, nullptr), "PQsendPrepare");
}

void pq::send_prepared(const std::string& name, const pq_parameters& parameters) {
  require(PQsendQueryPrepared(raw(), name.c_str(), static_cast<int>(parameters.size()), pointers(parameters).data(),
                              nullptr, nullptr, 0),
          "PQsendQueryPrepared");
}

void pq::sync() {
  require(PQpipelineSync(raw()), "PQpipelineSync");
}

pq_result pq::next_result(milliseconds limit) {
  auto end = std::chrono::steady_clock::now() + limit;
  while (PQflush(raw()) == 1 || PQisBusy(raw()) == 1) {
    auto left = std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) throw test_failure("no result within " + std::to_string(limit.count()) + " ms");
    readable(raw(), std::min(left, milliseconds(50)));
    if (PQconsumeInput(raw()) != 1) break; // PQgetResult reports the lost connection
  }
  return pq_result(PQgetResult(raw()));
}

std::vector<pq_result> pq::results(milliseconds limit) {
  std::vector<pq_result> all;
  while (pq_result result = next_result(limit))
    all.push_back(result);
  return all;
}

void pq::cancel() {
  std::unique_ptr<PGcancel, void (*)(PGcancel*)> handle(PQgetCancel(raw()), PQfreeCancel);
  char text[256] = "";
  if (!handle || PQcancel(handle.get(), text, sizeof text) != 1) throw pq_error(std::string("cancel: ") + text, "");
}

// -- COPY ----------------------------------------------------------------------------------------------------------

pq_result pq::copy_in(const std::string& sql, const std::string& bytes, std::size_t chunk) {
  pq_result start(PQexec(raw(), sql.c_str()));
  if (start.status() != PGRES_COPY_IN) return start;
  for (std::size_t at = 0; at < bytes.size(); at += chunk)
    require(PQputCopyData(raw(), bytes.data() + at, static_cast<int>(std::min(chunk, bytes.size() - at))),
            "PQputCopyData");
  require(PQputCopyEnd(raw(), nullptr), "PQputCopyEnd");
  pq_result last = next_result();
  while (pq_result more = next_result())
    last = more;
  return last;
}

std::string pq::copy_out(const std::string& sql) {
  pq_result start = exec(sql);
  if (start.status() != PGRES_COPY_OUT) throw test_failure("no COPY OUT: " + start.tag());
  std::string bytes;
  char* row = nullptr;
  int length = 0;
  while ((length = PQgetCopyData(raw(), &row, 0)) > 0) {
    bytes.append(row, static_cast<std::size_t>(length));
    PQfreemem(row);
  }
  if (length == -2) throw pq_error("COPY OUT: " + message(), "");
  while (PGresult* handle = PQgetResult(raw()))
    checked(handle, sql);
  return bytes;
}

std::optional<std::string> pq::notification(milliseconds limit) {
  auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    if (PGnotify* notify = PQnotifies(raw())) {
      std::string text = std::string(notify->relname) + ":" + notify->extra;
      PQfreemem(notify);
      return text;
    }
    auto left = std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0 || !readable(raw(), left)) return std::nullopt;
    if (PQconsumeInput(raw()) != 1) throw pq_error("connection lost: " + message(), "");
  }
}

} // namespace pg_edge::test
