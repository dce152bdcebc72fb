#include "cluster/succession.hpp"

#include "cluster/store_keys.hpp"

#include <algorithm>

namespace pg_edge::cluster {

namespace {

constexpr node_time retry_pause{200};

} // namespace

succession::succession(succession_settings settings, node_time now)
    : settings_(std::move(settings)), own_(store_root(settings_.cluster) + std::string(succession_folder), questions_),
      waits_(!settings_.predecessor.empty()), changed_at_(now) {
  follow_other();
}

succession::role succession::own_role() const {
  if (!record_) return role::alone;
  return record_->from == settings_.cluster ? role::from : role::to;
}

// -- what comes in ---------------------------------------------------------------------------------------------------

void succession::tick(node_time now) {
  look(now);
}

void succession::on_answer(node_time now, std::uint64_t question, const store_answer& answer) {
  for (store_mirror* one : {&own_, other_.get(), other_cluster_.get()})
    if (one != nullptr) one->on_answer(now, question, answer);
  if (open_ && open_->question == question) {
    const work what = open_->what;
    open_.reset();
    took(now, what, answer);
  }
  look(now);
}

void succession::on_event(node_time now, std::uint64_t watch, const store_event& event) {
  for (store_mirror* one : {&own_, other_.get(), other_cluster_.get()})
    if (one != nullptr) one->on_event(now, watch, event);
  look(now);
}

void succession::note_own(node_time now, std::uint64_t incarnation, held_servers held, bool closed) {
  incarnation_ = incarnation;
  closed_ = closed;
  held_ = std::move(held);
  if (incarnation_ > own_.as_of()) own_.renew(now);
  look(now);
}

/// Behind every event: what the store says now, and what follows from it.
void succession::look(node_time now) {
  own_.look(now);
  take_record(now);
  if (done_at_ && own_.as_of() >= done_at_->first) answer_command(true, std::exchange(done_at_, std::nullopt)->second);
  follow_other();
  if (other_) other_->look(now);
  if (other_cluster_) other_cluster_->look(now);
  const std::uint64_t changes =
      own_.changes() + (other_ ? other_->changes() : 0) + (other_cluster_ ? other_cluster_->changes() : 0);
  if (std::exchange(seen_changes_, changes) != changes) changed_at_ = now;
  if (open_ || now < retry_at_) return;
  if (own_role() == role::from) report(now);
  if (own_role() == role::to) drive(now);
}

void succession::take_record(node_time now) {
  if (!own_.known()) return;
  const store_mirror::entry* there = own_.find(std::string(succession_state));
  if (there != nullptr && there->revision == record_revision_) return;
  if (there == nullptr && !record_) {
    waits_ = !settings_.predecessor.empty();
    return;
  }
  record_ = there != nullptr ? parse_succession_record(there->value) : std::nullopt;
  if (record_ && record_->from != settings_.cluster && record_->to != settings_.cluster) record_.reset();
  record_revision_ = there != nullptr ? there->revision : 0;
  changed_at_ = now;
  if (!record_ || step() == succession_step::done) eager_ = false;
  waits_ = !settings_.predecessor.empty() && !record_;
}

void succession::follow_other() {
  const std::string name = own_role() == role::from ? record_->to
                           : own_role() == role::to ? record_->from
                                                    : settings_.predecessor;
  if (name == other_name_) return;
  other_name_ = name;
  other_.reset();
  other_cluster_.reset();
  if (name.empty()) return;
  other_ = std::make_unique<store_mirror>(store_root(name) + std::string(succession_folder), questions_);
  other_cluster_ = std::make_unique<store_mirror>(store_root(name) + "cluster/", questions_);
}

// -- as a node of the cluster that gives -----------------------------------------------------------------------------

/// Only for as long as the record is the one that it answers to.
void succession::report(node_time) {
  if (incarnation_ == 0 || (gives_away() && !closed_)) return;
  held_report now{step(), incarnation_, {}};
  if (gives_away()) now.held = held_;
  const std::string key = std::string(succession_held) + key_part(settings_.node), text = to_text(now);
  const store_mirror::entry* there = own_.find(key);
  if (there != nullptr && there->value == text && there->revision > reports_since()) return;
  commit(work::report, {{own_.prefix() + key, text, std::nullopt, 0, false},
                        {own_.prefix() + std::string(succession_state), std::nullopt, record_revision_, 0, true}});
}

// -- as a node of the cluster that takes over ------------------------------------------------------------------------

void succession::drive(node_time now) {
  if (step() == succession_step::done || !other_->known() || !other_cluster_->known()) return;
  if (!eager_ && now - changed_at_ < settings_.patience) return;
  switch (step()) {
  case succession_step::sealing:
    if (unheard(succession_step::sealing).empty()) ask_lists();
    break;
  case succession_step::copying:
    if (to_copy_.empty())
      ask_lists();
    else
      copy(now);
    break;
  case succession_step::moving: {
    const auto left = withheld();
    if (left && left->empty()) advance(succession_step::done);
    break;
  }
  default:
    break;
  }
}

void succession::ask_lists() {
  open_ = open_work{work::list_from, questions_.ask(ask_list{store_root(other_name_)})};
}

void succession::compare(node_time now) {
  if (step() == succession_step::sealing) return advance(succession_step::copying);
  if (to_copy_.empty()) return advance(succession_step::moving);
  copy(now);
}

/// Never after the record has changed: who was stopped in between writes nothing any more.
void succession::copy(node_time) {
  auto batch = take_batch(to_copy_, 1);
  copied_ += batch.size();
  batch.push_back({own_.prefix() + std::string(succession_state), std::nullopt, record_revision_, 0, true});
  commit(work::copy, std::move(batch));
}

void succession::advance(succession_step to) {
  succession_record next = *record_;
  next.step = to;
  if (to == succession_step::done) next.moved = record_revision_;
  const std::string text = to_text(next), state(succession_state);
  commit(work::advance, {{own_.prefix() + state, text, record_revision_, 0, false},
                         {other_->prefix() + state, text, record_revision_, 0, false}});
}

void succession::commit(work what, std::vector<store_write> writes) {
  open_ = open_work{what, questions_.ask(ask_commit{std::move(writes)})};
}

// -- what came of it -------------------------------------------------------------------------------------------------

void succession::took(node_time now, work what, const store_answer& answer) {
  if (!answer.ok()) {
    retry_at_ = now + retry_pause;
    own_.renew(now);
    to_copy_.clear(); // nobody can say what is there by now
    if (answer.outcome == store_outcome::conflict)
      answer_command(false, "somebody else has changed it meanwhile; look at where it stands, and ask again");
    else
      answer_command(false, "the store does not answer (" + answer.why +
                                "), so whether it was done is unknown; look "
                                "at where it stands, and ask again");
    return;
  }
  switch (what) {
  case work::look_back:
    if (answer.entries.empty()) return commit_begin();
    return answer_command(false, "nodes of " + others_record().value_or(succession_record{}).from +
                                     " still bring clients to " + other_name_ + "; end them first");
  case work::begin:
    eager_ = true;
    own_.renew(now);
    if (commanded_) done_at_ = {answer.revision, "the take-over of " + other_name_ + " has begun"};
    return;
  case work::abort:
    eager_ = false;
    own_.renew(now);
    if (commanded_) done_at_ = {answer.revision, "the take-over was given up: both clusters are as they were"};
    return;
  case work::list_from:
    from_objects_ = answer.entries;
    open_ = open_work{work::list_to, questions_.ask(ask_list{store_root(settings_.cluster)})};
    return;
  case work::list_to: {
    object_copy found = compare_objects(std::exchange(from_objects_, {}), store_root(other_name_), answer.entries,
                                        store_root(settings_.cluster));
    if (own_role() != role::to) return;
    if (step() == succession_step::sealing && !found.conflicts.empty())
      return give_up(listed(found.conflicts) + " stand" + (found.conflicts.size() == 1 ? "s" : "") +
                         " in both clusters with other content; remove one of each",
                     settings_.node);
    to_copy_ = std::move(found.missing);
    if (step() <= succession_step::copying) compare(now);
    return;
  }
  case work::copy:
    if (to_copy_.empty() && step() == succession_step::copying) advance(succession_step::moving);
    return;
  case work::advance:
  case work::report:
    own_.renew(now);
    return;
  }
}

} // namespace pg_edge::cluster
