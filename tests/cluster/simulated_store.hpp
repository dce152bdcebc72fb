// The store as its interface promises it, in one thread and without delay: what delays, loses and repeats stands around
// it in cluster_simulator. Time is given; its clock may run faster or slower than those of the nodes.
#pragma once

#include "cluster/store_question.hpp"

#include <map>
#include <vector>

namespace pg_edge::cluster::simulation {

class simulated_store {
public:
  using ms = std::int64_t;

  /// `ms_of_lease`: how long it counts a lease of so many ms.
  explicit simulated_store(double rate) : rate_(rate) {}

  store_answer answer(ms now, const store_question& asked) {
    expire(now);
    store_answer out;
    out.outcome = store_outcome::ok;
    out.revision = revision_;
    if (const auto* list = std::get_if<ask_list>(&asked.what)) {
      for (const auto& [key, entry] : keys_)
        if (key.starts_with(list->prefix)) out.entries.push_back(entry);
    } else if (const auto* commit = std::get_if<ask_commit>(&asked.what)) {
      return answer(*commit);
    } else if (const auto* grant = std::get_if<ask_grant>(&asked.what)) {
      out.lease = ++last_lease_;
      leases_[out.lease] = {grant->time_to_live.count(), end(now, grant->time_to_live.count())};
    } else if (const auto* alive = std::get_if<ask_keep_alive>(&asked.what)) {
      const auto found = leases_.find(alive->lease);
      if (found == leases_.end())
        out.outcome = store_outcome::conflict;
      else
        found->second.end = end(now, found->second.time_to_live);
    } else if (const auto* revoke = std::get_if<ask_revoke>(&asked.what)) {
      if (leases_.erase(revoke->lease) == 0)
        out.outcome = store_outcome::conflict;
      else
        drop_keys_of(revoke->lease);
    }
    return out;
  }

  /// Ends the leases whose time is over.
  void expire(ms now) {
    for (auto one = leases_.begin(); one != leases_.end();)
      if (now >= one->second.end) {
        const store_lease over = one->first;
        one = leases_.erase(one);
        drop_keys_of(over);
      } else {
        ++one;
      }
  }
  /// After a restart every lease has its whole time again.
  void restart(ms now) {
    for (auto& [lease, one] : leases_)
      one.end = end(now, one.time_to_live);
  }

  /// Every commit, in order; the first has the number 1.
  const std::vector<store_event>& history() const { return history_; }
  store_revision revision() const { return revision_; }

private:
  struct lease {
    ms time_to_live = 0, end = 0;
  };

  ms end(ms now, ms time_to_live) const { return now + static_cast<ms>(static_cast<double>(time_to_live) / rate_); }

  store_answer answer(const ask_commit& commit) {
    store_answer out;
    out.outcome = store_outcome::ok;
    for (const store_write& one : commit.writes) {
      const auto found = keys_.find(one.key);
      const store_revision has = found == keys_.end() ? 0 : found->second.revision;
      if (one.expected && *one.expected != has) {
        out.outcome = store_outcome::conflict;
        if (found != keys_.end()) out.entries.push_back(found->second);
      }
      if (!one.only_check && one.lease != 0 && !leases_.contains(one.lease)) {
        out.outcome = store_outcome::conflict; // as etcd_store has it
        return out;
      }
    }
    if (out.outcome != store_outcome::ok) return out;
    store_event event;
    for (const store_write& one : commit.writes) {
      if (one.only_check || (!one.value && !keys_.contains(one.key))) continue;
      event.changes.push_back({one.key, one.value, one.lease});
    }
    write(std::move(event));
    out.revision = revision_;
    return out;
  }

  void drop_keys_of(store_lease over) {
    store_event event;
    for (const auto& [key, entry] : keys_)
      if (entry.lease == over) event.changes.push_back({key, std::nullopt, 0});
    write(std::move(event));
  }

  void write(store_event event) {
    if (event.changes.empty()) return;
    event.revision = ++revision_;
    for (const store_change& one : event.changes)
      if (one.value)
        keys_[one.key] = {one.key, *one.value, revision_, one.lease};
      else
        keys_.erase(one.key);
    history_.push_back(std::move(event));
  }

  double rate_;
  std::map<std::string, store_entry> keys_;
  std::map<store_lease, lease> leases_;
  store_revision revision_ = 0;
  store_lease last_lease_ = 0;
  std::vector<store_event> history_;
};

} // namespace pg_edge::cluster::simulation
