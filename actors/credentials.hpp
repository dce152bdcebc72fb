// What clients' logins and look-ups have told about users, for logins to servers: secrets that stand in no file, and
// the SCRAM keys that a proof reveals. The keys are as good as a password: they live in memory only, are wiped when
// replaced, and are never shown or logged.
#pragma once

#include "cluster/handover.hpp"
#include "config/settings.hpp"
#include "protocol/bytes.hpp"

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pg_edge::actors {

/// May be used by every thread.
class credentials {
public:
  struct entry {
    std::string secret;                     // as stored: plain, md5, or the SCRAM verifier that the keys belong to
    protocol::bytes client_key, server_key; // empty until a client has proved itself by SCRAM

    bool has_keys() const { return !client_key.empty() && !server_key.empty(); }
    ~entry();
  };

  /// What a look-up found stored for a user. Keys stay known as long as the same secret is remembered.
  void remember(std::string_view tenant, std::string_view user, std::string secret);
  /// What a client's proof against `secret` (a SCRAM verifier) has revealed.
  void remember_keys(std::string_view tenant, std::string_view user, std::string secret, protocol::bytes client_key,
                     protocol::bytes server_key);
  std::optional<entry> find(std::string_view tenant, std::string_view user) const;
  void forget(std::string_view tenant, std::string_view user);
  /// Another number when other things are known about the user than before; 0: nothing is. Who has failed with what
  /// was known can tell by it that trying again makes sense.
  std::uint64_t version(std::string_view tenant, std::string_view user) const;

  /// For the process that takes over, and in it.
  std::vector<cluster::known_user> all() const;
  void take(cluster::known_user user);

  /// After a reload: forgets everything about users whose configured secret is not what it was.
  void settings_changed(const config::settings& before, const config::settings& now);

private:
  using key = std::pair<std::string, std::string>; // tenant, user
  struct known {
    entry what;
    std::uint64_t version = 0;
  };

  mutable std::mutex mutex_;
  std::map<key, known> known_;
  std::uint64_t versions_ = 0;
};

} // namespace pg_edge::actors
