#include "actors/handover_channel.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace pg_edge::actors {

namespace {

constexpr std::size_t read_size = 256 * 1024;
constexpr std::size_t descriptors_per_read = 16;

} // namespace

owned_fd owned_fd::copy_of(int fd) {
  return owned_fd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

void owned_fd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

std::optional<peer_identity> peer_of(int fd) {
  ucred who{};
  socklen_t length = sizeof who;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) != 0) return std::nullopt;
  return peer_identity{who.pid, who.uid};
}

handover_channel::handover_channel(owned_fd fd) : fd_(std::move(fd)) {
  ::fcntl(fd_.get(), F_SETFL, ::fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
}

// -- sending
// -------------------------------------------------------------------------------------------------------------------

void handover_channel::send(const cluster::handover_frame& frame, owned_fd descriptor, std::uint64_t mark) {
  out_.push_back({cluster::encode(frame), 0, std::move(descriptor), mark});
}

/// A descriptor goes with the first byte of its frame.
bool handover_channel::flush(std::vector<std::uint64_t>& written) {
  while (!out_.empty()) {
    outgoing& first = out_.front();
    iovec piece{first.bytes.data() + first.sent, first.bytes.size() - first.sent};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    if (first.descriptor) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int));
      const int fd = first.descriptor.get();
      std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    const ssize_t sent = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      // Too many descriptors under way: as if the socket were full.
      return errno == EAGAIN || errno == EWOULDBLOCK || errno == ETOOMANYREFS;
    }
    first.descriptor.reset();
    first.sent += static_cast<std::size_t>(sent);
    if (first.sent < first.bytes.size()) continue;
    if (first.mark != 0) written.push_back(first.mark);
    out_.pop_front();
  }
  return true;
}

bool handover_channel::flush_now(std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  std::vector<std::uint64_t> written;
  while (flush(written)) {
    if (out_.empty()) return true;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd events{fd_.get(), POLLOUT, 0};
    if (left.count() <= 0 || ::poll(&events, 1, static_cast<int>(left.count())) == 0) return false;
  }
  return false;
}

// -- receiving
// -----------------------------------------------------------------------------------------------------------------

/// Whether the connection goes on. Nothing new is no end.
bool handover_channel::read_some(std::string& why) {
  const std::size_t had = in_.size();
  in_.resize(had + read_size);
  iovec piece{in_.data() + had, read_size};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(descriptors_per_read * sizeof(int))];
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = ::recvmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  const int error = errno;
  in_.resize(had + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  if (got < 0 && (error == EAGAIN || error == EWOULDBLOCK || error == EINTR)) return true;
  if (got <= 0) {
    if (got < 0) why = std::strerror(error);
    return false;
  }
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      descriptors_.emplace_back(fd);
    }
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    why = "descriptors were lost: this process may not open any more of them";
    return false;
  }
  return true;
}

bool handover_channel::receive(std::vector<received>& frames, std::string& why) {
  for (received& one : std::exchange(early_, {}))
    frames.push_back(std::move(one));
  const bool alive = read_some(why);
  for (;;) {
    cluster::handover_header header;
    const cluster::bytes_view rest = cluster::bytes_view(in_).substr(used_);
    const auto status = cluster::read_handover_header(rest, header);
    if (status == cluster::handover_status::invalid) {
      why = "the other process sent what is no frame of a hand-over";
      return false;
    }
    if (status == cluster::handover_status::need_more || rest.size() - cluster::handover_header_size < header.body)
      break;
    auto frame = cluster::decode(header, rest.substr(cluster::handover_header_size, header.body));
    if (!frame || descriptors_.size() < header.descriptors) {
      why = std::string("the other process sent a frame '") + header.type + "' that cannot be read";
      return false;
    }
    used_ += cluster::handover_header_size + header.body;
    frames.push_back({std::move(*frame), {}});
    if (header.descriptors == 0) continue;
    frames.back().descriptor = std::move(descriptors_.front());
    descriptors_.pop_front();
  }
  in_.erase(0, std::exchange(used_, 0));
  return alive;
}

std::optional<handover_channel::received> handover_channel::next(std::chrono::milliseconds limit, std::string& why) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (early_.empty()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd events{fd_.get(), POLLIN, 0};
    if (left.count() <= 0 || ::poll(&events, 1, static_cast<int>(left.count())) == 0) {
      why = "it does not answer";
      return std::nullopt;
    }
    std::vector<received> frames;
    const bool alive = receive(frames, why);
    for (received& one : frames)
      early_.push_back(std::move(one));
    if (alive || !early_.empty()) continue;
    if (why.empty()) why = "it closed the connection";
    return std::nullopt;
  }
  received first = std::move(early_.front());
  early_.pop_front();
  return first;
}

} // namespace pg_edge::actors
