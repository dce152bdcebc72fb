#include "cluster/node_core.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace pg_edge::cluster {

node_core::node_core(membership_settings settings, node_time now, std::uint64_t seed, pool_sizes sizes)
    : members_(std::move(settings), now, seed), sizes_(std::move(sizes)) {}

// -- words -----------------------------------------------------------------------------------------------------------

void node_core::send(node_id to, node_message what) {
  const member* own = members_.self();
  if (own == nullptr) return;
  if (own->id == to)
    to_self_.push_back(std::move(what));
  else if (const member* other = find_member(members_.current(), to))
    outgoing_.push_back({other->address, own->incarnation, std::move(what)});
}

void node_core::send(const std::vector<pool_books::outgoing>& words) {
  for (const pool_books::outgoing& one : words)
    send(one.to, one.what);
}

/// What this node says to itself is heard at once, after what was said before.
void node_core::deliver_own(node_time now) {
  while (!to_self_.empty())
    for (const node_message& one : std::exchange(to_self_, {}))
      take(now, one);
}

std::vector<node_core::outgoing> node_core::take_outgoing() {
  return std::exchange(outgoing_, {});
}

std::vector<node_core::local_order> node_core::take_orders() {
  return std::exchange(orders_, {});
}

bool node_core::take_fenced() {
  return std::exchange(fenced_, false);
}

// -- events ----------------------------------------------------------------------------------------------------------

void node_core::tick(node_time now) {
  members_.tick(now);
  look_at_view(now);
  if (now >= repeat_at_ && members_.self() != nullptr) {
    repeat_at_ = now + members_.settings().failure_timeout / 8;
    for (auto& [key, agent] : agents_)
      if (!agent.known(members_.current().epoch)) tell_steward(agent);
    for (auto& [key, books] : books_) {
      send(books.ask_again());
      granted_ += books.take_granted();
    }
  }
  deliver_own(now);
}

void node_core::on_answer(node_time now, std::uint64_t question, const store_answer& answer) {
  members_.on_answer(now, question, answer);
  look_at_view(now);
  deliver_own(now);
}

void node_core::on_event(node_time now, std::uint64_t watch, const store_event& event) {
  members_.on_event(now, watch, event);
  look_at_view(now);
  deliver_own(now);
}

void node_core::on_message(node_time now, const sender& from, const node_message& what) {
  members_.look_at_lease(now); // it may have been over before this came
  look_at_view(now);
  if (has_member(members_.current(), from.name, from.incarnation)) take(now, what);
  deliver_own(now);
}

void node_core::reconnected(node_time now, const std::string& address) {
  for (auto& [key, agent] : agents_)
    if (const member* steward = steward_of(members_.current(), key); steward != nullptr && steward->address == address)
      tell_steward(agent);
  for (const member& one : members_.current().members)
    if (one.address == address)
      for (const auto& [key, books] : books_)
        send(one.id, pool_ask{key, members_.current().epoch});
  deliver_own(now);
}

void node_core::surrender(node_time now) {
  members_.surrender(now);
  agents_.clear();
  books_.clear();
}

void node_core::leave(node_time now) {
  const bool crashed =
      std::any_of(agents_.begin(), agents_.end(), [](const auto& one) { return one.second.has_crashed(); });
  if (crashed) return surrender(now); // its backends may live on
  members_.leave(now);
  agents_.clear();
  books_.clear();
}

/// After every word: a new view, or the end of this node's life, changes who is whose steward.
void node_core::look_at_view(node_time now) {
  if (members_.take_fenced()) {
    fenced_ = true;
    for (auto& [key, agent] : agents_)
      agent.fenced();
    books_.clear();
    books_stale_ = false;
    seen_epoch_ = 0;
  }
  const member* own = members_.self();
  if (own == nullptr) return;
  if (now >= members_.granted_until()) {
    books_stale_ = true;
  } else if (std::exchange(books_stale_, false)) {
    for (auto& [key, books] : books_)
      send(books.restart());
  }
  if (members_.current().epoch == seen_epoch_) return;
  seen_epoch_ = members_.current().epoch;
  for (auto one = books_.begin(); one != books_.end();) {
    if (const member* steward = steward_of(members_.current(), one->first);
        steward == nullptr || steward->id != own->id) {
      one = books_.erase(one);
      continue;
    }
    send(one->second.on_view(members_.current()));
    ++one;
  }
  for (auto& [key, agent] : agents_)
    tell_steward(agent);
}

void node_core::tell_steward(pool_agent& agent) {
  const member* own = members_.self();
  const member* steward = steward_of(members_.current(), agent.pool());
  if (own == nullptr || steward == nullptr) return;
  send(steward->id, agent.tell(members_.current().epoch, own->id, own->incarnation));
}

// -- as a node with shares -------------------------------------------------------------------------------------------

void node_core::share_joined(node_time now, const pool_key& pool, share_key key) {
  pool_agent& agent = agents_.try_emplace(pool, pool).first->second;
  agent.share_joined(key);
  tell_steward(agent);
  deliver_own(now);
}

void node_core::share_left(node_time now, const pool_key& pool, share_key key, bool clean) {
  const auto found = agents_.find(pool);
  if (found == agents_.end()) return;
  found->second.share_left(key, clean);
  tell_steward(found->second);
  deliver_own(now);
  // Without a share it has nothing more to tell; who asks is told so.
  if (found->second.empty()) agents_.erase(found);
}

void node_core::share_reported(node_time now, const pool_key& pool, const permit_report& report) {
  const auto found = agents_.find(pool);
  if (found == agents_.end()) return;
  const auto word = found->second.on_report(report);
  const member* steward = steward_of(members_.current(), pool);
  if (word && steward != nullptr) send(steward->id, *word);
  deliver_own(now);
}

void node_core::reserve_wished(node_time now, const pool_key& pool, std::uint32_t lacking, std::uint32_t spare) {
  const member* steward = steward_of(members_.current(), pool);
  if (steward != nullptr) send(steward->id, pool_reserve{pool, members_.current().epoch, lacking, spare});
  deliver_own(now);
}

void node_core::on(node_time, const pool_ask& what) {
  const member* own = members_.self();
  const member* steward = steward_of(members_.current(), what.pool);
  if (own == nullptr || steward == nullptr || what.epoch != members_.current().epoch) return;
  const auto found = agents_.find(what.pool);
  if (found != agents_.end())
    send(steward->id, found->second.tell(what.epoch, own->id, own->incarnation));
  else
    send(steward->id, pool_state{what.pool, what.epoch, own->id, own->incarnation, 0, {}});
}

void node_core::on(node_time, const pool_order& what) {
  const auto found = agents_.find(what.pool);
  if (found == agents_.end()) return;
  if (auto order = found->second.on_order(what)) orders_.push_back({what.pool, std::move(*order)});
}

void node_core::on(node_time, const pool_known& what) {
  const auto found = agents_.find(what.pool);
  if (found != agents_.end()) found->second.note_known(what);
}

// -- as the steward --------------------------------------------------------------------------------------------------

/// Nothing unless this node is the pool's steward in that very view, and sure that it is.
pool_books* node_core::books_of(const pool_key& pool, std::uint64_t epoch, node_time now, bool make) {
  const member* own = members_.self();
  const member* steward = steward_of(members_.current(), pool);
  if (own == nullptr || steward == nullptr || steward->id != own->id || epoch != members_.current().epoch)
    return nullptr;
  if (books_stale_ || now >= members_.granted_until()) return nullptr;
  if (const auto found = books_.find(pool); found != books_.end()) return &found->second;
  if (!make) return nullptr;
  const auto size = sizes_(pool);
  if (!size) return nullptr;
  pool_books& made = books_.try_emplace(pool, pool, own->id, size->size, size->reserve).first->second;
  send(made.note_dead_elsewhere(dead_elsewhere_));
  send(made.on_view(members_.current()));
  return &made;
}

void node_core::on(node_time now, const pool_state& what) {
  pool_books* books = books_of(what.pool, what.epoch, now, !what.shares.empty());
  if (books == nullptr) return;
  send(books->on_state(what));
  send(what.node, pool_known{what.pool, what.epoch, what.serial});
  if (books->unused()) books_.erase(what.pool);
}

void node_core::on(node_time now, const pool_report& what) {
  if (pool_books* books = books_of(what.pool, what.epoch, now, false)) send(books->on_report(what));
}

void node_core::on(node_time now, const pool_reserve& what) {
  if (pool_books* books = books_of(what.pool, what.epoch, now, false)) send(books->on_reserve(what));
}

void node_core::settings_changed(node_time now) {
  for (auto& [key, books] : books_)
    if (const auto size = sizes_(key)) send(books.configure(size->size, size->reserve));
  deliver_own(now);
}

void node_core::note_dead_elsewhere(node_time now, std::vector<departed_member> lives) {
  if (lives == dead_elsewhere_) return;
  dead_elsewhere_ = std::move(lives);
  for (auto& [key, books] : books_)
    send(books.note_dead_elsewhere(dead_elsewhere_));
  deliver_own(now);
}

std::vector<node_core::clearing> node_core::to_clear() const {
  std::vector<clearing> result;
  for (const auto& [key, books] : books_)
    for (const departed_member& life : books.to_clear())
      result.push_back({key, life});
  return result;
}

void node_core::cleared(node_time now, const clearing& what) {
  if (now >= members_.granted_until()) return; // it is asked for again by whoever is the steward then
  const auto found = books_.find(what.pool);
  if (found == books_.end()) return;
  send(found->second.cleared(what.life));
  deliver_own(now);
  if (found->second.unused()) books_.erase(found);
}

// -- dispatch --------------------------------------------------------------------------------------------------------

template <class Other>
void node_core::on(node_time, const Other&) {} // membership's, or the owner's

void node_core::take(node_time now, const node_message& what) {
  std::visit([&](const auto& value) { on(now, value); }, what);
}

} // namespace pg_edge::cluster
