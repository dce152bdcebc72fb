// A client's first bytes: what a proxy says about it, TLS, plain or HTTP; then start-up packets until one says who it
// is or whom to cancel.
#include "actors/client_login_state.hpp"
#include "actors/tls_context.hpp"
#include "config/network.hpp"
#include "protocol/proxy_header.hpp"

#include <cerrno>
#include <sys/socket.h>

namespace pg_edge::actors {

namespace {

constexpr protocol::bytes_view http_answer =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    "This port speaks the PostgreSQL protocol, not HTTP.\r\n";

} // namespace

/// The proxy's header stands before everything else, TLS too. False: not all of it is there yet, or it is over.
bool client::take_proxy_header() {
  const bool trusted = peer_.port == 0 || config::any_contains(login_->door->proxy_protocol_from, peer_.host);
  if (!trusted) {
    fail(protocol::error_code::proxy_not_trusted, {peer_.host, login_->door->name});
    return false;
  }
  char start[protocol::max_proxy_header];
  const ssize_t got = ::recv(socket_.fd(), start, sizeof start, MSG_PEEK);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return false;
  if (got <= 0) {
    leave("");
    return false;
  }
  protocol::proxy_header header;
  switch (protocol::read_proxy_header({start, static_cast<std::size_t>(got)}, header)) {
  case protocol::proxy_status::need_more:
    return false; // looked at again when more has come
  case protocol::proxy_status::invalid:
    fail(protocol::error_code::proxy_header_missing, {login_->door->name});
    return false;
  case protocol::proxy_status::complete:
    break;
  }
  // It was just looked at, so it can be read whole.
  if (::recv(socket_.fd(), start, header.length, 0) != static_cast<ssize_t>(header.length)) {
    leave("the PROXY header vanished");
    return false;
  }
  login_->proxied = false;
  if (header.has_source) peer_ = {header.source, header.source_port};
  return true;
}

bool client::on_first_bytes() {
  if (login_->proxied && !take_proxy_header()) return false;
  char first[8];
  const ssize_t got = ::recv(socket_.fd(), first, sizeof first, MSG_PEEK);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return false;
  if (got <= 0) {
    leave(""); // health checks of load balancers connect and go: not worth a line
    return false;
  }
  switch (protocol::classify_first_bytes({first, static_cast<std::size_t>(got)})) {
  case protocol::first_bytes::need_more:
    return false; // looked at again when more has come
  case protocol::first_bytes::direct_tls:
    if (login_->tls->context == nullptr) {
      leave("direct TLS, and client_tls_sslmode is disable");
      return false;
    }
    set_step(client_step::handshaking);
    begin_accept_tls(*login_->tls->context, true);
    return false;
  case protocol::first_bytes::http:
    write(http_answer);
    // Closing with bytes unread sends a reset, which can overtake the answer.
    char unread[16 * 1024];
    static_cast<void>(::recv(socket_.fd(), unread, sizeof unread, MSG_DONTWAIT));
    leave("HTTP on the Postgres port");
    return false;
  default:
    return true;
  }
}

void client::on_handshake() {
  login_->tls_server_name = socket_.tls_server_name();
  set_step(client_step::starting);
}

std::size_t client::read_start_up(protocol::bytes_view in) {
  std::size_t used = 0;
  while (step_ == client_step::starting) {
    const protocol::bytes_view rest = in.substr(used);
    std::size_t length = 0;
    const auto status = protocol::read_startup_length(rest, length);
    if (status == protocol::header_status::need_more) return used;
    if (status == protocol::header_status::invalid) {
      const protocol::startup_error error = protocol::startup_length_error(length);
      fail(error.response(), error.text());
      return in.size();
    }
    if (rest.size() < length) return used;
    used += start_up_packet(rest.substr(0, length), rest.size() > length);
  }
  return step_ == client_step::leaving || step_ == client_step::gone ? in.size() : used;
}

std::size_t client::start_up_packet(protocol::bytes_view packet, bool more_behind) {
  protocol::startup_packet parsed = protocol::parse_startup(packet);
  if (auto* error = std::get_if<protocol::startup_error>(&parsed)) {
    fail(error->response(), error->text());
  } else if (std::holds_alternative<protocol::ssl_request>(parsed)) {
    answer_ssl_request(more_behind);
  } else if (std::holds_alternative<protocol::gssenc_request>(parsed)) {
    if (more_behind || std::exchange(login_->asked_gssapi, true))
      fail(protocol::error_code::startup_packet_invalid,
           {more_behind ? "unencrypted data after GSSAPI encryption request" : "a second GSSAPI encryption request"});
    else
      write("N");
  } else if (auto* request = std::get_if<protocol::cancel_request>(&parsed)) {
    begin_cancel(*request);
  } else {
    begin_login(std::get<protocol::startup_message>(std::move(parsed)));
  }
  return packet.size();
}

void client::answer_ssl_request(bool more_behind) {
  if (more_behind || socket_.tls() || login_->asked_encryption)
    return fail(protocol::error_code::startup_packet_invalid,
                {more_behind ? "unencrypted data after SSL request" : "a second SSL request"});
  login_->asked_encryption = true;
  const bool offered = login_->tls->context != nullptr;
  write(offered ? "S" : "N");
  if (!offered) return;
  set_step(client_step::handshaking);
  begin_accept_tls(*login_->tls->context, false);
}

/// The connection exists only to cancel somebody's query, and is closed when that has been passed on.
void client::begin_cancel(const protocol::cancel_request& request) {
  set_step(client_step::cancelling);
  const caf::actor whom = node_.cancels.find(request.process_id, request.key);
  if (!whom && cancel_elsewhere(request)) return leave("cancel request passed to another node");
  if (!whom && !node_.handover.linked()) return leave("cancel request with a wrong key");
  const auto limit = login_->settings->values->cancel_wait_timeout;
  if (limit.count() > 0) home().schedule(deadline_, home().now() + limit);
  const auto self = caf::actor_cast<caf::actor>(this);
  if (whom) return send(whom, cancel_client{self});
  if (!node_.handover.forward_cancel(request.process_id, request.key, self)) leave("cancel request with a wrong key");
}

} // namespace pg_edge::actors
