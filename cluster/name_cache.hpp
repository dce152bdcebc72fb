// What is known of the host names of servers: their addresses, until when these hold, and what a new answer changes.
// Pure: actors/resolver asks the DNS and tells the time.
//
//   look(): fresh, or begin() and wait for answered()
//   answered(): new addresses, or what was known goes on being used (an answer that fails changes nothing)
#pragma once

#include "cluster/host_health.hpp"
#include "config/network.hpp"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace pg_edge::cluster {

/// What the DNS says of a name for one family of addresses.
struct family_answer {
  enum class kind {
    found,
    none,   // there is no such name, or it has no such addresses
    failed, // nobody knows: time-out, refused, broken
  };
  kind is = kind::failed;
  std::vector<config::ip_address> addresses;
  std::chrono::milliseconds life{0};
  std::string why; // unless found
};

/// What an answer changed.
struct name_change {
  std::vector<config::ip_address> added, removed; // neither: nothing, or it is the first answer
  bool began_to_fail = false;
  bool works_again = false;
};

class name_cache {
public:
  /// Names that are kept; beyond it those whose time is up are forgotten.
  static constexpr std::size_t kept = 10'000;
  /// Addresses of one name that are used; more are cut off.
  static constexpr std::size_t most_addresses = 64;
  /// No name is asked for more often than this.
  static constexpr std::chrono::milliseconds shortest_life{1000};
  /// After a look-up that nobody answered the next may come so soon.
  static constexpr std::chrono::milliseconds no_answer_pause{2000};

  struct limits {
    std::chrono::milliseconds life{15'000};    // dns_max_ttl
    std::chrono::milliseconds failure{15'000}; // dns_nxdomain_ttl
  };

  struct entry {
    std::vector<config::ip_address> addresses; // the last known
    moment until{};                            // when to ask again
    std::string why;                           // why the last look-up failed; empty: it did not
    bool asking = false;
    bool answered = false; // at least once, well or not
  };

  /// Null: nobody has asked for it.
  const entry* find(const std::string& name) const;
  /// Whether what is known, be it a failure, still holds.
  bool fresh(const std::string& name, moment now) const;
  /// True: the caller asks the DNS and calls answered() with the result. False: that is under way.
  [[nodiscard]] bool begin(const std::string& name, moment now);
  name_change answered(const std::string& name, const family_answer& v4, const family_answer& v6, const limits& limit,
                       moment now);
  /// Names whose time is up, of those that `in_use` is true for.
  std::vector<std::string> due(moment now, const std::function<bool(const std::string&)>& in_use) const;
  /// Whether there is a name that `in_use` is true for.
  bool any(const std::function<bool(const std::string&)>& in_use) const;
  std::size_t size() const { return names_.size(); }

private:
  std::map<std::string, entry, std::less<>> names_;
};

} // namespace pg_edge::cluster
