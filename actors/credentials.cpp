#include "actors/credentials.hpp"

#include <openssl/crypto.h>

#include <algorithm>

namespace pg_edge::actors {

namespace {

void wipe(std::string& secret) {
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

/// Null when the file says nothing of the user.
const config::user* configured(const config::settings& settings, const std::string& tenant, const std::string& user) {
  const config::tenant* owner = config::find_tenant(settings, tenant);
  if (owner == nullptr) return nullptr;
  const auto found = owner->users.find(user);
  return found == owner->users.end() ? nullptr : &found->second;
}

bool holds(const config::user& user, const std::string& secret) {
  return user.secret == secret ||
         std::find(user.old_passwords.begin(), user.old_passwords.end(), secret) != user.old_passwords.end();
}

/// What was learned about a user without a configured secret came from elsewhere, and stays until the file says more.
/// Whoever looks users up notices when their secrets change.
bool still_valid(const config::user* was, const config::user* is, const std::string& secret) {
  if (is == nullptr) return was == nullptr;
  if (holds(*is, secret)) return true;
  return is->secret.empty() && is->old_passwords.empty() && (was == nullptr || !holds(*was, secret));
}

} // namespace

credentials::entry::~entry() {
  wipe(secret);
  wipe(client_key);
  wipe(server_key);
}

void credentials::remember(std::string_view tenant, std::string_view user, std::string secret) {
  const std::lock_guard lock(mutex_);
  known& place = known_[key(tenant, user)];
  if (place.version != 0 && place.what.secret == secret) return wipe(secret);
  wipe(place.what.secret);
  wipe(place.what.client_key);
  wipe(place.what.server_key);
  place.what.secret = std::move(secret);
  place.version = ++versions_;
}

std::vector<cluster::known_user> credentials::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<cluster::known_user> result;
  for (const auto& [who, known] : known_)
    result.push_back({who.first, who.second, known.what.secret, known.what.client_key, known.what.server_key});
  return result;
}

void credentials::take(cluster::known_user user) {
  if (user.client_key.empty())
    remember(user.tenant, user.user, std::move(user.secret));
  else
    remember_keys(user.tenant, user.user, std::move(user.secret), std::move(user.client_key),
                  std::move(user.server_key));
}

void credentials::remember_keys(std::string_view tenant, std::string_view user, std::string secret,
                                protocol::bytes client_key, protocol::bytes server_key) {
  const std::lock_guard lock(mutex_);
  known& place = known_[key(tenant, user)];
  entry& what = place.what;
  if (what.secret != secret || what.client_key != client_key || what.server_key != server_key)
    place.version = ++versions_;
  what.secret.swap(secret);
  what.client_key.swap(client_key);
  what.server_key.swap(server_key);
  wipe(secret);
  wipe(client_key);
  wipe(server_key);
}

std::optional<credentials::entry> credentials::find(std::string_view tenant, std::string_view user) const {
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(key(tenant, user));
  return found == known_.end() ? std::nullopt : std::optional(found->second.what);
}

std::uint64_t credentials::version(std::string_view tenant, std::string_view user) const {
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(key(tenant, user));
  return found == known_.end() ? 0 : found->second.version;
}

void credentials::forget(std::string_view tenant, std::string_view user) {
  const std::lock_guard lock(mutex_);
  known_.erase(key(tenant, user));
}

void credentials::settings_changed(const config::settings& before, const config::settings& now) {
  const std::lock_guard lock(mutex_);
  for (auto one = known_.begin(); one != known_.end();) {
    const auto& [tenant, user] = one->first;
    const bool stays =
        config::find_tenant(now, tenant) != nullptr &&
        still_valid(configured(before, tenant, user), configured(now, tenant, user), one->second.what.secret);
    one = stays ? std::next(one) : known_.erase(one);
  }
}

} // namespace pg_edge::actors
