// The meter of a reactor: knows the shares that live there and reads what they and their clients have counted, when it
// is asked. Its figures belong to the reactor's thread.
#pragma once

#include "actors/meter_reading.hpp"
#include "actors/timer_wheel.hpp"

namespace pg_edge::actors {

class node_context;
class share;

class reactor_meter {
public:
  void add(owned_link<share>& one) { shares_.push_back(one); }
  /// The share ends: what it has counted since the last reading is kept.
  void remove(owned_link<share>& one) noexcept;
  /// Of a client whose name was told.
  void client_left(std::uint64_t id) noexcept;
  /// An error was sent to a client that belongs to no pool yet.
  void note_error(protocol::bytes_view sqlstate) { errors_.note(sqlstate, protocol::error_origin::pg_edge); }

  meter_reading read(const read_meter& what);

private:
  list_link shares_;
  std::vector<pool_growth> ended_;
  std::vector<std::uint64_t> gone_;
  protocol::error_tally errors_;
};

/// Of the reactor whose thread this is.
reactor_meter& this_meter();

/// One actor on each reactor, told read_meter.
std::vector<caf::actor> spawn_meters(node_context& node);

} // namespace pg_edge::actors
