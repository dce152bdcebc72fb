#include "actors/etcd_json.hpp"

#include "protocol/scram.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

namespace pg_edge::actors::etcd {

namespace {

using cluster::store_answer;
using cluster::store_entry;
using cluster::store_outcome;
using nlohmann::json;

std::string coded(std::string_view text) {
  return protocol::base64_encode(text);
}

// -- reading what nobody vouches for: a member that is missing or of another kind is empty or zero
// ----------------------------

json parsed(std::string_view text) {
  return json::parse(text, nullptr, false);
}

const json& member(const json& of, const char* name) {
  static const json none;
  if (!of.is_object()) return none;
  const auto found = of.find(name);
  return found == of.end() ? none : *found;
}

std::string text(const json& of, const char* name) {
  const json& found = member(of, name);
  return found.is_string() ? found.get<std::string>() : std::string();
}

std::int64_t number(const json& of, const char* name) {
  const json& found = member(of, name);
  if (found.is_number_integer()) return found.get<std::int64_t>();
  const std::string digits = text(of, name);
  std::int64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

bool yes(const json& of, const char* name) {
  const json& found = member(of, name);
  return found.is_boolean() && found.get<bool>();
}

std::string decoded(const json& of, const char* name) {
  return protocol::base64_decode(text(of, name)).value_or(std::string());
}

cluster::store_revision revision_of(const json& of) {
  return static_cast<cluster::store_revision>(std::max<std::int64_t>(0, number(of, "revision")));
}

std::vector<store_entry> entries_of(const json& range) {
  std::vector<store_entry> result;
  for (const json& one : member(range, "kvs"))
    result.push_back({decoded(one, "key"), decoded(one, "value"),
                      static_cast<cluster::store_revision>(number(one, "mod_revision")), number(one, "lease")});
  return result;
}

store_answer nonsense() {
  store_answer result;
  result.outcome = store_outcome::unknown;
  result.why = "etcd answered what cannot be read";
  return result;
}

/// An answer has a header with a revision; something else may be at that address.
std::optional<json> answer_of(std::string_view body) {
  json result = parsed(body);
  if (number(member(result, "header"), "revision") <= 0) return std::nullopt;
  return result;
}

store_answer good(const json& answer) {
  store_answer result;
  result.outcome = store_outcome::ok;
  result.revision = revision_of(member(answer, "header"));
  return result;
}

} // namespace

std::string end_of_prefix(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff)
    end.pop_back();
  if (end.empty()) return std::string(1, '\0');
  end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

// -- questions
// -------------------------------------------------------------------------------------------------------------------

std::string get(std::string_view key) {
  return json{{"key", coded(key)}}.dump();
}

std::string range(const cluster::store_range& what) {
  std::string begin = what.prefix.empty() ? std::string(1, '\0') : what.prefix, end = end_of_prefix(what.prefix);
  if (!what.beyond.empty()) {
    if (what.backwards)
      end = what.beyond;
    else
      begin = std::max(begin, what.beyond + '\0');
  }
  json result{{"key", coded(begin)}, {"range_end", coded(end)}, {"sort_target", "KEY"}};
  result["sort_order"] = what.backwards ? "DESCEND" : "ASCEND";
  if (what.limit > 0) result["limit"] = std::to_string(what.limit);
  return result.dump();
}

std::string commit(const std::vector<cluster::store_write>& writes) {
  json compare = json::array(), success = json::array(), otherwise = json::array();
  for (const cluster::store_write& one : writes) {
    const std::string key = coded(one.key);
    if (one.expected) {
      compare.push_back(
          {{"key", key}, {"target", "MOD"}, {"result", "EQUAL"}, {"mod_revision", std::to_string(*one.expected)}});
      otherwise.push_back({{"request_range", {{"key", key}}}});
    }
    if (one.only_check) continue;
    if (!one.value) {
      success.push_back({{"request_delete_range", {{"key", key}}}});
      continue;
    }
    json put{{"key", key}, {"value", coded(*one.value)}};
    if (one.lease != 0) put["lease"] = std::to_string(one.lease);
    success.push_back({{"request_put", std::move(put)}});
  }
  return json{{"compare", compare}, {"success", success}, {"failure", otherwise}}.dump();
}

std::string watch(std::string_view prefix, cluster::store_revision first) {
  const std::string begin = prefix.empty() ? std::string(1, '\0') : std::string(prefix);
  return json{
      {"create_request",
       {{"key", coded(begin)}, {"range_end", coded(end_of_prefix(prefix))}, {"start_revision", std::to_string(first)}}}}
      .dump();
}

std::string grant(std::int64_t seconds) {
  return json{{"TTL", std::to_string(seconds)}}.dump();
}

std::string lease(cluster::store_lease which) {
  return json{{"ID", std::to_string(which)}}.dump();
}

// -- answers
// ---------------------------------------------------------------------------------------------------------------------

/// What etcd says of writes that it has certainly not made; of all else it cannot be known.
std::optional<failure> failed(long http_status, std::string_view body) {
  const json answer = parsed(body);
  if (http_status == 200 && answer.is_object()) return std::nullopt;
  failure result;
  result.why = text(answer, "error");
  if (result.why.empty()) result.why = text(answer, "message");
  if (result.why.empty()) result.why = "HTTP status " + std::to_string(http_status);
  const auto says = [&](std::string_view what) { return result.why.find(what) != std::string::npos; };
  result.no_such_lease = says("requested lease not found");
  result.elsewhere = says("no leader") || http_status >= 500;
  const bool refused = result.no_such_lease || says("no leader") || says("space exceeded") || says("too large") ||
                       says("too many") || says("duplicate key") || says("permission") || says("invalid");
  result.unknown = !refused && (http_status < 400 || http_status >= 500);
  return result;
}

store_answer read_range(std::string_view body) {
  const auto answer = answer_of(body);
  if (!answer) return nonsense();
  store_answer result = good(*answer);
  result.entries = entries_of(*answer);
  return result;
}

store_answer read_commit(std::string_view body, const std::vector<cluster::store_write>& writes) {
  const auto answer = answer_of(body);
  if (!answer) return nonsense();
  store_answer result = good(*answer);
  if (yes(*answer, "succeeded")) return result;
  result.outcome = store_outcome::conflict;
  for (const json& one : member(*answer, "responses"))
    for (store_entry& entry : entries_of(member(one, "response_range"))) {
      const auto asked = std::find_if(writes.begin(), writes.end(), [&](const auto& w) { return w.key == entry.key; });
      if (asked != writes.end() && asked->expected != entry.revision) result.entries.push_back(std::move(entry));
    }
  std::sort(result.entries.begin(), result.entries.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  return result;
}

store_answer read_grant(std::string_view body) {
  const auto answer = answer_of(body);
  if (!answer || number(*answer, "ID") == 0) return nonsense();
  store_answer result = good(*answer);
  result.lease = number(*answer, "ID");
  return result;
}

store_answer read_keep_alive(std::string_view body) {
  const json answer = member(parsed(body), "result");
  if (number(member(answer, "header"), "revision") <= 0) return nonsense();
  store_answer result = good(answer);
  result.lease = number(answer, "ID");
  if (number(answer, "TTL") <= 0) result.outcome = store_outcome::conflict;
  return result;
}

store_answer read_revoke(std::string_view body) {
  const auto answer = answer_of(body);
  return answer ? good(*answer) : nonsense();
}

watch_line read_watch(std::string_view line) {
  watch_line out;
  const json whole = parsed(line);
  const json& result = member(whole, "result");
  if (!result.is_object()) {
    out.ended = text(member(whole, "error"), "message");
    if (out.ended.empty()) out.ended = "etcd answered what cannot be read";
    return out;
  }
  if (number(result, "compact_revision") > 0) {
    out.compacted = true;
    out.ended = "etcd has its history only from revision " + std::to_string(number(result, "compact_revision"));
  } else if (yes(result, "canceled")) {
    out.ended = "etcd cancelled the watch: " + text(result, "cancel_reason");
  }
  for (const json& one : member(result, "events")) {
    const json& entry = member(one, "kv");
    const auto revision = static_cast<cluster::store_revision>(number(entry, "mod_revision"));
    if (out.events.empty() || out.events.back().revision != revision) out.events.push_back({revision, {}, false, {}});
    cluster::store_change change{decoded(entry, "key"), std::nullopt, 0};
    if (text(one, "type") != "DELETE") {
      change.value = decoded(entry, "value");
      change.lease = number(entry, "lease");
    }
    out.events.back().changes.push_back(std::move(change));
  }
  for (cluster::store_event& event : out.events)
    std::sort(event.changes.begin(), event.changes.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  return out;
}

} // namespace pg_edge::actors::etcd
