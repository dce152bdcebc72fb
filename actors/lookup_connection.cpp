#include "actors/lookup_connection.hpp"

#include <algorithm>
#include <cctype>
#include <poll.h>
#include <string_view>

namespace pg_edge::actors {

namespace {

/// One line without the tail that libpq's verbose form adds for developers.
std::string one_line(std::string text) {
  text.erase(std::min(text.find("\nLOCATION:"), text.size()));
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::string field_of(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? std::string() : std::string(text);
}

/// Errors that trying again does not mend: the login is refused, the database is missing, or a right is.
bool lasting(std::string_view state) {
  return state.starts_with("28") || state == "3D000" || state == "42501";
}

/// Postgres ends, or the connection does.
bool about_the_connection(std::string_view state) {
  return state.empty() || state.starts_with("08") || state.starts_with("57P");
}

/// The name is no text in the database's encoding, so nobody has it.
bool about_the_name(std::string_view state) {
  return state == "22021" || state == "22P05";
}

} // namespace

std::string sqlstate_in(const std::string& message) {
  // "... failed: FATAL:  28P01: password authentication failed ..."; the severity may be in any language.
  static constexpr std::size_t length = 5;
  for (std::size_t at = message.find(":  "); at != std::string::npos; at = message.find(":  ", at + 1)) {
    const std::string_view rest = std::string_view(message).substr(at + 3);
    if (rest.size() <= length || rest[length] != ':') continue;
    const std::string_view state = rest.substr(0, length);
    const bool like_one = std::all_of(state.begin(), state.end(), [](char c) {
      return std::isdigit(static_cast<unsigned char>(c)) != 0 || std::isupper(static_cast<unsigned char>(c)) != 0;
    });
    if (like_one) return std::string(state);
  }
  return {};
}

lookup_connection::lookup_connection(const lookup_job& first, clock::time_point now)
    : handle_(nullptr, PQfinish), result_(nullptr, PQclear), deadline_(now + first.connect_limit) {
  std::vector<const char*> names, values;
  for (const auto& [name, value] : first.options) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  handle_.reset(PQconnectStartParams(names.data(), values.data(), 0));
  PQsetErrorVerbosity(handle_.get(), PQERRORS_VERBOSE); // so that a refused login tells its SQLSTATE
  PQsetNoticeProcessor(
      handle_.get(), [](void*, const char*) {}, nullptr);
  events_ = POLLOUT;
}

void lookup_connection::ask(lookup_job job, clock::time_point now, results& out) {
  if (queue_.size() >= max_queue) {
    out.push_back({job.id, lookup_answer::failed, {}, "too many look-ups wait for this database"});
    return;
  }
  queue_.push_back(std::move(job));
  if (state_ == state::idle) ask_next(now, out);
  if (state_ == state::connecting && PQstatus(handle_.get()) == CONNECTION_BAD)
    fail(lookup_answer::unreachable, PQerrorMessage(handle_.get()), out);
}

void lookup_connection::step(bool ready, clock::time_point now, results& out) {
  if (ready && state_ == state::connecting) go_on_connecting(now, out);
  if (ready && state_ == state::asking) go_on_asking(now, out);
  if (ready && state_ == state::idle &&
      (PQconsumeInput(handle_.get()) == 0 || PQstatus(handle_.get()) != CONNECTION_OK))
    state_ = state::over; // Postgres has closed it
  if (over() || now < deadline_) return;
  if (state_ == state::connecting)
    return fail(lookup_answer::unreachable, "no login within server_connect_timeout", out);
  if (state_ == state::asking) return fail(lookup_answer::unreachable, "no answer to auth_query in time", out);
  state_ = state::over;
}

void lookup_connection::go_on_connecting(clock::time_point now, results& out) {
  switch (PQconnectPoll(handle_.get())) {
  case PGRES_POLLING_READING:
    events_ = POLLIN;
    return;
  case PGRES_POLLING_WRITING:
    events_ = POLLOUT;
    return;
  case PGRES_POLLING_OK:
    PQsetnonblocking(handle_.get(), 1);
    return ask_next(now, out);
  default: {
    const std::string why = PQerrorMessage(handle_.get());
    // A password that is missing or of the wrong kind is found out by libpq itself.
    const bool ours = PQconnectionNeedsPassword(handle_.get()) == 1;
    return fail(ours || lasting(sqlstate_in(why)) ? lookup_answer::failed : lookup_answer::unreachable, why, out);
  }
  }
}

void lookup_connection::ask_next(clock::time_point now, results& out) {
  events_ = POLLIN;
  if (queue_.empty()) {
    state_ = state::idle;
    idle_since_ = now;
    deadline_ = now + idle_limit;
    return;
  }
  state_ = state::asking;
  deadline_ = now + query_limit;
  const lookup_job& job = queue_.front();
  const char* const values[] = {job.user.c_str()};
  if (PQsendQueryParams(handle_.get(), job.query.c_str(), 1, nullptr, values, nullptr, nullptr, 0) != 1)
    return fail(lookup_answer::unreachable, PQerrorMessage(handle_.get()), out);
  go_on_asking(now, out);
}

void lookup_connection::go_on_asking(clock::time_point now, results& out) {
  const int unsent = PQflush(handle_.get());
  if (unsent < 0 || PQconsumeInput(handle_.get()) == 0)
    return fail(lookup_answer::unreachable, PQerrorMessage(handle_.get()), out);
  events_ = static_cast<short>(POLLIN | (unsent > 0 ? POLLOUT : 0));
  while (PQisBusy(handle_.get()) == 0) {
    PGresult* next = PQgetResult(handle_.get());
    if (next == nullptr) return answer(now, out);
    const ExecStatusType status = PQresultStatus(next);
    if (!result_ || PQresultStatus(result_.get()) != PGRES_FATAL_ERROR)
      result_.reset(next);
    else
      PQclear(next);
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH)
      return fail(lookup_answer::failed, "auth_query is a COPY", out);
  }
}

/// The whole answer is here.
void lookup_connection::answer(clock::time_point now, results& out) {
  lookup_result said = judge(result_.get());
  result_.reset();
  if (said.answer == lookup_answer::unreachable) return fail(said.answer, said.why, out);
  out.push_back(std::move(said));
  queue_.pop_front();
  if (PQtransactionStatus(handle_.get()) != PQTRANS_IDLE)
    return fail(lookup_answer::unreachable, "auth_query has left a transaction open", out);
  ask_next(now, out);
}

lookup_result lookup_connection::judge(const PGresult* result) const {
  const lookup_job& job = queue_.front();
  lookup_result said{job.id, lookup_answer::failed, {}, {}};
  const ExecStatusType status = PQresultStatus(result);
  if (status == PGRES_FATAL_ERROR) {
    const std::string state = field_of(result, PG_DIAG_SQLSTATE);
    said.why =
        state + ": " + (state.empty() ? PQresultErrorMessage(result) : field_of(result, PG_DIAG_MESSAGE_PRIMARY));
    if (about_the_connection(state)) said.answer = lookup_answer::unreachable;
    if (about_the_name(state)) said.answer = lookup_answer::no_row;
    return said;
  }
  if (status != PGRES_TUPLES_OK || PQnfields(result) != 2) {
    said.why = "it returned " + std::to_string(PQnfields(result)) + " columns instead of a name and a secret";
    return said;
  }
  if (PQntuples(result) > 1) {
    said.why = "it returned " + std::to_string(PQntuples(result)) + " rows for one user";
    return said;
  }
  if (PQntuples(result) == 0 || PQgetisnull(result, 0, 0) == 1) {
    said.answer = lookup_answer::no_row;
    return said;
  }
  if (job.user != PQgetvalue(result, 0, 0)) { // nobody logs in by the secret of somebody else
    said.answer = lookup_answer::no_row;
    said.why = "it returned another user: " + std::string(PQgetvalue(result, 0, 0));
    return said;
  }
  said.answer = lookup_answer::row;
  if (PQgetisnull(result, 0, 1) == 0) said.secret = PQgetvalue(result, 0, 1);
  return said;
}

/// The connection is over; who waited for it is told the same.
void lookup_connection::fail(lookup_answer how, const std::string& why, results& out) {
  for (const lookup_job& job : queue_)
    out.push_back({job.id, how, {}, one_line(why)});
  queue_.clear();
  state_ = state::over;
}

} // namespace pg_edge::actors
