// A discrete-event simulator of one pool: a steward, shares, Postgres backends, clients, and messages that take random
// time (first in, first out between two actors; anything may overtake anything else). It checks the pool's promises
// after every event and throws `broken_promise`. One seed is one schedule, the same on every machine.
#pragma once

#include "cluster/permits.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <queue>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace pg_edge::cluster::simulation {

struct broken_promise : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A mistake that the harness makes on purpose around the real state machines: the checks must see it.
enum class mistake {
  none,
  free_at_terminate,   // a permit counts as free when the server is told to go, not at Postgres's EOF
  forget_the_lost,     // a crashed share's permits are free at once
  settle_too_early,    // an incomplete roster is taken for complete
  ignore_incarnations, // an order for a dead share is given to the one that took its place
  grant_too_much,      // a grant out of thin air
  lose_reports,        // a report gets lost now and then
  never_urgent,        // nothing is ever taken from waiting clients
  never_spare,         // spare permits stay where they are
  ask_only_once,       // a share that has asked never asks again
};
inline constexpr mistake all_mistakes[] = {
    mistake::free_at_terminate,   mistake::forget_the_lost, mistake::settle_too_early,
    mistake::ignore_incarnations, mistake::grant_too_much,  mistake::lose_reports,
    mistake::never_urgent,        mistake::never_spare,     mistake::ask_only_once,
};

/// splitmix64: the same numbers with every standard library.
class random_source {
public:
  explicit random_source(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    auto z = state_ += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31U);
  }
  int between(int low, int high) { return low + static_cast<int>(next() % static_cast<std::uint64_t>(high - low + 1)); }
  bool one_in(int n) { return n > 0 && between(1, n) == 1; }

private:
  std::uint64_t state_;
};

struct scenario {
  int shares = 3;
  int nodes = 1;
  int size = 6;
  int clients = 12;
  int length = 1500; // ticks until the clients stop coming
  int max_delay = 8; // ticks a message takes, at most; the others likewise
  int max_open = 10;
  int max_close = 10;
  int max_transaction = 20;
  int max_think = 20;
  int max_stuck = 0;    // a backend whose socket was dropped lives on for so long
  int server_fails = 0; // one in so many: a login fails, a server dies or is closed after a transaction
  int gives_up = 0;     // one in so many: a client leaves the queue
  int faults = 0;       // ticks between two of: a crash, a drain, a new size, a new hot share
  bool crashes = false;
  bool drains = false;
  bool resizes = false;
  bool hot_share = false; // most clients go to one share
  bool stay = false;      // a client always comes back to the same share
  std::vector<int> homes; // how many clients stay at each share; empty: evenly
};

/// What a seed stands for: calm and faulty, small and large pools, one and two nodes.
scenario scenario_of(random_source& random);

class simulator {
public:
  explicit simulator(std::uint64_t seed, mistake mistake = mistake::none);
  simulator(const scenario& scenario, random_source random, mistake mistake = mistake::none);

  /// Lets clients come for the scenario's length, then waits for silence, then closes every share.
  void run();

  std::uint64_t events() const { return events_; }
  std::uint64_t served() const { return served_; }
  std::uint64_t grants_late() const {
    return grants_late_;
  } ///< permits granted in the second half of the clients' time
  /// Permits that a share held in the second half of the clients' time, on average over that time's events.
  double average_held(std::size_t share) const { return shares_[share].held_sum / samples_; }

private:
  using ticks = std::int64_t;
  struct event {
    ticks at;
    std::uint64_t number;
    std::function<void()> run;
    bool operator<(const event& other) const { return at != other.at ? at > other.at : number > other.number; }
  };
  struct backend {
    share_key owner; // whose permit it uses, as the roster says
  };
  struct client {
    int share = 0;
    ticks waiting_since = 0;
    std::uint64_t visit = 0; // tells a late event from a current one
  };
  struct share {
    permit_share machine{share_key{}};
    node_id node = 0;
    bool alive = false;
    bool asked = false;    // it has ever wanted a permit
    bool draining = false; // no new clients
    std::map<backend_id, server_state> servers;
    std::map<backend_id, std::size_t> served; // the client at each busy server
    std::deque<std::size_t> waiters;
    ticks progress_at = 0; // the last time it did not want, or served somebody
    double held_sum = 0;
  };
  // Every permit that ever went over a channel, counted apart from the machines.
  struct ledger {
    std::uint64_t granted_sent = 0, granted_seen = 0, returned_sent = 0, returned_seen = 0;
    ticks order_at = 0, report_at = 0; // when the channel's last message arrives
  };

  void at(ticks delay, std::function<void()> run);
  void run_events();
  void spawn(std::size_t i);
  void crash(std::size_t i);
  void drain(std::size_t i);
  void resize(int size);
  void fault();

  void wake(std::size_t c);
  void think(std::size_t c);
  void leave_queue(std::size_t c, std::uint64_t visit);
  void transaction_ends(std::size_t i, share_key key, backend_id id);

  void settle(std::size_t i);
  void hand_out(std::size_t i);
  void open(std::size_t i);
  void login_ends(std::size_t i, share_key key, backend_id id);
  void give_up(std::size_t i);
  void close(std::size_t i, backend_id id, server_state as);
  void eof(std::size_t i, share_key key, backend_id id);
  void orphan(backend_id id);
  bool lives(std::size_t i, share_key key) const { return shares_[i].alive && shares_[i].machine.key() == key; }
  backend_id any_idle(std::size_t i);

  void send_report(std::size_t i, permit_report report);
  void to_steward(share_key from, std::function<void()> run);
  void deliver_report(const permit_report& report);
  void send_orders(permit_steward::orders orders);
  void deliver_order(permit_order order);
  void steward_loses(share_key key);
  void poll_roster(share_key key, const std::set<backend_id>& roster);
  std::vector<backend_id> backends_of(share_key key) const;

  void require(bool holds, const std::string& promise) const;
  void check();
  void check_size();
  void check_share(const share& s);
  void check_work_conserving();
  void check_waiting();
  void check_silence();

  scenario scenario_;
  mistake mistake_;
  random_source random_;
  permit_steward steward_;
  std::vector<share> shares_;
  std::vector<client> clients_;
  std::map<backend_id, backend> backends_; // from connect to EOF
  std::map<share_key, ledger> ledgers_;
  std::priority_queue<event> queue_;
  ticks now_ = 0;
  ticks nothing_idle_at_ = 0; // the last time no permit of the pool was idle
  bool something_idle_ = true;
  std::uint64_t events_ = 0, served_ = 0, grants_late_ = 0, next_backend_ = 1, next_event_ = 0;
  std::uint32_t ceiling_ = 0; // what may be out: the size, or after shrinking what was out then and is not back
  std::size_t hot_ = 0;
  double samples_ = 0;
  bool clients_come_ = true;
};

} // namespace pg_edge::cluster::simulation
