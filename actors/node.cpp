#include "actors/node.hpp"

#include "actors/cluster_link.hpp"
#include "actors/cluster_node.hpp"
#include "actors/cluster_words.hpp"
#include "actors/console.hpp"
#include "actors/console_control.hpp"
#include "actors/gatherer.hpp"
#include "actors/log.hpp"
#include "actors/memory_watch.hpp"
#include "actors/metrics.hpp"
#include "actors/node_state.hpp"
#include "actors/random.hpp"
#include "actors/resolver.hpp"
#include "actors/succession.hpp"
#include "actors/tenants.hpp"
#include "actors/user_lookup.hpp"
#include "actors/warm_pools.hpp"
#include "protocol/scram.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <future>
#include <limits>
#include <sys/resource.h>
#include <thread>
#include <utility>

namespace pg_edge::actors {

namespace {

/// Control actors have little to do; key derivation is what these threads are for.
constexpr std::size_t control_threads = 2;

/// The same after every start on this machine, so that salts stay what they were; random where machines have no name.
protocol::bytes machine_secret() {
  std::string id;
  for (const char* file : {"/etc/machine-id", "/var/lib/dbus/machine-id"})
    if (std::ifstream in(file); id.empty() && in) std::getline(in, id);
  return id.empty() ? random_bytes(protocol::scram_key_size) : protocol::salt_secret(id, "machine");
}

int descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, std::numeric_limits<int>::max()));
}

} // namespace

/// A quarter of a small limit, of a large one what the pools of a large node may need.
descriptor_limits descriptor_limits::of(int all) {
  constexpr int most_reserved = 2048;
  const int reserve = std::min(all / 4, most_reserved);
  return {all, all - reserve, all - reserve / 2};
}

node::node(std::string file, config::load_result loaded, bool takeover) : file_(std::move(file)), takeover_(takeover) {
  auto in_force = std::make_shared<node_settings>();
  in_force->values = loaded.value;
  in_force->of_file = std::make_shared<const config::load_result>(std::move(loaded));
  context_.set_settings(std::move(in_force));
  context_.secret = machine_secret();
}

node::~node() {
  stop();
}

// -- the start
// --------------------------------------------------------------------------------------------------------------------

bool node::start(std::vector<std::string>& errors) {
  if (std::string why; !read_store(why)) {
    errors.push_back(why);
    return false;
  }
  std::string error;
  const std::shared_ptr<const node_settings> in_force =
      merge_settings(context_.settings()->of_file, opened_->content.objects, error);
  const auto values = in_force ? in_force->values : context_.settings()->values;
  if (!in_force) errors.push_back(error);
  if (in_force && takeover_ && !take_over(*values, errors)) return false;
  if (!open_listeners(*values, errors) || !in_force) {
    sockets_.clear();
    return false;
  }
  context_.set_settings(in_force);
  take_up_succession(context_, opened_->content);
  context_.descriptors = descriptor_limits::of(descriptor_limit());
  system_config_.set("scheduler.max-threads", control_threads);
  system_config_.set("scheduler.policy", caf::atom("sharing"));
  const bool in_cluster = !values->cluster.listen.empty(); // else it only shares the store
  const bool can_succeed = in_cluster && number_ != 0;     // it has links, by which clients go from cluster to cluster
  if (can_succeed) this_cluster().succession_seen = 0;
  if (in_cluster) configure_cluster(system_config_, values->cluster);
  system_ = std::make_unique<caf::actor_system>(system_config_);
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  const unsigned count = values->reactors > 0 ? static_cast<unsigned>(values->reactors) : cores;
  for (unsigned i = 0; i < count; ++i)
    context_.reactors.push_back(std::make_unique<reactor>(*system_, i));
  if (in_cluster && !(this_cluster().node = spawn_cluster_node(*system_, context_, values->cluster, number_, error))) {
    errors.push_back(error);
    sockets_.clear();
    return false;
  }
  spawn_control_actors();
  if (can_succeed) context_.succession_actor = spawn_succession(*system_, context_);
  for (const auto& one : context_.reactors)
    one->start();
  context_.cancels.set_node(number_); // before anybody has a key
  const auto own_interval = service_manager::watchdog_interval();
  const auto interval = own_interval.count() > 0 ? own_interval : context_.handover.inherited_watchdog();
  context_.handover.start(std::move(sockets_), interval);
  look_at_links();
  if (in_cluster) await_membership();
  open_doors(context_, listeners_);
  if (values->admin.served) admin_ = std::make_unique<admin_http>(*system_, context_);
  warm_pools(context_.tenants, *values);
  await_closed_doors();
  log(level::info, log_event::node_started, {{"version", PG_EDGE_VERSION}, {"reactors", count}, {"file", file_}});
  watchdog_.start(context_, interval);
  service_manager::ready("Serving");
  return true;
}

/// What runs on CAF's scheduler, but for the actor of the cluster.
void node::spawn_control_actors() {
  context_.deriver = spawn_key_deriver(*system_);
  context_.resolver = spawn_resolver(*system_, context_);
  context_.lookup = spawn_user_lookup(*system_, context_);
  context_.tenants = spawn_tenants(*system_, context_);
  context_.console = spawn_console(*system_, context_);
  context_.gatherer = spawn_gatherer(*system_, context_);
  context_.node = system_->spawn(node_behaviour, &context_, file_, &listeners_, &finished_);
  context_.objects = spawn_objects(*system_, context_, std::move(opened_->store), std::move(opened_->content));
  context_.memory_watch = spawn_memory_watch(*system_, context_);
  spawn_metrics(*system_, context_);
}

/// A client that comes before this node knows where pools live would be served here for good. Not waited for longer
/// than a dead life of this node may stand in the way: a cluster in trouble is a matter of waiting clients, not of
/// closed doors.
void node::await_membership() const {
  constexpr std::chrono::milliseconds look{10}, longest{5000};
  const auto failure_timeout =
      std::chrono::duration_cast<std::chrono::milliseconds>(context_.settings()->values->cluster.failure_timeout);
  const auto limit = std::chrono::steady_clock::now() + std::min(longest, failure_timeout * 2);
  while (!this_cluster().may_open_servers() && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(look);
}

/// Both processes accept for a moment, so that nobody is refused. That this one serves is said when all who connect are
/// its own; should the old one hang, it serves all the same.
void node::await_closed_doors() {
  constexpr std::chrono::seconds limit{5};
  if (context_.handover.wait_for_closed_doors(limit)) return;
  log(level::warning, log_event::handover_silent, {{"process", context_.handover.other()}, {"seconds", limit.count()}});
}

// -- while it runs
// ----------------------------------------------------------------------------------------------------------------

void node::look() {
  watchdog_.look();
  look_at_links();
  const bool ours = context_.settings()->values->admin.served && !context_.handover.giving();
  if (ours == static_cast<bool>(admin_)) return;
  if (ours)
    admin_ = std::make_unique<admin_http>(*system_, context_);
  else
    admin_.reset();
}

void node::reload() {
  caf::anon_send(context_.node, reload_settings{{"signal SIGHUP", {}}});
}

void node::pause() {
  pause_all(context_, {"signal SIGUSR1", {}});
}

void node::resume() {
  if (!context_.draining.load(std::memory_order_relaxed)) resume_all(context_, {"signal SIGUSR2", {}});
}

void node::shut_down(shutdown_mode mode) {
  const std::string_view signal = mode == shutdown_mode::wait_for_clients   ? "SIGTERM"
                                  : mode == shutdown_mode::wait_for_servers ? "SIGINT"
                                                                            : "SIGQUIT";
  caf::anon_send(context_.node, actors::shut_down{mode, {"signal " + std::string(signal), {}}});
}

// -- the end
// --------------------------------------------------------------------------------------------------------------------

/// CAF's network layer does not always let go of an actor whose connection to another node was just being made, and
/// its system waits for that actor for ever. Nothing is left to be done by then, so the process ends all the same.
void node::end_system_in_time() {
  constexpr std::chrono::seconds limit{5};
  std::promise<void> ended;
  std::thread ending([this, &ended] {
    system_.reset();
    ended.set_value();
  });
  if (ended.get_future().wait_for(limit) == std::future_status::timeout) {
    etcd_.reset();
    std::_Exit(EXIT_SUCCESS);
  }
  ending.join();
}

void node::end_control_actors() {
  const caf::exit_reason reason = caf::exit_reason::user_shutdown;
  for (const auto& handle :
       {caf::actor_cast<caf::actor>(context_.tenants), caf::actor_cast<caf::actor>(context_.console),
        caf::actor_cast<caf::actor>(context_.gatherer), caf::actor_cast<caf::actor>(context_.objects),
        caf::actor_cast<caf::actor>(context_.lookup), caf::actor_cast<caf::actor>(context_.resolver),
        caf::actor_cast<caf::actor>(context_.deriver), caf::actor_cast<caf::actor>(context_.node),
        context_.memory_watch, context_.succession_actor, this_cluster().node})
    caf::anon_send_exit(handle, reason);
  context_.tenants = nullptr;
  context_.console = nullptr;
  context_.gatherer = nullptr;
  context_.objects = nullptr;
  context_.lookup = nullptr;
  context_.resolver = nullptr;
  context_.deriver = nullptr;
  context_.node = nullptr;
  context_.memory_watch = nullptr;
  context_.succession_actor = nullptr;
  context_.surveyors.clear();
}

void node::stop() {
  const bool given = context_.handover.giving();
  context_.handover.stop();
  context_.handover.close_doors();
  peers_.reset();
  // The process that has taken over looks after it; or the one that serves, if this one never did.
  if (etcd_ && (given || (!system_ && etcd_->status().adopted))) etcd_->leave_running();
  if (!system_) return;
  admin_.reset(); // first: it asks all the others
  for (const auto& one : context_.reactors)
    one->stop();
  for (const auto& one : context_.reactors)
    one->join();
  listeners_.clear();
  context_.links.close();
  context_.places.close();
  if (this_cluster().node) { // no server is left: the others need not wait for the end of our lease
    caf::scoped_actor wait{*system_};
    wait->request(this_cluster().node, std::chrono::seconds(2), leave_cluster{})
        .receive([](const left_cluster&) {}, [](const caf::error&) {});
  }
  context_.pam.close(); // what it has to say goes to actors
  stop_metrics(context_);
  end_control_actors();
  log(level::info, log_event::node_stopped);
  if (std::exchange(this_cluster().node, nullptr))
    end_system_in_time();
  else
    system_config_.set("middleman.attach-utility-actors", true);
  system_.reset();
  context_.reactors.clear();
  etcd_.reset(); // behind the store's last words
}

} // namespace pg_edge::actors
