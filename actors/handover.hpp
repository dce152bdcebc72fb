// A new process of this node takes over from the old one: listening sockets, idle clients with their sockets, permits.
// Both hold one of these; its thread owns the Unix socket between them, so that no reactor ever waits for the other
// process. Who owns a client is never in doubt: it is the old process's until `client_yours` has gone into the socket.
//
//   old    alone --(hello)--> offering --(serving)--> giving: doors_closed --(last client gone)--> goodbye, it ends
//                    ^            | it closes             | it dies
//                    '------------'   alone <--(its servers are gone)-- bereft
//   new    (take_over, start) --> taking: (doors_closed), it is ready --(goodbye)--> alone
//                                    | the old one dies
//                                    '--> bereft --(its servers are gone)--> alone
//
//   a client, old:  idle --offer()--> moving --(client_taken, client_yours written)--> gone
//                                        '--(client_refused, or the new process has died)--> idle
//   a client, new:  client frame --> joins its pool --ready()--> arriving --(client_yours)--> idle
//                                                                   '--(the other lives on without us)--> dropped
#pragma once

#include "actors/handover_channel.hpp"
#include "actors/permit_exchange.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace pg_edge::actors {

class listening_socket;
class node_context;

/// A listening socket and the door it belongs to (the key in [listeners]; empty: that of the global settings).
struct opened_door {
  std::shared_ptr<listening_socket> socket;
  std::string door;
};

class handover {
public:
  using clock = std::chrono::steady_clock;

  explicit handover(node_context& node);
  ~handover();

  permit_exchange permits;

  // -- the new process, before anything of it runs
  // ------------------------------------------------------------------------------

  /// Asks the running process at `path` to hand over. False: `error` says why, and the other one goes on.
  bool take_over(const std::string& path, std::string& error);
  /// The socket that the old process had for this address; none if it had none.
  std::shared_ptr<listening_socket> inherited(const std::string& door, const std::string& name);
  /// Those that a service manager had opened for this door.
  std::vector<std::shared_ptr<listening_socket>> inherited_passed(const std::string& door);
  int inherited_admin();
  std::chrono::microseconds inherited_watchdog() const { return std::chrono::microseconds(watchdog_); }
  bool taking() const { return role_.load(std::memory_order_acquire) == role::taking; }
  /// Behind start(): waits until nobody who connects can come to the old process any more: it has said so, or is gone,
  /// or is of a version that does not say it. False: it has said nothing for so long.
  bool wait_for_closed_doors(std::chrono::milliseconds limit);

  // -- both
  // ------------------------------------------------------------------------------------------------------------------

  /// Opens the socket by which the next process comes, if the settings name one and it was not inherited.
  bool listen(const std::string& path, std::string& error);
  /// `doors`: what would be handed over. Says `serving` to the old process, if there is one.
  void start(std::vector<opened_door> doors, std::chrono::microseconds watchdog);
  void stop();
  /// No new client is let in any more: the sockets close, and nobody can take over.
  void close_doors();
  std::vector<opened_door> doors() const;

  /// In the old process: the last of its listeners is gone.
  void tell_closed_doors();
  /// Clients are to move to the new process.
  bool giving() const { return giving_.load(std::memory_order_relaxed); }
  /// Whether one more may be on its way.
  bool room() const { return moving_.load(std::memory_order_relaxed) < most_moving; }
  /// A client is ready to move; it is told moved_over. `socket`: a copy of its own.
  void offer(const caf::actor& client, cluster::moved_client record, owned_fd socket);
  /// In the new process: the client has joined its pool, or cannot.
  void ready(std::uint64_t number);
  void refuse(std::uint64_t number, const std::string& why);

  /// A connection to Postgres begins, or is about to be closed. The other process holds a copy, to know when Postgres
  /// has closed it should we die.
  void server_opened(std::uint64_t id, int fd);
  void server_closed(std::uint64_t id);

  /// A CancelRequest for a client that is not here: `requester` is told cancel_done, or the client that is here now is
  /// told cancel_client. False: there is no other process.
  bool forward_cancel(std::int32_t process_id, protocol::bytes_view secret, const caf::actor& requester);
  void cancel_answered(std::uint64_t number, bool found);

  /// In the old process, when its clients have gone: whether everything has been handed over and said.
  bool finished();
  /// Another process serves, or did: what this one may do alone is less.
  bool linked() const { return role_.load(std::memory_order_acquire) != role::alone; }
  /// The process that takes over, and how many clients have moved by now.
  pid_t other() const { return other_pid_; }
  std::uint64_t moved() const { return moved_.load(std::memory_order_relaxed); }

private:
  enum class role : std::uint8_t { alone, offering, giving, taking, bereft };
  struct message { // for the thread
    cluster::handover_frame frame;
    owned_fd descriptor;
    caf::actor client; // offer(), forward_cancel(): who is told
  };
  struct witness { // a server of the other process
    owned_fd socket;
  };

  static constexpr int most_moving = 256;
  static constexpr std::uint64_t goodbye_mark = ~std::uint64_t{0};

  void run();
  void take_orders();
  void tell_servers();
  void post(message what);
  void wake();
  void set_role(role now);

  bool ask_to_give(const std::string& path, std::string& error);
  void note_closed_doors();
  void accept_successor();
  void turn_away(owned_fd who, const std::string& why);
  void greet(const cluster::hello& words);
  void read_channel();
  void take_frame(handover_channel::received what);
  void take(cluster::serving);
  void take(cluster::moved_client record, owned_fd socket);
  void take(const cluster::client_taken& frame);
  void take(const cluster::client_refused& frame);
  void take(const cluster::client_yours& frame);
  void take(const cluster::cancel_asked& frame);
  void take(const cluster::cancel_answered& frame);
  void take(cluster::server_here frame, owned_fd socket);
  void note_written(const std::vector<std::uint64_t>& marks);
  void settle(std::uint64_t number, bool moved);
  void lose_channel(const std::string& why);
  void settle_arrivals(bool other_is_dead);
  void watch_the_dead();
  bool other_is_dead(std::chrono::milliseconds patience) const;

  node_context& node_;
  std::atomic<role> role_{role::alone};
  std::atomic<bool> giving_{false};
  std::atomic<int> moving_{0};
  std::atomic<std::uint64_t> moved_{0};
  std::atomic<pid_t> other_pid_{0};
  std::atomic<bool> stopping_{false}, saying_goodbye_{false}, said_goodbye_{false};

  mutable std::mutex mutex_; // of what follows
  std::vector<message> orders_;
  std::vector<opened_door> doors_;
  bool other_doors_open_ = false; // new: the old process will say when it has closed them
  std::condition_variable doors_noted_;

  std::mutex servers_mutex_; // of the next: held while a descriptor is copied, so that it is the one that is meant
  std::map<std::uint64_t, int> servers_;

  // the thread's, and before it the main thread's
  owned_fd wake_, listening_, other_process_;
  std::uint32_t version_ = cluster::handover_version; // of what the two say
  std::uint64_t watchdog_ = 0;                        // microseconds
  std::string path_;
  bool own_path_ = false; // the socket's file is ours to remove
  std::unique_ptr<handover_channel> channel_;
  std::vector<std::pair<cluster::listening, owned_fd>> inherited_;
  clock::time_point serving_by_{};
  std::uint64_t last_number_ = 0;
  std::map<std::uint64_t, caf::actor> offers_;   // old: moving
  std::map<std::uint64_t, caf::actor> arrivals_; // new: not ours yet
  std::map<std::uint64_t, caf::actor> cancels_;
  std::map<std::uint64_t, std::pair<std::int32_t, protocol::bytes>> cancel_keys_;
  std::map<std::uint64_t, witness> witnesses_;
  bool all_witnesses_ = false;
  std::size_t next_reactor_ = 0;
  std::thread thread_;
};

} // namespace pg_edge::actors
