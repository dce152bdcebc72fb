// A server that costs next to nothing: it speaks Postgres's protocol with prepared bytes, so that a pooler in front of
// it is the only thing measured. One thread; every query is answered with one row, whatever it asked.
//   bench_server PORT [ROW_BYTES]
#include "protocol/bytes.hpp"
#include "protocol/frame.hpp"
#include "tools/benchmark/socket.hpp"

#include <string_view>
#include <vector>

namespace {

using namespace pg_edge;
using protocol::bytes;
using protocol::bytes_view;

bytes message(char type, bytes_view body) {
  bytes out;
  protocol::put_u8(out, type);
  protocol::put_u32(out, static_cast<std::uint32_t>(body.size() + 4));
  return out.append(body);
}

bytes text(std::string_view name) {
  bytes out(name);
  out.push_back('\0');
  return out;
}

/// Everything the server ever says.
struct answers {
  bytes login, row_description, row, complete, ready_idle, command;

  explicit answers(std::size_t row_bytes) {
    bytes key;
    protocol::put_u32(key, 4711);
    protocol::put_u32(key, 815);
    ready_idle = message('Z', "I");
    bytes ok;
    protocol::put_u32(ok, 0);
    login = message('R', ok);
    for (const auto& [name, value] : {std::pair{"server_version", "15.0"},
                                      {"server_encoding", "UTF8"},
                                      {"client_encoding", "UTF8"},
                                      {"DateStyle", "ISO, MDY"},
                                      {"TimeZone", "UTC"},
                                      {"IntervalStyle", "postgres"},
                                      {"standard_conforming_strings", "on"},
                                      {"integer_datetimes", "on"},
                                      {"application_name", ""}})
      login += message('S', text(name) + text(value));
    login += message('K', key) + ready_idle;
    bytes column;
    protocol::put_u16(column, 1);
    column += text("?column?");
    protocol::put_u32(column, 0);
    protocol::put_u16(column, 0);
    protocol::put_u32(column, 25);
    protocol::put_u16(column, 0xffff);
    protocol::put_u32(column, 0xffffffff);
    protocol::put_u16(column, 0);
    row_description = message('T', column);
    bytes value;
    protocol::put_u16(value, 1);
    protocol::put_u32(value, static_cast<std::uint32_t>(row_bytes));
    row = message('D', value + bytes(row_bytes, '1'));
    complete = message('C', text("SELECT 1"));
    command = message('C', text("SET"));
  }
};

class connection {
public:
  connection(int fd, const answers& said) : fd_(fd), said_(said) {}

  /// False: it has gone.
  bool on_readable() {
    char chunk[65536];
    const ssize_t count = ::recv(fd_, chunk, sizeof chunk, 0);
    if (count < 0 && errno == EAGAIN) return true;
    if (count <= 0) return false;
    in_.append(chunk, static_cast<std::size_t>(count));
    out_.clear();
    const bool goes_on = take_messages();
    for (std::size_t sent = 0; sent < out_.size();) {
      const ssize_t wrote = ::send(fd_, out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL);
      if (wrote < 0 && errno != EAGAIN) return false;
      if (wrote > 0) sent += static_cast<std::size_t>(wrote);
    }
    return goes_on;
  }
  int fd() const { return fd_; }

private:
  bool take_messages() {
    std::size_t used = 0;
    while (!started_ && in_.size() - used >= 8) {
      const std::size_t length = protocol::load_u32(in_.data() + used);
      if (in_.size() - used < length) break;
      const std::uint32_t code = protocol::load_u32(in_.data() + used + 4);
      used += length;
      if (code == 80877103 || code == 80877104) { // SSLRequest, GSSENCRequest
        out_ += 'N';
      } else if (code == 80877102) { // CancelRequest
        return false;
      } else {
        started_ = true;
        out_ += said_.login;
      }
    }
    while (started_) {
      protocol::frame_header header;
      const bytes_view rest = bytes_view(in_).substr(used);
      if (protocol::read_header(rest, header) != protocol::header_status::ok || rest.size() < header.total()) break;
      if (header.type == 'X') return false;
      answer(header.type, rest.substr(protocol::frame_header_size, header.body()));
      used += header.total();
    }
    in_.erase(0, used);
    return true;
  }

  void answer(char type, bytes_view body) {
    switch (type) {
    case 'Q':
      if (body.starts_with("S") && !body.starts_with("SET"))
        out_ += said_.row_description + said_.row + said_.complete;
      else
        out_ += said_.command;
      out_ += said_.ready_idle;
      break;
    case 'P':
      out_ += message('1', {});
      break;
    case 'B':
      out_ += message('2', {});
      break;
    case 'C':
      out_ += message('3', {});
      break;
    case 'D':
      if (body.starts_with("S")) out_ += message('t', bytes(2, '\0'));
      out_ += said_.row_description;
      break;
    case 'E':
      out_ += said_.row;
      out_ += said_.complete;
      break;
    case 'S':
      out_ += said_.ready_idle;
      break;
    default:
      break;
    }
  }

  int fd_;
  const answers& said_;
  bool started_ = false;
  bytes in_, out_;
};

} // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_server PORT [ROW_BYTES]\n");
    return 2;
  }
  const answers said(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 1);
  const int door = benchmark::listen_on(static_cast<std::uint16_t>(std::atoi(argv[1])));
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  benchmark::watch(epoll, door, nullptr);
  std::vector<epoll_event> events(256);
  for (;;) {
    const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      auto* const whose = static_cast<connection*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (whose == nullptr) {
        const int fd = ::accept4(door, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) continue;
        benchmark::set_no_delay(fd);
        benchmark::watch(epoll, fd, new connection(fd, said));
      } else if (!whose->on_readable()) {
        ::close(whose->fd());
        delete whose;
      }
    }
  }
}
