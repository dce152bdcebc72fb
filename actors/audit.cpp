#include "actors/audit.hpp"

#include "config/timestamp.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace pg_edge::actors {

namespace {

using json = nlohmann::ordered_json;

json object_of(const std::string& text) {
  json out = json::parse(text, nullptr, false);
  return out.is_object() ? out : json::object();
}

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

bool is_ban(const config::object_id& id) {
  return config::row_of(id.kind).section == 0;
}

} // namespace

std::string now_text() {
  return config::timestamp_text(std::chrono::system_clock::now());
}

std::string audit_key_part(std::uint64_t count) {
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch());
  char text[64];
  std::snprintf(text, sizeof text, "%020lld-%llu", static_cast<long long>(micros.count()),
                static_cast<unsigned long long>(count));
  return text;
}

std::string audit_text(const audit_entry& entry) {
  const json out{{"at", entry.at},     {"who", entry.who},       {"from", entry.from},
                 {"what", entry.what}, {"fields", entry.fields}, {"result", entry.result}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

audit_entry parse_audit(std::string key, const std::string& text) {
  const json object = object_of(text);
  audit_entry out{std::move(key),           text_of(object, "at"),   text_of(object, "who"),
                  text_of(object, "from"),  text_of(object, "what"), {},
                  text_of(object, "result")};
  if (out.result.empty()) out.result = audit_done; // written before results were
  if (object.contains("fields") && object["fields"].is_array())
    for (const auto& one : object["fields"])
      if (one.is_string()) out.fields.push_back(one.get<std::string>());
  if (object.empty()) out.what = text;
  return out;
}

bool ban_has_ended(const config::object_id& id, const config::stored_object& object,
                   std::chrono::system_clock::time_point now) {
  if (!is_ban(id)) return false;
  const auto until = config::parse_timestamp(text_of(object_of(object.body), "until"));
  return until && now >= *until;
}

std::vector<ban_row> ban_rows(const config::stored_objects& objects, std::chrono::system_clock::time_point now) {
  std::vector<ban_row> out;
  for (const auto& [id, object] : objects) {
    if (!is_ban(id) || ban_has_ended(id, object, now)) continue;
    const json body = object_of(object.body);
    const auto until = config::parse_timestamp(text_of(body, "until")); // as people write it
    const bool of_tenant = id.kind == config::object_kind::ban_tenant;
    out.push_back({of_tenant                                  ? "tenant"
                   : id.kind == config::object_kind::ban_user ? "user"
                                                              : "address",
                   of_tenant ? id.name : id.tenant, of_tenant ? std::string{} : id.name, text_of(body, "reason"),
                   until ? config::timestamp_text(*until) : std::string{}, object.changed_by, object.changed_at,
                   object.revision});
  }
  return out;
}

} // namespace pg_edge::actors
