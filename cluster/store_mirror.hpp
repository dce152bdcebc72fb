// A folder of the store as a node knows it: listed once, then kept by a watch, and listed again when that was lost or
// may have missed something. Pure: what it asks are values, what it hears comes in by calls. It exists for state
// machines that only read what others write.
//
//   unknown --(list answered)--> known, watched --(watch lost; now and then)--> listed again
#pragma once

#include "cluster/membership.hpp"
#include "cluster/store_question.hpp"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace pg_edge::cluster {

/// The questions of one state machine, each with a number of its own.
class question_list {
public:
  template <class What>
  std::uint64_t ask(What what) {
    store_question& made = open_.emplace_back();
    made.number = next_++;
    made.what = std::move(what);
    return made.number;
  }
  [[nodiscard]] std::vector<store_question> take() { return std::exchange(open_, {}); }

private:
  std::vector<store_question> open_;
  std::uint64_t next_ = 1;
};

class store_mirror {
public:
  struct entry {
    std::string value;
    store_revision revision = 0;
  };

  store_mirror(std::string prefix, question_list& questions) : prefix_(std::move(prefix)), questions_(questions) {}
  store_mirror(const store_mirror&) = delete;
  store_mirror& operator=(const store_mirror&) = delete;
  /// Its watch is given back.
  ~store_mirror();

  void look(node_time now);
  /// What is known is too old for somebody: list again.
  void renew(node_time now) { list_at_ = now; }
  void on_answer(node_time now, std::uint64_t question, const store_answer& answer);
  void on_event(node_time now, std::uint64_t watch, const store_event& event);

  [[nodiscard]] bool known() const { return known_; }
  /// Everything up to this revision is known.
  [[nodiscard]] store_revision as_of() const { return known_ ? as_of_ : 0; }
  /// By key behind the prefix.
  [[nodiscard]] const std::map<std::string, entry>& entries() const { return entries_; }
  [[nodiscard]] const entry* find(const std::string& key) const;
  [[nodiscard]] const std::string& prefix() const { return prefix_; }
  /// Grows with every change.
  [[nodiscard]] std::uint64_t changes() const { return changes_; }

private:
  std::string prefix_;
  question_list& questions_;
  std::map<std::string, entry> entries_;
  std::uint64_t list_ = 0, watch_ = 0; // questions; 0: none
  store_revision as_of_ = 0, before_list_ = 0;
  node_time list_at_{0};
  std::uint64_t changes_ = 0;
  bool known_ = false;
};

} // namespace pg_edge::cluster
