// Who is in the cluster, and until when a node may rely on being in it. The store decides (cluster/store.hpp): it is
// linearizable and counts leases; here is only what to ask it. Pure: time comes in as a number of the node's own steady
// clock; clocks of nodes are never compared.
//
//   cluster/nodes/NAME  this life of the node: a node_record, attached to the node's lease. The revision that created
//                       it is the life's incarnation, so incarnations are the store's, and grow.
//   cluster/view        the view: a view_record, without a lease. Any registered node that finds it to differ from the
//                       registered nodes changes it by compare-and-set: one view an epoch, whoever was first.
//   cluster/leaving/NAME  a node that is about to leave, under its lease: nothing more is placed on it.
//
//   lease   Kept alive all the time. It counts from the moment the keep-alive that was answered had been SENT, and for
//           lease_length() only, which is shorter than what the store counts by the margin that clocks may differ in.
//           What a node may only do as a member (open connections to Postgres) it does within its lease.
//
//   leasing --(granted)--> registering --(created)--> registered --(a view has this life)--> member
//      ^                       |                          |                                    |
//      '------(lease over by our own clock | the store says it is gone | our key or we in the view are gone)
//
//   registered --(leave(): nothing of it is left in Postgres)--> leaving --(the view is changed, or cannot be)--> left
//
// A member whose life ends so is fenced: take_fenced() tells the owner to let go of what it held. Nothing is waited for
// from the store in that: a node that cannot reach it fences itself in time.
#pragma once

#include "cluster/messages.hpp"
#include "cluster/store_question.hpp"

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
  available, // a node that does not reach the store goes on with the permits that it has
};

struct membership_settings {
  std::string root; // of the store's keys: store_root(cluster name)
  std::string name, address;
  std::chrono::milliseconds failure_timeout{2000};
  budget_rule budget = budget_rule::strict;
  std::string link{}; // where its links are; if it has any, it registers when they are open: link_is_open()
  std::uint32_t link_number = 0;
};

class membership {
public:
  enum class phase : std::uint8_t { leasing, registering, registered, leaving, left };
  /// A node that is registered in the store: what stands under cluster/nodes.
  struct registered_node {
    std::uint64_t incarnation = 0;
    node_record record;
  };

  membership(membership_settings settings, node_time now, std::uint64_t seed);

  /// Every tick_period() or so.
  void tick(node_time now);
  void on_answer(node_time now, std::uint64_t question, const store_answer& answer);
  void on_event(node_time now, std::uint64_t watch, const store_event& event);
  /// Before anything else is believed: a process that was stopped may find that its lease is over.
  void look_at_lease(node_time now);
  /// Others may open links from now on.
  void link_is_open() { link_open_ = true; }
  /// Let the others know that this node is about to leave.
  void announce_leaving(node_time now);
  /// This life ends by its own will, and Postgres has no backend of it any more: its lease is over with this call, and
  /// nobody need look for what it held. state() is `left` when that has been told, or cannot be.
  void leave(node_time now);
  /// This life ends by its own will: its lease is over with this call. What it held is looked for.
  void surrender(node_time now);

  [[nodiscard]] std::vector<store_question> take_questions();
  /// A life that was a member has ended since it was last asked: what it held is not this node's any more.
  [[nodiscard]] bool take_fenced();

  [[nodiscard]] const view& current() const { return view_; }
  /// 0 while there is no life.
  [[nodiscard]] std::uint64_t incarnation() const { return incarnation_; }
  /// This life's entry in the view; null while away.
  [[nodiscard]] const member* self() const;
  [[nodiscard]] phase state() const { return phase_; }
  /// Whatever needs membership is allowed before this time; 0 while away, endless with budget_rule::available.
  [[nodiscard]] node_time lease_end() const;
  /// The same without regard to the budget rule: until then no other node can have been given what is this one's.
  [[nodiscard]] node_time granted_until() const;
  [[nodiscard]] const std::map<std::string, registered_node>& registered() const { return nodes_; }
  /// It has said that it is about to leave.
  [[nodiscard]] bool is_leaving(const std::string& name) const { return leaving_nodes_.contains(name); }
  /// Grows whenever the view or what stands in the store of any node has changed.
  [[nodiscard]] std::uint64_t changes() const { return changes_; }
  /// What keeps this node from being a member, for people; empty: nothing.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] const membership_settings& settings() const { return settings_; }

  /// As the store counts: etcd has whole seconds, and none shorter than two.
  [[nodiscard]] std::chrono::milliseconds time_to_live() const;
  [[nodiscard]] std::chrono::milliseconds lease_length() const { return time_to_live() * 9 / 10; }
  [[nodiscard]] std::chrono::milliseconds tick_period() const { return settings_.failure_timeout / 40; }

private:
  enum class purpose : std::uint8_t { grant, keep_alive, create, list, change, mark, leave };
  struct open_question {
    purpose why = purpose::list;
    node_time sent{0};
    store_lease lease = 0;     // this node's by then
    store_revision newest = 0; // what had been seen of the store by then
    view next;                 // of a change
  };

  template <class What>
  std::uint64_t ask(What what);
  template <class What>
  void ask(node_time now, purpose why, What what);
  [[nodiscard]] bool asking(purpose why, node_time now) const;
  [[nodiscard]] std::string view_key() const;
  [[nodiscard]] std::string own_key() const;
  [[nodiscard]] std::string leaving_key() const;

  void on_granted(node_time now, const open_question& asked, const store_answer& answer);
  void on_kept_alive(node_time now, const open_question& asked, const store_answer& answer);
  void create(node_time now);
  void on_created(node_time now, const open_question& asked, const store_answer& answer);
  void on_listed(node_time now, const open_question& asked, const store_answer& answer);
  void take_entry(const std::string& key, const std::optional<std::string>& value, store_revision revision);
  void look_at_own_key(node_time now);
  void look_at_view(node_time now);
  void change(node_time now);
  void on_changed(node_time now, const open_question& asked, const store_answer& answer);
  [[nodiscard]] view next_view() const;
  [[nodiscard]] view view_without_self() const;
  void ask_to_leave(node_time now);
  void on_left(node_time now, const store_answer& answer);
  [[nodiscard]] std::size_t rank() const;
  void end_life(node_time now, std::string why);
  void retry(node_time now);
  std::uint64_t random(std::uint64_t below);

  membership_settings settings_;
  std::uint64_t random_;
  phase phase_ = phase::leasing;
  std::string problem_;
  std::map<std::uint64_t, open_question> open_;
  std::vector<store_question> questions_;
  std::uint64_t next_question_ = 1;

  // -- this life
  store_lease lease_ = 0;
  node_time lease_from_{0};          // the newest keep-alive that was answered, by when it was sent
  std::set<store_lease> old_leases_; // of lives of this process that are over
  store_revision expected_ = 0;      // of our key when it is created: such a life's may stand there
  std::uint64_t incarnation_ = 0;
  bool was_member_ = false; // this life has been in a view
  bool fenced_ = false;
  bool link_open_ = false;
  bool leaves_soon_ = false;
  store_lease marked_lease_ = 0; // the life that the others know to be about to leave
  node_time keep_alive_at_{0}, retry_at_{0};
  std::chrono::milliseconds pause_{0};

  // -- the store as this node knows it: what was listed at one revision, and every change since. Our own change of the
  // view may be known before those; the view's nodes are never behind the view that somebody else has made.
  std::map<std::string, registered_node> nodes_;
  std::set<std::string> leaving_nodes_;
  std::uint64_t changes_ = 0;
  view view_;
  store_revision view_revision_ = 0;
  bool view_readable_ = true;
  store_revision snapshot_ = 0; // everything of the two folders up to here is known
  store_revision newest_ = 0;   // that any answer or event has told of
  std::uint64_t watch_ = 0;     // 0: none
  node_time list_at_{0};
  std::optional<node_time> change_at_;
};

} // namespace pg_edge::cluster
