// Who users are that no file names: auth_query, asked once for all who wait for the same user, and its answers kept for
// auth_cache_time. Answers older than that still serve while Postgres is away, so that logins go on without it.
//
//   lookup_user -> kept and young? answer at once
//               -> under way? wait for the same answer
//               -> names of hosts to addresses (resolver), then to lookup_thread
//   its result  -> answer all who wait, keep it
//     away      -> what is kept serves, however old; else again, until client_login_timeout
#pragma once

#include "actors/lookup_thread.hpp"
#include "actors/messages.hpp"
#include "actors/node_context.hpp"

#include <list>
#include <string>
#include <unordered_map>

namespace pg_edge::actors {

/// Where and how a user is looked up.
struct lookup_source {
  lookup_job job; // without id and addresses
  std::vector<std::string> hosts;
  std::uint16_t port = 0;
  std::string error; // why there is none

  /// Answers of different sources, or for different users, are kept apart.
  std::string key() const;
};

/// From the settings and the rules of a login.
lookup_source find_source(const lookup_user& wish);

/// libpq's parameters for a target: of the settings, those that it knows.
libpq_options options_for(const config::pool_settings& target, const config::settings& all);

/// Answers by key; the one that was used longest ago goes when it is full. Forgotten secrets are wiped from memory.
class lookup_cache {
public:
  using clock = std::chrono::steady_clock;
  struct entry {
    std::string secret;
    clock::time_point asked{};
    bool doubted = false;
  };

  explicit lookup_cache(std::size_t capacity) : capacity_(capacity) {}
  ~lookup_cache();
  lookup_cache(const lookup_cache&) = delete;
  lookup_cache& operator=(const lookup_cache&) = delete;

  /// Null if it is not there; else it is now the most recently used.
  entry* find(const std::string& key);
  void insert(const std::string& key, entry what);
  /// Whether it was there.
  bool erase(const std::string& key);
  std::size_t size() const { return places_.size(); }

private:
  using entries = std::list<std::pair<std::string, entry>>; // most recently used first

  std::size_t capacity_;
  entries entries_;
  std::unordered_map<std::string, entries::iterator> places_;
};

user_lookup_actor spawn_user_lookup(caf::actor_system& system, node_context& node);

} // namespace pg_edge::actors
