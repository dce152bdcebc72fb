#include "actors/admin_call.hpp"

#include <algorithm>
#include <array>

namespace pg_edge::actors {

namespace {

struct status_row {
  unsigned status;
  std::string_view text;
};
constexpr std::array status_rows{
    status_row{200, "OK"},
    status_row{201, "Created"},
    status_row{202, "Accepted"},
    status_row{204, "No Content"},
    status_row{304, "Not Modified"},
    status_row{400, "Bad Request"},
    status_row{401, "Unauthorized"},
    status_row{403, "Forbidden"},
    status_row{404, "Not Found"},
    status_row{405, "Method Not Allowed"},
    status_row{406, "Not Acceptable"},
    status_row{408, "Request Timeout"},
    status_row{409, "Conflict"},
    status_row{412, "Precondition Failed"},
    status_row{413, "Content Too Large"},
    status_row{415, "Unsupported Media Type"},
    status_row{422, "Unprocessable Content"},
    status_row{428, "Precondition Required"},
    status_row{429, "Too Many Requests"},
    status_row{431, "Request Header Fields Too Large"},
    status_row{500, "Internal Server Error"},
    status_row{503, "Service Unavailable"},
    status_row{504, "Gateway Timeout"},
    status_row{507, "Insufficient Storage"},
};

} // namespace

std::string_view to_string(http_method method) {
  static constexpr std::array<std::string_view, 5> names{"GET", "POST", "PUT", "PATCH", "DELETE"};
  return names[static_cast<std::size_t>(method)];
}

std::string_view status_text(unsigned status) {
  const auto found =
      std::find_if(status_rows.begin(), status_rows.end(), [&](const status_row& row) { return row.status == status; });
  return found == status_rows.end() ? std::string_view("Unknown") : found->text;
}

std::string_view admin_request::header(std::string_view name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

std::optional<std::string> admin_request::asked(std::string_view name) const {
  const auto found = std::find_if(query.rbegin(), query.rend(), [&](const auto& one) { return one.first == name; });
  if (found == query.rend()) return std::nullopt;
  return found->second;
}

admin_reply problem_reply(const admin_problem& problem) {
  json body{{"type", "about:blank"}, {"title", status_text(problem.status)}, {"status", problem.status}};
  body["detail"] = problem.what;
  if (!problem.fields.empty()) {
    json list = json::array();
    for (const admin_problem::detail& one : problem.fields)
      list.push_back({{"field", one.field}, {"detail", one.what}});
    body["errors"] = std::move(list);
  }
  return {problem.status, "application/problem+json", body.dump(-1, ' ', false, json::error_handler_t::replace) + "\n",
          problem.headers};
}

void admin_call::reply(admin_reply what) {
  if (!tell_) return;
  const teller tell = std::move(tell_);
  tell_ = nullptr;
  tell(request_, std::move(what));
}

/// Names that Postgres lets through are not always valid UTF-8; JSON always is.
void admin_call::reply(const json& body, unsigned status) {
  reply(admin_reply{status, "application/json", body.dump(-1, ' ', false, json::error_handler_t::replace) + "\n", {}});
}

void admin_call::fail(unsigned status, std::string field, const std::string& what) {
  const std::string sentence = field + ": " + what;
  fail(admin_problem{status, sentence, {{std::move(field), what}}, {}});
}

void admin_call::guard(const std::function<void()>& function) {
  try {
    function();
  } catch (const std::exception& error) {
    log(level::error, log_event::admin_failed, {{"request", request_.target}, {"reason", error.what()}});
    fail(500, "The node made a mistake in answering this; its log has the reason.");
  }
}

void admin_call::go_on(std::function<void()> function) {
  desk_->on_thread([self = shared_from_this(), function = std::move(function)] {
    if (!self->answered()) self->guard(function);
  });
}

} // namespace pg_edge::actors
