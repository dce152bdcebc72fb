// What the actor of the node knows while the node reloads, hands over and stops, and the functions that work on it, a
// file a reason: what it is told (node_behaviour.cpp), how it stops (node_shutdown.cpp), how another process takes over
// from it (node_handing_over.cpp).
#pragma once

#include "actors/control_stats.hpp"
#include "actors/live_settings.hpp"
#include "actors/node_context.hpp"

#include <caf/all.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::actors {

/// What the node looks at while another process takes over.
struct handover_watch {
  using clock = std::chrono::steady_clock;
  clock::time_point began{}, swept{};
  clock::time_point last_word{}; // when those that are left were told to end
  bool console_ended = false;
  bool doors_told = false; // that they are closed
};

/// How a node that stops leaves its cluster, once its last client has gone.
enum class way_out : std::uint8_t { serving, closing, leaving, left };

using look_again_atom = caf::atom_constant<caf::atom("look")>;
using notice_over_atom = caf::atom_constant<caf::atom("noticeover")>;

struct node_state {
  control_stats stats{actor_kind::node};
  node_context* context = nullptr;
  std::unique_ptr<live_settings> settings;
  std::vector<caf::actor>* listeners = nullptr;
  std::atomic<bool>* finished = nullptr;
  std::size_t doors_closing = 0;
  bool stopping = false;
  bool handing_over = false;
  handover_watch handing;
  way_out out = way_out::serving;
  std::chrono::steady_clock::time_point closing_since{};
};

using inner_node_actor =
    node_actor::extend<caf::reacts_to<look_again_atom>, caf::reacts_to<notice_over_atom, std::uint8_t>>;
using node_self = inner_node_actor::stateful_pointer<node_state>;

// -- node_behaviour.cpp
// ------------------------------------------------------------------------------------------------------------

inner_node_actor::behavior_type node_behaviour(node_self self, node_context* context, std::string file,
                                               std::vector<caf::actor>* listeners, std::atomic<bool>* finished);
void audit(node_self self, note_audit what);

// -- node_shutdown.cpp
// -----------------------------------------------------------------------------------------------------------

std::string_view describe_mode(shutdown_mode mode);
/// begin_shutdown() follows when the notice is over.
void give_notice(node_self self, const shut_down& message);
void begin_shutdown(node_self self, shutdown_mode mode);
/// Whether the last client has gone, and what is due then has been done; asked again and again.
bool shut_down_is_over(node_self self);
void close_doors(node_self self, const std::string& why);

// -- node_handing_over.cpp
// -----------------------------------------------------------------------------------------------------------

/// A listener for every address on every reactor.
void open_doors(node_context& context, std::vector<caf::actor>& listeners);
void begin_handing_over(node_self self);
void tell_closed_doors(node_self self);
void go_on_alone(node_self self);
/// Whether this process is done; asked again and again.
bool handed_over(node_self self);
/// The author of what another process does.
author other_process(node_self self);
reload_result refuse_reload(node_self self);

} // namespace pg_edge::actors
