// The store of a single node: cluster::store on an SQLite file. All work is done by one thread, so a slow disk keeps
// nobody waiting who has not asked; a second thread answers for it when it takes too long.
//
//   asked -> queued -> under way -> answered
//              |           '--(store_timeout)--> answered: unknown; what the disk says later is dropped
//              '--(store_timeout)--> answered: unavailable, and never begun
//
// The file is opened at the first request and again after a failure, so a node starts without it and finds it when it
// can be used. Commits of other processes on the file (one node taking over from another) are seen within look_time.
#pragma once

#include "actors/sqlite_tables.hpp"
#include "cluster/store.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

namespace pg_edge::actors {

class sqlite_store final : public cluster::store {
public:
  /// How often to look for commits of other processes while somebody watches, and for leases that have run out.
  static constexpr std::chrono::milliseconds look_time{100};

  explicit sqlite_store(std::string path);
  ~sqlite_store() override;

  std::string name() const override { return "sqlite " + path_; }
  void get(std::string key, cluster::store_handler then) override;
  void list(cluster::store_range range, cluster::store_handler then) override;
  void commit(std::vector<cluster::store_write> writes, cluster::store_handler then) override;
  cluster::store_watch_id watch(std::string prefix, cluster::store_revision after,
                                cluster::store_watcher then) override;
  void unwatch(cluster::store_watch_id which) override;
  void grant(std::chrono::milliseconds time_to_live, cluster::store_handler then) override;
  void keep_alive(cluster::store_lease which, cluster::store_handler then) override;
  void revoke(cluster::store_lease which, cluster::store_handler then) override;

private:
  using clock = std::chrono::steady_clock;
  using work = std::function<cluster::store_answer(sqlite_tables&)>;

  struct request {
    work run;
    cluster::store_handler then;
    clock::time_point deadline;
    bool writes = false;
    bool started = false, answered = false;
  };
  using request_ptr = std::shared_ptr<request>;

  struct watcher {
    std::string prefix;
    cluster::store_revision seen = 0; // everything up to here has been told
    cluster::store_watcher then;
    bool gone = false;
  };
  using watcher_ptr = std::shared_ptr<watcher>;

  struct counted_lease {
    stored_lease is;
    clock::time_point ends;
  };

  void ask(bool writes, work run, cluster::store_handler then);
  void answer(const request_ptr& one, cluster::store_answer what);
  // -- on the working thread
  void work_loop();
  void serve(const request_ptr& one);
  void look();
  void look_at_leases();
  void tell_watchers();
  void tell(const watcher_ptr& one, std::vector<cluster::store_event> events);
  bool open(std::string& why);
  void doubt_file(const cluster::store_answer& last);
  // -- on the other one
  void patience_loop();

  const std::string path_;

  std::mutex mutex_; // of what follows
  std::condition_variable work_there_, patience_there_;
  std::deque<request_ptr> queue_;
  std::list<request_ptr> open_; // not answered, by deadline
  std::map<cluster::store_watch_id, watcher_ptr> watchers_;
  cluster::store_watch_id next_watch_ = 1;
  bool stopping_ = false;

  std::mutex telling_; // held while a watcher is called
  std::atomic<std::thread::id> teller_{};

  // of the working thread
  std::unique_ptr<sqlite_file> file_;
  std::map<cluster::store_lease, counted_lease> leases_;
  std::int64_t data_version_ = -1;
  cluster::store_revision known_ = 0; // the last revision that was seen
  bool told_ = true;                  // false: there may be something new for watchers

  std::thread worker_, patience_;
};

} // namespace pg_edge::actors
