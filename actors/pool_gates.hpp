// Which databases are paused or disabled, which servers are older than the last RECONNECT, and how many servers there
// are. It exists so that the console's word holds for pools that come into being after it and survives those that go,
// and so that "all servers are gone" is known exactly: a server is counted before it connects and until Postgres's EOF,
// and none is counted once its gate is shut. SUSPEND goes the same way, and is over with when no share is in motion.
//
//   node (PAUSE) ── tenant (PAUSE TENANT t) ── database (PAUSE d TENANT t)      shut: any of the three is paused
#pragma once

#include "cluster/handover.hpp"

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace pg_edge::actors {

/// What a command is about: everything, a tenant's databases, or one of them.
struct pool_scope {
  std::string tenant, database; // both empty: everything; `database` empty: all of the tenant
  bool everything() const { return tenant.empty(); }
  bool contains(const std::string& a_tenant, const std::string& a_database) const {
    return everything() || (tenant == a_tenant && (database.empty() || database == a_database));
  }
};

class gate_ticket;

/// SUSPEND: clients and their servers are not read. `cutting`: whatever has unsent bytes by then is closed.
enum class suspension : std::uint8_t { none, held, cutting };

/// One database of one tenant. Its pools hold it. Any thread.
class pool_gate {
public:
  /// Its pools hand out no servers and open none.
  bool shut() const { return shut_.load(std::memory_order_acquire); }
  suspension suspended() const { return suspended_.load(std::memory_order_acquire); }
  /// Rises with each RESUME of it: what failed before is to be tried again.
  std::uint64_t openings() const { return openings_.load(std::memory_order_acquire); }

private:
  friend class pool_gates;
  friend class gate_ticket;
  void leave(std::uint64_t generation);

  std::atomic<bool> shut_{false};
  std::atomic<suspension> suspended_{suspension::none};
  std::atomic<std::uint64_t> openings_{0};
  mutable std::mutex mutex_; // of what follows
  std::uint64_t generation_ = 1;
  std::map<std::uint64_t, std::uint32_t> servers_; // by generation; those from before a RECONNECT have smaller ones
};
using pool_gate_ptr = std::shared_ptr<pool_gate>;

/// A server's place in the count of its gate, from before it connects until Postgres has closed it.
class gate_ticket {
public:
  gate_ticket() = default;
  gate_ticket(gate_ticket&& from) noexcept : gate_(std::move(from.gate_)), generation_(from.generation_) {}
  gate_ticket& operator=(gate_ticket&& from) noexcept {
    reset();
    gate_ = std::move(from.gate_);
    generation_ = from.generation_;
    return *this;
  }
  ~gate_ticket() { reset(); }
  explicit operator bool() const { return gate_ != nullptr; }
  void reset() noexcept;
  /// The server is to go: RECONNECT came after it was made, or make_stale() was called.
  bool stale() const;
  void make_stale();

private:
  friend class pool_gates;
  gate_ticket(pool_gate_ptr gate, std::uint64_t generation) : gate_(std::move(gate)), generation_(generation) {}
  pool_gate_ptr gate_;
  std::uint64_t generation_ = 0;
};

/// What became of a command. Only `done` has changed anything.
enum class gate_answer : std::uint8_t { done, already_paused, node_not_paused, scope_not_paused };

class pool_gates {
public:
  /// A share, as far as SUSPEND waits for it: in motion until it says that it holds and has nothing left to send.
  class motion {
  public:
    explicit motion(pool_gates& gates) : gates_(gates) { set(true); }
    motion(const motion&) = delete;
    motion& operator=(const motion&) = delete;
    ~motion() { set(false); }
    void set(bool moves) {
      if (std::exchange(moves_, moves) == moves) return;
      gates_.in_motion_.fetch_add(moves ? 1 : -1, std::memory_order_acq_rel);
    }

  private:
    pool_gates& gates_;
    bool moves_ = false;
  };

  pool_gate_ptr gate_of(const std::string& tenant, const std::string& database);
  /// Counts one more server; without a ticket none may be made: the gate is shut.
  static gate_ticket admit(const pool_gate_ptr& gate);

  /// As in pgbouncer: refused while the whole node is paused, but a database may be paused again.
  gate_answer pause(const pool_scope& scope);
  /// Refused while the whole node is paused or suspended.
  gate_answer suspend();
  /// suspend_timeout is over.
  void cut_unsent();
  /// Whether every share holds and has sent what it had.
  bool at_rest() const { return in_motion_.load(std::memory_order_acquire) <= 0; }
  /// As in pgbouncer: RESUME ends what a PAUSE of the same scope began, nothing narrower or wider; without a scope it
  /// ends a SUSPEND, too.
  gate_answer resume(const pool_scope& scope);
  void set_disabled(const pool_scope& scope, bool disabled);
  /// Every gate is shut for good, whatever is resumed: another cluster serves the pools from now on.
  void give_away();
  bool given_away() const { return given_away_.load(std::memory_order_acquire); }
  /// All that is paused or disabled, for the process that takes over; and in it, before there is a pool.
  std::vector<cluster::paused_scope> in_force() const;
  void take(const cluster::paused_scope& said);
  /// Every server that there is now is stale.
  void reconnect(const pool_scope& scope);

  bool disabled(const std::string& tenant, const std::string& database) const;
  /// A PAUSE of just this scope is in force.
  bool paused(const pool_scope& scope) const;
  /// A command about just this scope is in force: it may be taken back even if the settings do not have it any more.
  bool knows(const pool_scope& scope) const;
  /// The whole node is.
  bool node_paused() const { return node_paused_.load(std::memory_order_acquire); }
  bool suspended() const { return suspended_.load(std::memory_order_acquire) != suspension::none; }
  /// The database or its tenant is, whatever the node is: what SHOW DATABASES shows.
  bool database_paused(const std::string& tenant, const std::string& database) const;
  /// Servers of the scope, and those of them that are stale.
  std::size_t servers(const pool_scope& scope) const { return count(scope, false); }
  std::size_t stale_servers(const pool_scope& scope) const { return count(scope, true); }
  /// By tenant and database, those that have any.
  std::map<std::pair<std::string, std::string>, std::uint32_t> servers_by_database() const;
  /// Databases that are paused or disabled by name.
  std::vector<std::pair<std::string, std::string>> named() const;

private:
  struct words {
    bool paused = false, disabled = false;
    bool any() const { return paused || disabled; }
  };
  using key = std::pair<std::string, std::string>; // tenant and database
  words& words_of(const pool_scope& scope);
  words said_of(const pool_scope& scope) const;
  bool paused_now(const key& which) const;
  std::size_t count(const pool_scope& scope, bool stale_only) const;
  void update();
  void set_suspension(suspension now);

  std::atomic<bool> node_paused_{false};
  std::atomic<suspension> suspended_{suspension::none};
  std::atomic<bool> given_away_{false};
  std::atomic<int> in_motion_{0}; // shares
  mutable std::mutex mutex_;      // of what follows; taken before that of a gate
  std::map<std::string, words> tenants_;
  std::map<key, words> databases_;
  std::map<key, pool_gate_ptr> gates_; // those in use, and some that were
  std::size_t sweep_at_ = 64;
};

} // namespace pg_edge::actors
