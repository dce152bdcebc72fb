// Logins to servers counted over all pools of the node, by address: what max_server_logins allows, and who tries a
// server that is away. What is decided stands in cluster/login_gate. A share keeps a login_seat, each login a
// login_pass.
#pragma once

#include "cluster/login_gate.hpp"

#include <caf/actor.hpp>
#include <caf/actor_addr.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace pg_edge::actors {

class login_seat;

/// One address, behind one mutex. It is taken when a login begins or ends and when somebody waits for one.
class address_logins {
public:
  explicit address_logins(std::string name) : name_(std::move(name)), gate_(std::hash<std::string>()(name_)) {}

private:
  friend class login_seat;
  friend class login_pass;
  void spread_news();
  void wake_full();

  const std::string name_;
  std::mutex mutex_;
  cluster::login_gate gate_;
  std::map<cluster::login_gate::member_id, login_seat*> seats_;
  cluster::login_gate::member_id next_id_ = 1;
  std::string reason_;                     // why it is away
  cluster::gate_time said_at_{};           // when the log was last told that it is away
  std::atomic<std::uint32_t> full_{0};     // seats that wait for room there
  std::atomic<std::uint32_t> starving_{0}; // those of them that have nothing at all
  cluster::gate_time given_at_{};          // when a seat was last told to give, or nobody starved
  std::atomic<std::chrono::steady_clock::duration> departed_at_{}; // when it last said that it starts or stops
};

/// One login under way. Its end without a word means that nothing is known. Any thread.
class login_pass {
public:
  login_pass(std::shared_ptr<address_logins> address, cluster::login_gate::round begun, cluster::gate_time most)
      : address_(std::move(address)), begun_(begun), most_(most) {}
  ~login_pass();
  login_pass(const login_pass&) = delete;
  login_pass& operator=(const login_pass&) = delete;

  /// The server has let us in, or said something that shows that it is there.
  void answered();
  /// Nobody can log in there now. `reason` is for the log, which is told when that is new and then once a minute.
  void away(const std::string& reason);

private:
  void done(cluster::login_outcome what, const std::string& reason);

  std::shared_ptr<address_logins> address_; // null: over
  cluster::login_gate::round begun_;
  cluster::gate_time most_;
};

/// What a share has at the address of its pool. The share is sent `login_turn` when it may log in after it was told to
/// wait, and when there may be room on a server that was full. Called by the share only.
class login_seat {
public:
  login_seat(std::shared_ptr<address_logins> address, caf::actor_addr share);
  ~login_seat();
  login_seat(const login_seat&) = delete;
  login_seat& operator=(const login_seat&) = delete;

  /// Null: not now, and the share will hear when to ask again, or asks at its next tick. `most`: server_login_retry.
  std::unique_ptr<login_pass> ask(std::uint32_t max_logins, cluster::gate_time most);
  /// Nothing is to be logged in any more.
  void withdraw();
  bool asked() const { return asked_; }
  /// Nobody can log in there, as far as the last attempt of any pool tells.
  bool away() const;
  /// Why; empty when somebody can.
  std::string trouble() const;
  /// Says whether the share wants to be woken when a server connection to this address has ended. `starving`: it has
  /// clients that wait, and no server at all.
  void wait_for_room(bool on, bool starving = false);
  bool waits_for_room() const { return full_; }
  /// Whether the share should close a server, for another that starves since the server is full: an idle one, or, when
  /// nobody gives an idle one for long, one that is in use. True for one share at a time.
  bool should_give(bool idle);
  /// A connection of ours has ended there.
  void note_room();
  /// Postgres said that it starts or stops.
  void note_departure();
  /// When it last said so, since the clock's epoch.
  std::chrono::steady_clock::duration departed_at() const {
    return address_->departed_at_.load(std::memory_order_relaxed);
  }

private:
  friend class address_logins;
  const std::shared_ptr<address_logins> address_;
  const caf::actor_addr share_;
  cluster::login_gate::member_id id_ = 0;
  bool asked_ = false;
  bool starving_ = false; // likewise
  bool full_ = false;     // written by the share with the address's mutex held
};

/// All addresses; see node_context. Any thread.
class login_gates {
public:
  /// `address`: the hosts of the pool as configured, and the port. Several hosts of one database count as one address.
  std::unique_ptr<login_seat> join(const std::string& address, caf::actor_addr share);

private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<address_logins>> addresses_;
};

} // namespace pg_edge::actors
