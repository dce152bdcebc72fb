// What the admin API shows of the store beside its objects: bans in force, the audit log, whether changes can be made.
#include "actors/admin_schemas.hpp"
#include "actors/audit.hpp"
#include "config/setting_table.hpp"
#include "config/value_text.hpp"

namespace pg_edge::actors {

namespace {

/// Longer than the store's own time-out.
constexpr std::chrono::seconds patience{10};
constexpr std::size_t usual_audit_rows = 100, most_audit_rows = 2000;

// -- bans and the audit log
// ------------------------------------------------------------------------------------------------

using br = ban_row;
constexpr admin_column<br> ban_columns[] = {
    {{"kind", "string", "tenant, user or address.", false, true}, [](const br& r) -> json { return r.kind; }},
    {{"tenant", "string", "Whose; null for addresses.", true, true},
     [](const br& r) -> json { return or_null(r.tenant); }},
    {{"name", "string", "The user or the network; null for tenants.", true, true},
     [](const br& r) -> json { return or_null(r.name); }},
    {{"reason", "string", "What those are told who are kept out.", true},
     [](const br& r) -> json { return or_null(r.reason); }},
    {{"until", "string", "When it ends; null: it does not.", true},
     [](const br& r) -> json { return or_null(r.until); }},
    {{"by", "string", "Who set it."}, [](const br& r) -> json { return r.by; }},
    {{"at", "string", "When."}, [](const br& r) -> json { return r.at; }},
    {{"revision", "integer", "Of the store; its ETag in quotes."}, [](const br& r) -> json { return r.revision; }},
};
const std::vector<admin_field>& ban_fields() {
  return fields_of(ban_columns);
}

void list_bans(const admin_call_ptr& call) {
  reply_list(call, ban_columns, ban_rows(*call->node().settings()->objects, std::chrono::system_clock::now()), true);
}

const std::vector<admin_field>& audit_entry_fields() {
  static const std::vector<admin_field> all{
      {"key", "string", "Sorts by time; \"before\" wants one."},
      {"at", "string", "When."},
      {"who", "string", "A token, a user of the console, a signal, or the process that takes over."},
      {"from", "string", "An address."},
      {"what", "string", "What was asked for: a change of an object, or a command."},
      {"fields", "array", "The settings that changed; never their values.", false, false, "string"},
      {"result", "string", "\"done\", or why not."},
  };
  return all;
}

const std::vector<admin_field>& audit_fields() {
  static const std::vector<admin_field> all{
      {"items", "array", "The newest first.", false, false, "audit_entry"},
      {"next", "string", "What \"before\" wants for the next page; null: this was the last.", true},
  };
  return all;
}

void list_audit(const admin_call_ptr& call) {
  read_audit wish{usual_audit_rows, call->request().asked("before").value_or("")};
  if (const auto text = call->request().asked("limit")) {
    const auto number = config::parse_integer(*text);
    if (!number || *number < 1 || *number > static_cast<std::int64_t>(most_audit_rows))
      return call->fail(400, "query: limit", "is no number from 1 to " + std::to_string(most_audit_rows));
    wish.limit = static_cast<std::size_t>(*number);
  }
  call->ask<audit_page>(call->node().objects, patience, wish, [call, limit = wish.limit](const audit_page& page) {
    if (!page.available) return call->fail(503, page.why + ".");
    json items = json::array();
    for (const audit_entry& one : page.entries)
      items.push_back({{"key", one.key},
                       {"at", one.at},
                       {"who", one.who},
                       {"from", one.from},
                       {"what", one.what},
                       {"fields", one.fields},
                       {"result", one.result}});
    json next = page.entries.size() == limit ? json(page.entries.back().key) : json();
    call->reply(json{{"items", std::move(items)}, {"next", std::move(next)}});
  });
}

const std::vector<admin_field>& store_fields() {
  static const std::vector<admin_field> all{
      {"name", "string", "The engine and where it is; null: there is no store.", true},
      {"works", "boolean", "Whether changes can be made."},
      {"why", "string", "Why not.", true},
      {"objects", "integer", "How many objects live in it."},
  };
  return all;
}

void get_store(const admin_call_ptr& call) {
  call->ask<store_state>(call->node().objects, patience, ask_store{}, [call](const store_state& state) {
    call->reply(json{{"name", or_null(state.name)},
                     {"works", state.works},
                     {"why", or_null(state.why)},
                     {"objects", call->node().settings()->objects->size()}});
  });
}

// -- schemas and routes
// ----------------------------------------------------------------------------------------------------

constexpr admin_schema schemas[] = {
    {"ban", "A ban.", ban_fields},
    {"audit_entry", "Something that was done.", audit_entry_fields},
    {"audit", "A page of the audit log.", audit_fields},
    {"store", "Where objects made at run time live.", store_fields},
};

constexpr admin_query audit_query[] = {{"limit", "integer", "Entries of a page, 1 to 2000."},
                                       {"before", "string", "Only entries before the one of this key."}};

constexpr auto viewer = config::admin_role::viewer;

constexpr admin_route routes[] = {
    {.path = "/v1/bans",
     .role = viewer,
     .name = "listBans",
     .tag = "bans",
     .answers = "ban",
     .columns = ban_fields,
     .summary = "Bans that hold.",
     .handle = list_bans},
    {.path = "/v1/audit",
     .role = viewer,
     .name = "listAudit",
     .tag = "audit",
     .query = audit_query,
     .answers = "audit",
     .summary = "Who changed what and who gave which command, the newest first.",
     .handle = list_audit},
    {.path = "/v1/store",
     .role = viewer,
     .name = "getStore",
     .tag = "node",
     .answers = "store",
     .summary = "Whether objects can be changed at run time.",
     .handle = get_store},
};

} // namespace

std::span<const admin_route> admin_audit_routes() {
  return routes;
}

std::span<const admin_schema> admin_audit_schemas() {
  return schemas;
}

} // namespace pg_edge::actors
