#include "cluster/view.hpp"

#include <algorithm>
#include <string_view>

namespace pg_edge::cluster {

namespace {

// FNV-1a, with a zero byte behind each text so that ("ab", "c") is not ("a", "bc"). It is part of what nodes agree on:
// another hash would be another placement, so it never changes.
class text_hash {
public:
  text_hash& operator<<(std::string_view text) {
    for (const char c : text)
      add(static_cast<unsigned char>(c));
    add(0);
    return *this;
  }
  // FNV's last bytes hardly reach its high bits, which are what comparing looks at: they are mixed once more.
  std::uint64_t value() const {
    std::uint64_t mixed = value_;
    mixed = (mixed ^ (mixed >> 33)) * 0xff51afd7ed558ccdULL;
    mixed = (mixed ^ (mixed >> 33)) * 0xc4ceb9fe1a85ec53ULL;
    return mixed ^ (mixed >> 33);
  }

private:
  void add(unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001b3ULL; }
  std::uint64_t value_ = 0xcbf29ce484222325ULL;
};

} // namespace

const member* find_member(const view& all, const std::string& name) {
  const auto found =
      std::find_if(all.members.begin(), all.members.end(), [&](const member& one) { return one.name == name; });
  return found == all.members.end() ? nullptr : &*found;
}

const member* find_member(const view& all, node_id id) {
  const auto found =
      std::find_if(all.members.begin(), all.members.end(), [&](const member& one) { return one.id == id; });
  return found == all.members.end() ? nullptr : &*found;
}

bool has_member(const view& all, const std::string& name, std::uint64_t incarnation) {
  const member* found = find_member(all, name);
  return found != nullptr && found->incarnation == incarnation;
}

std::uint64_t place_weight(const pool_key& pool, std::string_view name, std::string_view from) {
  text_hash hash;
  hash << pool.tenant << pool.database << pool.user << name;
  if (!from.empty()) hash << from;
  return hash.value();
}

const member* steward_of(const view& all, const pool_key& pool) {
  const member* best = nullptr;
  std::uint64_t best_weight = 0;
  for (const member& one : all.members) {
    const std::uint64_t weight = place_weight(pool, one.name);
    if (best == nullptr || weight > best_weight || (weight == best_weight && one.name < best->name)) {
      best = &one;
      best_weight = weight;
    }
  }
  return best;
}

} // namespace pg_edge::cluster
