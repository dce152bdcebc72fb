// The admin API's writing half: tenants, databases, users, settings and bans that live in the store, what each object
// is and where it comes from. What may be changed is decided by config::plan in the objects actor;
// here HTTP's words become its words: ETag and If-Match are revisions, faults are problems that name the field.
#include "actors/admin_precondition.hpp"
#include "actors/admin_schemas.hpp"
#include "config/setting_table.hpp"
#include "config/value_text.hpp"

#include <algorithm>

namespace pg_edge::actors {

namespace {

using config::object_fault;
using config::object_id;
using config::object_kind;
using config::object_verb;

/// Longer than the store's own time-out, and a reload.
constexpr std::chrono::seconds change_patience{70};

const std::string& parameter(const admin_call_ptr& call, std::string_view name) {
  return call->request().parameters.find(name)->second;
}

bool is_ban(object_kind kind) {
  return config::row_of(kind).section == 0;
}

/// Which object a path means; of a POST without what its body says.
template <object_kind kind>
object_id id_of_path(const admin_call_ptr& call) {
  if constexpr (kind == object_kind::tenant || kind == object_kind::ban_tenant)
    return {kind, {}, parameter(call, "tenant")};
  else if constexpr (kind == object_kind::database)
    return {kind, parameter(call, "tenant"), parameter(call, "database")};
  else if constexpr (kind == object_kind::user || kind == object_kind::ban_user)
    return {kind, parameter(call, "tenant"), parameter(call, "user")};
  else if constexpr (kind == object_kind::setting)
    return {kind, {}, parameter(call, "name")};
  else
    return {kind, {}, parameter(call, "address")};
}

std::string path_of(const object_id& id) {
  const auto part = [](const std::string& name) {
    std::string out = "/";
    constexpr char digits[] = "0123456789ABCDEF";
    for (const char letter : name) {
      const auto byte = static_cast<unsigned char>(letter);
      if (std::isalnum(byte) != 0 || letter == '-' || letter == '_' || letter == '.' || letter == '~')
        out += letter;
      else
        out += {'%', digits[byte >> 4], digits[byte & 15]};
    }
    return out;
  };
  const auto& row = config::row_of(id.kind);
  return "/v1/" + std::string(row.folder) + (row.of_tenant ? part(id.tenant) : "") + part(id.name);
}

// -- what an object is
// ------------------------------------------------------------------------------------------------------------

struct definition_row {
  object_id id;
  bool of_file = false;
  std::string place; // in the file
  std::uint64_t revision = 0;
  std::string changed_by, changed_at;
  std::string why_not; // it does not count
};
using dr = definition_row;

constexpr admin_column<dr> definition_columns[] = {
    {{"kind", "string", "tenant, database, user, setting, or whose ban it is.", false, true},
     [](const dr& r) -> json { return config::row_of(r.id.kind).name; }},
    {{"tenant", "string", "Whose it is; null: it is in no tenant.", true, true},
     [](const dr& r) -> json { return or_null(r.id.tenant); }},
    {{"name", "string", "Its name.", false, true}, [](const dr& r) -> json { return r.id.name; }},
    {{"origin", "string", "\"file\": the configuration file names it. \"store\": it was made at run time."},
     [](const dr& r) -> json { return r.of_file ? "file" : "store"; }},
    {{"place", "string", "Where in the file.", true}, [](const dr& r) -> json { return or_null(r.place); }},
    {{"revision", "integer", "Of the store, when it was changed last; its ETag in quotes.", true},
     [](const dr& r) -> json { return r.of_file ? json() : json(r.revision); }},
    {{"changed_by", "string", "Who changed it last.", true}, [](const dr& r) -> json { return or_null(r.changed_by); }},
    {{"changed_at", "string", "When.", true}, [](const dr& r) -> json { return or_null(r.changed_at); }},
    {{"counts", "boolean", "False: it is left out, see why_not."},
     [](const dr& r) -> json { return r.why_not.empty(); }},
    {{"why_not", "string", "Why it does not count: the file has taken it over, or it fits no more.", true},
     [](const dr& r) -> json { return or_null(r.why_not); }},
};

const std::vector<admin_field>& definition_fields() {
  return fields_of(definition_columns);
}

dr file_row(const config::load_result& file, object_id id) {
  dr out;
  out.of_file = true;
  out.place = config::place_in_file(file, id).value_or("");
  out.id = std::move(id);
  return out;
}

dr store_row(const node_settings& settings, const object_id& id, const config::stored_object& object) {
  dr out{id, false, {}, object.revision, object.changed_by, object.changed_at, {}};
  for (const config::drift& one : settings.left_out)
    if (one.id == id) out.why_not = one.why;
  return out;
}

void add_tenants_objects(const config::load_result& file, const config::tenant& owner, std::vector<dr>& out) {
  for (const auto& [name, one] : owner.databases)
    out.push_back(file_row(file, {object_kind::database, owner.name, name}));
  for (const auto& [name, one] : owner.users)
    out.push_back(file_row(file, {object_kind::user, owner.name, name}));
}

std::vector<dr> definition_rows(const node_settings& settings) {
  std::vector<dr> out;
  const config::load_result& file = *settings.of_file;
  add_tenants_objects(file, file.value->default_tenant, out);
  for (const auto& [name, owner] : file.value->tenants) {
    out.push_back(file_row(file, {object_kind::tenant, {}, name}));
    add_tenants_objects(file, owner, out);
  }
  for (const auto& [name, line] : file.lines)
    out.push_back(file_row(file, {object_kind::setting, {}, name}));
  for (const auto& [id, object] : *settings.objects)
    out.push_back(store_row(settings, id, object));
  return out;
}

void list_definitions(const admin_call_ptr& call) {
  reply_list(call, definition_columns, definition_rows(*call->node().settings()), true);
}

json parsed(const std::string& text) {
  json out = json::parse(text, nullptr, false);
  return out.is_object() ? out : json::object();
}

/// A definition with its settings, secrets left out; nullopt: there is none.
std::optional<json> whole_definition(const node_settings& settings, const object_id& id) {
  const auto stored = settings.objects->find(id);
  const bool of_file = config::place_in_file(*settings.of_file, id).has_value();
  if (!of_file && stored == settings.objects->end()) return std::nullopt;
  json out = object_of(definition_columns,
                       of_file ? file_row(*settings.of_file, id) : store_row(settings, id, stored->second));
  config::shown_object shown{"{}", {}};
  if (!of_file)
    shown = config::show_object(id, stored->second);
  else if (auto found = config::show_file_object(*settings.of_file->value, id))
    shown = std::move(*found);
  out["settings"] = parsed(shown.body);
  if (of_file && id.kind == object_kind::setting)
    if (const auto* row = config::find_row(id.name, config::in_global))
      out["settings"] = {{"value", config::global_text(*row, *settings.of_file->value)}};
  out["secrets"] = shown.secrets;
  return out;
}

admin_reply definition_reply(const json& definition, unsigned status) {
  admin_reply out{
      status, "application/json", definition.dump(-1, ' ', false, json::error_handler_t::replace) + "\n", {}};
  if (definition["revision"].is_number())
    out.headers.emplace_back("ETag", etag_of(definition["revision"].get<std::uint64_t>()));
  return out;
}

template <object_kind kind>
void get_definition(const admin_call_ptr& call) {
  const object_id id = id_of_path<kind>(call);
  const auto found = whole_definition(*call->node().settings(), id);
  if (!found) return call->fail(404, "There is no " + config::to_string(id) + ".");
  if ((*found)["revision"].is_number()) {
    const std::string etag = etag_of((*found)["revision"].template get<std::uint64_t>());
    if (call->request().header("if-none-match") == etag) return call->reply(admin_reply{304, {}, {}, {{"ETag", etag}}});
  }
  call->reply(definition_reply(*found, 200));
}

// -- changes
// ---------------------------------------------------------------------------------------------------------------

unsigned status_of(object_fault::kind fault) {
  switch (fault) {
  case object_fault::kind::missing:
    return 404;
  case object_fault::kind::invalid:
    return 422;
  default: // exists, of_file, still_used, needs_restart
    return 409;
  }
}

void refuse(const admin_call_ptr& call, const object_changed& result) {
  admin_problem problem;
  switch (result.outcome) {
  case change_outcome::refused:
    problem.status = status_of(result.fault.is);
    problem.what = result.fault.what + ".";
    if (!result.fault.field.empty()) problem.fields = {{result.fault.field, result.fault.what}};
    break;
  case change_outcome::lost:
    return refuse_precondition(call, 412, result.revision);
  case change_outcome::taken_over:
  case change_outcome::no_store:
    problem.status = 409;
    problem.what = result.why + ".";
    break;
  case change_outcome::unavailable:
    problem.status = result.why.find("no space left") != std::string::npos ? 507 : 503;
    problem.what = "Nothing was changed, since the store cannot be written: " + result.why + ".";
    break;
  default:
    problem.status = 503;
    problem.what = "Nobody can say whether it was changed: " + result.why + ". Read it, then decide.";
    break;
  }
  call->fail(problem);
}

void change(const admin_call_ptr& call, object_id id, object_verb verb, const json& body,
            std::optional<std::uint64_t> if_match, bool cascade = false) {
  change_object wish;
  wish.what = {verb, std::move(id), body.dump(-1, ' ', false, json::error_handler_t::replace), cascade};
  wish.if_match = if_match;
  wish.by = author_of(call);
  call->ask<object_changed>(
      call->node().objects, change_patience, wish, [call, id = wish.what.id, verb](const object_changed& result) {
        if (result.outcome != change_outcome::done) return refuse(call, result);
        if (verb == object_verb::remove) return call->reply(admin_reply{204, {}, {}, {}});
        auto found = whole_definition(*call->node().settings(), id);
        if (!found)
          found = json{{"kind", config::row_of(id.kind).name}, {"name", id.name}, {"revision", result.revision}};
        (*found)["applied"] = result.lines;
        admin_reply reply = definition_reply(*found, result.created ? 201 : 200);
        if (result.created) reply.headers.emplace_back("Location", path_of(id));
        call->reply(std::move(reply));
      });
}

std::uint64_t revision_now(const admin_call_ptr& call, const object_id& id) {
  const auto objects = call->node().settings()->objects;
  const auto found = objects->find(id);
  return found == objects->end() ? 0 : found->second.revision;
}

template <object_kind kind, object_verb verb>
void change_one(const admin_call_ptr& call) {
  const object_id id = id_of_path<kind>(call);
  const std::uint64_t present = revision_now(call, id);
  const bool of_file = present == 0 && config::place_in_file(*call->node().settings()->of_file, id).has_value();
  precondition asked;
  // The file's own are refused for that; what is not there is 404, unless it is to be made.
  if (!of_file && (present != 0 || verb == object_verb::replace || !call->request().header("if-match").empty()))
    asked = precondition_of(call->request(), present, !is_ban(kind));
  if (asked.status != 0 && (present != 0 || verb == object_verb::replace))
    return refuse_precondition(call, asked.status, present);
  const bool cascade = call->request().asked("cascade") == "true";
  change(call, id, verb, call->request().body, asked.revision, cascade);
}

/// A name that stands in the body of a POST; nullopt: refused.
std::optional<std::string> take_name(const admin_call_ptr& call, json& body, const char* name,
                                     std::optional<std::string> otherwise = std::nullopt) {
  const auto found = body.find(name);
  if (found == body.end() && otherwise) return otherwise;
  if (found == body.end()) {
    call->fail(422, name, "is missing");
    return std::nullopt;
  }
  if (!found->is_string() || found->get_ref<const std::string&>().empty() ||
      found->get_ref<const std::string&>().find('\0') != std::string::npos) {
    call->fail(422, name, "is no name");
    return std::nullopt;
  }
  std::string out = found->get<std::string>();
  body.erase(found);
  return out;
}

void create_tenant(const admin_call_ptr& call) {
  json body = call->request().body;
  if (const auto name = take_name(call, body, "tenant"))
    change(call, {object_kind::tenant, {}, *name}, object_verb::create, body, std::nullopt);
}

template <object_kind kind>
void create_in_tenant(const admin_call_ptr& call) {
  json body = call->request().body;
  const auto tenant = take_name(call, body, "tenant", std::string(config::default_tenant_name));
  if (!tenant) return;
  if (const auto name = take_name(call, body, kind == object_kind::database ? "database" : "user"))
    change(call, {kind, *tenant, *name}, object_verb::create, body, std::nullopt);
}

void create_ban(const admin_call_ptr& call) {
  json body = call->request().body;
  const auto kind = take_name(call, body, "kind");
  if (!kind) return;
  if (*kind == "address") {
    if (const auto address = take_name(call, body, "address"))
      change(call, {object_kind::ban_address, {}, *address}, object_verb::create, body, std::nullopt);
    return;
  }
  if (*kind != "tenant" && *kind != "user") return call->fail(422, "kind", "is not one of tenant, user, address");
  const auto tenant = *kind == "tenant" ? take_name(call, body, "tenant")
                                        : take_name(call, body, "tenant", std::string(config::default_tenant_name));
  if (!tenant) return;
  if (config::find_tenant(*call->node().settings()->values, *tenant) == nullptr)
    return call->fail(422, "tenant", "there is no tenant " + *tenant);
  if (*kind == "tenant") return change(call, {object_kind::ban_tenant, {}, *tenant}, object_verb::create, body, {});
  if (const auto user = take_name(call, body, "user"))
    change(call, {object_kind::ban_user, *tenant, *user}, object_verb::create, body, std::nullopt);
}

// -- schemas
// ---------------------------------------------------------------------------------------------------------------

/// What an object may say, from the table of settings. All of it is optional.
std::vector<admin_field> fields_of_section(config::section where) {
  std::vector<admin_field> out;
  for (const auto& row : config::setting_rows()) {
    if ((row.sections & where) == 0) continue;
    if (row.rule == config::value_rule::secret_file || row.rule == config::value_rule::url) continue;
    out.push_back({row.name, "any", row.help, true, false, {}, true});
  }
  return out;
}

template <config::section where>
const std::vector<admin_field>& settings_fields() {
  static const std::vector<admin_field> all = fields_of_section(where);
  return all;
}

template <config::section where>
const std::vector<admin_field>& creation_fields() {
  static const std::vector<admin_field> all = [] {
    std::vector<admin_field> out = fields_of_section(where);
    if constexpr (where == config::in_tenant)
      out.insert(out.begin(), {"tenant", "string", "Its name."});
    else {
      out.insert(out.begin(), {where == config::in_database ? "database" : "user", "string", "Its name."});
      out.insert(out.begin(), {"tenant", "string", "Whose it is; \"default\" if left out.", false, false, {}, true});
    }
    return out;
  }();
  return all;
}

const std::vector<admin_field>& value_fields() {
  static const std::vector<admin_field> all{{"value", "any", "As in the file."}};
  return all;
}

const std::vector<admin_field>& ban_terms_fields() {
  static const std::vector<admin_field> all{
      {"reason", "string", "What those are told who are kept out.", true, false, {}, true},
      {"until", "string", "When it ends, as 2030-01-01T00:00:00Z; left out: never.", true, false, {}, true},
  };
  return all;
}

const std::vector<admin_field>& new_ban_fields() {
  static const std::vector<admin_field> all = [] {
    std::vector<admin_field> out{
        {"kind", "string", "tenant, user or address."},
        {"tenant", "string", "Of tenants and users; \"default\" if left out for a user.", false, false, {}, true},
        {"user", "string", "Of users.", false, false, {}, true},
        {"address", "string", "An address or a network such as 10.0.0.0/8.", false, false, {}, true},
    };
    out.insert(out.end(), ban_terms_fields().begin(), ban_terms_fields().end());
    return out;
  }();
  return all;
}

const std::vector<admin_field>& whole_definition_fields() {
  static const std::vector<admin_field> all = [] {
    std::vector<admin_field> out = definition_fields();
    out.push_back({"settings", "object", "What it says, by the file's names; without secrets."});
    out.push_back({"secrets", "array", "The secrets it has, by name.", false, false, "string"});
    out.push_back({"applied", "array", "What a change has changed in the node.", false, false, "string", true});
    return out;
  }();
  return all;
}

constexpr admin_schema schemas[] = {
    {"tenant_settings", "What a tenant may say.", settings_fields<config::in_tenant>},
    {"database_settings", "What a database may say.", settings_fields<config::in_database>},
    {"user_settings", "What a user may say.", settings_fields<config::in_user>},
    {"new_tenant", "A tenant to be made.", creation_fields<config::in_tenant>},
    {"new_database", "A database to be made.", creation_fields<config::in_database>},
    {"new_user", "A user to be made.", creation_fields<config::in_user>},
    {"setting_value", "A global setting's value.", value_fields},
    {"ban_terms", "Why, and until when.", ban_terms_fields},
    {"new_ban", "A ban to be set.", new_ban_fields},
    {"definition", "An object, and where it comes from.", definition_fields},
    {"whole_definition", "An object, where it comes from, and what it says.", whole_definition_fields},
};

// -- routes
// ----------------------------------------------------------------------------------------------------------------

constexpr admin_query cascade_query[] = {{"cascade", "boolean", "Remove what is in the tenant too."}};

constexpr auto viewer = config::admin_role::viewer, admin = config::admin_role::admin,
               operator_role = config::admin_role::operator_;

struct route_words {
  std::string_view path, name, tag, takes;
};

constexpr admin_route create_route(route_words words, config::admin_role role, void (*handle)(const admin_call_ptr&),
                                   std::string_view summary) {
  return {.method = http_method::post,
          .path = words.path,
          .role = role,
          .name = words.name,
          .tag = words.tag,
          .takes = words.takes,
          .answers = "whole_definition",
          .status = 201,
          .conditional = true,
          .summary = summary,
          .handle = handle};
}

constexpr admin_route write_route(http_method method, route_words words, config::admin_role role,
                                  void (*handle)(const admin_call_ptr&), std::string_view summary) {
  return {.method = method,
          .path = words.path,
          .role = role,
          .name = words.name,
          .tag = words.tag,
          .takes = words.takes,
          .answers = "whole_definition",
          .conditional = true,
          .summary = summary,
          .handle = handle};
}

constexpr admin_route remove_route(route_words words, config::admin_role role, void (*handle)(const admin_call_ptr&),
                                   std::string_view summary, std::span<const admin_query> query = {}) {
  return {.method = http_method::delete_,
          .path = words.path,
          .role = role,
          .name = words.name,
          .tag = words.tag,
          .query = query,
          .status = 204,
          .conditional = true,
          .summary = summary,
          .handle = handle};
}

constexpr admin_route definition_route(route_words words, void (*handle)(const admin_call_ptr&)) {
  return {.method = http_method::get,
          .path = words.path,
          .role = viewer,
          .name = words.name,
          .tag = words.tag,
          .answers = "whole_definition",
          .conditional = true,
          .summary = "What it says and where it comes from; its ETag is what a change sends as If-Match.",
          .handle = handle};
}

using kind = object_kind;
using verb = object_verb;
constexpr auto put = http_method::put, patch = http_method::patch;

constexpr std::string_view put_text = "Makes it, or replaces all it says; secrets that are left out stay.";
constexpr std::string_view patch_text = "Changes what the body names; null takes it away (RFC 7396).";

constexpr admin_route routes[] = {
    create_route({"/v1/tenants", "createTenant", "tenants", "new_tenant"}, admin, create_tenant, "Makes a tenant."),
    definition_route({"/v1/tenants/{tenant}/definition", "getTenantDefinition", "tenants", {}},
                     get_definition<kind::tenant>),
    write_route(put, {"/v1/tenants/{tenant}", "putTenant", "tenants", "tenant_settings"}, admin,
                change_one<kind::tenant, verb::replace>, put_text),
    write_route(patch, {"/v1/tenants/{tenant}", "patchTenant", "tenants", "tenant_settings"}, admin,
                change_one<kind::tenant, verb::patch>, patch_text),
    remove_route({"/v1/tenants/{tenant}", "deleteTenant", "tenants", {}}, admin, change_one<kind::tenant, verb::remove>,
                 "Removes a tenant; its clients are ended.", cascade_query),

    create_route({"/v1/databases", "createDatabase", "databases", "new_database"}, admin,
                 create_in_tenant<kind::database>, "Makes a database."),
    definition_route({"/v1/databases/{tenant}/{database}/definition", "getDatabaseDefinition", "databases", {}},
                     get_definition<kind::database>),
    write_route(put, {"/v1/databases/{tenant}/{database}", "putDatabase", "databases", "database_settings"}, admin,
                change_one<kind::database, verb::replace>, put_text),
    write_route(patch, {"/v1/databases/{tenant}/{database}", "patchDatabase", "databases", "database_settings"}, admin,
                change_one<kind::database, verb::patch>, patch_text),
    remove_route({"/v1/databases/{tenant}/{database}", "deleteDatabase", "databases", {}}, admin,
                 change_one<kind::database, verb::remove>,
                 "Removes a database; clients that use it keep what they have."),

    create_route({"/v1/users", "createUser", "users", "new_user"}, admin, create_in_tenant<kind::user>,
                 "Makes a user."),
    definition_route({"/v1/users/{tenant}/{user}/definition", "getUserDefinition", "users", {}},
                     get_definition<kind::user>),
    write_route(put, {"/v1/users/{tenant}/{user}", "putUser", "users", "user_settings"}, admin,
                change_one<kind::user, verb::replace>, put_text),
    write_route(patch, {"/v1/users/{tenant}/{user}", "patchUser", "users", "user_settings"}, admin,
                change_one<kind::user, verb::patch>, patch_text),
    remove_route({"/v1/users/{tenant}/{user}", "deleteUser", "users", {}}, admin, change_one<kind::user, verb::remove>,
                 "Removes a user: who is logged in stays, nobody logs in any more."),

    definition_route({"/v1/settings/{name}/definition", "getSettingDefinition", "settings", {}},
                     get_definition<kind::setting>),
    write_route(put, {"/v1/settings/{name}", "putSetting", "settings", "setting_value"}, admin,
                change_one<kind::setting, verb::replace>, "Sets a global setting that the file leaves alone."),
    remove_route({"/v1/settings/{name}", "deleteSetting", "settings", {}}, admin,
                 change_one<kind::setting, verb::remove>, "Back to what the file or the default says."),

    create_route({"/v1/bans", "createBan", "bans", "new_ban"}, operator_role, create_ban,
                 "Ends the sessions of a tenant, user or network, and lets them in no more."),
    write_route(put, {"/v1/bans/tenant/{tenant}", "putTenantBan", "bans", "ban_terms"}, operator_role,
                change_one<kind::ban_tenant, verb::replace>, "Sets or changes a ban."),
    write_route(put, {"/v1/bans/user/{tenant}/{user}", "putUserBan", "bans", "ban_terms"}, operator_role,
                change_one<kind::ban_user, verb::replace>, "Sets or changes a ban."),
    write_route(put, {"/v1/bans/address/{address}", "putAddressBan", "bans", "ban_terms"}, operator_role,
                change_one<kind::ban_address, verb::replace>, "Sets or changes a ban; a \"/\" is written %2F."),
    remove_route({"/v1/bans/tenant/{tenant}", "deleteTenantBan", "bans", {}}, operator_role,
                 change_one<kind::ban_tenant, verb::remove>, "Ends a ban."),
    remove_route({"/v1/bans/user/{tenant}/{user}", "deleteUserBan", "bans", {}}, operator_role,
                 change_one<kind::ban_user, verb::remove>, "Ends a ban."),
    remove_route({"/v1/bans/address/{address}", "deleteAddressBan", "bans", {}}, operator_role,
                 change_one<kind::ban_address, verb::remove>, "Ends a ban."),

    {.path = "/v1/definitions",
     .role = viewer,
     .name = "listDefinitions",
     .tag = "definitions",
     .answers = "definition",
     .columns = definition_fields,
     .summary = "Every object of file and store: where it comes from, and whether it counts.",
     .handle = list_definitions},
};

} // namespace

std::span<const admin_route> admin_object_routes() {
  return routes;
}

std::span<const admin_schema> admin_object_schemas() {
  return schemas;
}

} // namespace pg_edge::actors
