#include "actors/console_control.hpp"

#include "actors/log.hpp"
#include "config/resolve.hpp"
#include "protocol/errors.hpp"
#include "protocol/frame.hpp"
#include "protocol/messages.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace pg_edge::actors {

namespace {

using protocol::error_code;
using protocol::make_error;

/// SUSPEND answers when those that suspend_timeout has cut are gone, or after that long.
constexpr std::chrono::seconds cut_patience{2};

/// KILL answers when its servers have gone, but does not wait for a Postgres that has stopped answering.
constexpr std::chrono::seconds kill_patience{2};

struct control_row {
  console_act act;
  std::string_view name; // as it is logged
  std::string_view verb; // for "cannot ... admin db"
};
constexpr control_row rows[] = {
    {console_act::pause, "PAUSE", "pause"},
    {console_act::resume, "RESUME", "resume"},
    {console_act::reconnect, "RECONNECT", "reconnect"},
    {console_act::disable, "DISABLE", "disable"},
    {console_act::enable, "ENABLE", "enable"},
    {console_act::kill, "KILL", "kill"},
    {console_act::kill_client, "KILL_CLIENT", "kill clients of"},
    {console_act::wait_close, "WAIT_CLOSE", "wait in"},
    {console_act::suspend, "SUSPEND", "suspend"},
};

const control_row& row_of(console_act act) {
  return *std::find_if(std::begin(rows), std::end(rows), [&](const control_row& row) { return row.act == act; });
}

bool console_name(const pool_scope& scope) {
  return scope.tenant == config::default_tenant_name && config::is_console_name(scope.database);
}

/// It is in force: for the log and the audit log.
void note(node_context& node, std::string_view command, const pool_scope& scope, const author& by) {
  log(level::info, log_event::pools_controlled, {{"command", command}, {"scope", to_string(scope)}, {"by", by.who}});
  const std::string words = scope.everything() ? std::string() : " " + to_string(scope);
  caf::anon_send(node.objects, note_audit{by, std::string(command) + words});
}

protocol::bytes refuse(std::string_view why) {
  return make_error(error_code::console_refused, {why});
}

} // namespace

// -- words
// -----------------------------------------------------------------------------------------------------------------

std::optional<pool_scope> read_scope(const std::vector<std::string>& words) {
  const auto is_tenant = [&](std::size_t place) { return protocol::same_word(words[place], "tenant"); };
  switch (words.size()) {
  case 0:
    return pool_scope{};
  case 1:
    if (words[0].empty()) return std::nullopt;
    return pool_scope{std::string(config::default_tenant_name), words[0]};
  case 2:
    if (!is_tenant(0) || words[1].empty()) return std::nullopt;
    return pool_scope{words[1], {}};
  case 3:
    if (!is_tenant(1) || words[0].empty() || words[2].empty()) return std::nullopt;
    return pool_scope{words[2], words[0]};
  default:
    return std::nullopt;
  }
}

std::string to_string(const pool_scope& scope) {
  if (scope.everything()) return {};
  if (scope.database.empty()) return "TENANT " + scope.tenant;
  return scope.tenant == config::default_tenant_name ? scope.database : scope.database + " TENANT " + scope.tenant;
}

// -- everything
// ------------------------------------------------------------------------------------------------------------

gate_answer pause_all(node_context& node, const author& by) {
  const gate_answer answer = node.gates.pause({});
  if (answer != gate_answer::done) return answer;
  note(node, "PAUSE", {}, by);
  caf::anon_send(node.tenants, control_pools{});
  return answer;
}

gate_answer resume_all(node_context& node, const author& by) {
  const gate_answer answer = node.gates.resume({});
  if (answer != gate_answer::done) return answer;
  note(node, "RESUME", {}, by);
  caf::anon_send(node.tenants, control_pools{});
  return answer;
}

void end_suspension(node_context& node, std::string_view for_what) {
  if (node.gates.suspended()) resume_all(node, {std::string(for_what), {}});
}

// -- running a command
// -----------------------------------------------------------------------------------------------------

console_control::console_control(node_context& node, round_trip after_shares)
    : node_(node), after_shares_(std::move(after_shares)) {}

void console_control::tell(control_word what, const pool_scope& scope, std::uint64_t client) {
  caf::anon_send(node_.tenants, control_pools{what, scope, client});
}

void console_control::run(const command& what, const console_view& view, answer done) {
  if (what.act == console_act::kill_client) return kill_client(what, view, std::move(done));
  const auto scope = read_scope(what.arguments);
  if (!scope) return done(make_error(error_code::console_syntax, {row_of(what.act).name}));
  if (const protocol::bytes fault = fault_of(what, *scope); !fault.empty()) return refuse_as(what, fault, done);
  act_on(what, *scope, std::move(done));
}

/// Commands that were refused are in the audit log, too.
void console_control::refuse_as(const command& what, const protocol::bytes& error, const answer& done) const {
  if (what.act != console_act::wait_close) {
    std::string words(row_of(what.act).name);
    for (const std::string& word : what.arguments)
      words += " " + word;
    const auto body = std::string_view(error).substr(protocol::frame_header_size);
    caf::anon_send(node_.objects,
                   note_audit{what.by, words, "refused: " + std::string(protocol::error_field(body, 'M'))});
  }
  done(error);
}

/// What is wrong with the scope itself; empty: nothing.
protocol::bytes console_control::fault_of(const command& what, const pool_scope& scope) const {
  const bool switches = what.act == console_act::disable || what.act == console_act::enable;
  if (scope.everything()) return switches ? refuse("a database is required") : protocol::bytes();
  if (console_name(scope))
    return refuse("cannot " + std::string(row_of(what.act).verb) + " admin db: " + scope.database);
  if (node_.gates.knows(scope)) return {}; // also if a reload has taken it away meanwhile
  const auto settings = node_.settings()->values;
  const config::tenant* tenant = config::find_tenant(*settings, scope.tenant);
  if (tenant == nullptr) return make_error(error_code::console_no_such, {"tenant", scope.tenant});
  const bool there = scope.database.empty() || tenant->databases.contains(scope.database) ||
                     tenant->databases.contains(std::string(config::fallback_database_name));
  return there ? protocol::bytes() : make_error(error_code::console_no_such, {"database", scope.database});
}

protocol::bytes console_control::refused(gate_answer why, const pool_scope& scope) const {
  switch (why) {
  case gate_answer::already_paused:
    return refuse("already suspended/paused");
  case gate_answer::node_not_paused:
    return refuse("pooler is not paused/suspended");
  case gate_answer::scope_not_paused:
    return refuse((scope.database.empty() ? "tenant " + scope.tenant : "database " + scope.database) +
                  " is not paused");
  case gate_answer::done:
    break;
  }
  return {};
}

void console_control::act_on(const command& what, const pool_scope& scope, answer done) {
  const bool shutting_down = node_.draining.load(std::memory_order_relaxed);
  gate_answer gate = gate_answer::done;
  switch (what.act) {
  case console_act::pause:
  case console_act::kill:
    gate = node_.gates.pause(scope);
    break;
  case console_act::suspend:
    if (shutting_down) return refuse_as(what, refuse("pooler is shutting down"), done);
    if (node_.handover.giving()) return refuse_as(what, refuse("another process takes over"), done);
    gate = node_.gates.suspend();
    break;
  case console_act::resume:
    if (shutting_down && scope.everything()) return refuse_as(what, refuse("pooler is shutting down"), done);
    gate = node_.gates.resume(scope);
    break;
  case console_act::disable:
  case console_act::enable:
    node_.gates.set_disabled(scope, what.act == console_act::disable);
    break;
  case console_act::reconnect:
    node_.gates.reconnect(scope);
    break;
  default:
    break;
  }
  if (gate != gate_answer::done) return refuse_as(what, refused(gate, scope), done);
  if (what.act != console_act::wait_close) note(node_, row_of(what.act).name, scope, what.by);
  switch (what.act) {
  case console_act::pause:
    tell(control_word::look, scope);
    return begin_wait(what, scope, clock::time_point::max(), std::move(done));
  case console_act::suspend:
    tell(control_word::look, scope);
    return begin_wait(what, scope, clock::now() + node_.settings()->values->suspend_timeout, std::move(done));
  case console_act::kill:
    tell(control_word::kill, scope);
    return after_shares_(
        [this, what, scope, done = std::move(done)] { begin_wait(what, scope, clock::now() + kill_patience, done); });
  case console_act::wait_close: // a reload just before has reached the shares since the view was gathered
    return begin_wait(what, scope, clock::time_point::max(), std::move(done));
  case console_act::resume:
    tell(control_word::look, scope);
    done({});
    return look(); // whoever waits in the PAUSE that this ends
  case console_act::reconnect:
    tell(control_word::reconnect, scope);
    return done({});
  default:
    return done({});
  }
}

/// `view` has the clients.
void console_control::kill_client(const command& what, const console_view& view, answer done) {
  const std::string text = what.arguments.empty() ? std::string() : what.arguments[0];
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size())
    return refuse_as(what, refuse("invalid client pointer supplied"), done);
  for (const share_snapshot& share : view.shares)
    for (const client_row& one : share.clients) {
      if (one.id != id) continue;
      log(level::info, log_event::pools_controlled, {{"command", "KILL_CLIENT"}, {"client", id}, {"by", what.by.who}});
      caf::anon_send(node_.objects, note_audit{what.by, "KILL_CLIENT " + text});
      tell(control_word::kill_client, {share.pool->name.tenant, share.pool->name.database}, id);
      return after_shares_([done = std::move(done)] { done({}); });
    }
  refuse_as(what, refuse("client not found"), done);
}

// -- waiting
// ---------------------------------------------------------------------------------------------------------------

void console_control::begin_wait(const command& what, const pool_scope& scope, clock::time_point until, answer done) {
  wait one{what.act, scope, what.client.address(), what.by, until, std::move(done)};
  if (protocol::bytes error; over(one, error)) return one.done(error);
  waits_.push_back(std::move(one));
}

/// `error`: how it has ended otherwise than it should.
bool console_control::over(const wait& one, protocol::bytes& error) const {
  if (one.act == console_act::wait_close) return node_.gates.stale_servers(one.scope) == 0;
  const bool suspends = one.act == console_act::suspend;
  if (suspends ? !node_.gates.suspended() : !node_.gates.paused(one.scope)) {
    if (one.act == console_act::kill) return true; // it has killed, and RESUME came behind it
    error = make_error(error_code::console_ended,
                       {std::string(row_of(one.act).name) + " was ended by RESUME",
                        suspends ? "Everything is read again" : "Its servers need not close any more"});
    return true;
  }
  if (suspends) return node_.gates.at_rest() || clock::now() >= one.until + cut_patience;
  return node_.gates.servers(one.scope) == 0 || clock::now() >= one.until;
}

void console_control::cut_what_is_late() {
  const auto late = [now = clock::now()](const wait& one) {
    return one.act == console_act::suspend && now >= one.until;
  };
  if (std::none_of(waits_.begin(), waits_.end(), late)) return;
  node_.gates.cut_unsent();
  tell(control_word::look, {});
}

void console_control::look() {
  cut_what_is_late();
  std::list<std::pair<answer, protocol::bytes>> told; // an answer may begin the client's next command
  for (auto place = waits_.begin(); place != waits_.end();) {
    protocol::bytes error;
    if (!over(*place, error)) {
      ++place;
      continue;
    }
    told.emplace_back(std::move(place->done), std::move(error));
    place = waits_.erase(place);
  }
  for (const auto& [done, error] : told)
    done(error);
}

/// What it has asked for stays in force, as in pgbouncer.
void console_control::client_gone(const caf::actor_addr& who) {
  waits_.remove_if([&](const wait& one) { return one.client == who; });
}

void console_control::cancel(const caf::actor_addr& who) {
  const auto found = std::find_if(waits_.begin(), waits_.end(), [&](const wait& one) { return one.client == who; });
  if (found == waits_.end()) return;
  const wait one = std::move(*found);
  waits_.erase(found);
  const bool holds = one.act == console_act::pause || one.act == console_act::suspend;
  const bool ends_all = holds && one.scope.everything() && !node_.draining.load(std::memory_order_relaxed) &&
                        resume_all(node_, one.by) == gate_answer::done;
  std::string_view meaning = "What was waited for goes on";
  if (one.act == console_act::pause) meaning = "The pause stays in force until RESUME";
  if (ends_all) meaning = "Everything is resumed";
  one.done(make_error(error_code::console_ended, {"canceling statement due to user request", meaning}));
  if (ends_all) look();
}

} // namespace pg_edge::actors
