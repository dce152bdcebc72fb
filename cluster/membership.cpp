#include "cluster/membership.hpp"

#include "cluster/store_keys.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace pg_edge::cluster {

namespace {

constexpr node_time endless{std::numeric_limits<std::int64_t>::max()};
constexpr std::string_view folder = "cluster", nodes_folder = "cluster/nodes", leaving_folder = "cluster/leaving";
/// etcd grants no lease shorter than its elections last.
constexpr std::chrono::seconds least_time_to_live{2};

} // namespace

membership::membership(membership_settings settings, node_time now, std::uint64_t seed)
    : settings_(std::move(settings)), random_(seed | 1), retry_at_(now), list_at_(now) {}

std::chrono::milliseconds membership::time_to_live() const {
  return std::max<std::chrono::milliseconds>(std::chrono::ceil<std::chrono::seconds>(settings_.failure_timeout),
                                             least_time_to_live);
}

const member* membership::self() const {
  if (phase_ != phase::registered) return nullptr;
  const member* found = find_member(view_, settings_.name);
  return found != nullptr && found->incarnation == incarnation_ ? found : nullptr;
}

node_time membership::granted_until() const {
  return self() != nullptr ? lease_from_ + lease_length() : node_time{0};
}

node_time membership::lease_end() const {
  return settings_.budget == budget_rule::available && self() != nullptr ? endless : granted_until();
}

std::uint64_t membership::random(std::uint64_t below) { // xorshift
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_ % std::max<std::uint64_t>(below, 1);
}

// -- questions and answers -------------------------------------------------------------------------------------------

std::vector<store_question> membership::take_questions() {
  return std::exchange(questions_, {});
}

bool membership::take_fenced() {
  return std::exchange(fenced_, false);
}

std::string membership::view_key() const {
  return store_key(settings_.root, folder, {"view"});
}

std::string membership::own_key() const {
  return store_key(settings_.root, nodes_folder, {settings_.name});
}

std::string membership::leaving_key() const {
  return store_key(settings_.root, leaving_folder, {settings_.name});
}

template <class What>
std::uint64_t membership::ask(What what) {
  store_question& made = questions_.emplace_back();
  made.number = next_question_++;
  made.what = std::move(what);
  return made.number;
}

template <class What>
void membership::ask(node_time now, purpose why, What what) {
  open_question& made = open_[ask(std::move(what))];
  made.why = why;
  made.sent = now;
  made.lease = lease_;
  made.newest = newest_;
}

/// The answer is awaited. Each of these may be asked twice: one that takes too long is not waited for.
bool membership::asking(purpose why, node_time now) const {
  return std::any_of(open_.begin(), open_.end(), [&](const auto& one) {
    return one.second.why == why && now - one.second.sent < settings_.failure_timeout;
  });
}

void membership::on_answer(node_time now, std::uint64_t question, const store_answer& answer) {
  look_at_lease(now);
  const auto found = open_.find(question);
  if (found == open_.end()) return;
  const open_question asked = std::move(found->second);
  open_.erase(found);
  if (answer.ok()) newest_ = std::max(newest_, answer.revision);
  switch (asked.why) {
  case purpose::grant:
    return on_granted(now, asked, answer);
  case purpose::keep_alive:
    return on_kept_alive(now, asked, answer);
  case purpose::create:
    return on_created(now, asked, answer);
  case purpose::list:
    return on_listed(now, asked, answer);
  case purpose::change:
    return on_changed(now, asked, answer);
  case purpose::mark:
    if (answer.ok()) marked_lease_ = asked.lease;
    return;
  case purpose::leave:
    return on_left(now, answer);
  }
}

void membership::tick(node_time now) {
  look_at_lease(now);
  if (phase_ == phase::left) return;
  const bool ready = settings_.link.empty() || link_open_;
  if (!ready) problem_ = "the address of its links, " + settings_.link + ", is not open yet";
  if (phase_ == phase::leasing && ready && now >= retry_at_ && !asking(purpose::grant, now))
    ask(now, purpose::grant, ask_grant{time_to_live()});
  if (phase_ == phase::registering && now >= retry_at_ && !asking(purpose::create, now)) create(now);
  if (lease_ != 0 && now >= keep_alive_at_) {
    // Whether or not the last one was answered: one that is lost or slow must not cost the lease.
    keep_alive_at_ = now + time_to_live() / 8;
    ask(now, purpose::keep_alive, ask_keep_alive{lease_});
  }
  if (leaves_soon_ && phase_ == phase::registered && marked_lease_ != lease_ && !asking(purpose::mark, now))
    ask(now, purpose::mark, ask_commit{{store_write{leaving_key(), "", std::nullopt, lease_, false}}});
  if (now >= list_at_ && !asking(purpose::list, now)) ask(now, purpose::list, ask_list{settings_.root + "cluster/"});
  if (phase_ == phase::leaving && now >= retry_at_ && !asking(purpose::leave, now) && !asking(purpose::list, now))
    ask_to_leave(now);
  look_at_view(now);
}

/// Not at once again what has just failed.
void membership::retry(node_time now) {
  pause_ = std::clamp(pause_ * 2, settings_.failure_timeout / 20, settings_.failure_timeout / 2);
  retry_at_ = now + pause_ + node_time(static_cast<std::int64_t>(random(static_cast<std::uint64_t>(pause_.count()))));
}

// -- this life -------------------------------------------------------------------------------------------------------

void membership::on_granted(node_time now, const open_question& asked, const store_answer& answer) {
  if (phase_ != phase::leasing) return; // of two questions the other was answered first: this lease is left to end
  if (!answer.ok()) {
    problem_ = "the store grants no lease: " + answer.why;
    return retry(now);
  }
  phase_ = phase::registering;
  lease_ = answer.lease;
  lease_from_ = asked.sent;
  keep_alive_at_ = now;
  expected_ = 0;
  pause_ = node_time{0};
  create(now);
}

void membership::on_kept_alive(node_time now, const open_question& asked, const store_answer& answer) {
  if (asked.lease != lease_ || lease_ == 0) return;
  if (answer.ok())
    lease_from_ = std::max(lease_from_, asked.sent);
  else if (answer.outcome == store_outcome::conflict)
    end_life(now, "the store has ended this node's lease");
}

void membership::create(node_time now) {
  const node_record record{settings_.address, message_version, settings_.link, settings_.link_number};
  ask(now, purpose::create, ask_commit{{store_write{own_key(), encode(record), expected_, lease_, false}}});
}

void membership::on_created(node_time now, const open_question& asked, const store_answer& answer) {
  if (phase_ != phase::registering || asked.lease != lease_) return;
  const store_entry* standing = answer.entries.empty() ? nullptr : &answer.entries.front();
  const bool conflict = answer.outcome == store_outcome::conflict;
  const bool ours = conflict && standing != nullptr && standing->lease == lease_; // one whose outcome was unknown
  if (!answer.ok() && !ours) {
    expected_ = 0;
    if (!conflict) {
      problem_ = "the store does not register this node: " + answer.why;
    } else if (standing != nullptr && old_leases_.contains(standing->lease)) {
      expected_ = standing->revision; // of a life of this process that is over: nobody need wait for the lease's end
      return create(now);
    } else if (standing != nullptr) {
      problem_ = "another process is registered as node \"" + settings_.name +
                 "\"; if it was an earlier one of this node, its lease ends within " +
                 std::to_string(time_to_live().count() / 1000) + " s, else give each its own [cluster] node";
    }
    return retry(now);
  }
  phase_ = phase::registered;
  incarnation_ = ours ? standing->revision : answer.revision;
  problem_.clear();
  pause_ = node_time{0};
  list_at_ = now; // what follows from it need not wait for the watch
}

/// Once its lease is over, a strict node lets go: others may be given what it held.
void membership::look_at_lease(node_time now) {
  if (lease_ == 0 || settings_.budget == budget_rule::available) return;
  if (now >= lease_from_ + lease_length()) end_life(now, "the store has not prolonged this node's lease in time");
}

void membership::end_life(node_time now, std::string why) {
  if (phase_ == phase::leaving) return surrender(now);
  if (lease_ != 0) {
    old_leases_.insert(lease_);
    ask(ask_revoke{lease_}); // if it is heard, the others need not wait
  }
  if (std::exchange(was_member_, false)) fenced_ = true;
  phase_ = phase::leasing;
  lease_ = 0;
  incarnation_ = 0;
  problem_ = std::move(why);
  retry_at_ = now;
}

void membership::surrender(node_time) {
  if (phase_ == phase::left) return;
  if (lease_ != 0) ask(ask_revoke{lease_});
  phase_ = phase::left;
  lease_ = 0;
  incarnation_ = 0;
  was_member_ = false;
}

void membership::announce_leaving(node_time now) {
  leaves_soon_ = true;
  tick(now);
}

void membership::leave(node_time now) {
  if (self() == nullptr) return surrender(now);
  phase_ = phase::leaving;
  was_member_ = false;
  retry_at_ = now;
  ask_to_leave(now);
}

void membership::ask_to_leave(node_time now) {
  if (!has_member(view_, settings_.name, incarnation_)) return surrender(now); // it has been given up meanwhile
  ask(now, purpose::leave,
      ask_commit{{store_write{view_key(), encode(view_record{view_without_self()}), view_revision_, 0, false},
                  store_write{own_key(), std::nullopt, incarnation_, 0, false}}});
}

void membership::on_left(node_time now, const store_answer& answer) {
  if (phase_ != phase::leaving) return;
  if (answer.outcome != store_outcome::conflict) return surrender(now); // it is done, or cannot be said to be
  list_at_ = now;                                                       // somebody else has changed the view: once more
  retry_at_ = now + settings_.failure_timeout / 40;
}

/// Nothing that it held is to be looked for.
view membership::view_without_self() const {
  view next = next_view();
  if (const member* own = find_member(next, settings_.name)) {
    const departed_member kept{own->id, own->name, left_clean};
    std::erase(next.members, *own);
    std::erase(next.departed, kept);
    next.departed.push_back(kept);
  }
  if (next.departed.size() > max_departed) next.departed.erase(next.departed.begin());
  next.epoch = view_.epoch + 1;
  return next;
}

// -- the store as this node knows it ---------------------------------------------------------------------------------

void membership::on_listed(node_time now, const open_question& asked, const store_answer& answer) {
  if (!answer.ok()) {
    list_at_ = std::max(list_at_, now + settings_.failure_timeout / 8);
    return;
  }
  const bool went_back = answer.revision < asked.newest; // it was restored from a backup, or founded anew
  if (!went_back && answer.revision < std::max(snapshot_, view_revision_)) return; // overtaken by events
  list_at_ = now + settings_.failure_timeout * 2; // should the watch have missed something
  if (went_back) {
    if (lease_ != 0) end_life(now, "the store has gone back to an earlier state");
    newest_ = answer.revision;
    view_ = {};
    view_revision_ = 0;
    if (watch_ != 0) ask(ask_unwatch{watch_});
    watch_ = 0;
  }
  nodes_.clear();
  leaving_nodes_.clear();
  ++changes_;
  snapshot_ = answer.revision;
  for (const store_entry& one : answer.entries)
    take_entry(one.key, one.value, one.revision);
  if (watch_ == 0 && phase_ != phase::left) watch_ = ask(ask_watch{settings_.root + "cluster/", snapshot_});
  look_at_own_key(now);
  look_at_view(now);
}

void membership::on_event(node_time now, std::uint64_t watch, const store_event& event) {
  look_at_lease(now);
  if (watch != watch_) return;
  if (event.lost) {
    watch_ = 0;
    list_at_ = now;
    return;
  }
  newest_ = std::max(newest_, event.revision);
  if (event.revision <= snapshot_) return;
  snapshot_ = event.revision;
  for (const store_change& one : event.changes)
    take_entry(one.key, one.value, event.revision);
  look_at_own_key(now);
  look_at_view(now);
}

void membership::take_entry(const std::string& key, const std::optional<std::string>& value, store_revision revision) {
  ++changes_;
  if (key == view_key()) {
    if (revision <= view_revision_) return; // its own change has told it that already
    const auto record = value ? decode_record<view_record>(*value) : std::nullopt;
    view_readable_ = record.has_value();
    if (!record) {
      problem_ = "the view that the store keeps under " + key + " cannot be read";
      return;
    }
    view_ = record->now;
    view_revision_ = revision;
    return;
  }
  if (const auto leaving = names_of_key(settings_.root, leaving_folder, key); leaving && leaving->size() == 1) {
    if (value)
      leaving_nodes_.insert(leaving->front());
    else
      leaving_nodes_.erase(leaving->front());
    return;
  }
  const auto names = names_of_key(settings_.root, nodes_folder, key);
  if (!names || names->size() != 1) return;
  const auto record = value ? decode_record<node_record>(*value) : std::nullopt;
  if (record)
    nodes_[names->front()] = {revision, *record};
  else
    nodes_.erase(names->front());
}

void membership::look_at_own_key(node_time now) {
  if (phase_ != phase::registered || snapshot_ < incarnation_) return;
  const auto found = nodes_.find(settings_.name);
  if (found == nodes_.end() || found->second.incarnation != incarnation_)
    end_life(now, "the store has given this node up");
}

// -- the view --------------------------------------------------------------------------------------------------------

/// Which of the registered nodes it is, by name: the first changes the view, the others only if it does not.
std::size_t membership::rank() const {
  return static_cast<std::size_t>(std::distance(nodes_.begin(), nodes_.find(settings_.name)));
}

void membership::look_at_view(node_time now) {
  if (self() != nullptr)
    was_member_ = true;
  else if (was_member_)
    end_life(now, "the other nodes have given this node up");
  if (phase_ != phase::registered || !nodes_.contains(settings_.name) || !view_readable_ || next_view() == view_) {
    change_at_.reset();
    return;
  }
  if (asking(purpose::change, now)) return;
  if (!change_at_) {
    const auto pause = settings_.failure_timeout / 20;
    const auto jitter = node_time(static_cast<std::int64_t>(random(static_cast<std::uint64_t>(pause.count()))));
    change_at_ = rank() == 0 ? now : now + pause * static_cast<std::int64_t>(rank()) + jitter;
  }
  if (now >= *change_at_) change(now);
}

void membership::change(node_time now) {
  change_at_.reset();
  view next = next_view();
  // The view as it is known here, and a life that the store still knows: else nothing is written.
  ask(now, purpose::change,
      ask_commit{{store_write{view_key(), encode(view_record{next}), view_revision_, 0, false},
                  store_write{own_key(), std::nullopt, incarnation_, 0, true}}});
  open_.rbegin()->second.next = std::move(next);
}

void membership::on_changed(node_time now, const open_question& asked, const store_answer& answer) {
  if (answer.ok() && answer.revision > view_revision_) {
    view_ = asked.next;
    view_revision_ = answer.revision;
    ++changes_;
  } else if (!answer.ok()) { // somebody was faster, or the outcome is unknown: look again before the next try
    list_at_ = now;
    change_at_ = now + settings_.failure_timeout / 10 +
                 node_time(static_cast<std::int64_t>(
                     random(static_cast<std::uint64_t>((settings_.failure_timeout / 10).count()))));
  }
  look_at_view(now);
}

view membership::next_view() const {
  view next = view_;
  for (const member& one : view_.members)
    if (const auto found = nodes_.find(one.name);
        found == nodes_.end() || found->second.incarnation != one.incarnation) {
      next.departed.push_back({one.id, one.name, one.incarnation});
      std::erase(next.members, one);
    }
  for (const auto& [name, who] : nodes_) {
    if (find_member(next, name) != nullptr) continue;
    std::set<node_id> taken;
    std::optional<node_id> own;
    for (const member& one : next.members)
      taken.insert(one.id);
    for (const departed_member& one : next.departed) {
      taken.insert(one.id);
      if (one.name == name) own = one.id;
    }
    node_id id = own.value_or(1);
    while (!own && taken.contains(id))
      ++id;
    if (id <= max_node_id) next.members.push_back({id, name, who.record.address, who.incarnation});
  }
  if (next.departed.size() > max_departed)
    next.departed.erase(next.departed.begin(), next.departed.end() - static_cast<std::ptrdiff_t>(max_departed));
  std::sort(next.members.begin(), next.members.end());
  if (next != view_) ++next.epoch;
  return next;
}

} // namespace pg_edge::cluster
