// Links between nodes, two of them in this process: streams over loopback, plain and with TLS on both sides; who is
// refused; what becomes of streams whose link is lost; and that a reader who stops costs no more than his window.
#include "actors/listener.hpp"
#include "actors/node_link.hpp"
#include "actors/resolver.hpp"
#include "tests/support/certificates.hpp"

#include <boost/test/unit_test.hpp>
#include <caf/all.hpp>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using namespace pg_edge::actors;
using namespace std::chrono_literals;
using pg_edge::config::tls_mode;

namespace {

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit = 30s) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

/// What the owner of a stream has seen, for the test's thread.
struct seen {
  std::mutex mutex;
  std::string got, signals, why;
  std::atomic<bool> ended{false};
  std::atomic<std::size_t> count{0}, written{0};
  std::string text() {
    std::lock_guard held(mutex);
    return got;
  }
};

/// Owns one end of a stream: writes what it is given, reads unless it is told to stop, sends back what it reads if it
/// is an echo.
struct read_on {};
struct write_this {
  std::string what;
  bool finish = false;
};
class stream_owner final : public pinned_actor {
public:
  stream_owner(caf::actor_config& config, reactor& home, carried_stream_ptr stream, std::shared_ptr<seen> notes,
               bool echo, bool reads)
      : pinned_actor(config, home), stream_(std::move(stream)), notes_(std::move(notes)), echo_(echo), reads_(reads) {}

  /// On the thread of its reactor, for streams that are opened behind its birth.
  std::function<carried_stream_ptr(stream_owner&)> opens;

  caf::behavior make_behavior() override {
    if (stream_) stream_->belong_to(caf::actor_cast<caf::actor>(this));
    return {
        [this](const carried_ready&) { go_on(); },
        [this](const carried_signal& message) {
          std::lock_guard held(notes_->mutex);
          notes_->signals += message.what;
        },
        [this](const read_on&) {
          reads_ = true;
          go_on();
        },
        [this](const write_this& message) {
          if (!stream_) open();
          if (!stream_) return;
          to_write_ += message.what;
          finish_ = message.finish;
          go_on();
        },
        [this](const close_server& message) {
          if (stream_) message.reason.empty() ? stream_->finish(true) : stream_->signal(message.reason);
          if (message.reason.empty()) quit();
        },
    };
  }
  void on_exit() override { stream_.reset(); }

private:
  void open() { stream_ = opens(*this); }
  void go_on() {
    if (!stream_) return;
    stream_->heard();
    // What has been written makes room for reading on, and there is no other event that would say so.
    do
      push();
    while (read_some() && to_write_.empty());
    push();
  }
  /// Whether there may be more, and only what is to be written is in the way.
  bool read_some() {
    char room[10'000];
    while (reads_ && (!echo_ || to_write_.size() < 100'000)) {
      const io_result result = stream_->read(room, sizeof room);
      if (result.status != io_status::ok) {
        if (result.status == io_status::closed || result.status == io_status::failed) over();
        return false;
      }
      notes_->count += result.bytes;
      if (echo_) to_write_.append(room, result.bytes);
      std::lock_guard held(notes_->mutex);
      if (notes_->got.size() < 1'000'000) notes_->got.append(room, result.bytes);
    }
    push();
    return reads_;
  }
  void push() {
    if (!to_write_.empty()) {
      const iovec piece{to_write_.data(), to_write_.size()};
      const io_result result = stream_->write(&piece, 1);
      const std::size_t taken = result.status == io_status::ok ? to_write_.size() : result.bytes;
      notes_->written += taken;
      to_write_.erase(0, taken);
    }
    if (to_write_.empty() && finish_) stream_->finish(false);
  }
  void over() {
    {
      std::lock_guard held(notes_->mutex);
      notes_->why = stream_->why_lost();
    }
    notes_->ended = true;
    finish_ = true;
    push();
  }

  carried_stream_ptr stream_;
  std::shared_ptr<seen> notes_;
  std::string to_write_;
  bool echo_, reads_, finish_ = false;
};

} // namespace

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(read_on)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(write_this)

namespace {

/// Two nodes, each with a reactor of its own; node 2 serves streams.
struct two_nodes {
  explicit two_nodes(link_identity one = {}, link_identity two = {}) {
    config.set("scheduler.max-threads", 1);
    system = std::make_unique<caf::actor_system>(config);
    for (unsigned i = 0; i < 3; ++i)
      reactors.push_back(std::make_unique<reactor>(*system, i));
    for (auto& r : reactors)
      r->start();
    one.node = 1;
    two.node = two.node == 0 ? node_number{2} : two.node;
    if (one.cluster.empty()) one.cluster = "blue";
    if (two.cluster.empty()) two.cluster = "blue";
    first.become(one);
    second.become(two);
    link_service service;
    service.opened = [this](reactor&, node_number from, carried_stream_ptr what, std::string_view request) {
      const std::lock_guard held(near->mutex);
      if (from != 1) requests += "from another than node 1: ";
      requests += request;
      // On another reactor than the link, as a client is that has moved to its share.
      server = spawn_pinned<stream_owner>(*reactors[2], std::move(what), far, echo, far_reads);
    };
    service.signalled = [this](node_number, std::string_view what) {
      const std::lock_guard held(near->mutex);
      word = what;
    };
    second.serve(std::move(service));
    listen();
  }
  ~two_nodes() {
    for (auto& r : reactors)
      r->stop();
    for (auto& r : reactors)
      r->join();
    server = client = nullptr;
    system.reset();
    reactors.clear();
  }
  void listen() {
    std::string error;
    auto socket = listening_socket::tcp("127.0.0.1", port, 16, error);
    BOOST_REQUIRE_MESSAGE(socket != nullptr, error);
    port = local_address(socket->fd())->port;
    listener = spawn_link_listener(*reactors[1], second, socket);
    first.set_peer(2, {*literal_address("127.0.0.1", static_cast<std::uint16_t>(port)), 0});
  }
  caf::actor start_client(bool reads = true) {
    const auto made = spawn_pinned<stream_owner>(*reactors[0], carried_stream_ptr(), near, false, reads);
    auto* object = static_cast<stream_owner*>(caf::actor_cast<caf::abstract_actor*>(caf::actor_cast<caf::actor>(made)));
    object->opens = [this](stream_owner& self) {
      std::string why;
      auto stream = first.open(self.home(), 2, "please", caf::actor_cast<caf::actor>(&self), why);
      std::lock_guard held(near->mutex);
      if (!stream) near->why = why;
      if (!stream) near->ended = true;
      return stream;
    };
    client = caf::actor_cast<caf::actor>(made);
    return client;
  }

  caf::actor_system_config config;
  std::unique_ptr<caf::actor_system> system;
  std::vector<std::unique_ptr<reactor>> reactors;
  node_links first, second;
  std::shared_ptr<seen> near = std::make_shared<seen>(), far = std::make_shared<seen>();
  caf::actor listener, client;
  caf::actor server;          // this and what follows: under the lock of `near`
  std::string requests, word; // what node 2 was asked for, and told
  bool echo = true, far_reads = true;
  int port = 0;
};

template <class T>
T guarded(two_nodes& nodes, T two_nodes::*member) {
  const std::lock_guard held(nodes.near->mutex);
  return nodes.*member;
}

std::string reason(two_nodes& nodes) {
  BOOST_TEST(eventually([&] { return nodes.near->ended.load(); }));
  std::lock_guard held(nodes.near->mutex);
  return nodes.near->why;
}

/// Certificates of the cluster's authority, and of another.
class cluster_keys {
public:
  cluster_keys() : folder_(std::filesystem::temp_directory_path() / ("pg_edge_links." + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
    for (const std::string name : {"ours", "theirs"}) {
      const pg_edge::test::certificate_authority authority;
      const auto leaf = authority.issue("node");
      write(name + ".ca", authority.certificate());
      write(name + ".crt", leaf.certificate);
      write(name + ".key", leaf.key);
    }
  }
  ~cluster_keys() { std::filesystem::remove_all(folder_); }
  link_identity identity(const std::string& whose) const {
    tls_settings parts;
    parts.ca_file = file(whose + ".ca");
    parts.cert_file = file(whose + ".crt");
    parts.key_file = file(whose + ".key");
    link_identity result;
    const auto accept = make_client_tls_context(parts, tls_mode::verify_ca);
    const auto connect = make_server_tls_context(parts, tls_mode::verify_ca);
    BOOST_REQUIRE_MESSAGE(accept.context && connect.context, accept.error + connect.error);
    result.accept = accept.context;
    result.connect = connect.context;
    return result;
  }

private:
  std::string file(const std::string& name) const { return (folder_ / name).string(); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(file(name)) << text; }
  std::filesystem::path folder_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(node_link_test)

BOOST_AUTO_TEST_CASE(bytes_go_there_and_back_and_the_end_too) {
  two_nodes nodes;
  caf::anon_send(nodes.start_client(), write_this{"hello", true});
  BOOST_TEST(eventually([&] { return nodes.near->ended.load(); }));
  BOOST_TEST(nodes.near->text() == "hello");
  BOOST_TEST(nodes.near->why == "");
  BOOST_TEST(guarded(nodes, &two_nodes::requests) == "please");
}

BOOST_AUTO_TEST_CASE(with_tls_on_both_sides) {
  const cluster_keys keys;
  two_nodes nodes(keys.identity("ours"), keys.identity("ours"));
  std::string text;
  for (int i = 0; text.size() < 900'000; ++i)
    text += std::to_string(i) + ",";
  caf::anon_send(nodes.start_client(), write_this{text, true});
  BOOST_TEST(eventually([&] { return nodes.near->ended.load(); }));
  BOOST_TEST((nodes.near->text() == text));
}

BOOST_AUTO_TEST_CASE(a_node_with_a_certificate_of_another_authority_is_refused_on_both_sides) {
  const cluster_keys keys;
  {
    two_nodes nodes(keys.identity("theirs"), keys.identity("ours"));
    caf::anon_send(nodes.start_client(), write_this{"hello"});
    BOOST_TEST(reason(nodes).find("certificate") != std::string::npos, nodes.near->why);
  }
  two_nodes nodes(link_identity{}, keys.identity("ours")); // plain
  caf::anon_send(nodes.start_client(), write_this{"hello"});
  BOOST_TEST(!reason(nodes).empty());
  BOOST_TEST(guarded(nodes, &two_nodes::requests) == "");
}

BOOST_AUTO_TEST_CASE(another_cluster_is_refused_with_the_reason) {
  link_identity green;
  green.cluster = "green";
  two_nodes nodes({}, green);
  caf::anon_send(nodes.start_client(), write_this{"hello"});
  const std::string why = reason(nodes);
  BOOST_TEST(why.find("the cluster") != std::string::npos, why);
  BOOST_TEST(guarded(nodes, &two_nodes::requests) == "");
}

BOOST_AUTO_TEST_CASE(another_node_at_the_address_is_refused) {
  link_identity third;
  third.node = 3;
  two_nodes nodes({}, third);
  caf::anon_send(nodes.start_client(), write_this{"hello"});
  const std::string why = reason(nodes);
  BOOST_TEST(why.find("node 3 answers where node 2 was expected") != std::string::npos, why);
}

BOOST_AUTO_TEST_CASE(a_reader_who_stops_costs_his_windows_and_no_more) {
  two_nodes nodes;
  nodes.far_reads = false;
  const std::size_t all = 20'000'000;
  caf::anon_send(nodes.start_client(), write_this{std::string(all, 'x'), true});
  const std::size_t bound = 3 * pg_edge::cluster::stream_window; // in each pipe, and what rounding leaves
  BOOST_TEST(eventually([&] { return nodes.near->written.load() >= pg_edge::cluster::stream_window; }));
  std::this_thread::sleep_for(200ms); // what could be wrong would go on growing
  BOOST_TEST(nodes.near->written.load() <= bound);
  caf::anon_send(guarded(nodes, &two_nodes::server), read_on{});
  BOOST_TEST(eventually([&] { return nodes.near->count.load() == all; }));
}

BOOST_AUTO_TEST_CASE(signals_reach_the_owner_of_a_stream_and_the_node) {
  two_nodes nodes;
  caf::anon_send(nodes.start_client(), write_this{"a"});
  BOOST_TEST(eventually([&] { return nodes.near->count.load() == 1; }));
  caf::anon_send(nodes.client, close_server{"cancel"});
  BOOST_TEST(eventually([&] {
    std::lock_guard held(nodes.far->mutex);
    return nodes.far->signals == "cancel";
  }));
}

BOOST_AUTO_TEST_CASE(streams_of_a_node_that_is_forgotten_are_lost_and_a_new_link_is_made_when_it_is_back) {
  two_nodes nodes;
  caf::anon_send(nodes.start_client(), write_this{"a"});
  BOOST_TEST(eventually([&] { return nodes.near->count.load() == 1; }));
  const auto where = nodes.first.peer(2);
  nodes.first.forget_peer(2, "it is dead");
  BOOST_TEST(reason(nodes) == "node 2: it is dead");
  BOOST_TEST(eventually([&] { return nodes.far->ended.load(); }));
  nodes.near = std::make_shared<seen>();
  caf::anon_send(nodes.start_client(), write_this{"b"});
  BOOST_TEST(reason(nodes) == "node 2 is not a member of the cluster");
  nodes.first.set_peer(2, *where);
  BOOST_TEST(eventually([&] {
    nodes.near = std::make_shared<seen>();
    caf::anon_send(nodes.start_client(), write_this{"c"});
    return eventually([&] { return nodes.near->count.load() == 1 || nodes.near->ended.load(); }) &&
           nodes.near->count.load() == 1;
  }));
}

BOOST_AUTO_TEST_CASE(a_node_that_does_not_answer_is_given_up_after_the_time_out) {
  link_identity quick;
  quick.failure_timeout = 200ms;
  two_nodes nodes(quick);
  // A backlog that nobody accepts from: the connection is made and nothing comes.
  std::string error;
  const auto silent = listening_socket::tcp("127.0.0.1", 0, 16, error);
  nodes.first.set_peer(2, {*literal_address("127.0.0.1", local_address(silent->fd())->port), 0});
  caf::anon_send(nodes.start_client(), write_this{"hello"});
  BOOST_TEST(reason(nodes) == "node 2: it does not answer");
}

BOOST_AUTO_TEST_SUITE_END()
