#include "actors/console_cluster.hpp"

#include "actors/cluster_link.hpp"
#include "actors/cluster_words.hpp"
#include "actors/node_context.hpp"
#include "protocol/errors.hpp"

namespace pg_edge::actors {

namespace {

using protocol::console_cell;
using protocol::console_column;
using enum protocol::console_type;

constexpr console_column nodes_columns[] = {{"id", int4},         {"name"},
                                            {"address"},          {"state"},
                                            {"here", int4},       {"connected", int4},
                                            {"epoch", int8},      {"incarnation", int8},
                                            {"lease_ms", int8},   {"backends", int4},
                                            {"steward_of", int4}, {"error"},
                                            {"link_address"},     {"link_number", int4}};

protocol::console_row row_of(const node_row& one, const node_list& all) {
  const auto number = [](auto value) { return console_cell(std::to_string(value)); };
  return {number(one.id),
          one.name,
          one.address,
          one.state,
          number(static_cast<int>(one.here)),
          number(static_cast<int>(one.connected)),
          number(one.epoch),
          number(one.incarnation),
          one.here ? number(all.lease_ms) : console_cell(),
          number(one.backends),
          one.here ? number(one.stewards) : console_cell(),
          one.error.empty() ? console_cell() : console_cell(one.error),
          one.link.empty() ? console_cell() : console_cell(one.link),
          number(one.link_number)};
}

/// As this node sees it: another may see it otherwise for a moment. A node that is alone has no row.
void show_nodes(const console_view&, const console_task& task) {
  const caf::actor cluster = this_cluster().node;
  if (!cluster) return task.answer({});
  cluster.home_system().spawn([cluster, answer = task.answer](caf::event_based_actor* self) {
    self->request(cluster, std::chrono::seconds(2), list_nodes{})
        .then(
            [answer](const node_list& all) {
              console_outcome outcome;
              for (const node_row& one : all.nodes)
                outcome.rows.push_back(row_of(one, all));
              answer(std::move(outcome));
            },
            [answer](const caf::error&) {
              console_outcome outcome;
              outcome.error = protocol::make_error(protocol::error_code::internal,
                                                   {"the actor of the cluster did not answer within 2 s"});
              answer(std::move(outcome));
            });
  });
}

constexpr console_command commands[] = {
    {.words = "show nodes",
     .columns = nodes_columns,
     .help = "the nodes of the cluster, as this one sees them",
     .run = show_nodes},
};

} // namespace

std::span<const console_command> console_cluster_commands() {
  return commands;
}

} // namespace pg_edge::actors
