// The HTTP/1.1 server of the admin API, /metrics and health checks: one thread with Boost.Asio and Beast, beside the
// reactors and never in their way. What a request means stands in admin_routes.
//
//   accept -> (TLS handshake) -> request_head -> (refused: answer, close)
//                                     ^    '-> request_body -> answer_awaited -> answer_sent -.
//                                     '--------------------- keep-alive ----------------------'
//
// Every step has a time-out, heads and bodies a greatest size, and the number of connections a limit: one more takes
// the place of the one that has said nothing for longest. An address that cannot be had is tried again until it can,
// since a node must serve whether or not it can be looked at.
#pragma once

#include "actors/node_context.hpp"

#include <memory>
#include <string>

namespace pg_edge::actors {

/// Sizes of a request; more is answered by 431 and 413.
inline constexpr std::uint32_t longest_request_head = 16 * 1024;
inline constexpr std::uint64_t longest_request_body = 1024 * 1024;

class admin_http {
public:
  /// Serves what [admin] in the node's settings says; they must say that there is something to serve.
  admin_http(caf::actor_system& system, node_context& node);
  ~admin_http();
  admin_http(const admin_http&) = delete;
  admin_http& operator=(const admin_http&) = delete;

  /// Takes no more requests, waits shortly for answers under way, and ends the thread.
  void stop();

private:
  class server;
  std::shared_ptr<server> server_;
};

/// TLS for the API; null without an error: it is not asked for.
tls_context_result make_admin_tls_context(const config::admin_settings& settings);

} // namespace pg_edge::actors
