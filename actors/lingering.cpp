#include "actors/lingering.hpp"

#include "actors/messages.hpp"
#include "actors/pinned_actor.hpp"

#include <cerrno>
#include <sys/socket.h>

namespace pg_edge::actors {

namespace {

constexpr std::chrono::milliseconds patience{1000};
/// Thrown away at most, of one connection; who has sent so much more does not wait for an answer.
constexpr std::size_t most_bytes = 32 * 1024 * 1024;
/// On one reactor; beyond it sockets are closed at once.
constexpr int most_at_a_time = 64;

thread_local int lingering_here = 0;

class lingering final : public pinned_actor, public io_handler {
public:
  lingering(caf::actor_config& config, reactor& home, stream socket)
      : pinned_actor(config, home), socket_(std::move(socket)),
        deadline_(timer::calling<&lingering::on_deadline>(*this)) {}

  const char* name() const override { return "lingering"; }

  caf::behavior make_behavior() override {
    ++lingering_here;
    counted_ = true;
    home().schedule(deadline_, home().now() + patience);
    watched_ = home().watch(socket_.fd(), *this);
    if (!watched_) quit();
    return {[](const close_server&) {}};
  }

  void on_exit() override {
    home().cancel(deadline_);
    if (watched_) home().unwatch(socket_.fd(), *this);
    watched_ = false;
    socket_.close();
    if (counted_) --lingering_here;
    counted_ = false;
  }

  /// TLS or not: nobody looks at it.
  void on_io(std::uint32_t) override {
    const std::span<char> room = home().scratch();
    for (int reads = 0; reads < 4; ++reads) {
      const ssize_t got = ::recv(socket_.fd(), room.data(), room.size(), MSG_DONTWAIT);
      if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
      if (got <= 0) return quit();
      thrown_away_ += static_cast<std::size_t>(got);
      if (thrown_away_ > most_bytes) return quit();
    }
    home().again(*this);
  }

private:
  void on_deadline() { quit(); }

  stream socket_;
  timer deadline_;
  std::size_t thrown_away_ = 0;
  bool watched_ = false;
  bool counted_ = false;
};

} // namespace

void linger(reactor& home, stream socket) {
  if (lingering_here >= most_at_a_time || home.stopping()) return; // the socket closes here
  spawn_pinned<lingering>(home, std::move(socket));
}

} // namespace pg_edge::actors
