#include "cluster/store_mirror.hpp"

#include <algorithm>

namespace pg_edge::cluster {

namespace {

constexpr node_time retry_pause{200}; // while the store does not answer
constexpr node_time list_pause{2000}; // should the watch have missed something

} // namespace

store_mirror::~store_mirror() {
  if (watch_ != 0) questions_.ask(ask_unwatch{watch_});
}

const store_mirror::entry* store_mirror::find(const std::string& key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second;
}

void store_mirror::look(node_time now) {
  if (list_ != 0 || now < list_at_) return;
  before_list_ = as_of_;
  list_ = questions_.ask(ask_list{prefix_});
}

void store_mirror::on_answer(node_time now, std::uint64_t question, const store_answer& answer) {
  if (question != list_) return;
  list_ = 0;
  list_at_ = now + (answer.ok() ? list_pause : retry_pause);
  if (!answer.ok()) return;
  const bool went_back = answer.revision < before_list_; // the store was restored from a backup
  if (!went_back && answer.revision < as_of_) return;    // overtaken by events
  std::map<std::string, entry> now_there;
  for (const store_entry& one : answer.entries)
    now_there[one.key.substr(prefix_.size())] = {one.value, one.revision};
  const auto same = [](const auto& a, const auto& b) {
    return a.first == b.first && a.second.revision == b.second.revision;
  };
  if (!known_ || !std::equal(entries_.begin(), entries_.end(), now_there.begin(), now_there.end(), same)) {
    entries_ = std::move(now_there);
    ++changes_;
  }
  known_ = true;
  as_of_ = answer.revision;
  if (went_back && watch_ != 0) {
    questions_.ask(ask_unwatch{watch_});
    watch_ = 0;
  }
  if (watch_ == 0) watch_ = questions_.ask(ask_watch{prefix_, as_of_});
}

void store_mirror::on_event(node_time now, std::uint64_t watch, const store_event& event) {
  if (watch == 0 || watch != watch_) return;
  if (event.lost) {
    watch_ = 0;
    list_at_ = now;
    return;
  }
  if (event.revision <= as_of_) return;
  as_of_ = event.revision;
  for (const store_change& one : event.changes) {
    const std::string key = one.key.substr(prefix_.size());
    if (one.value)
      entries_[key] = {*one.value, event.revision};
    else
      entries_.erase(key);
    ++changes_;
  }
}

} // namespace pg_edge::cluster
