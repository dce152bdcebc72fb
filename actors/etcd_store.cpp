#include "actors/etcd_store.hpp"

#include "actors/etcd_json.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace pg_edge::actors {

namespace {

using cluster::store_answer;
using cluster::store_handler;
using cluster::store_outcome;

/// Of a watch; no commit is that long.
constexpr std::size_t longest_line = 256 << 20;

store_answer unavailable(std::string why) {
  store_answer result;
  result.why = std::move(why);
  return result;
}

std::string joined(const std::vector<std::string>& names) {
  std::string result = "etcd";
  for (const std::string& one : names)
    result += " " + one;
  return result;
}

/// Why no engine takes it; empty if it does.
std::string wrong_with(const std::vector<cluster::store_write>& writes) {
  if (writes.size() > cluster::most_store_writes)
    return "a commit of " + std::to_string(writes.size()) + " writes; at most " +
           std::to_string(cluster::most_store_writes) + " are possible";
  std::set<std::string_view> keys;
  for (const cluster::store_write& one : writes) {
    if (one.key.empty()) return "a key is empty";
    if (one.key.size() > cluster::longest_store_key)
      return "a key of " + std::to_string(one.key.size()) + " bytes; at most " +
             std::to_string(cluster::longest_store_key) + " are possible";
    if (one.value && one.value->size() > cluster::longest_store_value)
      return "a value of " + std::to_string(one.value->size()) + " bytes; at most " +
             std::to_string(cluster::longest_store_value) + " are possible";
    if (!keys.insert(one.key).second) return "the key " + one.key + " is written twice in one commit";
  }
  return {};
}

} // namespace

etcd_store::etcd_store(etcd_access access) : name_(joined(access.endpoints)), http_(std::move(access)) {}

etcd_store::~etcd_store() {
  closing_ = true;
}

// -- requests
// -------------------------------------------------------------------------------------------------------------------

void etcd_store::ask(const char* path, std::string body, bool changes, reader read, store_handler then) {
  etcd_http::question what{path, std::move(body), changes, etcd_http::clock::now() + cluster::store_timeout};
  http_.ask(std::move(what), [this, changes, read = std::move(read), then = std::move(then)](etcd_reply reply) {
    if (reply.how != etcd_reply::outcome::answered) {
      store_answer result = unavailable(std::move(reply.why));
      if (changes && reply.how == etcd_reply::outcome::lost) result.outcome = store_outcome::unknown;
      return then(std::move(result));
    }
    if (const auto failure = etcd::failed(reply.status, reply.body)) {
      if (failure->elsewhere) http_.avoid(reply.endpoint);
      store_answer result = unavailable(failure->why);
      if (failure->no_such_lease) result.outcome = store_outcome::conflict;
      if (changes && failure->unknown) result.outcome = store_outcome::unknown;
      return then(std::move(result));
    }
    store_answer result = read(reply.body);
    if (!changes && result.outcome == store_outcome::unknown) result.outcome = store_outcome::unavailable;
    then(std::move(result));
  });
}

void etcd_store::refuse(std::string why, store_handler then) {
  etcd_http::question what;
  what.refused = std::move(why);
  http_.ask(std::move(what), [then = std::move(then)](etcd_reply reply) { then(unavailable(std::move(reply.why))); });
}

void etcd_store::get(std::string key, store_handler then) {
  ask("/v3/kv/range", etcd::get(key), false, &etcd::read_range, std::move(then));
}

void etcd_store::list(cluster::store_range range, store_handler then) {
  ask("/v3/kv/range", etcd::range(range), false, &etcd::read_range, std::move(then));
}

void etcd_store::commit(std::vector<cluster::store_write> writes, store_handler then) {
  if (std::string why = wrong_with(writes); !why.empty()) return refuse(std::move(why), std::move(then));
  std::string body = etcd::commit(writes);
  for (cluster::store_write& one : writes)
    if (one.value) one.value->clear(); // of no more use
  const auto read = [writes = std::move(writes)](const std::string& answer) {
    return etcd::read_commit(answer, writes);
  };
  ask("/v3/kv/txn", std::move(body), true, read, std::move(then));
}

void etcd_store::grant(std::chrono::milliseconds time_to_live, store_handler then) {
  const auto seconds = std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(time_to_live).count());
  ask("/v3/lease/grant", etcd::grant(seconds), true, &etcd::read_grant, std::move(then));
}

void etcd_store::keep_alive(cluster::store_lease which, store_handler then) {
  ask("/v3/lease/keepalive", etcd::lease(which), false, &etcd::read_keep_alive, std::move(then));
}

void etcd_store::revoke(cluster::store_lease which, store_handler then) {
  ask("/v3/lease/revoke", etcd::lease(which), true, &etcd::read_revoke, std::move(then));
}

// -- watches
// --------------------------------------------------------------------------------------------------------------------

cluster::store_watch_id etcd_store::watch(std::string prefix, cluster::store_revision after,
                                          cluster::store_watcher then) {
  auto made = std::make_shared<watcher>();
  made->prefix = std::move(prefix);
  made->seen = after;
  made->then = std::move(then);
  std::unique_lock held(mutex_);
  const auto which = next_watch_++;
  watchers_[which] = std::move(made);
  held.unlock();
  http_.run([this, which] { begin_watch(which); });
  return which;
}

void etcd_store::unwatch(cluster::store_watch_id which) {
  watcher_ptr had;
  {
    std::lock_guard held(mutex_);
    const auto found = watchers_.find(which);
    if (found == watchers_.end()) return;
    had = std::move(found->second);
    watchers_.erase(found);
  }
  http_.run([this, had] {
    if (had->streaming) http_.end_stream(had->stream);
    had->streaming = false;
  });
  if (teller_.load() == std::this_thread::get_id()) return;
  std::lock_guard wait(telling_); // one that is being told is told to its end
}

etcd_store::watcher_ptr etcd_store::find(cluster::store_watch_id which) {
  std::lock_guard held(mutex_);
  const auto found = watchers_.find(which);
  return found == watchers_.end() ? nullptr : found->second;
}

void etcd_store::begin_watch(cluster::store_watch_id which) {
  const watcher_ptr one = find(which);
  if (!one || one->streaming) return;
  one->half_line.clear();
  one->streaming = true;
  one->stream = http_.stream(
      "/v3/watch", etcd::watch(one->prefix, one->seen + 1),
      [this, which](std::string_view piece) { take_piece(which, piece); },
      [this, which](const std::string&) { watch_over(which); }, one->endpoint);
  if (!std::exchange(looking_, true)) http_.run_later(look_time, [this] { look_at_watches(); });
}

/// The stream is over, or is given up.
void etcd_store::watch_over(cluster::store_watch_id which) {
  const watcher_ptr one = find(which);
  if (!one) return;
  if (std::exchange(one->streaming, false)) http_.end_stream(one->stream);
  http_.avoid(one->endpoint);
  http_.run_later(watch_pause, [this, which] { begin_watch(which); });
}

void etcd_store::take_piece(cluster::store_watch_id which, std::string_view piece) {
  const watcher_ptr one = find(which);
  if (!one) return;
  one->half_line += piece;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = one->half_line.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = one->half_line.substr(begin, end - begin);
    if (!line.empty()) take_line(which, one, line);
    if (!one->streaming || find(which) != one) return;
  }
  one->half_line.erase(0, begin);
  if (one->half_line.size() > longest_line) watch_over(which);
}

void etcd_store::take_line(cluster::store_watch_id which, const watcher_ptr& one, std::string_view line) {
  etcd::watch_line what = etcd::read_watch(line);
  for (cluster::store_event& event : what.events) {
    if (event.revision <= one->seen) continue;
    one->seen = event.revision;
    if (!tell(which, std::move(event))) return;
  }
  if (what.ended.empty()) return;
  if (!what.compacted) return watch_over(which);
  http_.end_stream(one->stream);
  one->streaming = false;
  tell(which, {0, {}, true, what.ended});
  std::lock_guard held(mutex_);
  watchers_.erase(which);
}

/// False: it is not watched any more.
bool etcd_store::tell(cluster::store_watch_id which, cluster::store_event event) {
  std::lock_guard held(telling_);
  const watcher_ptr one = find(which);
  if (!one) return false;
  teller_ = std::this_thread::get_id();
  one->then(std::move(event));
  teller_ = std::thread::id();
  return find(which) != nullptr;
}

void etcd_store::look_at_watches() {
  std::set<std::size_t> endpoints;
  {
    std::lock_guard held(mutex_);
    looking_ = !watchers_.empty();
    for (const auto& [which, one] : watchers_)
      if (one->streaming) endpoints.insert(one->endpoint);
  }
  for (const std::size_t endpoint : endpoints) {
    etcd_http::question what{"/v3/kv/range", etcd::get("/"), false, etcd_http::clock::now() + look_limit, endpoint};
    http_.ask(std::move(what), [this, endpoint](const etcd_reply& reply) {
      if (reply.how == etcd_reply::outcome::answered && !etcd::failed(reply.status, reply.body)) return;
      if (closing_) return;
      std::vector<cluster::store_watch_id> silent;
      {
        std::lock_guard held(mutex_);
        for (const auto& [which, one] : watchers_)
          if (one->streaming && one->endpoint == endpoint) silent.push_back(which);
      }
      for (const auto which : silent)
        watch_over(which);
    });
  }
  if (looking_) http_.run_later(look_time, [this] { look_at_watches(); });
}

} // namespace pg_edge::actors
