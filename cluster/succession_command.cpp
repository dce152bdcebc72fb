// A take-over and people: what they ask for, and what they are told of it.
#include "cluster/store_keys.hpp"
#include "cluster/succession.hpp"

#include <algorithm>

namespace pg_edge::cluster {

namespace {

constexpr std::string_view before_key = "before"; // what `from` was the successor of, should this be given up

} // namespace

std::string succession::listed(const std::vector<std::string>& names) {
  constexpr std::size_t most = 10;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), most); ++i)
    text += (i == 0 ? "" : ", ") + names[i];
  return names.size() > most ? text + " and " + std::to_string(names.size() - most) + " more" : text;
}

void succession::answer_command(bool done, std::string text) {
  if (std::exchange(commanded_, false)) verdict_ = verdict{done, std::move(text)};
}

/// Why it cannot begin; empty: it can, or goes on.
std::string succession::objection(const std::string& from) {
  const std::string& own = settings_.cluster;
  if (commanded_) return "this node is at work on an earlier command; ask again in a moment";
  if (!own_.known() || (other_ && (!other_->known() || !other_cluster_->known())))
    return "this node has not read the store yet; ask again in a moment";
  if (own_role() == role::from)
    return "cluster " + own + " is itself being taken over by " + record_->to +
           "; what goes on from there is begun on a node of " + record_->to;
  if (own_role() == role::to && record_->from != from)
    return "cluster " + own + " has taken over " + record_->from + " and takes over no second one";
  if (own_role() == role::to) return {};
  if (settings_.predecessor != from)
    return "cluster " + own + " does not wait for " + from + ": " +
           (settings_.predecessor.empty() ? "it serves its pools itself" : "it waits for " + settings_.predecessor) +
           "; start its nodes with succeeds = \"" + from + "\" in [cluster]";
  if (!other_cluster_->find("view")) return "the store knows no cluster " + from + " with listen in [cluster]";
  const auto theirs = others_record();
  if (theirs && !(theirs->to == from && theirs->step == succession_step::done))
    return "cluster " + from + " takes part in the take-over of " + theirs->from + " by " + theirs->to + " (" +
           std::string(to_string(theirs->step)) + ")";
  std::vector<std::string> unlinked;
  const auto linked = other_nodes();
  for (const life& one : lives())
    if (std::none_of(linked.begin(), linked.end(), [&](const other_node& there) { return there.name == one.name; }))
      unlinked.push_back(one.name);
  if (!unlinked.empty())
    return "without link_listen in [cluster] on " + listed(unlinked) + " of " + from +
           " its clients could not be brought here";
  return {};
}

void succession::begin(node_time now, const std::string& from, const std::string& by) {
  if (std::string why = objection(from); !why.empty()) {
    verdict_ = verdict{false, std::move(why)};
    return;
  }
  if (own_role() == role::to) {
    eager_ = true;
    verdict_ = verdict{true, step() == succession_step::done ? "cluster " + from + " is taken over"
                                                             : "the take-over of " + from + " goes on"};
    return look(now);
  }
  if (open_) {
    verdict_ = verdict{false, "this node is at work on something else; ask again in a moment"};
    return;
  }
  by_ = by;
  commanded_ = true;
  const auto theirs = others_record();
  if (!theirs) return commit_begin();
  open_ = open_work{work::look_back, questions_.ask(ask_list{store_root(theirs->from) + "cluster/nodes/"})};
}

void succession::commit_begin() {
  const std::string state(succession_state);
  const std::string text = to_text({succession_step::sealing, other_name_, settings_.cluster, 0, by_});
  const store_mirror::entry* theirs = other_->find(state);
  std::vector<store_write> writes{{own_.prefix() + state, text, store_revision{0}, 0, false},
                                  {own_.prefix() + std::string(succession_last), std::nullopt, std::nullopt, 0, false},
                                  {other_->prefix() + state, text, theirs != nullptr ? theirs->revision : 0, 0, false}};
  if (theirs != nullptr)
    writes.push_back({other_->prefix() + std::string(before_key), theirs->value, std::nullopt, 0, false});
  commit(work::begin, std::move(writes));
}

void succession::abort(node_time, const std::string& by) {
  if (commanded_ || open_) {
    verdict_ = verdict{false, "this node is at work on an earlier step; ask again in a moment"};
  } else if (own_role() != role::to || step() == succession_step::done) {
    verdict_ = verdict{false, "cluster " + settings_.cluster + " is not taking over another one"};
  } else if (step() != succession_step::sealing) {
    verdict_ = verdict{false, "it is too late: the take-over of " + record_->from + " is at \"" +
                                  std::string(to_string(step())) + "\" and can only be completed"};
  } else {
    commanded_ = true;
    give_up("a person said so", by);
  }
}

/// As it was before: nothing but the record has been written.
void succession::give_up(const std::string& why, const std::string& by) {
  const std::string state(succession_state), before(before_key);
  std::vector<store_write> writes{
      {own_.prefix() + state, std::nullopt, record_revision_, 0, false},
      {own_.prefix() + std::string(succession_last), "given up by " + by + ": " + why, std::nullopt, 0, false}};
  const store_mirror::entry* earlier = other_->find(before);
  writes.push_back({other_->prefix() + state, earlier != nullptr ? std::optional(earlier->value) : std::nullopt,
                    record_revision_, 0, false});
  if (earlier != nullptr) writes.push_back({other_->prefix() + before, std::nullopt, earlier->revision, 0, false});
  commit(work::abort, std::move(writes));
}

// -- for people ------------------------------------------------------------------------------------------------------

succession::status succession::now() const {
  status result;
  result.other = other_name_;
  result.step = step();
  if (const store_mirror::entry* last = own_.find(std::string(succession_last))) result.last = last->value;
  if (!record_) {
    result.role = waits_ ? "to" : "none";
    if (waits_) result.detail = "waits to be told to take over " + other_name_;
    return result;
  }
  result.by = record_->by;
  result.role = own_role() == role::from ? "from" : "to";
  if (own_role() == role::to && step() != succession_step::done) {
    result.waits_for = unheard(std::min(step(), succession_step::moving));
    if (const auto left = withheld())
      for (const auto& [name, count] : *left)
        result.held += count;
  } else if (gives_away()) {
    for (const auto& [name, count] : held_)
      result.held += count;
  }
  result.detail = detail(result);
  return result;
}

std::string succession::detail(const status& so_far) const {
  const bool takes = own_role() == role::to;
  switch (step()) {
  case succession_step::sealing:
  case succession_step::copying:
    if (takes && !so_far.waits_for.empty()) return "waits for " + listed(so_far.waits_for) + " to hear of it";
    return step() == succession_step::sealing ? "objects are compared" : "objects are copied";
  case succession_step::moving:
    if (!so_far.waits_for.empty()) return "waits for " + listed(so_far.waits_for) + " to let go of its pools";
    if (so_far.held > 0)
      return std::to_string(so_far.held) + " connections of " + record_->from +
             " to Postgres are still in use by transactions or sessions";
    return "pools move";
  case succession_step::done:
    return record_->to + " has taken over " + record_->from;
  default:
    return {};
  }
}

} // namespace pg_edge::cluster
