#include "actors/login_throttle.hpp"

#include "config/network.hpp"

namespace pg_edge::actors {

namespace {

constexpr std::size_t ipv6_host_bytes = 8; // a /64

} // namespace

std::string login_throttle::key(std::string_view address, std::string_view tenant, std::string_view user) {
  const auto parsed = config::parse_address(address);
  if (!parsed) return {};
  const std::size_t size = parsed->v6 ? ipv6_host_bytes : 4;
  std::string out(reinterpret_cast<const char*>(parsed->bytes.data()), size);
  out.append(tenant).push_back('\0'); // neither can hold one
  out.append(user);
  return out;
}

std::optional<login_throttle::clock::duration> login_throttle::refused_for(const std::string& key,
                                                                           clock::time_point now) {
  std::lock_guard guard(lock_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end() || found->second->refused_until <= now) return std::nullopt;
  return found->second->refused_until - now;
}

void login_throttle::failed(const std::string& key, clock::time_point now, int limit, clock::duration window) {
  if (key.empty() || limit <= 0 || window <= clock::duration::zero()) return;
  std::lock_guard guard(lock_);
  auto found = by_key_.find(key);
  if (found == by_key_.end()) {
    if (entries_.size() >= capacity_) {
      by_key_.erase(entries_.back().key);
      entries_.pop_back();
    }
    entries_.push_front({key, 0, now, {}});
    found = by_key_.emplace(entries_.front().key, entries_.begin()).first;
  } else {
    entries_.splice(entries_.begin(), entries_, found->second);
  }
  entry& one = *found->second;
  if (one.refused_until > now) return; // of an attempt that was under way when the limit was reached
  if (now - one.since >= window) {
    one.failures = 0;
    one.since = now;
  }
  if (++one.failures < limit) return;
  one.failures = 0;
  one.refused_until = now + window;
}

void login_throttle::succeeded(const std::string& key) {
  std::lock_guard guard(lock_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return;
  const auto place = found->second;
  by_key_.erase(found);
  entries_.erase(place);
}

std::size_t login_throttle::size() const {
  std::lock_guard guard(lock_);
  return entries_.size();
}

} // namespace pg_edge::actors
