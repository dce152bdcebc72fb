#include "actors/handover_channel.hpp"

#include <boost/test/unit_test.hpp>

#include <array>
#include <fcntl.h>
#include <future>
#include <memory>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace pg_edge;
using namespace pg_edge::actors;

namespace {

struct both_ends {
  std::unique_ptr<handover_channel> here, there;
  both_ends() {
    int ends[2];
    BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    here = std::make_unique<handover_channel>(owned_fd(ends[0]));
    there = std::make_unique<handover_channel>(owned_fd(ends[1]));
  }
};

constexpr std::chrono::milliseconds a_while{10'000};

ino_t file_of(int fd) {
  struct stat about {};
  return ::fstat(fd, &about) == 0 ? about.st_ino : 0;
}

} // namespace

BOOST_AUTO_TEST_SUITE(handover_channel_test)

BOOST_AUTO_TEST_CASE(descriptors_arrive_with_their_own_frames) {
  both_ends two;
  std::vector<std::array<int, 2>> pipes(40);
  for (std::size_t i = 0; i < pipes.size(); ++i) {
    BOOST_REQUIRE(::pipe2(pipes[i].data(), O_CLOEXEC) == 0);
    if (i % 3 == 0) two.here->send(cluster::client_taken{i}); // one without between them
    two.here->send(cluster::server_here{i}, owned_fd::copy_of(pipes[i][0]));
  }
  auto writes = std::async(std::launch::async, [&] { return two.here->flush_now(a_while); });
  for (std::size_t i = 0; i < pipes.size(); ++i) {
    std::string why;
    if (i % 3 == 0) {
      auto plain = two.there->next(a_while, why);
      BOOST_REQUIRE(plain.has_value());
      BOOST_TEST(!plain->descriptor);
    }
    auto got = two.there->next(a_while, why);
    BOOST_REQUIRE(got.has_value());
    BOOST_TEST((got->frame == cluster::handover_frame(cluster::server_here{i})));
    BOOST_TEST(file_of(got->descriptor.get()) == file_of(pipes[i][0]));
  }
  BOOST_TEST(writes.get());
  for (auto& [read_end, write_end] : pipes) {
    ::close(read_end);
    ::close(write_end);
  }
}

BOOST_AUTO_TEST_CASE(a_frame_larger_than_any_buffer_arrives_whole) {
  both_ends two;
  cluster::known_user user{"t", "u", std::string(5'000'000, 'x'), {}, {}};
  two.here->send(user);
  auto writes = std::async(std::launch::async, [&] { return two.here->flush_now(a_while); });
  std::string why;
  const auto got = two.there->next(a_while, why);
  BOOST_TEST(writes.get());
  BOOST_REQUIRE(got.has_value());
  BOOST_TEST((got->frame == cluster::handover_frame(user)));
}

BOOST_AUTO_TEST_CASE(a_mark_comes_back_when_the_frame_has_gone_and_not_before) {
  both_ends two;
  two.here->send(cluster::known_user{"t", "u", std::string(5'000'000, 'x'), {}, {}}, {}, 7);
  std::vector<std::uint64_t> marks;
  BOOST_TEST(two.here->flush(marks)); // the socket takes a part of it
  BOOST_TEST(marks.empty());
  BOOST_TEST(two.here->wants_write());
  two.there.reset();
  BOOST_TEST(!two.here->flush(marks));
  BOOST_TEST(marks.empty());
}

BOOST_AUTO_TEST_CASE(an_end_and_nonsense_are_told_apart) {
  {
    both_ends two;
    two.here->send(cluster::serving{});
    BOOST_TEST(two.here->flush_now(a_while));
    two.here.reset();
    std::vector<handover_channel::received> frames;
    std::string why;
    BOOST_TEST(two.there->receive(frames, why));
    BOOST_TEST(frames.size() == 1u); // what came before the end is not lost
    BOOST_TEST(!two.there->receive(frames, why));
    BOOST_TEST(why.empty());
  }
  both_ends two;
  BOOST_TEST(::send(two.here->fd(), "GET / HTTP/1.0\r\n\r\n", 18, 0) == 18);
  std::vector<handover_channel::received> frames;
  std::string why;
  BOOST_TEST(!two.there->receive(frames, why));
  BOOST_TEST(!why.empty());
  BOOST_TEST(frames.empty());
}

BOOST_AUTO_TEST_SUITE_END()
