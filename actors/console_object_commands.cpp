// The console's commands about what lives in the store: BAN, UNBAN, SHOW BANS, SHOW AUDIT, SHOW DRIFT. They ask the
// objects actor, as the admin API does, so both have the same rules and the same audit log.
#include "actors/audit.hpp"
#include "actors/console_commands.hpp"
#include "actors/node_context.hpp"
#include "config/tenant_name.hpp"
#include "config/timestamp.hpp"
#include "config/value_text.hpp"
#include "protocol/errors.hpp"

#include <nlohmann/json.hpp>

namespace pg_edge::actors {

namespace {

using protocol::console_column;
using protocol::error_code;
using protocol::same_word;
using enum protocol::console_type;
using need = console_need;

/// Longer than the store's own time-out, and a reload.
constexpr std::chrono::seconds patience{70};
constexpr std::int64_t usual_audit_rows = 100, most_audit_rows = 2000;

// -- BAN and UNBAN
// ---------------------------------------------------------------------------------------------------------

struct ban_words {
  config::object_id id;
  std::string reason, until;
  std::string fault; // in the words of an operator
};

bool is_keyword(std::string_view word) {
  for (const std::string_view known : {"tenant", "user", "address", "for", "until", "reason"})
    if (same_word(word, known)) return true;
  return false;
}

/// The words up to the next keyword as one: 10.0.0.0/8 comes in pieces unless it is quoted.
std::string joined(const console_words& words, std::size_t& at) {
  std::string out;
  while (at < words.size() && !is_keyword(words[at]))
    out += words[at++];
  return out;
}

/// TENANT t | USER u [TENANT t] | ADDRESS a, then FOR, UNTIL and REASON if they may stand there.
ban_words read_ban(const console_words& words, bool with_terms) {
  ban_words out;
  out.id.kind = config::object_kind::ban_address;
  std::string tenant, user, address;
  for (std::size_t at = 0; at < words.size();) {
    const std::string& word = words[at++];
    const bool one_word = same_word(word, "tenant") || same_word(word, "user") || same_word(word, "reason");
    if (!is_keyword(word) || at == words.size()) {
      out.fault = "not understood at \"" + word + "\"";
      return out;
    }
    const std::string value = one_word ? words[at++] : joined(words, at);
    if (same_word(word, "tenant"))
      tenant = value;
    else if (same_word(word, "user"))
      user = value;
    else if (same_word(word, "address"))
      address = value;
    else if (!with_terms)
      out.fault = word + " does not stand here";
    else if (same_word(word, "reason"))
      out.reason = value;
    else if (same_word(word, "until"))
      out.until = value;
    else if (const auto span = config::parse_duration(value))
      out.until = config::timestamp_text(std::chrono::system_clock::now() +
                                         std::chrono::duration_cast<std::chrono::system_clock::duration>(*span));
    else
      out.fault = "FOR wants a time span such as '10m', not \"" + value + "\"";
  }
  if (!address.empty() && (!user.empty() || !tenant.empty()))
    out.fault = "an address is banned for all tenants: leave TENANT and USER out";
  else if (!address.empty())
    out.id = {config::object_kind::ban_address, {}, address};
  else if (!user.empty())
    out.id = {config::object_kind::ban_user, tenant.empty() ? std::string(config::default_tenant_name) : tenant, user};
  else if (!tenant.empty())
    out.id = {config::object_kind::ban_tenant, {}, tenant};
  else if (out.fault.empty())
    out.fault = "names nobody: TENANT name, USER name [TENANT name] or ADDRESS network";
  return out;
}

bool takes_ban(const console_words& words) {
  return read_ban(words, true).fault.empty();
}
bool takes_unban(const console_words& words) {
  return read_ban(words, false).fault.empty();
}

std::string text_of(const object_changed& result) {
  if (result.outcome == change_outcome::refused)
    return (result.fault.field.empty() || result.fault.what.starts_with(result.fault.field)
                ? ""
                : result.fault.field + ": ") +
           result.fault.what;
  if (result.outcome == change_outcome::unavailable) return "the store cannot be written: " + result.why;
  if (result.outcome == change_outcome::unknown)
    return "nobody can say whether it was done (" + result.why + "); SHOW BANS tells what holds";
  return result.why;
}

/// Asks the objects actor; the answer comes later.
template <class Answer, class Message>
void ask(const console_task& task, std::string_view command, Message message, std::function<void(const Answer&)> then) {
  const objects_actor whom = task.node.objects;
  const auto answer = task.answer;
  whom->home_system().spawn([whom, answer, message, then,
                             command = std::string(command)](caf::event_based_actor* self) {
    self->request(whom, patience, message)
        .then([then](const Answer& got) { then(got); },
              [answer, command](const caf::error&) {
                answer(
                    {protocol::make_error(error_code::console_failed, {command, "the store does not answer"}), {}, {}});
              });
  });
}

void change_ban(const console_task& task, std::string_view command, config::object_change what) {
  const change_object wish{std::move(what), std::nullopt, task.by};
  ask<object_changed>(task, command, wish, [answer = task.answer, command](const object_changed& result) {
    if (result.outcome == change_outcome::done) return answer({});
    const bool refused = result.outcome == change_outcome::no_store || result.outcome == change_outcome::taken_over;
    answer({refused ? protocol::make_error(error_code::console_refused, {result.why})
                    : protocol::make_error(error_code::console_failed, {command, text_of(result)}),
            {},
            {}});
  });
}

void run_ban(const console_view& view, const console_task& task) {
  const ban_words words = read_ban(task.arguments, true);
  const std::string& tenant = words.id.kind == config::object_kind::ban_tenant ? words.id.name : words.id.tenant;
  if (words.id.kind != config::object_kind::ban_address && config::find_tenant(*view.settings, tenant) == nullptr)
    return task.answer(
        {protocol::make_error(error_code::console_failed, {"BAN", "there is no tenant " + tenant}), {}, {}});
  nlohmann::ordered_json body = nlohmann::ordered_json::object();
  if (!words.reason.empty()) body["reason"] = words.reason;
  if (!words.until.empty()) body["until"] = words.until;
  change_ban(task, "BAN",
             {config::object_verb::replace, words.id,
              body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace), false});
}

void run_unban(const console_view&, const console_task& task) {
  change_ban(task, "UNBAN", {config::object_verb::remove, read_ban(task.arguments, false).id, {}, false});
}

// -- SHOW
// -----------------------------------------------------------------------------------------------------------------

constexpr console_column bans_columns[] = {{"kind"}, {"tenant"}, {"name"}, {"reason"}, {"until"}, {"by"}, {"at"}};
constexpr console_column audit_columns[] = {{"at"}, {"who"}, {"from"}, {"what"}, {"fields"}, {"result"}};
constexpr console_column drift_columns[] = {{"object"}, {"why"}};

/// Those of the store, and tenants that the settings ban.
void run_show_bans(const console_view&, const console_task& task) {
  const auto settings = task.node.settings();
  const auto now = std::chrono::system_clock::now();
  console_outcome out;
  for (const ban_row& one : ban_rows(*settings->objects, now))
    out.rows.push_back({one.kind, one.tenant, one.name, one.reason, one.until, one.by, one.at});
  for (const auto& [name, tenant] : settings->values->tenants)
    if (config::ban_text(tenant.banned, tenant.banned_until, now))
      out.rows.push_back({std::string("tenant"), name, std::string(), tenant.banned, tenant.banned_until,
                          tenant.line > 0 ? "settings, line " + std::to_string(tenant.line) : std::string("settings"),
                          std::string()});
  task.answer(std::move(out));
}

void run_show_drift(const console_view&, const console_task& task) {
  console_outcome out;
  for (const config::drift& one : task.node.settings()->left_out)
    out.rows.push_back({config::to_string(one.id), one.why});
  task.answer(std::move(out));
}

std::optional<std::int64_t> audit_limit(const console_words& words) {
  if (words.empty()) return usual_audit_rows;
  const auto number = words.size() == 1 ? config::parse_integer(words[0]) : std::nullopt;
  return number && *number > 0 && *number <= most_audit_rows ? number : std::nullopt;
}
bool takes_audit(const console_words& words) {
  return audit_limit(words).has_value();
}

void run_show_audit(const console_view&, const console_task& task) {
  const read_audit wish{static_cast<std::size_t>(audit_limit(task.arguments).value_or(usual_audit_rows)), {}};
  ask<audit_page>(task, "SHOW AUDIT", wish, [answer = task.answer](const audit_page& page) {
    if (!page.available)
      return answer({protocol::make_error(error_code::console_failed, {"SHOW AUDIT", page.why}), {}, {}});
    console_outcome out;
    for (const audit_entry& one : page.entries) {
      std::string fields;
      for (const std::string& name : one.fields)
        fields += (fields.empty() ? "" : ",") + name;
      out.rows.push_back({one.at, one.who, one.from, one.what, fields, one.result});
    }
    answer(std::move(out));
  });
}

constexpr console_command commands[] = {
    {.words = "ban",
     .arguments = "TENANT t | USER u [TENANT t] | ADDRESS net  [FOR span | UNTIL time] [REASON 'text']",
     .admin = true,
     .help = "end their sessions and let them in no more, until then or for ever",
     .takes = takes_ban,
     .run = run_ban},
    {.words = "unban",
     .arguments = "TENANT t | USER u [TENANT t] | ADDRESS net",
     .admin = true,
     .help = "end such a ban",
     .takes = takes_unban,
     .run = run_unban},
    {.words = "show bans", .columns = bans_columns, .help = "who is banned, why and until when", .run = run_show_bans},
    {.words = "show audit",
     .arguments = "[rows]",
     .columns = audit_columns,
     .help = "who did what: changes and commands, the newest first",
     .takes = takes_audit,
     .run = run_show_audit},
    {.words = "show drift",
     .columns = drift_columns,
     .help = "objects of the store that do not count, and why",
     .run = run_show_drift},
};

} // namespace

std::span<const console_command> console_object_commands() {
  return commands;
}

} // namespace pg_edge::actors
