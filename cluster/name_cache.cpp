#include "cluster/name_cache.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace pg_edge::cluster {

namespace {

using addresses = std::vector<config::ip_address>;

bool contains(const addresses& all, const config::ip_address& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

addresses missing(const addresses& from, const addresses& in) {
  addresses out;
  std::copy_if(from.begin(), from.end(), std::back_inserter(out), [&](const auto& one) { return !contains(in, one); });
  return out;
}

/// A family that nobody answered for keeps what was known of it.
void add_family(addresses& to, const family_answer& answer, bool v6, const addresses& before) {
  if (answer.is == family_answer::kind::found) to.insert(to.end(), answer.addresses.begin(), answer.addresses.end());
  if (answer.is == family_answer::kind::failed)
    std::copy_if(before.begin(), before.end(), std::back_inserter(to), [&](const auto& one) { return one.v6 == v6; });
}

} // namespace

const name_cache::entry* name_cache::find(const std::string& name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : &found->second;
}

bool name_cache::fresh(const std::string& name, moment now) const {
  const entry* one = find(name);
  return one != nullptr && one->answered && now < one->until;
}

bool name_cache::begin(const std::string& name, moment now) {
  if (names_.size() >= kept && find(name) == nullptr)
    std::erase_if(names_, [&](const auto& one) { return !one.second.asking && one.second.until <= now; });
  entry& one = names_[name];
  return !std::exchange(one.asking, true);
}

name_change name_cache::answered(const std::string& name, const family_answer& v4, const family_answer& v6,
                                 const limits& limit, moment now) {
  using kind = family_answer::kind;
  name_change change;
  const auto place = names_.find(name);
  if (place == names_.end()) return change;
  entry& one = place->second;
  one.asking = false;
  const bool failed_before = !one.why.empty();
  const bool first = !std::exchange(one.answered, true);
  if (v4.is != kind::found && v6.is != kind::found) {
    const bool certain = v4.is == kind::none && v6.is == kind::none;
    const auto& said = v4.is == kind::failed ? v4 : v6;
    one.why = said.why.empty() ? "no answer" : said.why;
    change.began_to_fail = !failed_before;
    one.until = now + std::max(certain ? limit.failure : std::min(limit.failure, no_answer_pause), shortest_life);
    return change;
  }
  one.why.clear();
  change.works_again = failed_before && !first;
  addresses all;
  add_family(all, v6, true, one.addresses);
  add_family(all, v4, false, one.addresses);
  if (all.size() > most_addresses) all.resize(most_addresses);
  if (!one.addresses.empty()) {
    change.added = missing(all, one.addresses);
    change.removed = missing(one.addresses, all);
  }
  one.addresses = std::move(all);
  auto life = limit.life;
  for (const auto* answer : {&v4, &v6})
    if (answer->is == kind::found) life = std::min(life, answer->life);
  const bool half = v4.is == kind::failed || v6.is == kind::failed;
  if (half) life = std::min(life, no_answer_pause);
  one.until = now + std::max(life, shortest_life);
  return change;
}

bool name_cache::any(const std::function<bool(const std::string&)>& in_use) const {
  return std::any_of(names_.begin(), names_.end(), [&](const auto& one) { return in_use(one.first); });
}

std::vector<std::string> name_cache::due(moment now, const std::function<bool(const std::string&)>& in_use) const {
  std::vector<std::string> out;
  for (const auto& [name, one] : names_)
    if (one.answered && !one.asking && one.until <= now && in_use(name)) out.push_back(name);
  return out;
}

} // namespace pg_edge::cluster
