#include "actors/sqlite_store.hpp"

#include <algorithm>
#include <csignal>
#include <pthread.h>
#include <utility>

namespace pg_edge::actors {

using cluster::store_answer;
using cluster::store_event;
using cluster::store_handler;
using cluster::store_lease;
using cluster::store_outcome;
using cluster::store_revision;

namespace {

constexpr std::chrono::milliseconds shortest_lease{1000};

store_answer not_done(store_outcome outcome, std::string why) {
  return {outcome, std::move(why), 0, {}, 0};
}

/// Signals are for the main thread.
void begin_thread(const char* name) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  pthread_setname_np(pthread_self(), name);
}

} // namespace

sqlite_store::sqlite_store(std::string path) : path_(std::move(path)) {
  worker_ = std::thread([this] { work_loop(); });
  patience_ = std::thread([this] { patience_loop(); });
}

sqlite_store::~sqlite_store() {
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    stopping_ = true;
  }
  work_there_.notify_all();
  patience_there_.notify_all();
  worker_.join();
  patience_.join();
  for (const request_ptr& one : std::exchange(open_, {}))
    answer(one, not_done(store_outcome::unavailable, "the store is closed"));
}

// -- requests
// --------------------------------------------------------------------------------------------------------------

void sqlite_store::ask(bool writes, work run, store_handler then) {
  auto one = std::make_shared<request>();
  one->run = std::move(run);
  one->then = std::move(then);
  one->deadline = clock::now() + cluster::store_timeout;
  one->writes = writes;
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    queue_.push_back(one);
    open_.push_back(one);
  }
  work_there_.notify_all();
  patience_there_.notify_all();
}

/// The first answer counts.
void sqlite_store::answer(const request_ptr& one, store_answer what) {
  store_handler then;
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    if (std::exchange(one->answered, true)) return;
    then = std::move(one->then);
    open_.remove(one);
  }
  if (then) then(std::move(what));
}

void sqlite_store::get(std::string key, store_handler then) {
  ask(
      false, [key = std::move(key)](sqlite_tables& tables) { return tables.get(key); }, std::move(then));
}

void sqlite_store::list(cluster::store_range range, store_handler then) {
  ask(
      false, [range = std::move(range)](sqlite_tables& tables) { return tables.list(range); }, std::move(then));
}

void sqlite_store::commit(std::vector<cluster::store_write> writes, store_handler then) {
  ask(
      true, [writes = std::move(writes)](sqlite_tables& tables) { return tables.commit(writes); }, std::move(then));
}

void sqlite_store::grant(std::chrono::milliseconds time_to_live, store_handler then) {
  const auto span = std::max(time_to_live, shortest_lease);
  ask(
      true,
      [this, span](sqlite_tables& tables) {
        auto done = tables.grant(span.count());
        if (done.ok()) leases_[done.lease] = {{span.count(), 0}, clock::now() + span};
        return done;
      },
      std::move(then));
}

void sqlite_store::keep_alive(store_lease which, store_handler then) {
  ask(
      true,
      [this, which](sqlite_tables& tables) {
        auto done = tables.beat(which);
        const auto found = leases_.find(which);
        if (done.ok() && found != leases_.end()) {
          ++found->second.is.beats;
          found->second.ends = clock::now() + std::chrono::milliseconds(found->second.is.milliseconds);
        }
        return done;
      },
      std::move(then));
}

void sqlite_store::revoke(store_lease which, store_handler then) {
  ask(
      true, [which](sqlite_tables& tables) { return tables.revoke(which); }, std::move(then));
}

// -- the thread that works
// ---------------------------------------------------------------------------------------------------

void sqlite_store::work_loop() {
  begin_thread("store");
  std::unique_lock<std::mutex> hold(mutex_);
  while (!stopping_) {
    if (queue_.empty()) {
      // Nobody watches, no lease runs: nothing to look for.
      const auto ready = [this] { return stopping_ || !queue_.empty() || !watchers_.empty(); };
      if (watchers_.empty() && leases_.empty())
        work_there_.wait(hold, ready);
      else
        work_there_.wait_for(hold, look_time, [this] { return stopping_ || !queue_.empty(); });
    }
    if (stopping_) return;
    request_ptr one;
    if (!queue_.empty()) {
      one = std::move(queue_.front());
      queue_.pop_front();
      if (one->answered) continue;
      one->started = true;
    }
    hold.unlock();
    if (one) serve(one);
    look();
    hold.lock();
  }
}

void sqlite_store::serve(const request_ptr& one) {
  std::string why;
  if (!open(why)) return answer(one, not_done(store_outcome::unavailable, why));
  if (one->writes && !file_->still_there()) {
    file_.reset();
    return answer(one, not_done(store_outcome::unavailable, path_ + " was removed or replaced while it was in use"));
  }
  sqlite_tables tables(*file_);
  store_answer done = one->run(tables);
  if (one->writes) told_ = false;
  doubt_file(done);
  answer(one, std::move(done));
}

bool sqlite_store::open(std::string& why) {
  if (file_) return true;
  file_ = sqlite_file::open(path_, why);
  if (!file_) return false;
  sqlite_tables tables(*file_);
  const auto revision = static_cast<store_revision>(tables.revision());
  if (revision < known_) { // not the file it was: what watchers have been told is not so any more
    const std::lock_guard<std::mutex> hold(mutex_);
    for (const auto& [id, one] : watchers_)
      one->seen = ~store_revision{0};
  }
  known_ = revision;
  data_version_ = -1;
  told_ = false;
  leases_.clear(); // they have their whole time again
  return true;
}

/// A file that failed is opened anew at the next request: what is wrong with it may have been mended.
void sqlite_store::doubt_file(const store_answer& last) {
  if (last.outcome == store_outcome::unknown) file_.reset();
  if (last.ok()) known_ = std::max(known_, last.revision);
}

// -- what was not asked for
// --------------------------------------------------------------------------------------------------

void sqlite_store::look() {
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    if (watchers_.empty() && leases_.empty()) return;
  }
  std::string why; // whoever asks next is told
  if (!open(why)) return;
  if (const std::int64_t now = file_->data_version(); now != data_version_) {
    data_version_ = now;
    told_ = false;
    sqlite_tables tables(*file_);
    for (const auto& [id, found] : tables.leases())
      if (leases_.find(id) == leases_.end())
        leases_[id] = {found, clock::now() + std::chrono::milliseconds(found.milliseconds)};
  }
  file_->take_trouble();
  look_at_leases();
  if (!told_) tell_watchers();
}

void sqlite_store::look_at_leases() {
  const auto now = clock::now();
  for (auto one = leases_.begin(); one != leases_.end();) {
    auto& [id, lease] = *one;
    if (lease.ends > now) {
      ++one;
      continue;
    }
    sqlite_tables tables(*file_);
    const store_answer done = tables.expire(id, lease.is.beats);
    const auto all = done.outcome == store_outcome::conflict ? tables.leases() : std::map<store_lease, stored_lease>{};
    if (const auto found = all.find(id); found != all.end()) { // kept alive by another process
      lease = {found->second, now + std::chrono::milliseconds(found->second.milliseconds)};
      ++one;
    } else if (done.ok() || done.outcome == store_outcome::conflict) {
      told_ = false;
      one = leases_.erase(one);
    } else { // the disk is full: later
      lease.ends = now + shortest_lease;
      ++one;
    }
  }
}

void sqlite_store::tell_watchers() {
  std::vector<watcher_ptr> all;
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    for (const auto& [id, one] : watchers_)
      all.push_back(one);
  }
  told_ = true;
  sqlite_tables tables(*file_);
  for (const watcher_ptr& one : all) {
    if (one->seen == ~store_revision{0}) {
      tell(one, {store_event{0, {}, true, "the file of the store is another one"}});
      continue;
    }
    auto found = tables.changes(one->prefix, one->seen);
    if (found.failed) {
      told_ = false; // later
    } else if (found.forgotten) {
      tell(one, {store_event{0, {}, true, "the changes since revision " + std::to_string(one->seen) + " are gone"}});
    } else {
      tell(one, std::move(found.events));
      one->seen = std::max(one->seen, found.revision); // what has other prefixes was looked at too
    }
  }
}

/// unwatch() waits for the call that is under way, unless it is made from within it.
void sqlite_store::tell(const watcher_ptr& one, std::vector<store_event> events) {
  for (store_event& event : events) {
    const std::lock_guard<std::mutex> telling(telling_);
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      if (one->gone) return;
      one->seen = std::max(one->seen, event.revision);
      if (event.lost) {
        one->gone = true;
        std::erase_if(watchers_, [&](const auto& entry) { return entry.second == one; });
      }
    }
    teller_ = std::this_thread::get_id();
    one->then(std::move(event));
    teller_ = std::thread::id{};
  }
}

cluster::store_watch_id sqlite_store::watch(std::string prefix, store_revision after, cluster::store_watcher then) {
  cluster::store_watch_id id = 0;
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    id = next_watch_++;
    watchers_[id] = std::make_shared<watcher>(watcher{std::move(prefix), after, std::move(then), false});
  }
  // The past is told by the working thread too, in its order.
  ask(
      false,
      [this](sqlite_tables&) {
        told_ = false;
        return store_answer{store_outcome::ok, {}, 0, {}, 0};
      },
      nullptr);
  return id;
}

void sqlite_store::unwatch(cluster::store_watch_id which) {
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    const auto found = watchers_.find(which);
    if (found == watchers_.end()) return;
    found->second->gone = true;
    watchers_.erase(found);
  }
  if (teller_ != std::this_thread::get_id()) const std::lock_guard<std::mutex> wait(telling_);
}

// -- the thread that has no patience
// -----------------------------------------------------------------------------------------

void sqlite_store::patience_loop() {
  begin_thread("store_patience");
  std::unique_lock<std::mutex> hold(mutex_);
  while (!stopping_) {
    if (open_.empty()) {
      patience_there_.wait(hold, [this] { return stopping_ || !open_.empty(); });
      continue;
    }
    const request_ptr first = open_.front();
    if (clock::now() < first->deadline) {
      patience_there_.wait_until(hold, first->deadline);
      continue;
    }
    const bool begun = first->started && first->writes;
    hold.unlock();
    answer(first, not_done(begun ? store_outcome::unknown : store_outcome::unavailable,
                           "the disk of " + path_ + " does not answer"));
    hold.lock();
  }
}

} // namespace pg_edge::actors
