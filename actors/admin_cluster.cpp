// What the admin API shows of the nodes of a cluster, and how one of them is told to drain: any node can be asked.
#include "actors/admin_schemas.hpp"
#include "actors/cluster_link.hpp"
#include "actors/cluster_words.hpp"
#include "actors/succession.hpp"

namespace pg_edge::actors {

namespace {

constexpr std::chrono::seconds patience{5};
/// Nobody needs longer to look away from a node.
constexpr std::int64_t longest_notice = 3600;

/// A row with what the list says of the node that was asked.
struct seen_node {
  node_row row;
  std::int64_t lease_ms = 0;
};

using sn = seen_node;
constexpr admin_column<sn> node_columns[] = {
    {{"name", "string", "Its name, as [cluster] node.", false, true}, [](const sn& n) -> json { return n.row.name; }},
    {{"incarnation", "integer", "Its life: a number of the store; 0 while it has none, or has left.", false, true},
     [](const sn& n) -> json { return n.row.incarnation; }},
    {{"state", "string",
      "member, draining (about to leave), unreachable (a member without a connection to the node that was asked), "
      "joining, departed (dead), left."},
     [](const sn& n) -> json { return n.row.state; }},
    {{"id", "integer", "Its number in the view; 0: it has none yet."}, [](const sn& n) -> json { return n.row.id; }},
    {{"address", "string", "Where the others reach it.", true},
     [](const sn& n) -> json { return or_null(n.row.address); }},
    {{"link_address", "string", "Where they reach it for relayed clients and cancels.", true},
     [](const sn& n) -> json { return or_null(n.row.link); }},
    {{"link_number", "integer", "Its number in cancel keys; 0: it has no links."},
     [](const sn& n) -> json { return n.row.link_number; }},
    {{"here", "boolean", "It is the node that was asked."}, [](const sn& n) -> json { return n.row.here; }},
    {{"connected", "boolean", "The node that was asked can speak to it."},
     [](const sn& n) -> json { return n.row.connected; }},
    {{"epoch", "integer", "Of the view that says so."}, [](const sn& n) -> json { return n.row.epoch; }},
    {{"lease_ms", "integer", "Left of its lease; negative: over. Only of the node that was asked.", true},
     [](const sn& n) { return n.row.here ? json(n.lease_ms) : json(); }},
    {{"backends", "integer", "Connections to Postgres, as it said last."},
     [](const sn& n) -> json { return n.row.backends; }},
    {{"steward_of", "integer", "Pools whose permits are decided there. Only of the node that was asked.", true},
     [](const sn& n) { return n.row.here ? json(n.row.stewards) : json(); }},
    {{"error", "string", "What is in the way.", true}, [](const sn& n) -> json { return or_null(n.row.error); }},
};
const std::vector<admin_field>& member_fields() {
  return fields_of(node_columns);
}

void list_members(const admin_call_ptr& call) {
  const caf::actor cluster = this_cluster().node;
  if (!cluster) return reply_list(call, node_columns, std::vector<sn>{}, true);
  call->ask<node_list>(cluster, patience, list_nodes{}, [call](const node_list& all) {
    std::vector<sn> rows;
    for (const node_row& one : all.nodes)
      rows.push_back({one, all.lease_ms});
    reply_list(call, node_columns, rows, true);
  });
}

void drain_node(const admin_call_ptr& call) {
  const json& body = call->request().body;
  for (const auto& [name, value] : body.items())
    if (name != "notice") return call->fail(400, name, "unknown field");
  const json notice = body.contains("notice") ? body["notice"] : json(0);
  if (!notice.is_number_integer() || notice < 0 || notice > longest_notice)
    return call->fail(400, "notice", "is no number of seconds from 0 to " + std::to_string(longest_notice));
  const caf::actor cluster = this_cluster().node;
  const std::string name = call->request().parameters.at("node");
  if (!cluster) return call->fail(409, "This node is in no cluster with listen; to end it, shut it down.");
  const drain_member wish{name, author_of(call), std::chrono::seconds(notice.get<std::int64_t>())};
  call->ask<member_drains>(cluster, patience, wish, [call, name](const member_drains& got) {
    if (!got.known) return call->fail(404, "No member of the cluster is called " + name + ".");
    if (!got.error.empty())
      return call->fail(503, "Node " + name + " could not be told: " + got.error + ". Ask it, or another node.");
    call->reply(json{{"done", false}, {"detail", "Node " + name + " drains, leaves the cluster and ends."}}, 202);
  });
}

// -- one cluster takes over another
// -------------------------------------------------------------------------------------------

/// Longer than the store's own time-out.
constexpr std::chrono::seconds takeover_patience{12};
constexpr std::string_view no_takeover =
    "This node can take part in no take-over: it needs listen and link_listen in [cluster].";

json json_of(const cluster::succession::status& now) {
  return json{{"role", now.role},
              {"cluster", or_null(now.other)},
              {"step", cluster::to_string(now.step)},
              {"detail", now.detail},
              {"waits_for", now.waits_for},
              {"servers_left", now.held},
              {"begun_by", or_null(now.by)},
              {"last", or_null(now.last)}};
}

void show_takeover(const admin_call_ptr& call, unsigned status) {
  call->ask<takeover_status>(call->node().succession_actor, patience, ask_takeover{},
                             [call, status](const takeover_status& got) { call->reply(json_of(got.now), status); });
}

void get_takeover(const admin_call_ptr& call) {
  if (!call->node().succession_actor) return call->reply(json_of({}));
  show_takeover(call, 200);
}

void begin_takeover(const admin_call_ptr& call) {
  const json& body = call->request().body;
  for (const auto& [name, value] : body.items())
    if (name != "cluster") return call->fail(400, name, "unknown field");
  if (!body.contains("cluster") || !body["cluster"].is_string() ||
      body["cluster"].get_ref<const std::string&>().empty())
    return call->fail(400, "cluster", "is no name of a cluster");
  if (!call->node().succession_actor) return call->fail(409, std::string(no_takeover));
  const take_over_cluster wish{body["cluster"].get<std::string>(), author_of(call)};
  call->ask<takeover_answer>(call->node().succession_actor, takeover_patience, wish,
                             [call](const takeover_answer& got) {
                               if (!got.done) return call->fail(409, got.text + ".");
                               show_takeover(call, 202);
                             });
}

void end_takeover(const admin_call_ptr& call) {
  if (!call->node().succession_actor) return call->fail(409, std::string(no_takeover));
  call->ask<takeover_answer>(call->node().succession_actor, takeover_patience, abort_takeover{author_of(call)},
                             [call](const takeover_answer& got) {
                               if (!got.done) return call->fail(409, got.text + ".");
                               show_takeover(call, 200);
                             });
}

// -- schemas and routes
// ----------------------------------------------------------------------------------------------------

const std::vector<admin_field>& drain_fields() {
  static const std::vector<admin_field> all{
      {"notice", "integer",
       "Seconds in which clients are still let in, while /readyz says \"draining\" already; 0 unless given."},
  };
  return all;
}

const std::vector<admin_field>& takeover_fields() {
  static const std::vector<admin_field> all{
      {"role", "string", "Of this node's cluster: to (it takes over, or waits to), from (it is taken over), none."},
      {"cluster", "string", "The other cluster.", true},
      {"step", "string",
       "none; sealing (objects stand still, it can be given up), copying, moving (pools and clients move), done."},
      {"detail", "string", "What is waited for, in words."},
      {"waits_for", "array", "Nodes of the cluster that is taken over, which have not said yet that they take part.",
       false, false, "string"},
      {"servers_left", "integer", "Connections to Postgres which that cluster still has."},
      {"begun_by", "string", "Who has begun it.", true},
      {"last", "string", "Why the last one was given up.", true},
  };
  return all;
}

const std::vector<admin_field>& take_over_fields() {
  static const std::vector<admin_field> all{
      {"cluster", "string", "The cluster to take over, as succeeds in [cluster] names it."},
  };
  return all;
}

constexpr admin_schema schemas[] = {
    {"takeover", "How far one cluster has taken over another.", takeover_fields},
    {"take_over", "Which cluster to take over.", take_over_fields},
    {"member", "A node of the cluster.", member_fields},
    {"drain", "How to drain.", drain_fields},
};

constexpr admin_route routes[] = {
    {.path = "/v1/nodes",
     .role = config::admin_role::viewer,
     .name = "listNodes",
     .tag = "cluster",
     .answers = "member",
     .columns = member_fields,
     .summary = "The nodes of the cluster, as this one sees them; none on a node that is alone.",
     .handle = list_members},
    {.method = http_method::post,
     .path = "/v1/nodes/{node}/drain",
     .role = config::admin_role::admin,
     .name = "drainNode",
     .tag = "cluster",
     .takes = "drain",
     .body_optional = true,
     .answers = "done",
     .status = 202,
     .summary =
         "That node takes no new clients, ends each of its own with its transaction, hands its pools over, leaves "
         "the cluster and ends.",
     .handle = drain_node},
    {.path = "/v1/cluster/takeover",
     .role = config::admin_role::viewer,
     .name = "getTakeover",
     .tag = "cluster",
     .answers = "takeover",
     .summary = "How far one cluster has taken over another, as this node sees it.",
     .handle = get_takeover},
    {.method = http_method::post,
     .path = "/v1/cluster/takeover",
     .role = config::admin_role::admin,
     .name = "takeOver",
     .tag = "cluster",
     .takes = "take_over",
     .answers = "takeover",
     .status = 202,
     .summary = "This node's cluster takes over the tenants of another one in the same store; asked again, it goes on.",
     .handle = begin_takeover},
    {.method = http_method::delete_,
     .path = "/v1/cluster/takeover",
     .role = config::admin_role::admin,
     .name = "abortTakeover",
     .tag = "cluster",
     .answers = "takeover",
     .summary = "Gives a take-over up, for as long as it is at sealing: everything is as it was.",
     .handle = end_takeover},
};

} // namespace

std::span<const admin_route> admin_cluster_routes() {
  return routes;
}

std::span<const admin_schema> admin_cluster_schemas() {
  return schemas;
}

} // namespace pg_edge::actors
