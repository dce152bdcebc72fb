#include "actors/console_cluster.hpp"

#include "actors/cluster_link.hpp"
#include "actors/cluster_words.hpp"
#include "actors/node_context.hpp"
#include "actors/succession.hpp"
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

// -- one cluster takes over another
// -------------------------------------------------------------------------------------------

constexpr console_column takeover_columns[] = {
    {"role"}, {"cluster"}, {"step"}, {"detail"}, {"waits_for"}, {"servers_left", int4}, {"begun_by"}, {"last"}};

/// Longer than the store's own time-out.
constexpr std::chrono::seconds takeover_patience{12};

console_outcome refused(std::string_view command, std::string_view why) {
  return {protocol::make_error(protocol::error_code::console_failed, {command, why}), {}, {}};
}

template <class Answer, class Message>
void ask_succession(const console_task& task, std::string_view command, Message message,
                    std::function<console_outcome(const Answer&)> read) {
  const caf::actor whom = task.node.succession_actor;
  if (!whom)
    return task.answer(
        refused(command, "this node can take part in no take-over: it needs listen and link_listen in [cluster]"));
  whom.home_system().spawn([whom, message, read, answer = task.answer, command](caf::event_based_actor* self) {
    self->request(whom, takeover_patience, message)
        .then([answer, read](const Answer& got) { answer(read(got)); },
              [answer, command](const caf::error&) { answer(refused(command, "the store does not answer")); });
  });
}

console_outcome outcome_of(std::string_view command, const takeover_answer& got) {
  if (!got.done) return refused(command, got.text);
  return {{}, protocol::make_notice(got.text), {}};
}

void show_takeover(const console_view&, const console_task& task) {
  if (!task.node.succession_actor) return task.answer({});
  ask_succession<takeover_status>(task, "SHOW TAKEOVER", ask_takeover{}, [](const takeover_status& got) {
    const auto& now = got.now;
    std::string nodes;
    for (const std::string& one : now.waits_for)
      nodes += (nodes.empty() ? "" : ",") + one;
    console_outcome outcome;
    outcome.rows.push_back({now.role, now.other, std::string(cluster::to_string(now.step)), now.detail, nodes,
                            std::to_string(now.held), now.by, now.last});
    return outcome;
  });
}

void take_over(const console_view&, const console_task& task) {
  ask_succession<takeover_answer>(task, "TAKEOVER", take_over_cluster{task.arguments[0], task.by},
                                  [](const takeover_answer& got) { return outcome_of("TAKEOVER", got); });
}

void abort_take_over(const console_view&, const console_task& task) {
  ask_succession<takeover_answer>(task, "ABORT TAKEOVER", abort_takeover{task.by},
                                  [](const takeover_answer& got) { return outcome_of("ABORT TAKEOVER", got); });
}

bool names_cluster(const console_words& arguments) {
  return arguments.size() == 1;
}

constexpr console_command commands[] = {
    {.words = "show takeover",
     .columns = takeover_columns,
     .help = "how far one cluster has taken over another",
     .run = show_takeover},
    {.words = "takeover",
     .arguments = "cluster",
     .admin = true,
     .help = "this cluster takes over the tenants of another one in the same store",
     .takes = names_cluster,
     .run = take_over},
    {.words = "abort takeover",
     .admin = true,
     .help = "give that up, for as long as it is at sealing",
     .run = abort_take_over},
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
