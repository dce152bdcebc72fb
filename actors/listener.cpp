#include "actors/listener.hpp"

#include "actors/client.hpp"
#include "actors/log.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <grp.h>
#include <limits>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

namespace pg_edge::actors {

namespace {

/// Connections taken in one go; the rest wait for the next turn, so that a storm of logins does not stop the relaying.
constexpr int accepts_per_turn = 32;
/// Out of descriptors: how long nothing is accepted.
constexpr std::chrono::milliseconds exhausted_pause{200};

std::string reason() {
  return std::strerror(errno);
}

/// Gives the file to a group, by name or number; empty leaves it as it is. Returns what is wrong, or nothing.
std::string give_to_group(const std::string& path, const std::string& group) {
  if (group.empty()) return {};
  gid_t id = 0;
  const char* const last = group.data() + group.size();
  if (const ::group* found = ::getgrnam(group.c_str()))
    id = found->gr_gid;
  else if (const auto [end, status] = std::from_chars(group.data(), last, id); status != std::errc() || end != last)
    return "there is no group " + group;
  if (::chown(path.c_str(), static_cast<uid_t>(-1), id) != 0)
    return "cannot give it to group " + group + ": " + reason();
  return {};
}

} // namespace

std::shared_ptr<listening_socket> listening_socket::tcp(const std::string& address, int port, int backlog,
                                                        std::string& error) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const char* node = address == "*" ? nullptr : address.c_str();
  if (const int code = ::getaddrinfo(node, std::to_string(port).c_str(), &hints, &found); code != 0) {
    error = address + ": " + ::gai_strerror(code);
    return nullptr;
  }
  // "*" gives an IPv4 and an IPv6 address; an IPv6 socket takes both.
  const addrinfo* chosen = found;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next)
    if (address == "*" && one->ai_family == AF_INET6) chosen = one;
  std::shared_ptr<listening_socket> result;
  for (const addrinfo* one : {chosen, static_cast<const addrinfo*>(found)}) {
    const int fd = ::socket(one->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int yes = 1, no = 0;
    if (fd >= 0) {
      ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
      if (one->ai_family == AF_INET6)
        ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, address == "*" ? &no : &yes, sizeof yes);
      if (::bind(fd, one->ai_addr, one->ai_addrlen) == 0 && ::listen(fd, backlog) == 0) {
        result.reset(new listening_socket(fd, address + ":" + std::to_string(port), {}));
        break;
      }
    }
    error = address + ":" + std::to_string(port) + ": " + reason();
    if (fd >= 0) ::close(fd);
  }
  ::freeaddrinfo(found);
  return result;
}

std::shared_ptr<listening_socket> listening_socket::local(const std::string& folder, int port, int mode,
                                                          const std::string& group, int backlog, std::string& error) {
  const std::string path = folder + "/.s.PGSQL." + std::to_string(port);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    error = path + ": too long for a Unix socket";
    return nullptr;
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const auto* raw = reinterpret_cast<const sockaddr*>(&address);
  if (fd >= 0 && ::connect(fd, raw, sizeof address) != 0 && errno == ECONNREFUSED)
    ::unlink(path.c_str()); // left behind by a process that is gone
  if (fd >= 0) ::close(fd);
  const int made = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (made < 0 || ::bind(made, raw, sizeof address) != 0) {
    error = path + ": " + reason();
    if (made >= 0) ::close(made);
    return nullptr;
  }
  std::shared_ptr<listening_socket> result(new listening_socket(made, path, path)); // takes the file away on failure
  // The group comes before the mode: until both are set nobody can connect, since nobody listens yet.
  if (std::string wrong = give_to_group(path, group); !wrong.empty()) {
    error = path + ": unix_socket_group: " + wrong;
    return nullptr;
  }
  if (::chmod(path.c_str(), static_cast<mode_t>(mode)) != 0 || ::listen(made, backlog) != 0) {
    error = path + ": " + reason();
    return nullptr;
  }
  return result;
}

std::shared_ptr<listening_socket> listening_socket::adopt(int fd, std::string name, std::string file, bool passed) {
  std::shared_ptr<listening_socket> result(new listening_socket(fd, std::move(name), std::move(file)));
  result->passed_ = passed;
  return result;
}

listening_socket::~listening_socket() {
  ::close(fd_);
  if (!file_.empty() && !file_kept_) ::unlink(file_.c_str());
}

listener::listener(caf::actor_config& config, reactor& home, node_context& node,
                   std::shared_ptr<listening_socket> socket, std::string door)
    : pinned_actor(config, home, actor_kind::listener), node_(node), socket_(std::move(socket)), door_(std::move(door)),
      pause_(timer::calling<&listener::go_on>(*this)) {}

caf::behavior listener::make_behavior() {
  prepare_accepts();
  go_on();
  return {[this](const close_server&) { quit(); }};
}

/// Also the end of a pause, if there are descriptors again: the one that dup() gives is the lowest that is free.
void listener::go_on() {
  if (paused_ && node_.descriptors.all > 0) {
    const int next = ::fcntl(socket_->fd(), F_DUPFD_CLOEXEC, 0);
    if (next >= 0) ::close(next);
    const int enough = (node_.descriptors.clients + node_.descriptors.accepts) / 2; // apart from where it is paused
    if (next < 0 || next >= enough) return home().schedule(pause_, home().now() + exhausted_pause);
  }
  watched_ = home().watch_accept(socket_->fd(), *this);
  if (!watched_) return pause(reason());
  if (std::exchange(paused_, false) && node_.listeners_paused.fetch_sub(1, std::memory_order_relaxed) == 1)
    log(level::info, log_event::accept_resumed, {{"address", socket_->name()}});
}

/// Connections stay in the backlog. Of all listeners the first says so.
void listener::pause(std::string_view why) {
  if (watched_) home().unwatch(socket_->fd(), *this);
  watched_ = false;
  home().schedule(pause_, home().now() + exhausted_pause);
  if (std::exchange(paused_, true) || node_.listeners_paused.fetch_add(1, std::memory_order_relaxed) > 0) return;
  log(level::warning, log_event::accept_paused,
      {{"address", socket_->name()}, {"reason", why}, {"rlimit_nofile", node_.descriptors.all}});
}

std::string listener::describe() const {
  return socket_->name();
}

void listener::on_exit() {
  home().cancel(pause_);
  if (watched_) home().unwatch(socket_->fd(), *this);
  if (std::exchange(paused_, false)) node_.listeners_paused.fetch_sub(1, std::memory_order_relaxed);
  socket_.reset();
}

/// What a connection inherits from the socket that accepts it need not be set once for each. Those that the kernel has
/// made before have inherited what was there then.
void listener::prepare_accepts() {
  auto settings = node_.settings();
  if (settings == prepared_for_) return;
  prepared_for_ = std::move(settings);
  if (!socket_->tcp()) return;
  set_options(socket_->fd());
  set_each_ = true;
}

void listener::set_options(int fd) const {
  const config::settings& now = *prepared_for_->values;
  const keepalive_options& own = socket_->keepalive_of_kernel();
  using std::chrono::duration_cast;
  const auto or_own = [](auto wanted, auto kernels) { return wanted > decltype(wanted){} ? wanted : kernels; };
  set_no_delay(fd);
  set_keepalive(fd, {now.tcp_keepalive, or_own(duration_cast<std::chrono::seconds>(now.tcp_keepidle), own.idle),
                     or_own(duration_cast<std::chrono::seconds>(now.tcp_keepintvl), own.interval),
                     or_own(now.tcp_keepcnt, own.count), std::chrono::milliseconds{0}});
  const auto timeout = duration_cast<std::chrono::milliseconds>(now.tcp_user_timeout).count();
  const int bounded = static_cast<int>(std::clamp<std::int64_t>(timeout, 0, std::numeric_limits<int>::max()));
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &bounded, sizeof bounded);
}

void listener::on_io(std::uint32_t) {
  prepare_accepts();
  for (int i = 0; i < accepts_per_turn; ++i) {
    std::optional<socket_address> peer;
    const int fd = accept_from(socket_->fd(), peer);
    if (fd < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) set_each_ = false; // the backlog of before is empty
      if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ECONNABORTED || errno == EINTR) return;
      // No descriptor or no memory: the connection stays in the backlog, and asking again at once would only spin.
      return pause(reason());
    }
    const bool last = node_.descriptors.accepts > 0 && fd >= node_.descriptors.accepts;
    if (set_each_ && socket_->tcp()) set_options(fd);
    spawn_pinned<client>(home(), node_, stream(fd), peer.value_or(socket_address{"unix", 0}), door_);
    if (last) return pause("the rest of the descriptors is for connections to Postgres");
  }
}

} // namespace pg_edge::actors
