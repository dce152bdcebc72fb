#include "cluster/succession_copy.hpp"

#include "cluster/store_keys.hpp"
#include "config/objects.hpp"

#include <map>

namespace pg_edge::cluster {

namespace {

constexpr std::size_t most_bytes = 256 << 10; // of a commit; one object may be larger

/// Settings that mean the same are the same, whoever wrote them when.
bool same_object(const std::string& a, const std::string& b) {
  if (a == b) return true;
  const auto left = config::parse_stored_object(a), right = config::parse_stored_object(b);
  return left && right && left->body == right->body;
}

std::string name_of(const config::object_kind_row& kind, const std::vector<std::string>& names) {
  std::string text = std::string(kind.name);
  for (std::size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? " " : "/") + names[i];
  return text;
}

} // namespace

object_copy compare_objects(const std::vector<store_entry>& from, const std::string& from_root,
                            const std::vector<store_entry>& to, const std::string& to_root) {
  std::map<std::string, const store_entry*> there;
  for (const store_entry& one : to)
    there[one.key] = &one;
  object_copy result;
  for (const store_entry& one : from)
    for (const config::object_kind_row& kind : config::object_kinds()) {
      const auto names = names_of_key(from_root, kind.folder, one.key);
      if (!names || names->size() != (kind.of_tenant ? 2U : 1U)) continue;
      const std::string key = to_root + one.key.substr(from_root.size());
      const auto found = there.find(key);
      if (found == there.end())
        result.missing.push_back({key, one.value, store_revision{0}, 0, false});
      else if (!same_object(found->second->value, one.value))
        result.conflicts.push_back(name_of(kind, *names));
      break;
    }
  return result;
}

std::vector<store_write> take_batch(std::vector<store_write>& all, std::size_t others) {
  std::vector<store_write> batch;
  std::size_t bytes = 0;
  while (!all.empty() && batch.size() + others < most_store_writes) {
    bytes += all.back().value->size();
    if (!batch.empty() && bytes > most_bytes) break;
    batch.push_back(std::move(all.back()));
    all.pop_back();
  }
  return batch;
}

} // namespace pg_edge::cluster
