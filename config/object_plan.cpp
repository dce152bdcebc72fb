// What a change of an object would come to: the checks before anything is written, and what is shown of an object.
#include "config/object_json.hpp"
#include "config/objects.hpp"
#include "config/setting_table.hpp"
#include "config/value_text.hpp"

#include <algorithm>

namespace pg_edge::config {

namespace {

using fault_kind = object_fault::kind;

/// The settings that are never shown, of a kind of object.
std::vector<std::string_view> secret_names(const object_id& id) {
  const object_kind_row& kind = row_of(id.kind);
  std::vector<std::string_view> out;
  if (id.kind == object_kind::setting) {
    const auto* row = find_row(id.name, in_global);
    if (row != nullptr && row->rule == value_rule::secret) out.push_back("value");
    return out;
  }
  for (const auto& row : setting_rows())
    if ((row.sections & kind.section) != 0 && (row.rule == value_rule::secret || row.rule == value_rule::secrets))
      out.push_back(row.name);
  return out;
}

/// What an object of the store cannot have, although one of the file can.
std::string fault_of_member(const std::string& name, const object_kind_row& kind) {
  const auto* row = find_row(name, static_cast<section>(kind.section));
  if (row == nullptr) return {};
  if (row->rule == value_rule::secret_file)
    return name + ": a file with a secret can only be named in the configuration file; give the secret itself";
  if (row->rule == value_rule::url) return name + ": give host, port, dbname, user and password each on its own";
  return {};
}

/// Which member a problem is about: its text begins with the name, or with what holds it and then the name.
std::string member_of(const std::string& text, const std::string& body) {
  for (const std::string& name : member_names(body)) {
    const auto at = text.find(name + ":");
    if (at == 0 || (at != std::string::npos && text[at - 1] == ' ')) return name;
  }
  return {};
}

object_fault fault(fault_kind is, std::string what, std::string field = {}, std::string where = {}) {
  return {is, std::move(field), std::move(what), std::move(where)};
}

std::vector<object_id> inside_of(const std::string& tenant, const stored_objects& all) {
  std::vector<object_id> out;
  for (const auto& [id, object] : all)
    if ((id.kind == object_kind::database || id.kind == object_kind::user) && id.tenant == tenant) out.push_back(id);
  return out;
}

object_fault fault_of_name(const object_id& id) {
  if (id.kind == object_kind::setting) {
    const auto* row = find_row(id.name, in_global);
    if (row != nullptr && !row->reloadable)
      return fault(fault_kind::needs_restart,
                   id.name + " cannot change while a node runs: set it in the file and restart", "name");
  }
  if (id.kind == object_kind::ban_address && !parse_network(id.name))
    return fault(fault_kind::invalid, "\"" + id.name + "\" is not an address or a network such as 10.0.0.0/8",
                 "address");
  if (id.name.empty()) return fault(fault_kind::invalid, "the name is empty", "name");
  return {};
}

/// The body as it would stand in the store.
std::string new_body(const object_change& change, const stored_object* before, object_fault& why) {
  if (const auto parsed = parse_json_object(change.body); !parsed.error.empty()) {
    why = fault(fault_kind::invalid, "the body " + parsed.error);
    return {};
  }
  const std::string old = before == nullptr ? "{}" : before->body;
  if (change.verb == object_verb::patch) return merge_json(old, change.body).value_or("{}");
  return keep_members(change.body, old, secret_names(change.id)); // who puts back what he was shown loses no secret
}

/// Who would be left out by `next` and was not before.
std::optional<drift> new_drift(const load_result& file, const stored_objects& now, const stored_objects& next,
                               const object_id& id, const outside& world) {
  const auto after = merge(file, next, world).left_out;
  for (const drift& one : after)
    if (one.id == id) return one;
  if (after.empty()) return std::nullopt;
  const auto before = merge(file, now, world).left_out;
  for (const drift& one : after)
    if (std::none_of(before.begin(), before.end(), [&](const drift& old) { return old.id == one.id; })) return one;
  return std::nullopt;
}

planned_change plan_removal(const load_result& file, const stored_objects& now, const object_change& change,
                            const outside& world) {
  planned_change out;
  out.gone.push_back(change.id);
  if (change.id.kind == object_kind::tenant)
    for (auto& id : inside_of(change.id.name, now)) {
      if (!change.cascade) {
        out.fault = fault(fault_kind::still_used,
                          to_string(id) + " stands in it: remove what is in it first, or ask for cascade=true");
        return out;
      }
      out.gone.push_back(std::move(id));
    }
  stored_objects next = now;
  for (const object_id& id : out.gone)
    next.erase(id);
  if (const auto broken = new_drift(file, now, next, change.id, world))
    out.fault = fault(fault_kind::still_used, to_string(broken->id) + " needs it: " + broken->why);
  return out;
}

} // namespace

planned_change plan(const load_result& file, const stored_objects& now, const object_change& change,
                    const outside& world) {
  planned_change out;
  if (out.fault = fault_of_name(change.id); out.fault.is != fault_kind::none) return out;
  const auto found = now.find(change.id);
  // What is left in the store of an object that the file has taken over can be removed; nothing but that.
  const bool left_over = change.verb == object_verb::remove && found != now.end();
  if (const auto place = place_in_file(file, change.id); place && !left_over) {
    out.fault =
        fault(fault_kind::of_file, to_string(change.id) + " is the file's: change it there, in " + *place, {}, *place);
    return out;
  }
  const stored_object* before = found == now.end() ? nullptr : &found->second;
  const bool needs_one = change.verb == object_verb::patch || change.verb == object_verb::remove;
  if (needs_one && before == nullptr)
    out.fault = fault(fault_kind::missing, "there is no " + to_string(change.id));
  else if (change.verb == object_verb::create && before != nullptr)
    out.fault = fault(fault_kind::exists, to_string(change.id) + " is there already");
  if (out.fault.is != fault_kind::none) return out;
  if (change.verb == object_verb::remove) return plan_removal(file, now, change, world);

  out.body = new_body(change, before, out.fault);
  if (out.fault.is != fault_kind::none) return out;
  for (const std::string& name : member_names(out.body))
    if (const auto text = fault_of_member(name, row_of(change.id.kind)); !text.empty()) {
      out.fault = fault(fault_kind::invalid, text, name);
      return out;
    }
  stored_objects next = now;
  next[change.id].body = out.body;
  if (const auto wrong = new_drift(file, now, next, change.id, world)) {
    const bool own = wrong->id == change.id;
    out.fault = own ? fault(fault_kind::invalid, wrong->why, member_of(wrong->why, out.body))
                    : fault(fault_kind::still_used, to_string(wrong->id) + " would not fit any more: " + wrong->why);
    return out;
  }
  out.changed_fields = differing_members(before == nullptr ? "{}" : before->body, out.body);
  return out;
}

// -- what is shown
// --------------------------------------------------------------------------------------------------------------

shown_object show_object(const object_id& id, const stored_object& object) {
  shown_object out;
  out.body = drop_members(object.body, secret_names(id), out.secrets);
  return out;
}

namespace {

template <class T>
toml_node node_of(const T& value) {
  toml_node out;
  if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::string>)
    out.value = value;
  else if constexpr (std::is_integral_v<T>)
    out.value = static_cast<std::int64_t>(value);
  else if constexpr (std::is_same_v<T, duration>)
    out.value = std::chrono::duration<double>(value).count();
  else if constexpr (std::is_same_v<T, byte_size>)
    out.value = static_cast<std::int64_t>(value.bytes);
  else if constexpr (std::is_enum_v<T>)
    out.value = std::string{to_string(value)};
  else
    out.value = std::string{};
  return out;
}

toml_node node_of(const std::vector<std::string>& value) {
  toml_node out;
  toml_node::array items;
  for (const auto& text : value)
    items.push_back(node_of(text));
  out.value = std::move(items);
  return out;
}

/// What an object says of a row, unless it says what one that says nothing has.
template <class Object, class Member>
void add_member(const setting_row& row, const Object& object, Member member, toml_node::table& into) {
  if constexpr (!std::is_same_v<Member, std::monostate>) {
    const auto& value = object.*member;
    using type = std::decay_t<decltype(value)>;
    if (value == Object{}.*member) return;
    if constexpr (requires { value.has_value(); })
      into.push_back({std::string{row.name}, 0, node_of(*value)});
    else if constexpr (!std::is_same_v<type, std::vector<network>>)
      into.push_back({std::string{row.name}, 0, node_of(value)});
  }
}

template <class Object, class Of>
shown_object show_rows(const Object& object, unsigned where, Of member_of_row) {
  toml_node::table table;
  shown_object out;
  for (const auto& row : setting_rows()) {
    if ((row.sections & where) == 0) continue;
    std::visit([&](auto member) { add_member(row, object, member, table); }, member_of_row(row));
    std::visit([&](auto member) { add_member(row, static_cast<const overrides&>(object), member, table); },
               row.override_);
  }
  out.body = json_text(table);
  return out;
}

} // namespace

std::optional<shown_object> show_file_object(const settings& file, const object_id& id) {
  if (id.kind == object_kind::tenant) {
    const auto found = file.tenants.find(id.name);
    if (found == file.tenants.end()) return std::nullopt;
    return show_rows(found->second, in_tenant, [](const setting_row& row) { return row.of_tenant; });
  }
  const tenant* owner = find_tenant(file, id.tenant);
  if (owner == nullptr) return std::nullopt;
  if (id.kind == object_kind::database) {
    const auto found = owner->databases.find(id.name);
    if (found == owner->databases.end()) return std::nullopt;
    auto out = show_rows(found->second, in_database, [](const setting_row& row) { return row.of_database; });
    if (!found->second.password.empty()) out.secrets.emplace_back("password");
    return out;
  }
  if (id.kind == object_kind::user) {
    const auto found = owner->users.find(id.name);
    if (found == owner->users.end()) return std::nullopt;
    auto out = show_rows(found->second, in_user, [](const setting_row&) { return overrides_member{}; });
    if (!found->second.secret.empty()) out.secrets.emplace_back("password");
    if (!found->second.old_passwords.empty()) out.secrets.emplace_back("old_passwords");
    return out;
  }
  return std::nullopt;
}

} // namespace pg_edge::config
