// The run-time parameters of a session: what a client has, what a server connection has, and the SQL that takes the
// one to the other. Names and values come from clients, so everything that becomes SQL is quoted here and is ASCII.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pg_edge::protocol {

using parameter = std::pair<std::string, std::string>; // name, value

/// Parameters as reported by ParameterStatus. Names are compared without case and keep the spelling of the first set().
class parameter_values {
public:
  /// Empty if there is none; find() tells the two apart.
  std::string_view get(std::string_view name) const;
  const std::string* find(std::string_view name) const;

  /// Adds or replaces. Only while the set is being built: afterwards it is shared and const.
  void set(std::string_view name, std::string_view value);

  /// In the order of the lower-case names.
  std::vector<parameter>::const_iterator begin() const { return entries_.begin(); }
  std::vector<parameter>::const_iterator end() const { return entries_.end(); }
  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }

  /// Names without case, values exactly.
  friend bool operator==(const parameter_values& a, const parameter_values& b);
  std::size_t hash() const;

private:
  std::vector<parameter> entries_;
};

using parameter_values_ptr = std::shared_ptr<const parameter_values>;

/// `base` with one value changed; `base` itself when nothing changes. A null base is an empty set.
parameter_values_ptr with(const parameter_values_ptr& base, std::string_view name, std::string_view value);

/// Makes equal sets one object, so that a million clients with the same parameters share one. One per reactor: it is
/// not safe to use from several threads.
class parameter_interner {
public:
  parameter_values_ptr intern(const parameter_values_ptr& values);
  /// Entries kept, those of sets that are gone included (they are dropped as the table grows).
  std::size_t size() const { return known_.size(); }

private:
  void drop_expired();

  std::unordered_multimap<std::size_t, std::weak_ptr<const parameter_values>> known_;
  std::size_t sweep_at_ = 64;
};

/// Whether a reported parameter is the client's to change and so follows it from server to server. False for what
/// cannot be SET (server_version, server_encoding, in_hot_standby ...) or belongs to the server connection
/// (session_authorization).
bool follows_client(std::string_view name);

/// What a client asked for at start-up and ParameterStatus does not report.
struct startup_profile {
  std::vector<parameter> gucs; // canonical names, each once, sorted

  friend bool operator==(const startup_profile&, const startup_profile&) = default;
};

using startup_profile_ptr = std::shared_ptr<const startup_profile>;

/// Canonical names, last wins, sorted.
startup_profile make_startup_profile(const std::vector<parameter>& settings);

/// The SQL (one simple query, ASCII only) that takes a server connection from (have, have_profile) to (want,
/// want_profile); empty when nothing differs. Null `have`: nothing is known of the server, all of `want` is set. Null
/// `want`: reported parameters stay as they are. Null profiles are empty ones.
/// - A reported parameter that the client has no value for is RESET, as is a profile entry the client does not have. So
/// a
///   server connection must not have been started with a client's profile in its own start-up packet.
/// - Profile entries that are reported too are left to the reported values.
/// - As one simple query it is one transaction: if Postgres refuses one setting, none was changed.
/// - The SQL means the same whatever the server's standard_conforming_strings and client_encoding. Values beyond ASCII
///   are taken to be in the client_encoding that is wanted; names beyond ASCII are refused by Postgres (14 and up).
/// - is_superuser and the like are nobody's to set: they may differ afterwards (a role in the profile changes it).
std::string restore_sql(const parameter_values* have, const startup_profile* have_profile, const parameter_values* want,
                        const startup_profile* want_profile);

/// A string constant, right with standard_conforming_strings on and off (E'' if there is a backslash). The value must
/// be ASCII or in an encoding in which no byte of a longer character is ASCII (UTF-8, not SJIS).
std::string quote_literal(std::string_view value);
/// Always in quotes, so that no keyword needs to be known.
std::string quote_identifier(std::string_view name);

/// Lower case, and the present name of parameters that Postgres knows by an old one.
std::string canonical_parameter_name(std::string_view name);

enum class startup_parameter_kind {
  user,
  database,
  options, // command-line switches: see parse_options in protocol/startup.hpp
  replication,
  protocol_extension, // _pq_.*
  guc,                // any other name: a run-time parameter
  not_settable,       // a parameter no client may set (server_version, session_authorization)
};
startup_parameter_kind classify_startup_parameter(std::string_view name);

/// Whether a comma list such as ignore_startup_parameters names `name`; blanks and case do not count.
bool in_list(std::string_view comma_list, std::string_view name);

/// What Postgres makes of an application_name: cut to 63 bytes (at a UTF-8 character), then bytes that are not
/// printable ASCII become '?' before version 16 and \xHH from there on. `server_version_num` as in SHOW
/// server_version_num.
std::string canonical_application_name(std::string_view value, int server_version_num);

/// "15.3 (Debian ...)" -> 150003, "9.6.24" -> 90624, "17beta1" -> 170000; nothing if it is not a version.
std::optional<int> server_version_number(std::string_view server_version);

} // namespace pg_edge::protocol
