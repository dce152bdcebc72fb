// The shares that live on one reactor, by the name of their pool: a client that logs in there and finds its pool at
// work need not ask the tenant and the steward on their threads.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <tuple>

namespace pg_edge::actors {

class share;

class share_directory {
public:
  /// Of the reactor whose thread this is.
  static share_directory& here() {
    thread_local share_directory own;
    return own;
  }

  void add(const std::string& tenant, const std::string& database, const std::string& user, share& what) {
    shares_[{tenant, database, user}] = &what;
  }
  /// Another life of it may stand there already.
  void remove(const std::string& tenant, const std::string& database, const std::string& user, const share& what) {
    const auto found = shares_.find(key(tenant, database, user));
    if (found != shares_.end() && found->second == &what) shares_.erase(found);
  }
  share* find(std::string_view tenant, std::string_view database, std::string_view user) const {
    const auto found = shares_.find(key(tenant, database, user));
    return found == shares_.end() ? nullptr : found->second;
  }

private:
  using key = std::tuple<std::string_view, std::string_view, std::string_view>;
  using owned_key = std::tuple<std::string, std::string, std::string>;
  struct by_names { // of any kind, so that none has to be copied to be looked for
    using is_transparent = void;
    bool operator()(const key& a, const key& b) const { return a < b; }
  };
  std::map<owned_key, share*, by_names> shares_;
};

} // namespace pg_edge::actors
