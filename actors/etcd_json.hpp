// etcd's v3 API as JSON, the way its HTTP gateway speaks it: what a store asks for as text, and what is answered as
// values. Pure. Keys and values are base64, 64-bit numbers are strings, and what is zero or empty is left out.
#pragma once

#include "cluster/store.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::actors::etcd {

// -- questions
// -------------------------------------------------------------------------------------------------------------

std::string get(std::string_view key);
std::string range(const cluster::store_range& what);
/// One transaction; if a condition fails it reads the keys that have conditions instead.
std::string commit(const std::vector<cluster::store_write>& writes);
std::string watch(std::string_view prefix, cluster::store_revision first);
std::string grant(std::int64_t seconds);
/// keepalive, revoke.
std::string lease(cluster::store_lease which);

// -- answers
// ---------------------------------------------------------------------------------------------------------------

/// What went wrong, in etcd's words; nothing: nothing did. Text that is no JSON is an error too.
struct failure {
  std::string why;
  bool no_such_lease = false;
  bool unknown = false;   // a write may have happened
  bool elsewhere = false; // another member may do better
};
std::optional<failure> failed(long http_status, std::string_view body);

cluster::store_answer read_range(std::string_view body);
/// `writes`: as asked.
cluster::store_answer read_commit(std::string_view body, const std::vector<cluster::store_write>& writes);
cluster::store_answer read_grant(std::string_view body);
/// conflict: it has run out.
cluster::store_answer read_keep_alive(std::string_view body);
cluster::store_answer read_revoke(std::string_view body);

/// One line of a watch: whole commits, in order.
struct watch_line {
  std::vector<cluster::store_event> events;
  bool compacted = false; // what was asked for is gone
  std::string ended;      // not empty: the watch is over, and why
};
watch_line read_watch(std::string_view line);

/// The first key behind all that begin with the prefix; "\0" if that is every key.
std::string end_of_prefix(std::string_view prefix);

} // namespace pg_edge::actors::etcd
