// Server connections counted over the pools of a tenant, for max_tenant_connections, max_db_connections and
// max_user_connections. Shares on all reactors ask here before they open a server; what is decided stands in
// cluster/limit_group. A share keeps a limit_seat, a server a server_slot, whose end is the server's end.
#pragma once

#include "cluster/limit_group.hpp"
#include "config/resolve.hpp"

#include <caf/actor.hpp>
#include <caf/actor_addr.hpp>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace pg_edge::actors {

class limit_seat;

/// The pools of one tenant, behind one mutex. It is taken when a server is opened or closed and when somebody waits.
class tenant_limits {
private:
  friend class limit_seat;
  friend class server_slot;
  void spread_news();

  std::mutex mutex_;
  cluster::limit_group group_;
  std::map<cluster::limit_group::member_id, limit_seat*> seats_;
};

/// One server's place in the counts. It is given back by the destructor: to be called when Postgres has closed its
/// side. Any thread.
class server_slot {
public:
  explicit server_slot(std::shared_ptr<limit_seat> seat);
  ~server_slot();
  server_slot(const server_slot&) = delete;
  server_slot& operator=(const server_slot&) = delete;

  /// Its server has begun to close. May be called more than once.
  void leave();
  /// The same if its seat owes a server; tells whether it does.
  bool leave_if_owed();
  /// Its server is carried to another share of the pool.
  void move_to(const std::shared_ptr<limit_seat>& seat);

private:
  std::shared_ptr<limit_seat> seat_;
  bool leaving_ = false;
};

/// What a share has in its tenant's limits. The share is sent `limits_moved` when it may open a server it has waited
/// for, or owes one. Called by the share only, but for the destructor.
class limit_seat : public std::enable_shared_from_this<limit_seat> {
public:
  using clock = std::chrono::steady_clock;

  limit_seat(std::shared_ptr<tenant_limits> tenant, const std::string& database, const std::string& user,
             const cluster::limit_maxima& maxima, caf::actor_addr share);
  ~limit_seat();

  void set_maxima(const cluster::limit_maxima& maxima);
  /// One more server for a client that waits; null: not now, and the share will hear when to ask again.
  std::shared_ptr<server_slot> ask();
  /// One more server that nobody waits for; null: not now.
  std::shared_ptr<server_slot> ask_if_spare();
  /// Nobody waits for a server any more.
  void withdraw();
  /// The share ends; its servers keep their places until they are gone.
  void leave();
  bool asked() const { return asked_; }
  /// Whether an idle server has to be closed for another pool.
  bool owes() const { return owed_.load(std::memory_order_relaxed) > 0; }
  /// Since when the longest idle server is idle.
  void note_idle(std::optional<clock::time_point> since);
  /// The limit in the way of one more server.
  std::optional<cluster::limit_kind> blocked_by();

private:
  friend class server_slot;
  friend class tenant_limits;
  cluster::limit_time now(bool someone_will_wait = false);

  const std::shared_ptr<tenant_limits> tenant_;
  const caf::actor_addr share_;
  cluster::limit_group::member_id id_ = 0;
  bool asked_ = false;
  std::atomic<std::uint32_t> owed_{0};
  std::atomic<std::int64_t> idle_since_{-1}; // microseconds; -1: none is idle
};

/// All tenants' limits; see node_context.
class server_limits {
public:
  /// Any thread.
  std::shared_ptr<limit_seat> join(const std::string& tenant, const std::string& database, const std::string& user,
                                   const cluster::limit_maxima& maxima, caf::actor_addr share);

private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<tenant_limits>> tenants_;
};

cluster::limit_maxima maxima_of(const config::pool_settings& settings);

} // namespace pg_edge::actors
