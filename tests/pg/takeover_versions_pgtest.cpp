// When a process that takes over says that it serves, and takeovers between versions: by processes of other versions
// that the test plays, on either side. What moves and who dies is takeover_pgtest's.
#include "tests/pg/takeover_support.hpp"

#include <ctime>

using namespace pg_edge::test;

namespace {

constexpr int our_version = 2;
const std::string it_serves = "event=node_started";

/// What a process of version 1 says to one of version 2, word for word.
const std::string refusal_of_version_1 = "the running process (version 0.1.0) hands over by version 1 of the language, "
                                         "and the new one (version 0.1.0) takes "
                                         "over by version 2: stop the running one and start the new one instead";

int version_in_hello(const handover_words& words) {
  return static_cast<unsigned char>(words.body.at(4 + std::string("pg_edge hand-over").size() + 3));
}

int version_in_welcome(const handover_words& words) {
  return static_cast<unsigned char>(words.body.at(3));
}

/// An old process that the test plays, as whose process a child stands. It has no clients and no addresses but the one
/// of takeovers, so the new process opens its own.
class played_former {
public:
  played_former() : listening_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), process_({"sleep", "300"}, {}) {
    const sockaddr_un address = address_of(path());
    if (::bind(listening_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listening_, 8) != 0)
      throw test_failure("cannot listen at " + path());
  }
  ~played_former() { ::close(listening_); }
  std::string path() const { return folder_ / "takeover.sock"; }

  /// A new process that takes over from this one.
  std::unique_ptr<pg_edge_process> successor() const {
    pg_edge_options how;
    how.arguments = {"--takeover"};
    how.wait_until_listening = false;
    return std::make_unique<pg_edge_process>(simple_toml("takeover_socket = \"" + path() + "\"\n"), how);
  }
  /// Whoever connects next.
  std::unique_ptr<stranger> accept() const {
    pollfd events{listening_, POLLIN, 0};
    if (::poll(&events, 1, 20'000) <= 0) throw test_failure("nobody takes over");
    return std::make_unique<stranger>(::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC));
  }
  /// ... who proposes `version`, as it has to.
  std::unique_ptr<stranger> accept_hello(int version) const {
    auto other = accept();
    const auto words = other->hear_frame();
    BOOST_TEST_REQUIRE((words && words->type == 'h'));
    BOOST_TEST(version_in_hello(*words) == version);
    return other;
  }
  /// All that an old process says before the new one serves; then the new one has said that it accepts connections.
  void give(stranger& other, int version) const {
    other.say(frame_bytes('H', int32_bytes(version) + text_bytes("0.1.0") + int32_bytes(process_.pid()) +
                                   std::string(1, '\0') + int32_bytes(0) + int32_bytes(1000) + int32_bytes(0) +
                                   int32_bytes(0)));
    other.say_with(
        frame_bytes('L', std::string(1, '\2') + text_bytes("") + text_bytes(path()) + text_bytes(path()), true),
        listening_);
    other.say(frame_bytes('T') + frame_bytes('E'));
    BOOST_TEST_REQUIRE(other.hear_frame('s').has_value());
  }
  void die() { process_.kill_tree(); }

private:
  temp_dir folder_;
  int listening_;
  process process_;
};

const std::string doors_closed = frame_bytes('d');
const std::string goodbye = frame_bytes('B');

/// Its time of day, of the line of the log: in milliseconds, as the log has it.
std::int64_t time_of(const std::string& log, const std::string& event) {
  const std::size_t at = log.rfind("time=", log.find(event));
  if (at == std::string::npos) throw test_failure("no " + event + " in the log:\n" + log);
  tm utc{};
  const char* const rest = ::strptime(log.c_str() + at + 5, "%Y-%m-%dT%H:%M:%S", &utc);
  if (rest == nullptr || *rest != '.') throw test_failure("no time in the log:\n" + log);
  return ::timegm(&utc) * std::int64_t{1000} + std::stoi(std::string(rest + 1, 3));
}

std::int64_t now_in_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

/// Clients that come and go all the time, each with the moment when it began to connect and the process that let it in:
/// cancel keys tell it (cluster/cancel_key.hpp).
class coming_clients {
public:
  struct seen {
    std::int64_t began = 0; // ms
    int process = 0;
  };

  coming_clients(const std::string& conninfo, int threads) {
    for (int i = 0; i < threads; ++i)
      threads_.emplace_back([this, conninfo] {
        while (!stopping_) {
          const std::int64_t began = now_in_ms();
          const pq one = pq::attempt(conninfo);
          const std::lock_guard lock(mutex_);
          if (one.ok())
            seen_.push_back({began, one.backend_pid() >> 20 & 1});
          else
            refused_ = one.message();
        }
      });
  }
  ~coming_clients() { stop(); }
  void stop() {
    stopping_ = true;
    for (std::thread& one : threads_)
      one.join();
    threads_.clear();
  }
  std::size_t since(std::int64_t when, int process) const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::count_if(
        seen_.begin(), seen_.end(), [&](const seen& one) { return one.began > when && one.process == process; }));
  }
  std::string refused() const { return refused_; }

private:
  mutable std::mutex mutex_;
  std::vector<seen> seen_;
  std::string refused_;
  std::atomic<bool> stopping_ = false;
  std::vector<std::thread> threads_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(takeover_versions_pgtest)

// -- when it serves
// ----------------------------------------------------------------------------------------------------------------

/// Ten takeovers while clients come: whoever begins to connect after the new process has said that it serves is let in
/// by that one, and nobody is refused before.
BOOST_AUTO_TEST_CASE(who_comes_when_it_serves_is_not_let_in_by_the_former_process) {
  takeover_node node;
  for (int round = 1; round <= 10; ++round) {
    const int own = round % 2; // the first process has 0, the one that takes over the other number
    coming_clients clients(node.conninfo(), 4);
    BOOST_TEST(wait_for([&] { return clients.since(0, 1 - own) > 20; }));
    node.take_over();
    const std::int64_t serves = time_of(node.log(), it_serves);
    BOOST_TEST(wait_for([&] { return clients.since(serves, own) > 100; }));
    clients.stop();
    BOOST_TEST(clients.since(serves, 1 - own) == 0u, "takeover " << round);
    BOOST_TEST(clients.refused() == "");
    BOOST_TEST_REQUIRE(node.former_ends());
  }
}

BOOST_AUTO_TEST_CASE(it_does_not_say_so_before_the_former_process_has_closed_its_doors) {
  played_former former;
  const auto node = former.successor();
  const auto other = former.accept_hello(our_version);
  former.give(*other, our_version);
  BOOST_TEST(node->wait_for_log("event=listening"));
  std::this_thread::sleep_for(milliseconds(500)); // as long as it likes
  BOOST_TEST(!node->log_contains(it_serves));
  other->say(doors_closed);
  BOOST_TEST(node->wait_for_log(it_serves));
  BOOST_TEST(!node->log_contains("event=handover_silent"));
  other->say(goodbye); // with it go the permits
  BOOST_TEST(pq(node->conninfo()).value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(it_serves_when_the_former_process_dies_instead) {
  played_former former;
  const auto node = former.successor();
  {
    const auto other = former.accept_hello(our_version);
    former.give(*other, our_version);
    former.die();
  }
  BOOST_TEST(node->wait_for_log(it_serves));
  BOOST_TEST(node->wait_for_log("dead=true"));
  BOOST_TEST(!node->log_contains("event=handover_silent"));
  BOOST_TEST(pq(node->conninfo()).value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(it_serves_when_the_former_process_hangs_and_says_that) {
  played_former former;
  const auto node = former.successor();
  const auto other = former.accept_hello(our_version);
  former.give(*other, our_version);
  BOOST_TEST(node->wait_for_log("event=handover_silent", milliseconds(20'000)));
  BOOST_TEST(node->wait_for_log(it_serves));
  other->say(doors_closed + goodbye); // later than never
  BOOST_TEST(node->wait_for_log("event=handover_ended"));
  BOOST_TEST(pq(node->conninfo()).value("select 1") == "1");
}

// -- versions
// ----------------------------------------------------------------------------------------------------------------

/// An upgrade from the first release, whose processes refuse every version but their own.
BOOST_AUTO_TEST_CASE(a_new_process_takes_over_from_one_of_version_1) {
  played_former former;
  const auto node = former.successor();
  former.accept_hello(our_version)->say(frame_bytes('R', text_bytes(refusal_of_version_1)));
  const auto other = former.accept_hello(1);
  former.give(*other, 1);
  BOOST_TEST(node->wait_for_log(it_serves)); // without a word about doors
  BOOST_TEST(!node->log_contains("event=handover_silent"));
  other->say(goodbye);
  BOOST_TEST(node->wait_for_log("event=handover_ended"));
  BOOST_TEST(pq(node->conninfo()).value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(another_refusal_is_not_asked_again) {
  played_former former;
  const auto node = former.successor();
  former.accept_hello(our_version)->say(frame_bytes('R', text_bytes("this process is shutting down")));
  BOOST_TEST(node->wait().value_or(-1) == 1);
  BOOST_TEST(node->log_contains("--takeover: refused: this process is shutting down"), node->log());
}

BOOST_AUTO_TEST_CASE(who_refuses_every_version_is_believed) {
  played_former former;
  const auto node = former.successor();
  former.accept_hello(our_version)->say(frame_bytes('R', text_bytes(refusal_of_version_1)));
  former.accept_hello(1)->say(frame_bytes('R', text_bytes(refusal_of_version_1)));
  BOOST_TEST(node->wait().value_or(-1) == 1);
  BOOST_TEST(node->log_contains("hands over by version 1"), node->log());
}

namespace {

/// All that an idle process says to a new one of this version, by types, once that one serves; it ends then.
std::string last_words(takeover_node& node, int version) {
  stranger other(node.folder() + "/takeover.sock");
  other.say(hello_bytes(version));
  const auto welcome = other.hear_frame();
  BOOST_TEST_REQUIRE((welcome && welcome->type == 'H'));
  BOOST_TEST(version_in_welcome(*welcome) == version);
  BOOST_TEST_REQUIRE(other.hear_frame('E').has_value());
  other.say(frame_bytes('s') + frame_bytes('T'));
  std::string types;
  while (const auto words = other.hear_frame())
    types += words->type;
  BOOST_TEST(node.wait(milliseconds(20'000)).value_or(-1) == 0, node.log());
  return types;
}

} // namespace

/// The way back: a new process of the first release takes over from this one.
BOOST_AUTO_TEST_CASE(one_of_version_1_takes_over_and_hears_nothing_that_it_does_not_know) {
  takeover_node node;
  BOOST_TEST(last_words(node, 1) == "B");
}

BOOST_AUTO_TEST_CASE(the_former_process_says_that_its_doors_are_closed_and_then_that_it_ends) {
  takeover_node node;
  BOOST_TEST(last_words(node, our_version) == "dB");
}

BOOST_AUTO_TEST_SUITE_END()
