// One connection to another node, with the streams on it: it moves bytes between the socket and cluster/stream_mux.
//
//   dialled:  connecting ──> (securing) ──> greeting ──> up ──> gone
//   accepted:                (securing) ──> greeting ──> up ──> gone
//
// What its streams have written in a turn goes with one system call at the end of the turn. It says nothing while all
// is quiet but a ping a few times within failure_timeout, and is lost when nothing has come for that long.
#pragma once

#include "actors/connection.hpp"
#include "actors/node_links.hpp"

#include <string>
#include <unordered_map>

namespace pg_edge::actors {

class node_link final : public connection, private turn_task, private cluster::mux_events, private cluster::mux_source {
public:
  /// Dials.
  node_link(caf::actor_config& config, reactor& home, node_links& links, node_number to, link_peer where);
  /// Has accepted.
  node_link(caf::actor_config& config, reactor& home, node_links& links, stream socket);

  caf::behavior make_behavior() override;
  void on_exit() override;
  const char* name() const override { return "node_link"; }
  bool take(const std::type_info& type, const void* message) override;

  /// Null: there is no room for another.
  carried_stream_ptr open_stream(protocol::bytes_view request);
  void send_signal(protocol::bytes_view what);

protected:
  std::size_t on_bytes(protocol::bytes_view in) override;
  bool wants_input() const override { return step_ == step::greeting || step_ == step::up; }
  void on_connected() override;
  void on_handshake() override;
  void on_drained() override;
  void on_lost(std::string why) override;
  void on_exception() noexcept override;

private:
  enum class step : std::uint8_t { connecting, securing, greeting, up, gone };

  void end_turn() override;
  std::string on_hello(const cluster::link_hello& other) override;
  void on_open(cluster::stream_id which, protocol::bytes_view request) override;
  void on_data(cluster::stream_id which, protocol::bytes_view data) override;
  void on_finish(cluster::stream_id which) override;
  void on_reset(cluster::stream_id which, protocol::bytes_view why) override;
  void on_signal(cluster::stream_id which, protocol::bytes_view what) override;
  void on_pong(std::uint64_t) override {}
  std::size_t pull(cluster::stream_id which, protocol::bytes& out, std::size_t most) override;

  void dial();
  void secure();
  void greet();
  void write_soon();
  void serve_calls();
  void on_tick();
  void end(const std::string& why);

  node_links& links_;
  const std::shared_ptr<const link_identity> self_;
  link_peer where_;
  cluster::stream_mux mux_;
  std::shared_ptr<link_calls> calls_ = std::make_shared<link_calls>();
  std::unordered_map<cluster::stream_id, carried_stream_ptr> streams_;
  timer tick_;
  reactor::clock::time_point heard_{};
  std::uint64_t heard_bytes_ = 0;
  node_number node_ = 0; // the other one; 0: not known yet
  bool dialled_ = false;
  step step_ = step::connecting;
};

} // namespace pg_edge::actors
