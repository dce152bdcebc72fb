// The store of a cluster: cluster::store on etcd v3, through the HTTP gateway that every member has. What the wire says
// is in etcd_json, how it gets there in etcd_http; here a request becomes a question, and an answer its outcome.
//
//   watch:  streaming ──(connection lost, or a member that is cut off)──> pausing ──> streaming, behind what was told
//               └──(etcd has forgotten what is to come next)──> lost
//
// A member that is cut off from the others says nothing on its watches, so while there are watches the member they are
// on is asked a question now and then that only a majority can answer.
#pragma once

#include "actors/etcd_http.hpp"
#include "cluster/store.hpp"

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace pg_edge::actors {

class etcd_store final : public cluster::store {
public:
  /// How often the member that watches are on is looked at, and how long it may take to answer.
  static constexpr std::chrono::milliseconds look_time{2000}, look_limit{3000};
  /// Between a lost watch and the next try.
  static constexpr std::chrono::milliseconds watch_pause{200};

  explicit etcd_store(etcd_access access);
  ~etcd_store() override;

  std::string name() const override { return name_; }
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
  struct watcher {
    std::string prefix;
    cluster::store_revision seen = 0; // everything up to here has been told
    cluster::store_watcher then;
    std::string half_line; // of what has come
    etcd_http::stream_number stream = 0;
    std::size_t endpoint = 0;
    bool streaming = false;
  };
  using watcher_ptr = std::shared_ptr<watcher>;
  using reader = std::function<cluster::store_answer(const std::string& body)>;

  void ask(const char* path, std::string body, bool changes, reader read, cluster::store_handler then);
  void refuse(std::string why, cluster::store_handler then);
  watcher_ptr find(cluster::store_watch_id which);
  void begin_watch(cluster::store_watch_id which);
  void take_piece(cluster::store_watch_id which, std::string_view piece);
  void take_line(cluster::store_watch_id which, const watcher_ptr& one, std::string_view line);
  void watch_over(cluster::store_watch_id which);
  bool tell(cluster::store_watch_id which, cluster::store_event event);
  void look_at_watches();

  const std::string name_;
  std::mutex mutex_;                                        // of what follows
  std::map<cluster::store_watch_id, watcher_ptr> watchers_; // their contents belong to the thread of http_
  cluster::store_watch_id next_watch_ = 1;

  std::mutex telling_; // held while a watcher is called
  std::atomic<std::thread::id> teller_{};
  bool looking_ = false; // of the thread of http_
  std::atomic<bool> closing_{false};
  etcd_http http_; // the first to go: it calls the rest
};

} // namespace pg_edge::actors
