// One cluster takes over another's tenants: blue/green deployment. Both share one store under different names; each of
// their nodes runs this, and what they agree on is a record in the store (succession_record.hpp). Pure: what it asks of
// the store are values, time and what the process holds come in by calls.
//
//   from ("blue")                      the record                            to ("green")
//   serves                             (none)                                opens no server, its clients wait
//   serves, its objects stand still    sealing    <-- begin(), by a person   its objects stand still, too
//                                        | |  \-- abort(), or objects in the way: all as it was
//                                        | v
//   serves                             copying       every node of `from`    copies the objects
//                                        |           has heard of it
//                                        v
//   opens nothing, closes what ends,   moving        the objects are there   serves with what `from` has let go of,
//   relays its clients to `to`           |                                   database by database
//                                        v
//   relays its clients                 done          `from` has no server    serves
//
// - Before moving nothing has changed for anybody, and a take-over can be given up (sealing) or only goes on (copying).
// - The record is changed by compare-and-set, by any node of `to`: by the one that was asked at once, by the others
// when
//   nothing has happened for a while, so it goes on whichever of them dies.
// - `to` opens servers when every life of `from` that was registered before moving has said what it holds, and then
// only
//   as many as the pools' sizes leave. A life that ended before it said "nothing" is looked for in Postgres, as a dead
//   life of the own cluster is (pool_books). A life that registers later must know the record first: seen().
#pragma once

#include "cluster/store_mirror.hpp"
#include "cluster/succession_copy.hpp"
#include "cluster/succession_record.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pg_edge::cluster {

struct succession_settings {
  std::string cluster, node;
  std::string predecessor;  // as the settings have it: from the start this cluster waits for that one's pools
  node_time patience{3000}; // before a node does what another one had begun
};

class succession {
public:
  enum class role : std::uint8_t { alone, from, to };
  struct verdict {
    bool done = false;
    std::string text; // why not, or what has begun
  };
  /// A node of the other cluster that can be linked to.
  struct other_node {
    std::string name, link;
    std::uint32_t number = 0;
    bool leaving = false;
    friend bool operator==(const other_node&, const other_node&) = default;
  };
  /// For people.
  struct status {
    std::string role = "none"; // none, from, to
    std::string other;         // the other cluster
    succession_step step = succession_step::none;
    std::string by, detail, last;
    std::vector<std::string> waits_for; // nodes of `from`
    std::uint32_t held = 0;             // servers of `from`
  };

  succession(succession_settings settings, node_time now);

  void tick(node_time now);
  void on_answer(node_time now, std::uint64_t question, const store_answer& answer);
  void on_event(node_time now, std::uint64_t watch, const store_event& event);
  /// This process's life in its cluster (0: none now), and the servers that it has at this moment. `closed`: none can
  /// be added any more, since before they were counted. That is what gives_away() asks for.
  void note_own(node_time now, std::uint64_t incarnation, held_servers held, bool closed);
  /// A person's words. take_verdict() says what became of it.
  void begin(node_time now, const std::string& from, const std::string& by);
  void abort(node_time now, const std::string& by);

  [[nodiscard]] std::vector<store_question> take_questions() { return questions_.take(); }
  [[nodiscard]] std::optional<verdict> take_verdict() { return std::exchange(verdict_, std::nullopt); }

  [[nodiscard]] role own_role() const;
  [[nodiscard]] succession_step step() const { return record_ ? record_->step : succession_step::none; }
  /// The other cluster's name; empty: there is none.
  [[nodiscard]] const std::string& other() const { return other_name_; }
  /// This cluster opens no server any more, and its clients are served by the other one.
  [[nodiscard]] bool gives_away() const { return own_role() == role::from && step() >= succession_step::moving; }
  /// New clients are better off in the other cluster, or not here yet.
  [[nodiscard]] bool awaits() const { return waits_ || (own_role() == role::to && step() < succession_step::moving); }
  /// What this cluster's pools must do without; nothing: they may open no server at all.
  [[nodiscard]] std::optional<held_servers> withheld() const;
  /// Lives of the other cluster that have ended, and what they held nobody has said. Their id is 0.
  [[nodiscard]] std::vector<departed_member> dead_lives() const;
  [[nodiscard]] std::vector<other_node> other_nodes() const;
  /// The record is known up to this revision of the store.
  [[nodiscard]] store_revision seen() const { return own_.as_of(); }
  [[nodiscard]] status now() const;

private:
  enum class work : std::uint8_t { look_back, begin, abort, list_from, list_to, copy, advance, report };
  struct open_work {
    work what = work::report;
    std::uint64_t question = 0;
  };
  struct life {
    std::string name;
    std::uint64_t incarnation = 0;
  };

  void look(node_time now);
  void take_record(node_time now);
  void follow_other();
  void report(node_time now);
  void drive(node_time now);
  void ask_lists();
  void compare(node_time now);
  void copy(node_time now);
  void advance(succession_step to);
  void give_up(const std::string& why, const std::string& by);
  void commit(work what, std::vector<store_write> writes);
  void commit_begin();
  void took(node_time now, work what, const store_answer& answer);
  void answer_command(bool done, std::string text);
  static std::string listed(const std::vector<std::string>& names);
  [[nodiscard]] std::string objection(const std::string& from);
  [[nodiscard]] std::optional<succession_record> others_record() const;
  [[nodiscard]] store_revision moved_at() const;
  [[nodiscard]] store_revision reports_since() const;
  [[nodiscard]] std::vector<life> lives() const;
  [[nodiscard]] std::vector<std::string> unheard(succession_step step) const;
  [[nodiscard]] std::optional<held_report> report_of(const std::string& name, std::uint64_t incarnation) const;
  [[nodiscard]] std::optional<view> others_view() const;
  [[nodiscard]] std::string detail(const status& so_far) const;

  succession_settings settings_;
  question_list questions_;
  store_mirror own_; // <own root>succession/
  std::string other_name_;
  std::unique_ptr<store_mirror> other_, other_cluster_; // <other root>succession/, <other root>cluster/
  std::optional<succession_record> record_;
  store_revision record_revision_ = 0;
  bool waits_ = false; // for the predecessor in the settings, until the store says more
  // -- what is under way
  std::optional<open_work> open_;
  std::optional<verdict> verdict_;
  bool commanded_ = false;                                        // a verdict is owed
  std::optional<std::pair<store_revision, std::string>> done_at_; // ... when this much of the store is known here
  bool eager_ = false;                                            // this node was asked to take over
  std::string by_;
  node_time retry_at_{0}, changed_at_{0};
  std::uint64_t seen_changes_ = 0;
  std::vector<store_entry> from_objects_;
  std::vector<store_write> to_copy_;
  std::size_t copied_ = 0;
  // -- this process
  std::uint64_t incarnation_ = 0;
  held_servers held_;
  bool closed_ = false;
};

} // namespace pg_edge::cluster
