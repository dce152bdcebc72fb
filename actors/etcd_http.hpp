// Questions to etcd's HTTP gateway: one thread with curl that tries the endpoints in turn. It knows nothing of keys;
// its whole business is which endpoint, how long, and whether a question that failed may have been heard.
//
//   ask() ──> answered                      HTTP said something, good or bad
//         ├─> not_heard                     no endpoint took it: certainly nothing happened
//         └─> lost                          it was sent, and nobody knows
//
// A question that changes something goes on a connection of its own: curl would send it a second time if a kept
// connection turned out to be dead, and it might be done twice.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::actors {

struct etcd_access {
  std::vector<std::string> endpoints;       // "https://10.0.0.1:2379"
  std::string ca_file, cert_file, key_file; // mutual TLS; empty: without
};

struct etcd_reply {
  enum class outcome : std::uint8_t { answered, not_heard, lost };
  outcome how = outcome::not_heard;
  long status = 0; // of HTTP
  std::string body;
  std::string why; // if it was not answered
  std::size_t endpoint = 0;
};

class etcd_http {
public:
  using clock = std::chrono::steady_clock;
  using stream_number = std::uint64_t;
  static constexpr std::size_t any_endpoint = ~std::size_t{0};

  struct question {
    std::string path, body;
    bool changes = false; // something, so it must not be asked twice
    clock::time_point deadline;
    std::size_t endpoint = any_endpoint; // only this one, if it is not any
    std::string refused = {};            // not to be asked at all, and why
  };

  explicit etcd_http(etcd_access access);
  /// Open questions are answered first: `not_heard`, or `lost` if they were under way. Streams end without a word.
  ~etcd_http();
  etcd_http(const etcd_http&) = delete;
  etcd_http& operator=(const etcd_http&) = delete;

  // -- any thread; what is given is called on the thread of this object, never within the call
  // ----------------------------------

  void ask(question what, std::function<void(etcd_reply)> then);
  void run(std::function<void()> what);
  void run_later(std::chrono::milliseconds after, std::function<void()> what);

  // -- on that thread only
  // -----------------------------------------------------------------------------------------------

  /// An answer without an end: pieces as they come, then once why it is over. On the present endpoint, which is named.
  stream_number stream(std::string path, std::string body, std::function<void(std::string_view)> piece,
                       std::function<void(std::string why)> end, std::size_t& endpoint);
  /// Nothing more is told of it.
  void end_stream(stream_number which);
  /// Others are to use the next endpoint, if this one is still the present one.
  void avoid(std::size_t endpoint);

private:
  class engine;
  std::unique_ptr<engine> engine_;
};

} // namespace pg_edge::actors
