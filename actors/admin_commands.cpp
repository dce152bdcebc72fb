// Commands of the admin API that change nothing that lasts: pause, resume, reconnect, kill, disable, enable for the
// node, a tenant or a database; ending a client; reload and shutdown. They are the console's own commands, given by
// HTTP.
#include "actors/admin_schemas.hpp"
#include "actors/console_commands.hpp"
#include "config/value_text.hpp"
#include "protocol/errors.hpp"
#include "protocol/frame.hpp"
#include "protocol/messages.hpp"

#include <algorithm>

namespace pg_edge::actors {

namespace {

/// How long a pause is waited for where the request does not say.
constexpr std::int64_t usual_wait = 10;
/// A reload may wait for certificates and lists of users on slow disks.
constexpr std::chrono::seconds reload_patience{60};

enum class scope { node, tenant, database };

// -- from the console's errors to problems
// --------------------------------------------------------------------------------------

struct sqlstate_row {
  std::string_view code;
  unsigned status;
};
constexpr sqlstate_row sqlstates[] = {
    {"42601", 400}, // console_syntax
    {"3D000", 404}, // console_no_such
    {"55000", 409}, // console_refused
    {"57014", 409}, // console_ended
    {"F0000", 422}, // console_failed
};

admin_problem problem_of(const protocol::bytes& error) {
  const std::string_view body = std::string_view(error).substr(protocol::frame_header_size);
  const std::string_view code = protocol::error_field(body, 'C');
  const auto row = std::find_if(std::begin(sqlstates), std::end(sqlstates),
                                [&](const sqlstate_row& one) { return one.code == code; });
  admin_problem problem;
  problem.status = row == std::end(sqlstates) ? 500 : row->status;
  problem.what = std::string(protocol::error_field(body, 'M')) + ".";
  return problem;
}

std::vector<std::string> words_of(const admin_call_ptr& call, scope what) {
  const auto& parameters = call->request().parameters;
  switch (what) {
  case scope::tenant:
    return {"TENANT", parameters.at("tenant")};
  case scope::database:
    return {parameters.at("database"), "TENANT", parameters.at("tenant")};
  default:
    return {};
  }
}

void reply_done(const admin_call_ptr& call, bool done, std::string_view detail) {
  call->reply(json{{"done", done}, {"detail", detail}}, done ? 200 : 202);
}

/// What a command is waited for; the answer is another when the time has passed.
std::optional<std::chrono::seconds> wait_of(const admin_call_ptr& call) {
  const auto text = call->request().asked("wait");
  const config::duration most = call->node().settings()->values->admin.request_timeout;
  const std::int64_t longest =
      most.count() > 0 ? std::chrono::duration_cast<std::chrono::seconds>(most).count() : 24 * 3600;
  if (!text)
    return std::chrono::seconds(std::clamp<std::int64_t>(usual_wait, 1, std::max<std::int64_t>(longest - 1, 1)));
  const auto number = config::parse_integer(*text);
  if (!number || *number < 1 || *number > longest) {
    call->fail(400, "query: wait", "is a number of seconds from 1 to request_timeout");
    return std::nullopt;
  }
  return std::chrono::seconds(*number);
}

template <console_act act, scope what>
void order(const admin_call_ptr& call) {
  const bool waits = act == console_act::pause || act == console_act::kill;
  std::optional<std::chrono::seconds> patience = view_patience;
  if (waits) patience = wait_of(call);
  if (!patience) return;
  const console_order message{act, words_of(call, what), author_of(call)};
  call->ask<console_order_done>(
      call->node().console, *patience, message,
      [call](const console_order_done& got) {
        if (!got.error.empty()) return call->fail(problem_of(got.error));
        reply_done(call, true, "Done.");
      },
      [call] {
        if (waits)
          reply_done(call, false, "It is in force; servers that were in use have not closed yet.");
        else
          call->fail(503, "The console does not answer; try again.");
      });
}

void kill_client(const admin_call_ptr& call) {
  const console_order message{console_act::kill_client, {call->request().parameters.at("id")}, author_of(call)};
  call->ask<console_order_done>(
      call->node().console, 2 * view_patience, message, [call](const console_order_done& got) {
        if (got.error.empty()) return reply_done(call, true, "The client is ended.");
        admin_problem problem = problem_of(got.error);
        const bool number = config::parse_integer(call->request().parameters.at("id")).has_value();
        problem.status = number ? 404 : 400;
        problem.fields = {{"path: id", problem.what}};
        call->fail(problem);
      });
}

void reload(const admin_call_ptr& call) {
  call->ask<reload_result>(call->node().node, reload_patience, reload_settings{author_of(call)},
                           [call](const reload_result& got) {
                             json lines = json::array();
                             for (const std::string& line : got.lines)
                               lines.push_back(line);
                             if (got.applied) return call->reply(json{{"applied", true}, {"lines", std::move(lines)}});
                             admin_problem problem;
                             problem.status = 422;
                             problem.what = "The configuration file has errors; nothing was changed.";
                             for (const std::string& line : got.lines)
                               problem.fields.push_back({"file", line});
                             call->fail(problem);
                           });
}

struct mode_row {
  std::string_view name;
  shutdown_mode mode;
};
constexpr mode_row modes[] = {
    {"wait_for_clients", shutdown_mode::wait_for_clients},
    {"wait_for_servers", shutdown_mode::wait_for_servers},
    {"at_once", shutdown_mode::at_once},
};

void shut_down_node(const admin_call_ptr& call) {
  for (const auto& [name, value] : call->request().body.items())
    if (name != "mode") return call->fail(400, name, "unknown field");
  const json& body = call->request().body;
  const json asked = body.contains("mode") ? body["mode"] : json("wait_for_clients");
  if (!asked.is_string()) return call->fail(400, "mode", "is no string");
  const auto row = std::find_if(std::begin(modes), std::end(modes),
                                [&](const mode_row& one) { return one.name == asked.get<std::string>(); });
  if (row == std::end(modes))
    return call->fail(400, "mode", "is none of wait_for_clients, wait_for_servers and at_once");
  reply_done(call, false, "The node ends.");
  caf::anon_send(call->node().node, shut_down{row->mode, author_of(call)});
}

// -- rows
// ---------------------------------------------------------------------------------------------------------------------

using config::admin_role;

constexpr admin_query wait_query[] = {
    {"wait", "integer",
     "How long the answer is waited for, in seconds; then it is 202 and the command stays in force."},
};

constexpr admin_route command_route(std::string_view path, std::string_view name, std::string_view summary,
                                    void (*handle)(const admin_call_ptr&), bool waits = false) {
  admin_route out;
  out.method = http_method::post;
  out.path = path;
  out.role = admin_role::operator_;
  out.name = name;
  out.tag = "commands";
  if (waits) out.query = wait_query;
  out.answers = "done";
  out.summary = summary;
  out.handle = handle;
  return out;
}

using act = console_act;
constexpr admin_route routes[] = {
    command_route("/v1/node/pause", "pauseNode", "Hands out no servers, and answers when all of them are closed.",
                  order<act::pause, scope::node>, true),
    command_route("/v1/node/resume", "resumeNode", "Ends a pause or kill of the node.",
                  order<act::resume, scope::node>),
    command_route("/v1/node/reconnect", "reconnectNode", "Closes each server when it is next released.",
                  order<act::reconnect, scope::node>),
    command_route("/v1/node/kill", "killNode", "Drops clients and servers at once, then as a pause.",
                  order<act::kill, scope::node>, true),
    command_route("/v1/tenants/{tenant}/pause", "pauseTenant", "As pauseNode, for a tenant.",
                  order<act::pause, scope::tenant>, true),
    command_route("/v1/tenants/{tenant}/resume", "resumeTenant", "As resumeNode, for a tenant.",
                  order<act::resume, scope::tenant>),
    command_route("/v1/tenants/{tenant}/reconnect", "reconnectTenant", "As reconnectNode, for a tenant.",
                  order<act::reconnect, scope::tenant>),
    command_route("/v1/tenants/{tenant}/kill", "killTenant", "As killNode, for a tenant.",
                  order<act::kill, scope::tenant>, true),
    command_route("/v1/tenants/{tenant}/disable", "disableTenant", "Refuses new clients.",
                  order<act::disable, scope::tenant>),
    command_route("/v1/tenants/{tenant}/enable", "enableTenant", "Lets new clients in again.",
                  order<act::enable, scope::tenant>),
    command_route("/v1/databases/{tenant}/{database}/pause", "pauseDatabase", "As pauseNode, for a database.",
                  order<act::pause, scope::database>, true),
    command_route("/v1/databases/{tenant}/{database}/resume", "resumeDatabase", "As resumeNode, for a database.",
                  order<act::resume, scope::database>),
    command_route("/v1/databases/{tenant}/{database}/reconnect", "reconnectDatabase",
                  "As reconnectNode, for a database.", order<act::reconnect, scope::database>),
    command_route("/v1/databases/{tenant}/{database}/kill", "killDatabase", "As killNode, for a database.",
                  order<act::kill, scope::database>, true),
    command_route("/v1/databases/{tenant}/{database}/disable", "disableDatabase", "Refuses new clients.",
                  order<act::disable, scope::database>),
    command_route("/v1/databases/{tenant}/{database}/enable", "enableDatabase", "Lets new clients in again.",
                  order<act::enable, scope::database>),
    command_route("/v1/clients/{id}/kill", "killClient", "Ends one client.", kill_client),
    {.method = http_method::post,
     .path = "/v1/node/reload",
     .role = admin_role::operator_,
     .name = "reloadNode",
     .tag = "commands",
     .answers = "reload",
     .summary = "Reads the configuration file again and applies what can be applied; a bad file changes nothing.",
     .handle = reload},
    {.method = http_method::post,
     .path = "/v1/node/shutdown",
     .role = admin_role::admin,
     .name = "shutDownNode",
     .tag = "commands",
     .takes = "shutdown",
     .body_optional = true,
     .answers = "done",
     .status = 202,
     .summary = "Ends the node: takes no new clients and waits for the present ones, for their transactions, or not.",
     .handle = shut_down_node},
};

using fields = std::vector<admin_field>;

const fields& done_fields() {
  static const fields all{
      {"done", "boolean", "Whether it is done; false: it is in force and goes on."},
      {"detail", "string", "In words."},
  };
  return all;
}

const fields& reload_fields() {
  static const fields all{
      {"applied", "boolean", "The settings of the file are in force."},
      {"lines", "array", "What changed, what needs a restart, what is doubtful.", false, false, "string"},
  };
  return all;
}

const fields& shutdown_fields() {
  static const fields all{
      {"mode", "string", "wait_for_clients (usual), wait_for_servers or at_once."},
  };
  return all;
}

constexpr admin_schema schemas[] = {
    {"done", "What became of a command.", done_fields},
    {"reload", "What a reload has changed.", reload_fields},
    {"shutdown", "How to end.", shutdown_fields},
};

} // namespace

std::span<const admin_route> admin_command_routes() {
  return routes;
}

std::span<const admin_schema> admin_command_schemas() {
  return schemas;
}

} // namespace pg_edge::actors
