// Who is in the cluster, agreed on by a majority of the voters, and until when a node may rely on being in it. Pure:
// time comes in as a number of the node's own steady clock; clocks of nodes are never compared.
//
// The seeds are the voters: a static list that all nodes share, so that two halves can never both have a majority.
//
//   lease   A node sends heartbeats to every voter. An answer means: this voter will not give that life of the node up
//           before failure_timeout has passed. When a majority has answered what was sent at time t, the node's lease
//           lasts until t + lease_length(), which is shorter than failure_timeout by the margin that clocks may differ
//           in. What it may only do as a member (open connections to Postgres) it does within its lease.
//   death   A voter that has not answered a life for failure_timeout may expire it: it never answers that life again,
//           keeps that on disk, and tells whoever prepares a view. Expired at a majority, the life's lease has ended.
//   view    One register, changed by a majority in two rounds (prepare, accept) under a ballot, so changes are one
//           after the other whatever is lost, repeated or late: at most one view an epoch. Voters propose: members that
//           are expired at a majority leave, nodes that knock come in.
//
//   away --(a view has this life)--> member --(lease over, or given up by a majority, or not in the view)--> fenced:
//   a larger incarnation begins, away again, and take_fenced() tells the owner to let go of what the old one held
#pragma once

#include "cluster/messages.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace pg_edge::cluster {

/// By the steady clock of this node.
using node_time = std::chrono::milliseconds;

enum class budget_rule : std::uint8_t {
  strict,    // permits hang on the lease
  available, // a node without a majority goes on with the permits that it has
};

struct membership_settings {
  std::string name, address;
  std::vector<std::string> seeds; // sorted, without doubles
  std::chrono::milliseconds failure_timeout{2000};
  budget_rule budget = budget_rule::strict;
};

/// What a voter must not forget. Written to disk before anything of take_outgoing() is sent.
struct voter_memory {
  std::uint64_t promised = 0;
  std::uint64_t accepted_ballot = 0;
  view accepted;
  std::map<std::string, std::uint64_t> expired; // by name: this incarnation and all before it
  friend bool operator==(const voter_memory&, const voter_memory&) = default;
};
[[nodiscard]] protocol::bytes encode(const voter_memory& what);
[[nodiscard]] std::optional<voter_memory> decode_voter_memory(protocol::bytes_view raw);

class membership {
public:
  struct outgoing {
    std::string to; // an address
    node_message what;
  };

  membership(membership_settings settings, voter_memory kept, std::uint64_t incarnation, node_time now,
             std::uint64_t seed);

  /// Any of the messages of membership; others are not for it and change nothing.
  void on_message(node_time now, const node_message& what);
  /// Every tick_period() or so.
  void tick(node_time now);
  /// This life ends by its own will: its lease is over with this call.
  void surrender(node_time now);

  [[nodiscard]] std::vector<outgoing> take_outgoing();
  /// The voter's memory has changed since it was last asked.
  [[nodiscard]] bool take_dirty();
  /// A life has ended since it was last asked: what it held is not this node's any more.
  [[nodiscard]] bool take_fenced();

  [[nodiscard]] const view& current() const { return view_; }
  [[nodiscard]] std::uint64_t incarnation() const { return incarnation_; }
  /// This life's entry in the view; null while away.
  [[nodiscard]] const member* self() const;
  [[nodiscard]] bool voter() const { return voter_; }
  [[nodiscard]] const voter_memory& memory() const { return memory_; }
  /// Whatever needs membership is allowed before this time; 0 while away, endless with budget_rule::available.
  [[nodiscard]] node_time lease_end() const;
  /// The same without regard to the budget rule: until then no other node can have been given what is this one's.
  [[nodiscard]] node_time majority_lease_end() const;
  /// As this voter sees it: how long it has not heard of a member; nothing if it does not listen.
  [[nodiscard]] std::optional<node_time> silence(const std::string& name, node_time now) const;
  [[nodiscard]] const membership_settings& settings() const { return settings_; }

  [[nodiscard]] std::chrono::milliseconds lease_length() const { return settings_.failure_timeout * 4 / 5; }
  [[nodiscard]] std::chrono::milliseconds tick_period() const { return settings_.failure_timeout / 40; }
  [[nodiscard]] std::size_t majority() const { return settings_.seeds.size() / 2 + 1; }

private:
  struct last_word {
    std::uint64_t incarnation = 0;
    node_time at{0};
  };
  struct knock {
    std::uint64_t incarnation = 0;
    std::string address;
    node_time at{0};
  };
  struct proposal {
    std::uint64_t ballot = 0;
    bool accepting = false; // the second round
    view next;
    std::map<std::string, view_promise> promises;
    std::set<std::string> accepted;
    node_time resend_at{0};
  };

  void on(node_time now, const heartbeat& what);
  void on(node_time now, const heartbeat_answer& what);
  void on(node_time now, const pg_edge::cluster::surrender& what);
  void on(node_time now, const view_prepare& what);
  void on(node_time now, const view_promise& what);
  void on(node_time now, const view_accept& what);
  void on(node_time now, const view_accepted& what);
  void on(node_time now, const view_chosen& what);
  template <class Other>
  void on(node_time, const Other&) {}

  void send(const std::string& to, node_message what);
  void send_voters(const node_message& what);
  void send_heartbeats(node_time now);
  void forget_own_stall(node_time now);
  void expire_silent(node_time now);
  void expire(const std::string& name, std::uint64_t incarnation);
  [[nodiscard]] bool is_expired(const std::string& name, std::uint64_t incarnation) const;
  [[nodiscard]] bool wants_change(node_time now) const;
  [[nodiscard]] std::size_t rank() const;
  void propose(node_time now);
  void resend_proposal(node_time now);
  void abandon_proposal(node_time now, std::uint64_t newest);
  void enough_promises(node_time now);
  [[nodiscard]] view next_view(const view& base, node_time now) const;
  void install(node_time now, std::uint64_t ballot, const view& chosen);
  void look_at_lease(node_time now);
  void fence(node_time now);
  std::uint64_t random(std::uint64_t below);

  membership_settings settings_;
  voter_memory memory_;
  std::uint64_t incarnation_;
  std::uint64_t random_;
  bool voter_ = false;
  std::uint32_t voter_index_ = 0;
  view view_;
  std::uint64_t view_ballot_ = 0;
  bool was_member_ = false; // this life has been in a view
  bool leaving_ = false;
  bool dirty_ = false, fenced_ = false;

  std::map<std::string, node_time> answered_; // by voter: the newest heartbeat it has answered, by when it was sent
  std::set<std::string> given_up_by_;         // voters
  node_time next_heartbeat_{0}, last_tick_{0};
  std::uint64_t newest_ballot_ = 0; // that this node has heard of

  std::map<std::string, last_word> heard_;    // voters: members that were answered
  std::map<std::string, std::uint64_t> told_; // the ballot promised when an expiry was last told
  std::map<std::string, knock> knocks_;       // nodes that want to come in
  std::optional<proposal> proposal_;
  std::optional<node_time> propose_at_;
  std::vector<outgoing> outgoing_;
};

} // namespace pg_edge::cluster
