#include "cluster/membership.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace pg_edge::cluster {

namespace {

/// Ballots of different voters differ: the low bits are the voter's place among the seeds.
constexpr std::uint64_t ballots_a_round = 256;
constexpr node_time endless{std::numeric_limits<std::int64_t>::max()};

} // namespace

membership::membership(membership_settings settings, voter_memory kept, std::uint64_t incarnation, node_time now,
                       std::uint64_t seed)
    : settings_(std::move(settings)), memory_(std::move(kept)), incarnation_(incarnation), random_(seed | 1),
      last_tick_(now) {
  const auto place = std::find(settings_.seeds.begin(), settings_.seeds.end(), settings_.address);
  voter_ = place != settings_.seeds.end();
  voter_index_ = static_cast<std::uint32_t>(place - settings_.seeds.begin());
  newest_ballot_ = memory_.promised;
  // Every life that the voter knows of may have been answered by the one before the restart.
  for (const member& one : memory_.accepted.members)
    heard_[one.name] = {one.incarnation, now};
}

const member* membership::self() const {
  const member* found = find_member(view_, settings_.name);
  return found != nullptr && found->incarnation == incarnation_ && !leaving_ ? found : nullptr;
}

std::uint64_t membership::random(std::uint64_t below) { // xorshift
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_ % std::max<std::uint64_t>(below, 1);
}

// -- messages --------------------------------------------------------------------------------------------------------

std::vector<membership::outgoing> membership::take_outgoing() {
  return std::exchange(outgoing_, {});
}

bool membership::take_dirty() {
  return std::exchange(dirty_, false);
}

bool membership::take_fenced() {
  return std::exchange(fenced_, false);
}

void membership::send(const std::string& to, node_message what) {
  outgoing_.push_back({to, std::move(what)});
}

void membership::send_voters(const node_message& what) {
  for (const std::string& voter : settings_.seeds)
    send(voter, what);
}

void membership::on_message(node_time now, const node_message& what) {
  look_at_lease(now); // it may have been over before this came: a process that was stopped reads old words first
  std::visit([&](const auto& value) { on(now, value); }, what);
}

void membership::tick(node_time now) {
  forget_own_stall(now);
  look_at_lease(now);
  if (now >= next_heartbeat_ && !leaving_) send_heartbeats(now);
  if (!voter_) return;
  expire_silent(now);
  if (proposal_) return resend_proposal(now);
  if (!wants_change(now)) {
    propose_at_.reset();
  } else if (!propose_at_) { // the first voter of those that live does it; the others only if it does not
    const auto pause = settings_.failure_timeout / 20;
    propose_at_ = now + pause * static_cast<std::int64_t>(rank()) +
                  node_time(static_cast<std::int64_t>(random(static_cast<std::uint64_t>(pause.count()))));
  } else if (now >= *propose_at_) {
    propose(now);
  }
}

// -- the lease -------------------------------------------------------------------------------------------------------

void membership::send_heartbeats(node_time now) {
  next_heartbeat_ = now + settings_.failure_timeout / 20;
  send_voters(
      heartbeat{settings_.name, settings_.address, incarnation_, static_cast<std::uint64_t>(now.count()), view_.epoch});
}

void membership::on(node_time now, const heartbeat_answer& what) {
  if (what.incarnation != incarnation_ || leaving_) return;
  for (const view& newer : what.newer)
    install(now, 0, newer);
  if (what.incarnation != incarnation_) return; // that has ended this life
  if (what.granted) {
    given_up_by_.erase(what.voter);
    node_time& newest = answered_[what.voter];
    newest = std::max(newest, node_time(static_cast<std::int64_t>(what.sent_at)));
  } else if (what.expired) {
    given_up_by_.insert(what.voter);
    if (given_up_by_.size() >= majority()) fence(now);
  }
}

node_time membership::lease_end() const {
  if (settings_.budget == budget_rule::available && self() != nullptr) return endless;
  return majority_lease_end();
}

node_time membership::majority_lease_end() const {
  if (self() == nullptr) return node_time{0};
  std::vector<node_time> times;
  for (const auto& [voter, at] : answered_)
    times.push_back(at);
  if (times.size() < majority()) return node_time{0};
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(majority() - 1), times.end(),
                   std::greater<>());
  return times[majority() - 1] + lease_length();
}

/// Once its lease is over, a strict node lets go: others may have taken what it held.
void membership::look_at_lease(node_time now) {
  if (leaving_ || self() == nullptr || settings_.budget == budget_rule::available) return;
  const node_time end = lease_end();
  if (end > node_time{0} && now >= end) fence(now);
}

void membership::fence(node_time now) {
  fenced_ = true;
  ++incarnation_;
  was_member_ = false;
  answered_.clear();
  given_up_by_.clear();
  next_heartbeat_ = now;
}

void membership::surrender(node_time now) {
  if (leaving_) return;
  leaving_ = true;
  (void)now;
  send_voters(pg_edge::cluster::surrender{settings_.name, incarnation_});
}

// -- the voter: who is alive -----------------------------------------------------------------------------------------

bool membership::is_expired(const std::string& name, std::uint64_t incarnation) const {
  const auto found = memory_.expired.find(name);
  return found != memory_.expired.end() && found->second >= incarnation;
}

void membership::on(node_time now, const heartbeat& what) {
  if (!voter_) return;
  heartbeat_answer answer{settings_.address, what.incarnation, what.sent_at, false, false, view_.epoch, {}};
  if (what.epoch < view_.epoch) answer.newer.push_back(view_);
  if (is_expired(what.name, what.incarnation)) {
    answer.expired = true;
    return send(what.address, answer);
  }
  const member* known = find_member(memory_.accepted, what.name);
  if (known != nullptr && known->incarnation == what.incarnation) {
    heard_[what.name] = {what.incarnation, now};
    knocks_.erase(what.name);
    answer.granted = true;
  } else if (known == nullptr || what.incarnation > known->incarnation) {
    knocks_[what.name] = {what.incarnation, what.address, now};
  } else {
    answer.expired = true; // an older life than the one that is in
  }
  send(what.address, answer);
}

std::optional<node_time> membership::silence(const std::string& name, node_time now) const {
  const auto found = heard_.find(name);
  if (!voter_ || found == heard_.end()) return std::nullopt;
  return now - found->second.at;
}

/// A voter that was stopped itself has heard nobody, which says nothing about the others.
void membership::forget_own_stall(node_time now) {
  if (now - last_tick_ > settings_.failure_timeout / 4)
    for (auto& [name, word] : heard_)
      word.at = now;
  last_tick_ = now;
}

void membership::expire_silent(node_time now) {
  for (const member& one : memory_.accepted.members) {
    const auto [word, first] = heard_.try_emplace(one.name, last_word{one.incarnation, now});
    if (word->second.incarnation != one.incarnation) word->second = {one.incarnation, now};
    if (now - word->second.at > settings_.failure_timeout) expire(one.name, one.incarnation);
  }
}

void membership::expire(const std::string& name, std::uint64_t incarnation) {
  if (is_expired(name, incarnation)) return;
  memory_.expired[name] = incarnation;
  told_.erase(name);
  dirty_ = true;
}

void membership::on(node_time, const pg_edge::cluster::surrender& what) {
  if (!voter_) return;
  knocks_.erase(what.name);
  expire(what.name, what.incarnation);
}

// -- the voter: the register -----------------------------------------------------------------------------------------

void membership::on(node_time, const view_prepare& what) {
  if (!voter_) return;
  newest_ballot_ = std::max(newest_ballot_, what.ballot);
  view_promise answer{settings_.address, what.ballot, false, memory_.promised, 0, {}, {}};
  if (what.ballot >= memory_.promised) {
    if (what.ballot > memory_.promised) dirty_ = true;
    memory_.promised = what.ballot;
    answer.promised = true;
    answer.newest = what.ballot;
    answer.accepted_ballot = memory_.accepted_ballot;
    answer.accepted = memory_.accepted;
    for (const auto& [name, incarnation] : memory_.expired) {
      answer.expired.push_back({name, incarnation});
      told_[name] = what.ballot;
    }
  }
  send(what.voter, std::move(answer));
}

void membership::on(node_time, const view_accept& what) {
  if (!voter_) return;
  newest_ballot_ = std::max(newest_ballot_, what.ballot);
  view_accepted answer{settings_.address, what.ballot, false, memory_.promised};
  if (what.ballot >= memory_.promised) {
    memory_.promised = memory_.accepted_ballot = what.ballot;
    memory_.accepted = what.proposed;
    dirty_ = true;
    answer.accepted = true;
    answer.newest = what.ballot;
  }
  send(what.voter, std::move(answer));
}

void membership::on(node_time now, const view_chosen& what) {
  install(now, what.ballot, what.chosen);
}

/// A majority has accepted it.
void membership::install(node_time now, std::uint64_t ballot, const view& chosen) {
  if (voter_ && ballot > memory_.accepted_ballot && ballot >= memory_.promised) {
    memory_.promised = memory_.accepted_ballot = ballot;
    memory_.accepted = chosen;
    dirty_ = true;
  }
  // A later ballot has kept a life that only this voter had given up: no proposal that was told of that can win now.
  if (voter_ && ballot > 0)
    for (const member& one : chosen.members)
      if (is_expired(one.name, one.incarnation) && told_.contains(one.name) && told_[one.name] < ballot) {
        memory_.expired[one.name] = one.incarnation - 1;
        heard_[one.name] = {one.incarnation, now};
        dirty_ = true;
      }
  if (chosen.epoch <= view_.epoch) return;
  view_ = chosen;
  view_ballot_ = ballot;
  for (const member& one : view_.members)
    if (const auto at = knocks_.find(one.name); at != knocks_.end() && at->second.incarnation <= one.incarnation)
      knocks_.erase(at);
  if (has_member(view_, settings_.name, incarnation_))
    was_member_ = true;
  else if (was_member_ && !leaving_)
    fence(now);
}

// -- proposing -------------------------------------------------------------------------------------------------------

/// Its place among the voters that are not given up here.
std::size_t membership::rank() const {
  std::size_t before = 0;
  for (const std::string& voter : settings_.seeds) {
    if (voter == settings_.address) break;
    const auto at = std::find_if(memory_.accepted.members.begin(), memory_.accepted.members.end(),
                                 [&](const member& one) { return one.address == voter; });
    if (at != memory_.accepted.members.end() && !is_expired(at->name, at->incarnation)) ++before;
  }
  return before;
}

bool membership::wants_change(node_time now) const {
  if (memory_.accepted != view_) return true; // accepted here, and nobody has said that it was chosen
  for (const member& one : memory_.accepted.members)
    if (is_expired(one.name, one.incarnation)) return true;
  return std::any_of(knocks_.begin(), knocks_.end(), [&](const auto& one) {
    return now - one.second.at < settings_.failure_timeout && !is_expired(one.first, one.second.incarnation) &&
           find_member(memory_.accepted, one.first) == nullptr;
  });
}

void membership::propose(node_time now) {
  const std::uint64_t round = std::max(newest_ballot_, memory_.promised) / ballots_a_round + 1;
  proposal_ = proposal(); // clang 14 finds that emplace() cannot make one
  proposal_->ballot = round * ballots_a_round + voter_index_;
  newest_ballot_ = proposal_->ballot;
  propose_at_.reset();
  resend_proposal(now);
}

/// What was lost is said again; who has heard it already answers the same.
void membership::resend_proposal(node_time now) {
  if (now < proposal_->resend_at) return;
  proposal_->resend_at = now + settings_.failure_timeout / 5;
  if (proposal_->accepting)
    send_voters(view_accept{settings_.address, proposal_->ballot, proposal_->next});
  else
    send_voters(view_prepare{settings_.address, proposal_->ballot});
}

/// Somebody else is at it: look again a little later.
void membership::abandon_proposal(node_time now, std::uint64_t newest) {
  newest_ballot_ = std::max(newest_ballot_, newest);
  proposal_.reset();
  const auto pause = static_cast<std::uint64_t>((settings_.failure_timeout / 8).count());
  propose_at_ = now + node_time(static_cast<std::int64_t>(random(pause)));
}

void membership::on(node_time now, const view_promise& what) {
  if (!proposal_ || proposal_->accepting || what.ballot != proposal_->ballot) return;
  if (!what.promised) return abandon_proposal(now, what.newest);
  proposal_->promises[what.voter] = what;
  if (proposal_->promises.size() >= majority()) enough_promises(now);
}

void membership::enough_promises(node_time now) {
  const view_promise* newest = nullptr;
  for (const auto& [voter, promise] : proposal_->promises)
    if (newest == nullptr || promise.accepted_ballot > newest->accepted_ballot) newest = &promise;
  proposal_->next = next_view(newest->accepted, now);
  // A view that is as it was is proposed nevertheless: it may not have been chosen yet, and afterwards it is.
  proposal_->accepting = true;
  proposal_->resend_at = now;
  resend_proposal(now);
}

view membership::next_view(const view& base, node_time now) const {
  view next = base;
  const auto given_up = [&](const member& one) {
    std::size_t votes = 0;
    for (const auto& [voter, promise] : proposal_->promises)
      votes += static_cast<std::size_t>(
          std::any_of(promise.expired.begin(), promise.expired.end(), [&](const expired_life& life) {
            return life.name == one.name && life.incarnation >= one.incarnation;
          }));
    return votes >= majority();
  };
  for (const member& one : base.members)
    if (given_up(one)) {
      next.departed.push_back({one.id, one.name, one.incarnation});
      std::erase(next.members, one);
    }
  for (const auto& [name, who] : knocks_) {
    if (now - who.at >= settings_.failure_timeout || find_member(next, name) != nullptr) continue;
    if (is_expired(name, who.incarnation)) continue;
    std::set<node_id> taken;
    std::optional<node_id> own;
    bool over = false;
    for (const member& one : next.members)
      taken.insert(one.id);
    for (const departed_member& one : next.departed) {
      taken.insert(one.id);
      if (one.name != name) continue;
      own = one.id;
      over = over || one.incarnation >= who.incarnation;
    }
    node_id id = own.value_or(1);
    while (!own && taken.contains(id))
      ++id;
    if (over || id > max_node_id) continue;
    next.members.push_back({id, name, who.address, who.incarnation});
  }
  if (next.departed.size() > max_departed)
    next.departed.erase(next.departed.begin(), next.departed.end() - static_cast<std::ptrdiff_t>(max_departed));
  std::sort(next.members.begin(), next.members.end());
  if (next != base) ++next.epoch;
  return next;
}

void membership::on(node_time now, const view_accepted& what) {
  if (!proposal_ || !proposal_->accepting || what.ballot != proposal_->ballot) return;
  if (!what.accepted) return abandon_proposal(now, what.newest);
  proposal_->accepted.insert(what.voter);
  if (proposal_->accepted.size() < majority()) return;
  const view_chosen word{proposal_->ballot, proposal_->next};
  const view before = view_;
  proposal_.reset();
  std::set<std::string> to(settings_.seeds.begin(), settings_.seeds.end());
  for (const view* some : {&before, &word.chosen})
    for (const member& one : some->members)
      to.insert(one.address);
  to.erase(settings_.address);
  for (const std::string& address : to)
    send(address, word);
  install(now, word.ballot, word.chosen);
  // Nothing came of it (not enough voters agree that somebody is gone): not again at once.
  propose_at_ = now + settings_.failure_timeout / 10;
}

// -- disk ------------------------------------------------------------------------------------------------------------

namespace {
// The memory is kept as a promise is sent: one encoding for both.
constexpr std::string_view memory_mark = "pg_edge voter 1\n";
} // namespace

protocol::bytes encode(const voter_memory& what) {
  view_promise as{"", what.promised, true, what.promised, what.accepted_ballot, what.accepted, {}};
  for (const auto& [name, incarnation] : what.expired)
    as.expired.push_back({name, incarnation});
  return std::string(memory_mark) + encode(node_message(as));
}

std::optional<voter_memory> decode_voter_memory(protocol::bytes_view raw) {
  if (!raw.starts_with(memory_mark)) return std::nullopt;
  const decoded_message read = decode(raw.substr(memory_mark.size()));
  const auto* as = read.what ? std::get_if<view_promise>(&*read.what) : nullptr;
  if (as == nullptr) return std::nullopt;
  voter_memory result{as->ballot, as->accepted_ballot, as->accepted, {}};
  for (const expired_life& life : as->expired)
    result.expired[life.name] = life.incarnation;
  return result;
}

} // namespace pg_edge::cluster
