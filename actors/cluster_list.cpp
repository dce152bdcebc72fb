#include "actors/cluster_list.hpp"

namespace pg_edge::actors {

namespace {

node_row row_of(cluster::node_id id, const std::string& name, std::uint64_t incarnation, const char* state) {
  node_row row;
  row.id = id;
  row.name = name;
  row.incarnation = incarnation;
  row.state = state;
  return row;
}

bool over(const node_row& row) {
  return row.state == "departed" || row.state == "left";
}

void fill_in(node_row& row, const list_source& from) {
  row.epoch = from.members.current().epoch;
  if (over(row)) return;
  row.here = row.name == from.own_name;
  if (const auto known = from.members.registered().find(row.name); known != from.members.registered().end()) {
    row.link = known->second.record.link;
    row.link_number = known->second.record.link_number;
  }
  if (row.here) {
    row.connected = true;
    row.backends = from.own_backends;
    row.stewards = from.own_stewards;
    if (from.members.self() == nullptr) row.error = from.members.problem();
  } else if (const auto way = from.way_to(row.address)) {
    row.connected = way->connected;
    row.error = way->error;
    if (!row.connected && row.state == "member") row.state = "unreachable";
  }
  if (!row.here) row.backends = from.backends_of(row.id, row.incarnation).value_or(0);
}

} // namespace

node_list list_of(const list_source& from) {
  const cluster::membership& members = from.members;
  const cluster::view& now = members.current();
  node_list result;
  result.cluster = from.cluster;
  result.epoch = now.epoch;
  result.lease_ms = members.granted_until() == cluster::node_time{0} ? 0 : (members.granted_until() - from.now).count();
  const auto add = [&](node_row row, const std::string& address) {
    row.address = address;
    fill_in(row, from);
    result.nodes.push_back(std::move(row));
  };
  for (const cluster::member& one : now.members)
    add(row_of(one.id, one.name, one.incarnation, members.is_leaving(one.name) ? "draining" : "member"), one.address);
  for (const auto& [name, one] : members.registered())
    if (cluster::find_member(now, name) == nullptr)
      add(row_of(0, name, one.incarnation, "joining"), one.record.address);
  if (cluster::find_member(now, from.own_name) == nullptr && !members.registered().contains(from.own_name))
    add(row_of(0, from.own_name, 0, "joining"), from.own_address);
  for (const cluster::departed_member& one : now.departed)
    add(row_of(one.id, one.name, one.incarnation, one.incarnation == cluster::left_clean ? "left" : "departed"), "");
  return result;
}

} // namespace pg_edge::actors
