// A connection to Postgres whose only purpose is one CancelRequest. It lives until Postgres closes it, because only
// then the signal has been sent and the server may serve somebody else without being hit. close_server ends it: its
// target is gone, and the pid may soon be another's.
#pragma once

#include "actors/connection.hpp"
#include "actors/messages.hpp"

#include <chrono>

namespace pg_edge::actors {

struct cancel_order {
  server_address address;
  std::int32_t process_id = 0;
  protocol::bytes secret;
  config::duration limit{}; // cancel_wait_timeout; 0: as long as it takes
  caf::actor server;        // told cancel_sent
  caf::actor requester;     // told cancel_done by the server; may be empty
  caf::actor share;         // told cancel_over; may be empty
};

class canceller final : public connection {
public:
  canceller(caf::actor_config& config, reactor& home, cancel_order order);

  caf::behavior make_behavior() override;
  void on_exit() override;
  const char* name() const override { return "canceller"; }

protected:
  std::size_t on_bytes(protocol::bytes_view in) override { return in.size(); }
  bool wants_input() const override { return true; }
  void on_connected() override;
  void on_lost(std::string why) override;

private:
  void on_timeout();
  void finish(bool sent);

  cancel_order order_;
  timer deadline_;
  bool finished_ = false;
};

} // namespace pg_edge::actors
