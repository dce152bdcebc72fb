// The console's commands that act on pools: PAUSE, RESUME, RECONNECT, KILL and their like. It exists so that
// console.cpp only asks and answers. What is in force stands in pool_gates; here is who may say what, whom to tell, and
// who waits.
//
//   command -> scope -> refused | done | waiting --(look(): all servers gone, or SUSPEND: nothing moves)--> done
//                                          '--(RESUME, a cancel request)--> ended;  its client leaves: forgotten
#pragma once

#include "actors/console_commands.hpp"
#include "actors/node_context.hpp"

#include <chrono>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <vector>

namespace pg_edge::actors {

/// What `[db] [TENANT name]` means: nothing is everything, a name alone a database of the default tenant. Nothing for
/// other words.
std::optional<pool_scope> read_scope(const std::vector<std::string>& words);

/// For people: "app", "app TENANT a", "TENANT a"; empty for everything.
std::string to_string(const pool_scope& scope);

/// PAUSE and RESUME without a name, as signals give them. Returns what the gates said.
gate_answer pause_all(node_context& node, const author& by);
gate_answer resume_all(node_context& node, const author& by);
/// Ends a SUSPEND, if one holds: the node ends, or another process takes over, and what is held could not follow.
void end_suspension(node_context& node, std::string_view for_what);

class console_control {
public:
  /// Told once: an empty error is success.
  using answer = std::function<void(const protocol::bytes& error)>;
  /// Calls the function when every share has dealt with all it was sent before.
  using round_trip = std::function<void(std::function<void()>)>;

  console_control(node_context& node, round_trip after_shares);

  struct command {
    console_act act = console_act::none;
    std::vector<std::string> arguments;
    caf::actor client;
    author by;
  };
  /// `view`: with what the command's row needs.
  void run(const command& what, const console_view& view, answer done);

  /// While somebody waits, look() is to be called now and then.
  bool anybody_waits() const { return !waits_.empty(); }
  void look();
  void client_gone(const caf::actor_addr& who);
  /// As in pgbouncer: who cancels a PAUSE of everything ends it.
  void cancel(const caf::actor_addr& who);

private:
  using clock = std::chrono::steady_clock;
  struct wait {
    console_act act = console_act::none;
    pool_scope scope;
    caf::actor_addr client;
    author by;
    clock::time_point until = clock::time_point::max(); // then it is over, whatever there is
    answer done;
  };

  protocol::bytes fault_of(const command& what, const pool_scope& scope) const;
  protocol::bytes refused(gate_answer why, const pool_scope& scope) const;
  void refuse_as(const command& what, const protocol::bytes& error, const answer& done) const;
  void act_on(const command& what, const pool_scope& scope, answer done);
  void kill_client(const command& what, const console_view& view, answer done);
  void begin_wait(const command& what, const pool_scope& scope, clock::time_point until, answer done);
  bool over(const wait& one, protocol::bytes& error) const;
  void cut_what_is_late();
  void tell(control_word what, const pool_scope& scope, std::uint64_t client = 0);

  node_context& node_;
  round_trip after_shares_;
  std::list<wait> waits_;
};

} // namespace pg_edge::actors
