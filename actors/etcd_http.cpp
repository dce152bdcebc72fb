#include "actors/etcd_http.hpp"

#include <algorithm>
#include <curl/curl.h>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace pg_edge::actors {

namespace {

constexpr std::chrono::milliseconds connect_limit{1000};
/// A read that has no answer yet is asked of the next endpoint, and of the only one again; a write cannot be.
constexpr std::chrono::milliseconds read_limit{1500};
constexpr std::chrono::milliseconds longest_sleep{1000};
/// Nobody sends answers that long.
constexpr std::size_t most_body = 64 << 20;

struct curl_global {
  curl_global() { curl_global_init(CURL_GLOBAL_DEFAULT); }
};

struct easy_deleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct list_deleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

} // namespace

class etcd_http::engine {
public:
  explicit engine(etcd_access access) : access_(std::move(access)) {
    static const curl_global once;
    multi_ = curl_multi_init();
    json_header_.reset(curl_slist_append(nullptr, "Content-Type: application/json"));
    // Without this curl asks for leave to send a long body, and waits a second for it.
    json_header_.reset(curl_slist_append(json_header_.release(), "Expect:"));
    thread_ = std::thread([this] { loop(); });
  }
  ~engine() { curl_multi_cleanup(multi_); }

  void stop() {
    {
      std::lock_guard held(mutex_);
      stopping_ = true;
    }
    curl_multi_wakeup(multi_);
    thread_.join();
  }

  void ask(question what, std::function<void(etcd_reply)> then) {
    auto made = std::make_shared<transfer>();
    made->what = std::move(what);
    made->then = std::move(then);
    {
      std::lock_guard held(mutex_);
      asked_.push_back(std::move(made));
    }
    curl_multi_wakeup(multi_);
  }

  void later(std::chrono::milliseconds after, std::function<void()> what) {
    run([this, at = clock::now() + after, what = std::move(what)]() mutable { timers_.emplace(at, std::move(what)); });
  }
  void run(std::function<void()> what) {
    {
      std::lock_guard held(mutex_);
      queue_.push_back(std::move(what));
    }
    curl_multi_wakeup(multi_);
  }

  stream_number stream(std::string path, std::string body, std::function<void(std::string_view)> piece,
                       std::function<void(std::string)> end, std::size_t& endpoint) {
    auto made = std::make_shared<transfer>();
    made->what.path = std::move(path);
    made->what.body = std::move(body);
    made->piece = std::move(piece);
    made->end = std::move(end);
    made->number = ++last_stream_;
    made->endpoint = endpoint = present_;
    start(made, {});
    return made->number;
  }

  void end_stream(stream_number which) {
    for (const auto& [easy, one] : under_way_)
      if (one->number == which && one->piece) return drop(one);
  }

  void avoid(std::size_t endpoint) {
    if (endpoint == present_) present_ = (present_ + 1) % access_.endpoints.size();
  }

private:
  struct transfer {
    question what;
    std::function<void(etcd_reply)> then;
    std::function<void(std::string_view)> piece; // of a stream
    std::function<void(std::string)> end;
    std::unique_ptr<CURL, easy_deleter> easy;
    std::string body, why;
    char error[CURL_ERROR_SIZE] = "";
    stream_number number = 0;
    std::size_t endpoint = 0, tried = 0;
    bool over = false;
  };
  using transfer_ptr = std::shared_ptr<transfer>;

  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* of) {
    auto& one = *static_cast<transfer*>(of);
    if (one.over) return 0;
    if (one.piece) {
      one.piece({data, size});
      return one.over ? 0 : size;
    }
    if (one.body.size() + size > most_body) return 0;
    one.body.append(data, size);
    return size;
  }

  void begin(const transfer_ptr& one) {
    if (!one->what.refused.empty()) {
      one->why = one->what.refused;
      return answer(one, etcd_reply::outcome::not_heard);
    }
    const bool fixed = one->what.endpoint != any_endpoint;
    one->endpoint = fixed ? one->what.endpoint : present_;
    attempt(one);
  }

  /// To its endpoint, for as long as it may take there.
  void attempt(const transfer_ptr& one) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(one->what.deadline - clock::now());
    ++one->tried;
    if (left.count() <= 0) return answer(one, etcd_reply::outcome::not_heard);
    const bool last = one->what.changes || one->tried >= most_tries(one->what);
    start(one, last ? left : std::min(left, read_limit));
  }

  std::size_t most_tries(const question& what) const {
    if (what.endpoint != any_endpoint) return 1;
    return what.changes ? access_.endpoints.size() : std::max<std::size_t>(access_.endpoints.size(), 2);
  }

  /// `limit` 0: none.
  void start(const transfer_ptr& one, std::chrono::milliseconds limit) {
    one->easy.reset(curl_easy_init());
    one->body.clear();
    one->error[0] = '\0';
    CURL* easy = one->easy.get();
    const std::string url = access_.endpoints[one->endpoint] + one->what.path;
    curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, one->what.body.data());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(one->what.body.size()));
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, json_header_.get());
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &engine::on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, one.get());
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, one->error);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*"); // an etcd is never behind one, and never told about to one
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(connect_limit.count()));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(limit.count()));
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    // Over HTTP/2 all questions would share one connection, which outlives their time-outs: when a network was cut for
    // some seconds, TCP says nothing on it for as long again, and a lease cannot be prolonged.
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    // One that was kept may have died in silence.
    if (one->what.changes || one->piece || one->tried > 1) curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    if (!access_.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, access_.ca_file.c_str());
    if (!access_.cert_file.empty()) curl_easy_setopt(easy, CURLOPT_SSLCERT, access_.cert_file.c_str());
    if (!access_.key_file.empty()) curl_easy_setopt(easy, CURLOPT_SSLKEY, access_.key_file.c_str());
    under_way_[easy] = one;
    curl_multi_add_handle(multi_, easy);
  }

  void drop(const transfer_ptr& one) {
    one->over = true;
    if (inside_) return dropped_.push_back(one); // curl does not like to lose what it is serving
    remove(one);
  }
  void remove(const transfer_ptr& one) {
    curl_multi_remove_handle(multi_, one->easy.get());
    under_way_.erase(one->easy.get());
  }

  void answer(const transfer_ptr& one, etcd_reply::outcome how, long status = 0) {
    etcd_reply reply{how, status, std::move(one->body), std::move(one->why), one->endpoint};
    if (reply.why.empty() && how != etcd_reply::outcome::answered) reply.why = "etcd does not answer in time";
    std::exchange(one->then, nullptr)(std::move(reply));
  }

  void finished(const transfer_ptr& one, CURLcode code) {
    long status = 0;
    curl_off_t until_sent = 0;
    curl_easy_getinfo(one->easy.get(), CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(one->easy.get(), CURLINFO_PRETRANSFER_TIME_T, &until_sent);
    remove(one);
    if (one->over) return;
    const std::string text = one->error[0] != '\0' ? one->error : curl_easy_strerror(code);
    if (one->piece) return one->end(code == CURLE_OK ? "etcd ended it" : text);
    if (code == CURLE_OK) return answer(one, etcd_reply::outcome::answered, status);
    one->why = "etcd at " + access_.endpoints[one->endpoint] + ": " + text;
    avoid(one->endpoint);
    const bool heard = until_sent > 0;
    if (heard && one->what.changes) return answer(one, etcd_reply::outcome::lost);
    if (one->tried >= most_tries(one->what))
      return answer(one, heard ? etcd_reply::outcome::lost : etcd_reply::outcome::not_heard);
    one->endpoint = (one->endpoint + 1) % access_.endpoints.size();
    attempt(one);
  }

  void loop() {
    for (;;) {
      std::deque<std::function<void()>> now;
      std::deque<transfer_ptr> asked;
      {
        std::lock_guard held(mutex_);
        if (stopping_) break;
        now.swap(queue_);
        asked.swap(asked_);
      }
      for (const auto& one : now)
        one();
      for (const transfer_ptr& one : asked)
        begin(one);
      fire_timers();
      int running = 0;
      inside_ = true;
      curl_multi_perform(multi_, &running);
      inside_ = false;
      for (const transfer_ptr& one : std::exchange(dropped_, {}))
        remove(one);
      collect();
      {
        std::lock_guard held(mutex_);
        if (stopping_ || !queue_.empty() || !asked_.empty()) continue;
      }
      curl_multi_poll(multi_, nullptr, 0, sleep_time(), nullptr);
    }
    close_down();
  }

  void collect() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      const auto found = under_way_.find(message->easy_handle);
      if (found == under_way_.end()) continue;
      const transfer_ptr one = found->second;
      finished(one, code);
    }
  }

  void fire_timers() {
    const auto now = clock::now();
    while (!timers_.empty() && timers_.begin()->first <= now) {
      const auto what = std::move(timers_.begin()->second);
      timers_.erase(timers_.begin());
      what();
    }
  }

  int sleep_time() const {
    if (timers_.empty()) return static_cast<int>(longest_sleep.count());
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first - clock::now());
    return static_cast<int>(std::clamp(left, std::chrono::milliseconds(0), longest_sleep).count());
  }

  /// What is queued was never sent; what is under way may have been.
  void close_down() {
    for (auto& [easy, one] : std::map(under_way_)) {
      remove(one);
      one->why = "the node stops";
      if (one->then) answer(one, etcd_reply::outcome::lost);
    }
    for (;;) {
      std::deque<transfer_ptr> waiting;
      {
        std::lock_guard held(mutex_);
        waiting.swap(asked_);
      }
      if (waiting.empty()) return;
      for (const auto& one : waiting) {
        one->why = "the node stops";
        if (one->then) answer(one, etcd_reply::outcome::not_heard);
      }
    }
  }

  const etcd_access access_;
  CURLM* multi_ = nullptr;
  std::unique_ptr<curl_slist, list_deleter> json_header_;

  std::mutex mutex_; // of what follows
  std::deque<std::function<void()>> queue_;
  std::deque<transfer_ptr> asked_; // questions that have not begun
  bool stopping_ = false;

  // of the thread
  std::multimap<clock::time_point, std::function<void()>> timers_;
  std::map<CURL*, transfer_ptr> under_way_;
  std::vector<transfer_ptr> dropped_;
  std::size_t present_ = 0;
  stream_number last_stream_ = 0;
  bool inside_ = false; // curl_multi_perform
  std::thread thread_;
};

etcd_http::etcd_http(etcd_access access) : engine_(std::make_unique<engine>(std::move(access))) {}
/// What is called on the thread may use this object until the thread has ended.
etcd_http::~etcd_http() {
  engine_->stop();
}

void etcd_http::ask(question what, std::function<void(etcd_reply)> then) {
  engine_->ask(std::move(what), std::move(then));
}
void etcd_http::run(std::function<void()> what) {
  engine_->run(std::move(what));
}
void etcd_http::run_later(std::chrono::milliseconds after, std::function<void()> what) {
  engine_->later(after, std::move(what));
}
etcd_http::stream_number etcd_http::stream(std::string path, std::string body,
                                           std::function<void(std::string_view)> piece,
                                           std::function<void(std::string why)> end, std::size_t& endpoint) {
  return engine_->stream(std::move(path), std::move(body), std::move(piece), std::move(end), endpoint);
}
void etcd_http::end_stream(stream_number which) {
  engine_->end_stream(which);
}
void etcd_http::avoid(std::size_t endpoint) {
  engine_->avoid(endpoint);
}

} // namespace pg_edge::actors
