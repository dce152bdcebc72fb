#include "tests/support/cluster_nodes.hpp"

#include "tests/support/folders.hpp"

#include <algorithm>
#include <sstream>

namespace pg_edge::test {

actors::etcd_process& etcd() {
  static actors::etcd_process one;
  return one;
}

cluster_nodes::cluster_nodes(cluster_options options) : options_(std::move(options)) {
  postgres::shared().wait_until_left("trust_user", milliseconds(30'000));
  static int clusters = 0;
  name_ = "test" + std::to_string(++clusters);
  if (options_.tls) {
    write_file(folder_ / "ca.crt", authority_.certificate());
    certify("node", authority_);
  }
  if (options_.hosts != nullptr) start_store();
  for (std::size_t i = 0; i < options_.nodes; ++i)
    add();
}

std::optional<network::visit> cluster_nodes::at(std::size_t i) const {
  if (options_.hosts == nullptr) return std::nullopt;
  return options_.hosts->on(i);
}

pg_edge_process& cluster_nodes::add() {
  const std::size_t i = all_.size();
  const auto there = at(i);
  if (i >= addresses_.size()) {
    const std::string host = (there ? network::address(i) : "127.0.0.1") + ":";
    addresses_.push_back(host + std::to_string(free_port()));
    links_.push_back(host + std::to_string(free_port()));
    apis_.push_back(free_port());
  }
  all_.push_back(std::make_unique<pg_edge_process>(toml(i)));
  return *all_.back();
}

std::string cluster_nodes::toml(std::size_t i, const std::string& certificate) const {
  std::string text = "[cluster]\nname = \"" + name_ + "\"\nnode = \"n" + std::to_string(i) + "\"\nlisten = \"" +
                     addresses_.at(i) + "\"\nstore = [\"" + store_url() + "\"]\n" + options_.more;
  if (options_.more.find("failure_timeout") == std::string::npos)
    text += std::string("failure_timeout = ") + failure_timeout + "\n";
  if (options_.links) text += "link_listen = \"" + links_.at(i) + "\"\n";
  if (options_.tls)
    text += "certificate = \"" + (folder_ / (certificate + ".crt")) + "\"\nkey = \"" +
            (folder_ / (certificate + ".key")) + "\"\nca = \"" + (folder_ / "ca.crt") + "\"\n";
  if (options_.api)
    text += "[admin]\nlisten = \"127.0.0.1:" + std::to_string(apis_.at(i)) +
            "\"\n[admin.tokens.boss]\nrole = \"admin\"\ntoken = \"" + api_boss + "\"\n";
  std::string all = simple_toml("reactors = 2\nadmin_users = \"trust_user\"\nmax_client_conn = 500\n"
                                "default_pool_size = " +
                                    std::to_string(options_.size) + "\n" + options_.settings,
                                text + options_.tables);
  const std::string by_tcp = "host = \"127.0.0.1\"\n";
  if (options_.hosts != nullptr)
    for (std::size_t at = 0; (at = all.find(by_tcp, at)) != std::string::npos;)
      all.replace(at, by_tcp.size(), "host = \"{postgres_socket}\"\n");
  return all;
}

void cluster_nodes::change_tables(const std::string& tables) {
  options_.tables = tables;
  for (std::size_t i = 0; i < size(); ++i)
    all_[i]->rewrite_config(toml(i));
}

void cluster_nodes::certify(const std::string& name, const certificate_authority& by) const {
  std::string places = "DNS:localhost,IP:127.0.0.1";
  if (options_.hosts != nullptr)
    for (std::size_t i = 0; i < options_.nodes; ++i)
      places += ",IP:" + network::address(i);
  const auto leaf = by.issue(name, places);
  write_file(folder_ / (name + ".crt"), leaf.certificate);
  write_file(folder_ / (name + ".key"), leaf.key);
}

/// On the switch of the hosts, where TLS is needed.
void cluster_nodes::start_store() {
  const auto there = options_.hosts->on_switch();
  const auto leaf = authority_.issue("etcd", "IP:" + network::switch_address());
  write_file(folder_ / "etcd.crt", leaf.certificate);
  write_file(folder_ / "etcd.key", leaf.key);
  own_store_ = std::make_unique<actors::etcd_process>(
      actors::etcd_process::tls_arguments(folder_ / "ca.crt", folder_ / "etcd.crt", folder_ / "etcd.key"), "https",
      network::switch_address());
}

// -- who sees whom -----------------------------------------------------------------------------------------------

std::string cluster_nodes::names(const std::set<std::size_t>& but) const {
  std::string text;
  for (std::size_t i = 0; i < size(); ++i)
    if (!but.contains(i)) text += (text.empty() ? "n" : ",n") + std::to_string(i);
  return text;
}

std::string cluster_nodes::last_members(std::size_t i) const {
  const std::string log = all_[i]->log();
  const std::size_t line = log.rfind("event=cluster_view");
  if (line == std::string::npos) return {};
  const std::size_t at = log.find("members=", line);
  std::string value = log.substr(at + 8, log.find_first_of(" \n", at) - at - 8);
  std::erase(value, '"');
  std::set<std::string> names;
  for (std::istringstream in(value); std::getline(in, value, ',');)
    names.insert(value);
  value.clear();
  for (const std::string& name : names)
    value += (value.empty() ? "" : ",") + name;
  return value;
}

std::size_t cluster_nodes::members_in_reach(std::size_t i) const {
  const auto there = at(i);
  const pq_result rows = pq(all_[i]->conninfo("trust_user", "pgbouncer")).exec("show nodes");
  std::size_t members = 0; // who cannot be spoken to is "unreachable"
  for (int row = 0; row < rows.rows(); ++row)
    members += rows.value(row, 3) == "member" ? 1 : 0;
  return members;
}

bool cluster_nodes::all_connected(milliseconds limit) const {
  return wait_for(
      [&] {
        for (std::size_t i = 0; i < size(); ++i)
          if (members_in_reach(i) != size()) return false;
        return true;
      },
      limit);
}

run_result ctl(const cluster_nodes& all, std::size_t node, const std::vector<std::string>& words) {
  const auto there = all.at(node);
  std::vector<std::string> argv{std::string(build_folder) + "/pg_edgectl", "--url",
                                "http://127.0.0.1:" + std::to_string(all.api(node)), "--token", api_boss};
  argv.insert(argv.end(), words.begin(), words.end());
  return run(argv, milliseconds(90000));
}

} // namespace pg_edge::test
