#include "config/objects.hpp"

#include "config/check.hpp"
#include "config/object_json.hpp"
#include "config/setting_table.hpp"
#include "config/timestamp.hpp"
#include "config/value_text.hpp"

#include <algorithm>
#include <list>

namespace pg_edge::config {

namespace {

constexpr object_kind_row kinds[] = {
    {object_kind::tenant, "tenant", "tenants", in_tenant, false},
    {object_kind::database, "database", "databases", in_database, true},
    {object_kind::user, "user", "users", in_user, true},
    {object_kind::setting, "setting", "settings", in_global, false},
    {object_kind::ban_tenant, "ban of tenant", "bans/tenant", 0, false},
    {object_kind::ban_user, "ban of user", "bans/user", 0, true},
    {object_kind::ban_address, "ban of address", "bans/address", 0, false},
};

constexpr std::string_view setting_value = "value"; // the one member of a setting's object

bool is_ban(object_kind kind) {
  return row_of(kind).section == 0;
}

toml_entry entry(std::string key, toml_node::table inside) {
  toml_entry out{std::move(key), 0, {}};
  out.node.value = std::move(inside);
  return out;
}

/// {outer: {inner: ...}}
toml_node::table nested(std::string key, toml_node::table inside) {
  toml_node::table out;
  out.push_back(entry(std::move(key), std::move(inside)));
  return out;
}

/// A file's tree with this object alone in it. nullopt: a setting without a value, or with more.
std::optional<toml_node> as_file(const object_id& id, toml_node::table body) {
  toml_node root;
  const auto in_its_tenant = [&](const char* section) {
    auto inside = nested(section, nested(id.name, std::move(body)));
    return id.tenant == default_tenant_name ? std::move(inside)
                                            : nested("tenants", nested(id.tenant, std::move(inside)));
  };
  switch (id.kind) {
  case object_kind::tenant:
    root.value = nested("tenants", nested(id.name, std::move(body)));
    return root;
  case object_kind::database:
    root.value = in_its_tenant("databases");
    return root;
  case object_kind::user:
    root.value = in_its_tenant("users");
    return root;
  case object_kind::setting: {
    if (body.size() != 1 || body[0].key != setting_value) return std::nullopt;
    body[0].key = id.name;
    root.value = nested("pg_edge", std::move(body));
    return root;
  }
  default:
    return std::nullopt;
  }
}

/// A ban's own three members.
std::string read_ban(const toml_node::table& body, ban& into) {
  for (const auto& one : body) {
    const auto* text = std::get_if<std::string>(&one.node.value);
    if (one.key != "reason" && one.key != "until") return one.key + ": unknown, a ban has reason and until";
    if (text == nullptr) return one.key + ": expected a string, not " + std::string{one.node.type_name()};
    if (text->find('\0') != std::string::npos) return one.key + ": holds a zero byte";
    (one.key == "reason" ? into.reason : into.until) = *text;
  }
  if (!into.until.empty()) {
    const auto when = parse_timestamp(into.until);
    if (!when) return "until: \"" + into.until + "\" is not a point in time such as \"2030-01-01T00:00:00Z\"";
    into.until = timestamp_text(*when);
  }
  return {};
}

/// One object, read; `why`: it cannot be.
struct piece {
  object_id id;
  settings part; // with nothing but this object
  ban banned;
  std::string why;
};

piece read_piece(const std::string& file, const object_id& id, const stored_object& object, const outside& world) {
  piece out{id, {}, {}, {}};
  auto parsed = parse_json_object(object.body);
  if (!parsed.error.empty()) {
    out.why = parsed.error;
    return out;
  }
  auto& body = std::get<toml_node::table>(parsed.root.value);
  if (is_ban(id.kind)) {
    out.banned = {{}, {}, object.changed_by, object.changed_at};
    out.why = read_ban(body, out.banned);
    if (id.kind == object_kind::ban_address && !parse_network(id.name))
      out.why = "\"" + id.name + "\" is not an address or a network such as 10.0.0.0/8";
    return out;
  }
  const auto tree = as_file(id, std::move(body));
  if (!tree) {
    out.why = "value: is missing; a setting has this member and no other";
    return out;
  }
  problem_list problems{file}; // paths in the object are relative to its folder
  out.part = read_sections(*tree, world, problems);
  for (const auto& one : problems.take())
    if (!one.warning && out.why.empty()) out.why = one.text;
  return out;
}

tenant* find_tenant_in(settings& all, const std::string& name) {
  if (name == default_tenant_name) return &all.default_tenant;
  const auto found = all.tenants.find(name);
  return found == all.tenants.end() ? nullptr : &found->second;
}

void copy_global(const setting_row& row, const settings& from, settings& into) {
  std::visit(
      [&](auto member) {
        if constexpr (!std::is_same_v<decltype(member), std::monostate>) into.*member = from.*member;
      },
      row.global);
}

/// Why it cannot be; empty: it is there.
std::string add_piece(const piece& one, settings& into) {
  const auto& [kind, tenant_name, name] = one.id;
  if (kind == object_kind::tenant) {
    into.tenants[name] = one.part.tenants.at(name);
    return {};
  }
  if (kind == object_kind::setting) {
    copy_global(*find_row(name, in_global), one.part, into);
    return {};
  }
  tenant* owner = find_tenant_in(into, tenant_name);
  if (owner == nullptr) return "there is no tenant " + tenant_name;
  const tenant& from = *find_tenant(one.part, tenant_name);
  if (kind == object_kind::database)
    owner->databases[name] = from.databases.at(name);
  else
    owner->users[name] = from.users.at(name);
  return {};
}

std::string first_error(const settings& all, const load_result& file) {
  problem_list problems{all.file};
  check_settings(all, file.lines, problems);
  if (!problems.has_errors()) return {};
  for (const auto& one : problems.take())
    if (!one.warning) return one.text;
  return {};
}

void add_ban(const piece& one, ban_list& into) {
  if (one.id.kind == object_kind::ban_tenant)
    into.add_tenant(one.id.name, one.banned);
  else if (one.id.kind == object_kind::ban_user)
    into.add_user(one.id.tenant, one.id.name, one.banned);
  else
    into.add_network(*parse_network(one.id.name), one.banned);
}

/// All at once, which is what nearly always works; nullopt when something is wrong with some of them.
std::optional<settings> add_all(const load_result& file, const std::list<piece>& pieces) {
  settings out = *file.value;
  for (const piece& one : pieces)
    if (!add_piece(one, out).empty()) return std::nullopt;
  if (!first_error(out, file).empty()) return std::nullopt;
  return out;
}

/// One after the other, without those that do not fit.
settings add_what_fits(const load_result& file, const std::list<piece>& pieces, std::vector<drift>& left_out) {
  settings out = *file.value;
  for (const piece& one : pieces) {
    settings with = out;
    std::string why = add_piece(one, with);
    if (why.empty()) why = first_error(with, file);
    if (why.empty())
      out = std::move(with);
    else
      left_out.push_back({one.id, why});
  }
  return out;
}

} // namespace

std::span<const object_kind_row> object_kinds() {
  return kinds;
}

const object_kind_row& row_of(object_kind kind) {
  return kinds[static_cast<std::size_t>(kind)];
}

std::string to_string(const object_id& id) {
  const object_kind_row& row = row_of(id.kind);
  const bool tell_tenant = row.of_tenant && id.tenant != default_tenant_name;
  return std::string{row.name} + " " + (tell_tenant ? id.tenant + "/" : "") + id.name;
}

std::optional<std::string> place_in_file(const load_result& file, const object_id& id) {
  const auto place = [&](int line) {
    return file.value->file + (line > 0 ? ":" + std::to_string(line) : std::string{});
  };
  if (is_ban(id.kind)) return std::nullopt;
  if (id.kind == object_kind::setting) {
    const auto found = file.lines.find(id.name);
    return found == file.lines.end() ? std::nullopt : std::optional(place(found->second));
  }
  if (id.kind == object_kind::tenant) {
    const auto found = file.value->tenants.find(id.name);
    return found == file.value->tenants.end() ? std::nullopt : std::optional(place(found->second.line));
  }
  const tenant* owner = find_tenant(*file.value, id.tenant);
  if (owner == nullptr) return std::nullopt;
  if (id.kind == object_kind::database) {
    const auto found = owner->databases.find(id.name);
    return found == owner->databases.end() ? std::nullopt : std::optional(place(found->second.line));
  }
  const auto found = owner->users.find(id.name);
  return found == owner->users.end() ? std::nullopt : std::optional(place(found->second.line));
}

merged_settings merge(const load_result& file, const stored_objects& objects, const outside& world) {
  merged_settings out;
  auto bans = std::make_shared<ban_list>();
  std::list<piece> pieces;
  for (const auto& [id, object] : objects) {
    if (const auto place = place_in_file(file, id)) {
      out.left_out.push_back({id, "the file has it: " + *place});
      continue;
    }
    piece one = read_piece(file.value->file, id, object, world);
    if (!one.why.empty())
      out.left_out.push_back({id, one.why});
    else if (is_ban(id.kind))
      add_ban(one, *bans);
    else
      pieces.push_back(std::move(one));
  }
  auto all = add_all(file, pieces);
  if (!all) all = add_what_fits(file, pieces, out.left_out);
  out.values = pieces.empty() ? file.value : std::make_shared<const settings>(std::move(*all));
  out.bans = std::move(bans);
  return out;
}

} // namespace pg_edge::config
