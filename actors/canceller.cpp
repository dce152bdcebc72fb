#include "actors/canceller.hpp"

#include "protocol/startup.hpp"

#include <cerrno>
#include <sys/socket.h>

namespace pg_edge::actors {

canceller::canceller(caf::actor_config& config, reactor& home, cancel_order order)
    : connection(config, home, actor_kind::canceller, stream()), order_(std::move(order)),
      deadline_(timer::calling<&canceller::on_timeout>(*this)) {}

caf::behavior canceller::make_behavior() {
  if (order_.limit.count() > 0) home().schedule(deadline_, home().now() + order_.limit);
  const int fd = ::socket(order_.address.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const auto* address = reinterpret_cast<const sockaddr*>(&order_.address.address);
  if (fd >= 0) socket_ = stream(fd);
  if (fd < 0 || (::connect(fd, address, order_.address.length) != 0 && errno != EINPROGRESS)) {
    finish(false);
    return {};
  }
  await_connect();
  if (!watch()) finish(false);
  return {[this](const close_server&) { finish(false); }};
}

void canceller::on_exit() {
  home().cancel(deadline_);
  close_socket();
  order_ = {};
}

void canceller::on_connected() {
  protocol::bytes packet;
  protocol::append_cancel_request(packet, {order_.process_id, order_.secret});
  write(packet);
}

void canceller::on_lost(std::string) {
  finish(true);
}

void canceller::on_timeout() {
  finish(false);
}

/// `sent`: Postgres has closed the connection.
void canceller::finish(bool sent) {
  if (finished_) return;
  finished_ = true;
  send(order_.server, cancel_sent{order_.requester, sent});
  if (order_.share) send(order_.share, cancel_over{});
  close_socket();
  quit();
}

} // namespace pg_edge::actors
