// A permit is the right to one server connection. A pool's steward hands its permits to the pool's shares and moves
// them as demand moves, so that the sum never exceeds the pool size, whatever crashes. Both sides are pure state
// machines: no sockets, no clock, no CAF. tests/cluster/permits_simulation_test.cpp runs them against each other.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace pg_edge::cluster {

using share_id = std::uint32_t;
using node_id = std::uint32_t;
/// The owner's own number of one Postgres backend, unique in the pool. The roster maps it to (pid, backend_start).
using backend_id = std::uint64_t;

/// One life of a share. A respawned share keeps its id and takes a larger incarnation; words of older lives are
/// ignored.
struct share_key {
  share_id share = 0;
  std::uint64_t incarnation = 0;
  friend auto operator<=>(const share_key&, const share_key&) = default;
};

// -- the two messages ------------------------------------------------------------------------------------------------
// Counts are totals since the incarnation began, not differences. So both sides agree again whatever crossed on the
// way:
//   permits out at a share = order.granted - report.returned        (held by it or in flight)
//   debt of a share        = max(0, order.recalled - report.returned)
// and a recall is taken back by sending a smaller total.

/// Steward to share: a grant, a recall, or both.
struct permit_order {
  share_key to;
  std::uint64_t granted = 0;  ///< permits ever granted to this incarnation
  std::uint64_t recalled = 0; ///< give permits back until `returned` is this, as soon as they are spare
  std::uint64_t urgent = 0;   ///< the same, by the next permits that come free even if clients wait; <= recalled
  bool carry = true;          ///< a returned permit may bring its idle server along: its next share is on this node
  bool draining = false;      ///< the steward has seen `draining`: no grant follows this order
  std::vector<backend_id> carried; ///< idle servers that come with this order's grant, in the order of this list
  friend bool operator==(const permit_order&, const permit_order&) = default;
};

/// Share to steward: what it has given back and how many permits it lacks.
struct permit_report {
  share_key from;
  std::uint64_t granted = 0;       ///< the newest `granted` that this share has seen
  std::uint64_t returned = 0;      ///< permits ever given back
  std::uint32_t wanted = 0;        ///< waiters that no server, opening server or free permit of the share will serve
  bool draining = false;           ///< the share is being closed and wants nothing any more
  std::vector<backend_id> carried; ///< idle servers that come along with the permits this report returns
  friend bool operator==(const permit_report&, const permit_report&) = default;
};

// -- the share -------------------------------------------------------------------------------------------------------

/// Where one server connection stands. All but `none` and `carried` use a permit of the share: from the moment of
/// connect until Postgres's EOF.
///
///            connect          login done         handed out
///     none ----------> opening ----------> idle -----------> busy
///      ^                  |                ^|^                |
///      |                  |   in an order  ||'-- checked in --+
///      |                  |   (carried) ---'|                 |
///      |                  |                 +-> carried: carry_away(), permit and server leave together
///      |                  |                 |                 |
///      |                  |                 +-----------------+-> leaving: closed to give its permit back
///      |                  v                 v                 v
///      |                closing <-----------+-----------------'
///      |                  |
///      '------ EOF -------'   (also from leaving, and out of the blue from any of them)
enum class server_state : std::uint8_t { none, opening, idle, busy, closing, leaving, carried };
inline constexpr std::size_t server_state_count = 7;

/// What the owner of a share has to do next.
enum class share_step : std::uint8_t {
  none,     ///< nothing: wait for the next event
  hand_out, ///< give an idle server to the first waiter: handed_out(), then set_waiters()
  open,     ///< connect one more server: server_moved(none, opening)
  give_up,  ///< an idle server has to go: carry_away() if may_carry(), else server_moved(idle, leaving) and Terminate
};

/// The permits of one pool on one reactor. The owner reports every event, then calls next() and does what it says until
/// it says `none`, then sends take_report() if there is one:
///
///   share.server_moved(busy, idle);            // or on_order(), set_waiters(), drain()
///   while ((step = share.next()) != none) ...  // do it
///   if (auto report = share.take_report()) send(steward, *report);
class permit_share {
public:
  explicit permit_share(share_key key) : key_(key) {}

  /// Takes an order. The order's carried servers now belong to this share and are idle.
  /// False: meant for another incarnation; nothing changed, and the caller closes the order's carried servers.
  [[nodiscard]] bool on_order(const permit_order& order);

  /// Moves one server from one state to another. False: no server is in `from`, no permit is free to connect with, or
  /// the diagram has no such arrow; then nothing changed.
  bool server_moved(server_state from, server_state to);

  /// An idle server went to a waiter. The same as server_moved(idle, busy); the caller then tells the new
  /// set_waiters().
  bool handed_out() { return server_moved(server_state::idle, server_state::busy); }

  /// An idle server leaves together with its permit, in the next report, which the caller sends along with the server's
  /// handle. False if there is no idle server.
  bool carry_away(backend_id server);

  /// How many clients wait for a server now (0 while the pool is paused). A client for whom a server is being opened
  /// still waits.
  void set_waiters(std::uint32_t waiters) { waiters_ = waiters; }

  /// How many servers are to be open even if nobody waits (this share's part of min_pool_size). They are opened while
  /// permits are to be had; a recall for clients of another share still takes them.
  void set_minimum(std::uint32_t minimum) { minimum_ = minimum; }

  /// Closes the share: it wants nothing more and gives everything back, busy servers when they are checked in.
  void drain() { draining_ = true; }

  /// What has to be done now. Permits without a server are given back inside this call.
  [[nodiscard]] share_step next();

  /// Nothing is to be given back: an idle server may be handed out without asking next().
  [[nodiscard]] bool calm() const { return !draining_ && recalled_ <= returned_ && urgent_ <= returned_; }

  /// Whether `give_up` may send the server along instead of closing it.
  [[nodiscard]] bool may_carry() const { return carry_ && !draining_; }

  /// The report to send now, if the steward has to hear something: permits given back, more or fewer wanted. A share
  /// asks once, and again when what it wants has doubled or halved since the steward heard of it.
  [[nodiscard]] std::optional<permit_report> take_report();

  /// A drained share holds nothing and will be granted nothing: after its last report the owner tells the steward
  /// share_left() and ends.
  [[nodiscard]] bool drained() const;

  [[nodiscard]] share_key key() const { return key_; }
  [[nodiscard]] std::uint32_t held() const { return static_cast<std::uint32_t>(granted_ - returned_); }
  [[nodiscard]] std::uint32_t used() const; ///< permits that server connections use, whatever their state
  [[nodiscard]] std::uint32_t free() const { return held() - used(); }
  [[nodiscard]] std::uint32_t waiters() const { return waiters_; }
  [[nodiscard]] std::uint32_t count(server_state state) const { return servers_[static_cast<std::size_t>(state)]; }
  [[nodiscard]] std::uint32_t wanted() const;
  [[nodiscard]] std::uint32_t missing() const;     ///< servers below the minimum
  [[nodiscard]] std::uint32_t debt() const;        ///< recalled and not given back yet
  [[nodiscard]] std::uint32_t urgent_debt() const; ///< the part of debt() that does not wait for the queue to be empty

private:
  void give_back_free_permits();
  [[nodiscard]] std::uint32_t believed_wanted() const;
  [[nodiscard]] std::uint32_t unserved() const;
  [[nodiscard]] std::uint32_t payable() const;

  share_key key_;
  std::uint64_t granted_ = 0;
  std::uint64_t returned_ = 0;
  std::uint64_t recalled_ = 0;
  std::uint64_t urgent_ = 0;
  std::uint32_t waiters_ = 0;
  std::uint32_t minimum_ = 0;
  std::uint32_t fresh_ = 0; // permits and servers that arrived while clients waited and have served nobody yet
  std::array<std::uint32_t, server_state_count> servers_{};
  bool carry_ = true;
  bool draining_ = false;
  bool drain_seen_ = false; // the steward knows
  std::vector<backend_id> carried_;
  permit_report sent_;
};

// -- the steward -----------------------------------------------------------------------------------------------------

/// The permits of one pool. A share's life:
///
///   share_joined --> live --(report.draining)--> draining --share_left--> gone
///                      |                            |
///                      '----------share_lost--------+--> lost --backend_gone (last of the roster)--> gone
///
/// free = size - out at shares - out with lost shares; it is derived, never stored. Each input answers with the orders
/// to send; they must reach a share in the order in which they were made.
class permit_steward {
public:
  using orders = std::vector<permit_order>;

  explicit permit_steward(std::uint32_t size) : size_(size) {}

  /// A share has started on `node`. A newer incarnation of a live share means that the older one is lost, its roster
  /// unknown until share_lost() tells it. Repeated or old words change nothing.
  [[nodiscard]] orders share_joined(share_key key, node_id node);

  /// A drained() share has ended; this comes after its last report. What is still out then is with servers that an
  /// ignored report carried along, until they are gone.
  [[nodiscard]] orders share_left(share_key key);

  /// A share crashed. `roster`: all its backends, also those still connecting, those it had sent along in a report that
  /// never arrived, and those an order sent to it. `roster_complete`: that this is certain (same process). Otherwise (a
  /// dead node's last published roster) every permit stays out until roster_settled().
  [[nodiscard]] orders share_lost(share_key key, const std::vector<backend_id>& roster, bool roster_complete);

  /// Postgres has been asked: the lost share has no backend outside its roster.
  [[nodiscard]] orders roster_settled(share_key key);

  /// Postgres has closed this backend of a lost share.
  [[nodiscard]] orders backend_gone(share_key key, backend_id backend);

  /// A share reported. The carried servers are passed on in the orders, all of them, if need be back to the sender.
  /// Nothing: the report is of a life that is over, or cannot be true; the caller closes its carried servers and tells
  /// backend_gone() at their EOF.
  [[nodiscard]] std::optional<orders> on_report(const permit_report& report);

  /// Changes the pool size. Shrinking recalls what is out above it; nothing is granted until that has come back.
  /// A pool's max_db_connections and reserve pool come in here: whoever owns those limits computes the size.
  [[nodiscard]] orders resize(std::uint32_t size);

  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] std::uint32_t free() const;              ///< permits that nobody holds
  [[nodiscard]] std::uint32_t out() const;               ///< at live shares or in flight to or from them
  [[nodiscard]] std::uint32_t lost() const;              ///< with lost shares
  [[nodiscard]] std::uint32_t out_at(share_id id) const; ///< at one live share; 0 if there is none
  [[nodiscard]] std::size_t shares() const { return shares_.size(); }

private:
  struct share_entry {
    node_id node = 0;
    permit_order sent;              // the last order, without its carried servers
    permit_report heard;            // the last report
    std::uint64_t hungry_since = 0; // turn_ when it began to want, or was last granted a permit and still wants
    std::uint64_t granted_at = 0;   // turn_ of the last grant
    bool hungry = false;
    [[nodiscard]] std::uint32_t out() const { return static_cast<std::uint32_t>(sent.granted - heard.returned); }
    [[nodiscard]] std::uint32_t want() const;
  };
  struct lost_share {
    std::uint32_t out = 0;
    std::set<backend_id> roster;
    bool complete = false;
  };
  struct plan;

  void lose(share_key key, const std::vector<backend_id>& roster, bool complete);
  void settle(std::map<share_key, lost_share>::iterator lost);
  orders decide(const permit_report* report = nullptr);
  share_entry* find(share_key key);

  std::uint32_t size_;
  std::uint64_t turn_ = 0; // counts requests and grants: the steward's only notion of age
  std::map<share_id, share_entry> shares_;
  std::map<share_key, lost_share> lost_;
  std::map<share_id, std::uint64_t> newest_; // the newest incarnation of every share that ever joined
};

} // namespace pg_edge::cluster
