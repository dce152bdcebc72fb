// pg_edgectl cluster: founding the store of a cluster, and its members. Run on the node's own host, by the file that
// the node is started with, while the node waits for its store or serves:
//
//   init    nothing of the cluster is there -> its etcd is founded, by the node that was told to -> what a store of a
//           single node held is copied
//   join    this node's etcd becomes a member of the one that is there
//   leave   it is one no more; its data is set aside by the node
#include "actors/cluster_store.hpp"
#include "actors/etcd_store.hpp"
#include "actors/sqlite_store.hpp"
#include "actors/store_wait.hpp"
#include "cluster/store_keys.hpp"
#include "config/load.hpp"
#include "config/value_text.hpp"
#include "tools/edgectl/commands.hpp"

#include <chrono>
#include <filesystem>
#include <iostream>
#include <thread>

namespace pg_edge::edgectl {

namespace {

using cluster::store_answer;
using cluster::store_write;
using clock = std::chrono::steady_clock;

constexpr std::string_view usual_config = "/etc/pg_edge/pg_edge.toml";
constexpr std::chrono::seconds usual_wait{60};
constexpr std::chrono::milliseconds look{500};
/// etcd takes 1.5 MB at once.
constexpr std::size_t most_bytes = 512 << 10, most_writes = 50;

std::shared_ptr<const config::settings> settings_of(const call& what) {
  const std::string file = what.option("--config", std::string{usual_config});
  const config::load_result loaded = config::load_file(file);
  for (const config::problem& one : loaded.problems)
    if (!one.warning) std::cerr << config::to_string(one) << "\n";
  if (!loaded.value) throw std::runtime_error("the configuration has errors");
  if (!loaded.value->cluster.joined) throw std::runtime_error(file + " has no [cluster]");
  return loaded.value;
}

actors::etcd_child_options child_of(const config::settings& settings) {
  if (!actors::has_etcd_child(settings.cluster))
    throw std::runtime_error("this node starts no etcd: [cluster] has no etcd_listen");
  auto out = actors::etcd_child_options_of(settings.cluster);
  if (!std::filesystem::is_directory(out.folder))
    throw std::runtime_error("there is no folder " + out.folder +
                             ": start the node first, which makes it and waits, or make it for the user the node runs "
                             "as");
  return out;
}

std::chrono::seconds wait_of(const call& what) {
  const std::string text = what.option("--wait", std::to_string(usual_wait.count()));
  const auto seconds = config::parse_integer(text);
  if (!seconds || *seconds < 0) throw usage_error("--wait: " + text + " is no number of seconds");
  return std::chrono::seconds{*seconds};
}

store_answer list_now(cluster::store& from, const std::string& prefix) {
  return actors::wait_for_store([&](auto then) { from.list({prefix, 0, false, {}}, then); });
}

store_answer commit_now(cluster::store& to, std::vector<store_write> writes) {
  return actors::wait_for_store([&](auto then) { to.commit(std::move(writes), then); });
}

// -- founding ---------------------------------------------------------------------------------------------------------

/// Somebody else has founded it: a second one of the same name must not be.
void refuse_second_cluster(const actors::etcd_child_options& own, const config::cluster_settings& settings) {
  for (const std::string& endpoint : settings.store) {
    if (endpoint == own.endpoint()) continue;
    bool ok = false;
    if (!actors::ask_etcd(own, endpoint, "/health", "", ok).empty())
      throw std::runtime_error("there is an etcd at " + endpoint +
                               " already: add this node's to it with pg_edgectl cluster join");
  }
}

void found(const config::settings& settings) {
  const auto own = child_of(settings);
  if (actors::etcd_founded(own)) {
    std::cout << "the etcd of this node is a member already (" << own.folder << ")\n";
    return;
  }
  refuse_second_cluster(own, settings.cluster);
  std::string error;
  if (!actors::found_etcd(own, error)) throw std::runtime_error(error);
  std::cout << "cluster " << settings.cluster.name << ": founded, with the etcd of node " << own.name
            << " as its only member\n";
}

void wait_for_store(cluster::store& store, const std::string& root, std::chrono::seconds patience) {
  const auto end = clock::now() + patience;
  for (bool told = false;; told = true) {
    const store_answer there = list_now(store, root);
    if (there.ok()) return;
    if (clock::now() >= end)
      throw std::runtime_error(store.name() + " does not answer: " + there.why +
                               "; is the node running, which starts it? Then do this again, it goes on where it was");
    if (!told) std::cout << "waiting for " << store.name() << "\n" << std::flush;
    std::this_thread::sleep_for(look);
  }
}

// -- what a single node's store held ----------------------------------------------------------------------------------

struct copied {
  std::size_t done = 0;
  std::vector<std::string> kept; // keys that the cluster had already
};

void write_all(cluster::store& to, std::vector<store_write> writes, copied& sum) {
  if (writes.empty()) return;
  const store_answer answer = commit_now(to, writes);
  if (answer.ok()) {
    sum.done += writes.size();
  } else if (answer.outcome != cluster::store_outcome::conflict) {
    throw std::runtime_error("the cluster's store cannot be written: " + answer.why +
                             "; do this again, it goes on where it was");
  } else if (writes.size() == 1) {
    sum.kept.push_back(writes[0].key);
  } else {
    for (store_write& one : writes)
      write_all(to, {std::move(one)}, sum);
  }
}

copied copy_objects(const std::vector<cluster::store_entry>& entries, const std::string& from_root, cluster::store& to,
                    const std::string& to_root) {
  copied sum;
  std::vector<store_write> batch;
  std::size_t bytes = 0;
  for (const cluster::store_entry& one : entries) {
    const std::string name = one.key.substr(from_root.size());
    if (one.lease != 0 || name == "probe") continue; // of a process, not of a person
    if (batch.size() == most_writes || bytes + one.value.size() > most_bytes) {
      write_all(to, std::exchange(batch, {}), sum);
      bytes = 0;
    }
    batch.push_back({to_root + name, one.value, cluster::store_revision{0}, 0, false});
    bytes += one.value.size();
  }
  write_all(to, std::move(batch), sum);
  return sum;
}

void migrate(const call& what, const config::settings& settings, cluster::store& to) {
  const std::string file = what.option("--from", settings.store_path);
  std::error_code ignored;
  if (file.empty() || !std::filesystem::exists(file, ignored)) {
    if (what.has("--from")) throw std::runtime_error("there is no " + file);
    return;
  }
  const std::string marker = actors::store_root_of(settings) + "migrated";
  const store_answer before = list_now(to, marker);
  if (!before.ok()) throw std::runtime_error("the cluster's store cannot be read: " + before.why);
  if (!before.entries.empty()) { // what was removed since is not to come back
    std::cout << "objects were copied before, from " << before.entries[0].value << ": nothing is copied now\n";
    return;
  }
  actors::sqlite_store from(file);
  const std::string from_root = cluster::store_root(cluster::local_cluster);
  const store_answer listed = list_now(from, from_root);
  if (!listed.ok()) throw std::runtime_error(file + " cannot be read: " + listed.why);
  const copied sum = copy_objects(listed.entries, from_root, to, actors::store_root_of(settings));
  if (const store_answer marked = commit_now(to, {{marker, file, cluster::store_revision{0}, 0, false}});
      !marked.ok() && marked.outcome != cluster::store_outcome::conflict)
    throw std::runtime_error("the cluster's store cannot be written: " + marked.why + "; do this again");
  std::cout << sum.done << " objects and lines of the audit log copied from " << file << ", which is as it was\n";
  for (const std::string& key : sum.kept)
    std::cout << "kept as the cluster has it: " << key << "\n";
}

int init(const call& what) {
  const auto settings = settings_of(what);
  if (actors::has_etcd_child(settings->cluster)) found(*settings);
  const auto store = actors::open_store(*settings);
  wait_for_store(*store, actors::store_root_of(*settings), wait_of(what));
  migrate(what, *settings, *store);
  std::cout << "the store of cluster " << settings->cluster.name << " works: " << store->name() << "\n";
  return fine;
}

// -- members ----------------------------------------------------------------------------------------------------------

int join(const call& what) {
  const auto settings = settings_of(what);
  const auto own = child_of(*settings);
  std::vector<std::string> others = settings->cluster.store;
  std::erase(others, own.endpoint());
  if (others.empty())
    throw std::runtime_error("store in [cluster] lists no other member; add the addresses of those that are there");
  // Members that have just come, or a leader that has just gone, are waited for: etcd takes nobody in meanwhile.
  const auto end = clock::now() + wait_of(what);
  std::string error;
  for (bool told = false; !actors::join_etcd(own, others, error); told = true) {
    if (actors::etcd_founded(own) || clock::now() >= end) throw std::runtime_error(error);
    if (!told) std::cout << "waiting: " << error << "\n" << std::flush;
    std::this_thread::sleep_for(look);
  }
  std::cout << "the etcd of node " << own.name << " is a member of cluster " << settings->cluster.name
            << "; the node starts it\n";
  return fine;
}

int leave(const call& what) {
  const auto settings = settings_of(what);
  const auto own = child_of(*settings);
  std::string error;
  if (!actors::leave_etcd(own, settings->cluster.store, error)) throw std::runtime_error(error);
  std::cout << "the etcd of node " << own.name << " is a member no more; its data is set aside in " << own.folder
            << "\n";
  return fine;
}

} // namespace

int run_cluster(call& what) {
  if (what.arguments[0] == "take-over") return run_take_over(what);
  if (what.arguments.size() > 1) throw usage_error("cluster " + what.arguments[0] + " takes no name");
  if (what.arguments[0] == "init") return init(what);
  if (what.arguments[0] == "join") return join(what);
  if (what.arguments[0] == "leave") return leave(what);
  throw usage_error("cluster takes init, join, leave or take-over");
}

} // namespace pg_edge::edgectl
