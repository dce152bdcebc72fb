// Counts what actors do, by kind, for SHOW ACTORS. A reactor adds to a slot of its own without a locked instruction;
// all other threads share one slot; a reader sums the slots.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pg_edge::actors {

enum class actor_kind : std::uint8_t {
  listener,
  client,
  server,
  share,
  steward,
  tenant,
  canceller,
  node_link,
  link_listener,
  resolver,
  key_deriver,
  user_lookup,
  console,
  gatherer,
  objects,
  node,
  other,
};

struct actor_kind_row {
  actor_kind kind;
  std::string_view name;
  std::string_view help;
};

// One row a kind, in the order of the enum.
inline constexpr std::array actor_kinds{
    actor_kind_row{actor_kind::listener, "listener", "accepts connections on one address"},
    actor_kind_row{actor_kind::client, "client", "one client connection"},
    actor_kind_row{actor_kind::server, "server", "one connection to Postgres"},
    actor_kind_row{actor_kind::share, "share", "the part of a pool that lives on one reactor"},
    actor_kind_row{actor_kind::steward, "steward", "moves the permits of a pool between its shares"},
    actor_kind_row{actor_kind::tenant, "tenant", "knows the pools, users and limits of a tenant"},
    actor_kind_row{actor_kind::canceller, "canceller", "one cancel request on its way to Postgres"},
    actor_kind_row{actor_kind::node_link, "node_link", "one connection to another node, with many streams"},
    actor_kind_row{actor_kind::link_listener, "link_listener", "accepts the links of other nodes"},
    actor_kind_row{actor_kind::resolver, "resolver", "turns host names into addresses"},
    actor_kind_row{actor_kind::key_deriver, "key_deriver", "derives SCRAM keys off the reactors"},
    actor_kind_row{actor_kind::user_lookup, "user_lookup", "asks auth_query about users who are not configured"},
    actor_kind_row{actor_kind::console, "console", "answers the admin console"},
    actor_kind_row{actor_kind::gatherer, "gatherer", "asks all pools for their figures, for whoever shows them"},
    actor_kind_row{actor_kind::objects, "objects", "changes what lives in the store, and keeps the audit log"},
    actor_kind_row{actor_kind::node, "node", "starts, reloads and stops the node"},
    actor_kind_row{actor_kind::other, "other", "everything else"},
};

constexpr std::string_view to_string(actor_kind kind) {
  return actor_kinds[static_cast<std::size_t>(kind)].name;
}

namespace actor_stats {

struct totals {
  std::uint64_t alive = 0;         // now
  std::uint64_t handled = 0;       // messages since the process started
  std::uint64_t mailbox_depth = 0; // messages that wait now, summed over all actors of the kind
  std::uint64_t deepest = 0;       // the most messages that ever waited for one actor when its turn came
  std::uint64_t deepest_actor = 0; // the id of that actor
  std::uint64_t busiest = 0;       // the most messages one actor has handled
  std::uint64_t busiest_actor = 0; // the id of that actor
};

// The sum over all threads. Exact while nothing runs; else each number is a moment apart from the others.
totals read(actor_kind kind) noexcept;

// What actors report; any thread. `actor` is the actor's id.
void started(actor_kind kind) noexcept;
void ended(actor_kind kind) noexcept;
void enqueued(actor_kind kind) noexcept;
void discarded(actor_kind kind, std::uint64_t messages) noexcept;
void handled(actor_kind kind, std::uint64_t messages) noexcept;
void seen_depth(actor_kind kind, std::uint64_t actor, std::uint64_t depth) noexcept;
void seen_handled(actor_kind kind, std::uint64_t actor, std::uint64_t messages) noexcept;

// For the state of an ordinary actor: it is alive as long as this is.
class alive_token {
public:
  explicit alive_token(actor_kind kind) noexcept : kind_(kind) { started(kind_); }
  ~alive_token() { ended(kind_); }
  alive_token(const alive_token&) = delete;
  alive_token& operator=(const alive_token&) = delete;

private:
  actor_kind kind_;
};

// A reactor's thread holds one as long as it runs: what it reports goes to a slot of its own.
class thread_slot {
public:
  thread_slot() noexcept;
  ~thread_slot();
  thread_slot(const thread_slot&) = delete;
  thread_slot& operator=(const thread_slot&) = delete;
};

} // namespace actor_stats
} // namespace pg_edge::actors
