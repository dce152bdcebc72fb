#include "actors/node.hpp"

#include "actors/cluster_link.hpp"
#include "actors/cluster_node.hpp"
#include "actors/cluster_store.hpp"
#include "actors/cluster_words.hpp"
#include "actors/console.hpp"
#include "actors/console_control.hpp"
#include "actors/control_stats.hpp"
#include "actors/gatherer.hpp"
#include "actors/live_settings.hpp"
#include "actors/log.hpp"
#include "actors/memory_watch.hpp"
#include "actors/metrics.hpp"
#include "actors/objects.hpp"
#include "actors/random.hpp"
#include "actors/relay.hpp"
#include "actors/resolver.hpp"
#include "actors/tenants.hpp"
#include "actors/user_lookup.hpp"
#include "actors/warm_pools.hpp"
#include "config/load.hpp"
#include "protocol/errors.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <future>
#include <limits>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

namespace pg_edge::actors {

namespace {

/// Control actors have little to do; key derivation is what these threads are for.
constexpr std::size_t control_threads = 2;
/// How often a node that drains looks whether its clients have gone.
constexpr std::chrono::milliseconds drain_look{50};
/// Connections that Postgres has not closed by then are left for the other nodes to look after.
constexpr std::chrono::seconds closing_limit{5};
/// Between two tries to open the address for links.
constexpr std::chrono::seconds link_pause{1};

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

void audit(node_self self, note_audit what) {
  caf::anon_send(self->state.context->objects, std::move(what));
}

/// The author of what another process does.
author other_process(node_self self) {
  return {"process " + std::to_string(self->state.context->handover.other()), {}};
}

std::string result_text(const reload_result& result) {
  if (result.applied) return std::string(audit_done);
  return "refused: " + (result.lines.empty() ? std::string("nothing was changed") : result.lines.front());
}

reload_result reload(node_self self) {
  service_manager::reloading();
  reload_result result = self->state.settings->reload();
  service_manager::ready("Serving");
  return result;
}

/// Another process has taken over: what this one has left ends with the settings it has.
reload_result refuse_reload(node_self self) {
  reload_result result;
  result.lines.push_back("process " + std::to_string(self->state.context->handover.other()) +
                         " has taken over from this one: reload that one");
  log(level::warning, log_event::settings_refused, {{"problem", result.lines.back()}});
  return result;
}

std::string_view describe_mode(shutdown_mode mode) {
  return mode == shutdown_mode::wait_for_clients   ? "wait for clients"
         : mode == shutdown_mode::wait_for_servers ? "wait for servers"
                                                   : "at once";
}

/// Load balancers and the other nodes look elsewhere from now on.
void announce_end(node_self self) {
  self->state.context->leaving = true;
  if (this_cluster().node) caf::anon_send(this_cluster().node, announce_leaving{});
}

/// Clients are still let in: who asks for readiness has time to notice.
void give_notice(node_self self, const shut_down& message) {
  announce_end(self);
  log(level::info, log_event::node_stopping,
      {{"mode", "notice"}, {"clients", self->state.context->clients.load(std::memory_order_relaxed)}});
  self->delayed_send(self, message.notice, notice_over_atom::value, static_cast<std::uint8_t>(message.mode));
}

/// A listener may have accepted somebody before it reads this: until it is gone there may be clients to come.
void close_doors(node_self self, const std::string& why) {
  node_state& state = self->state;
  for (const caf::actor& listener : *state.listeners) {
    ++state.doors_closing;
    self->monitor(listener);
    caf::anon_send(listener, close_server{why});
  }
  state.listeners->clear();
}

void begin_shutdown(node_self self, shutdown_mode mode) {
  node_state& state = self->state;
  announce_end(self);
  state.context->draining = true; // before the log says so: who reads that line may rely on it
  log(level::info, log_event::node_stopping,
      {{"mode", describe_mode(mode)}, {"clients", state.context->clients.load(std::memory_order_relaxed)}});
  service_manager::stopping("Stopping: " + std::string(describe_mode(mode)));
  end_suspension(*state.context, "shutdown");
  state.context->handover.close_doors();
  close_doors(self, "shutdown");
  // A second word means: now.
  if (mode == shutdown_mode::at_once || state.stopping) {
    *state.finished = true;
    return;
  }
  state.stopping = true;
  for (const caf::actor& one : state.context->surveyors)
    caf::anon_send(one, end_relayed_clients{mode == shutdown_mode::wait_for_servers});
  if (mode == shutdown_mode::wait_for_servers) {
    const end_clients word{protocol::make_error(protocol::error_code::shutting_down), true};
    caf::anon_send(state.context->tenants, word);
    caf::anon_send(state.context->console, word);
  }
  caf::anon_send(self, look_again_atom::value);
}

/// Without a client left, the node closes its servers, and when Postgres has none of them any more it leaves the
/// cluster and says so: nobody has to look for what it held.
///
///   serving --(servers told)--> closing --(all gone, or closing_limit)--> leaving --(the others know)--> left
bool has_left_cluster(node_self self) {
  node_state& state = self->state;
  const caf::actor cluster = this_cluster().node;
  if (!cluster || state.handing_over) return true;
  const auto now = std::chrono::steady_clock::now();
  const bool gone = state.context->gates.servers({}) == 0;
  switch (state.out) {
  case way_out::serving:
    state.context->gates.pause({});
    caf::anon_send(state.context->tenants, control_pools{});
    state.closing_since = now;
    state.out = way_out::closing;
    return false;
  case way_out::closing:
    if (!gone && now - state.closing_since < closing_limit) return false;
    state.out = way_out::leaving;
    self->request(cluster, closing_limit, leave_cluster{gone})
        .then([self](const left_cluster&) { self->state.out = way_out::left; },
              [self](const caf::error&) { self->state.out = way_out::left; });
    return false;
  case way_out::leaving:
    return false;
  case way_out::left:
    return true;
  }
  return true;
}

void open_doors(node_context& context, std::vector<caf::actor>& listeners) {
  for (const auto& [socket, door] : context.handover.doors()) {
    for (const auto& one : context.reactors)
      listeners.push_back(spawn_pinned<listener>(*one, context, socket, door));
    log(level::info, log_event::listening, {{"address", socket->name()}, {"listener", door}});
  }
}

// -- another process takes over
// ------------------------------------------------------------------------------------------------
//
//   begun: doors closing, clients told -> clients move, or end -> (takeover_timeout: told to end)
//          '-> the last listener has gone: doors_closed    -> the last has gone, permits are given -> goodbye, finished

/// How often clients that could not move are asked again.
constexpr std::chrono::milliseconds sweep_time{250};
/// Behind takeover_timeout, who is still in a transaction then is cut off.
constexpr std::chrono::seconds last_grace{60};

/// The sockets stay: should the other process die, this one listens again.
void keep_doors(node_context& context, bool theirs) {
  for (const opened_door& one : context.handover.doors())
    one.socket->keep_file(theirs);
}

/// With the last listener has gone whoever could still accept a client.
void tell_closed_doors(node_self self) {
  node_state& state = self->state;
  if (!state.handing_over || state.doors_closing > 0 || std::exchange(state.handing.doors_told, true)) return;
  state.context->handover.tell_closed_doors();
}

void begin_handing_over(node_self self) {
  node_state& state = self->state;
  state.handing_over = true;
  state.handing = {};
  state.handing.began = handover_watch::clock::now();
  keep_doors(*state.context, true);
  service_manager::main_process(state.context->handover.other());
  audit(self, {other_process(self), "TAKEOVER"});
  end_suspension(*state.context, "takeover");
  close_doors(self, "another process accepts connections");
  tell_closed_doors(self);
  if (!state.stopping) caf::anon_send(self, look_again_atom::value);
}

/// The new process has died: nothing that had not moved is lost.
void go_on_alone(node_self self) {
  node_state& state = self->state;
  if (!std::exchange(state.handing_over, false) || state.stopping) return;
  keep_doors(*state.context, false);
  audit(self, {other_process(self), "TAKEOVER", "undone: that process has died"});
  service_manager::main_process(::getpid());
  open_doors(*state.context, *state.listeners);
}

/// Whether this process is done.
bool handed_over(node_self self) {
  node_state& state = self->state;
  node_context& context = *state.context;
  handover_watch& watch = state.handing;
  const auto now = handover_watch::clock::now();
  if (now - watch.swept >= sweep_time) {
    watch.swept = now;
    caf::anon_send(context.tenants, control_pools{control_word::hand_over, {}, 0});
  }
  if (context.clients.load(std::memory_order_relaxed) <= 0)
    return state.doors_closing == 0 && context.handover.finished(); // a listener may still bring one
  const end_clients word{protocol::make_error(protocol::error_code::shutting_down), true};
  // Only the console's clients are left: they see a process that has nothing any more.
  if (context.handover.permits.all_given() && !std::exchange(watch.console_ended, true))
    caf::anon_send(context.console, word);
  const auto limit = context.settings()->values->takeover_timeout;
  if (limit.count() == 0 || now - watch.began < limit) return false;
  if (watch.last_word == handover_watch::clock::time_point{}) {
    watch.last_word = now;
    log(level::warning, log_event::node_stopping,
        {{"mode", "takeover_timeout"}, {"clients", context.clients.load(std::memory_order_relaxed)}});
    caf::anon_send(context.tenants, word);
    caf::anon_send(context.console, word);
  }
  return now - watch.last_word >= last_grace;
}

inner_node_actor::behavior_type node_behaviour(node_self self, node_context* context, std::string file,
                                               std::vector<caf::actor>* listeners, std::atomic<bool>* finished) {
  self->state.context = context;
  self->state.settings = std::make_unique<live_settings>(*context, std::move(file));
  self->state.listeners = listeners;
  self->state.finished = finished;
  self->set_down_handler([self](const caf::down_msg&) {
    --self->state.doors_closing;
    tell_closed_doors(self);
  });
  return {
      [self](const reload_settings& wanted) {
        self->state.stats.note(self);
        reload_result result = self->state.handing_over ? refuse_reload(self) : reload(self);
        audit(self, {wanted.by, "RELOAD", result_text(result)});
        return result;
      },
      [self](const take_objects& message) {
        self->state.stats.note(self);
        return self->state.settings->take(message.now);
      },
      [self](const shut_down& message) {
        self->state.stats.note(self);
        audit(self, {message.by, "SHUTDOWN, " + std::string(describe_mode(message.mode))});
        const bool known = self->state.stopping || self->state.context->leaving.load(std::memory_order_relaxed);
        if (message.notice.count() > 0 && !known && message.mode != shutdown_mode::at_once)
          give_notice(self, message);
        else
          begin_shutdown(self, message.mode);
      },
      [self](notice_over_atom, std::uint8_t mode) {
        self->state.stats.note(self);
        if (!self->state.stopping) begin_shutdown(self, static_cast<shutdown_mode>(mode));
      },
      [self](const set_setting& wanted) {
        self->state.stats.note(self);
        reload_result result = self->state.settings->set(wanted.key, wanted.value);
        audit(self, {wanted.by, "SET", result_text(result), {wanted.key}});
        return result;
      },
      [self](const handover_news& news) {
        self->state.stats.note(self);
        if (news.what == handover_news::begun)
          begin_handing_over(self);
        else
          go_on_alone(self);
      },
      [self](look_again_atom) {
        self->state.stats.note(self);
        node_state& state = self->state;
        if (!state.handing_over && !state.stopping) return; // the other process has died
        const bool done = state.handing_over
                              ? handed_over(self)
                              : state.context->clients.load(std::memory_order_relaxed) <= 0 && has_left_cluster(self);
        if (done && state.doors_closing == 0) {
          state.context->draining = true; // what the reactors end now has not failed
          *state.finished = true;
        } else {
          self->delayed_send(self, drain_look, look_again_atom::value);
        }
      },
  };
}

} // namespace

namespace {

/// The same after every start on this machine, so that salts stay what they were; random where machines have no name.
protocol::bytes machine_secret() {
  std::string id;
  for (const char* file : {"/etc/machine-id", "/var/lib/dbus/machine-id"})
    if (std::ifstream in(file); id.empty() && in) std::getline(in, id);
  return id.empty() ? random_bytes(protocol::scram_key_size) : protocol::salt_secret(id, "machine");
}

/// TLS for one door; the context stays null, and `error` says why, when a file cannot be used.
door_tls make_door_tls(const tls_settings& parts, config::tls_mode mode, const std::string& what, std::string& error) {
  door_tls result{mode, nullptr};
  if (mode == config::tls_mode::disable) return result;
  tls_context_result made = make_client_tls_context(parts, mode);
  if (!made.context) error = what + ": " + made.error;
  result.context = std::move(made.context);
  return result;
}

int descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, std::numeric_limits<int>::max()));
}

void log_etcd(const etcd_child_status& now) {
  const bool good = now.state == etcd_child_state::starting || now.state == etcd_child_state::serving;
  log(good ? level::info : level::warning, log_event::etcd_child,
      {{"state", to_string(now.state)}, {"process", now.pid}, {"found_running", now.adopted}, {"why", now.why}});
}

std::unique_ptr<etcd_child> start_etcd(const config::cluster_settings& one) {
  auto out = std::make_unique<etcd_child>(etcd_child_options_of(one), log_etcd);
  if (!out->founded())
    log(level::warning, log_event::etcd_child,
        {{"state", to_string(etcd_child_state::unfounded)},
         {"process", 0},
         {"found_running", false},
         {"why", "pg_edgectl cluster init founds a new cluster here; pg_edgectl cluster join adds this node's etcd to "
                 "one that is there"}});
  return out;
}

bool has_tls_of_its_own(const config::listener& door) {
  return door.client_tls_sslmode || door.client_tls_ca_file || door.client_tls_cert_file || door.client_tls_key_file;
}

} // namespace

/// A quarter of a small limit, of a large one what the pools of a large node may need.
descriptor_limits descriptor_limits::of(int all) {
  constexpr int most_reserved = 2048;
  const int reserve = std::min(all / 4, most_reserved);
  return {all, all - reserve, all - reserve / 2};
}

std::shared_ptr<const node_settings> make_node_settings(std::shared_ptr<const config::settings> values,
                                                        std::string& error) {
  auto result = std::make_shared<node_settings>();
  const tls_settings shared_parts = client_tls_settings(*values);
  result->client_tls = make_door_tls(shared_parts, values->client_tls_sslmode, "client_tls", error);
  for (const auto& [name, door] : values->listeners) {
    if (!has_tls_of_its_own(door)) continue;
    tls_settings parts = shared_parts;
    parts.ca_file = door.client_tls_ca_file.value_or(parts.ca_file);
    parts.cert_file = door.client_tls_cert_file.value_or(parts.cert_file);
    parts.key_file = door.client_tls_key_file.value_or(parts.key_file);
    result->doors[name] = make_door_tls(parts, door.client_tls_sslmode.value_or(values->client_tls_sslmode),
                                        "listener " + name + ": client_tls", error);
  }
  tls_context_result admin = make_admin_tls_context(values->admin);
  if (!admin.error.empty()) error = "admin: " + admin.error;
  result->admin_tls = std::move(admin.context);
  if (!error.empty()) return nullptr;
  result->server_names = config::server_name_index(*values);
  result->values = std::move(values);
  return result;
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

/// Sockets for this door that a service manager has opened, for us or for the process before us.
bool node::take_passed(const std::string& door) {
  const std::size_t before = sockets_.size();
  for (auto& socket : context_.handover.inherited_passed(door))
    sockets_.push_back({std::move(socket), door});
  for (service_manager::passed_socket& one : passed_)
    if (one.fd && one.door == door)
      sockets_.push_back({listening_socket::adopt(one.fd.release(), one.name, {}, true), door});
  return sockets_.size() > before;
}

void node::open_door(const config::listener& door, int backlog, std::vector<std::string>& errors) {
  std::string error;
  const auto keep = [&](std::shared_ptr<listening_socket> socket) {
    if (socket)
      sockets_.push_back({std::move(socket), door.name});
    else
      errors.push_back((door.name.empty() ? "" : "listener " + door.name + ": ") + "cannot listen on " + error);
  };
  if (take_passed(door.name)) return; // they stand for the addresses in the settings
  for (const std::string& address : door.listen_addr) {
    auto there = context_.handover.inherited(door.name, address + ":" + std::to_string(door.listen_port));
    keep(there ? there : listening_socket::tcp(address, door.listen_port, backlog, error));
  }
  if (door.unix_socket_dir.empty()) return;
  const std::string file = door.unix_socket_dir + "/.s.PGSQL." + std::to_string(door.listen_port);
  if (auto there = context_.handover.inherited(door.name, file))
    keep(there);
  else
    keep(listening_socket::local(door.unix_socket_dir, door.listen_port, door.unix_socket_mode, door.unix_socket_group,
                                 backlog, error));
}

bool node::open_listeners(const config::settings& settings, std::vector<std::string>& errors) {
  config::listener first;
  first.listen_addr = settings.listen_addr;
  first.listen_port = settings.listen_port;
  first.unix_socket_dir = settings.unix_socket_dir;
  first.unix_socket_mode = settings.unix_socket_mode;
  first.unix_socket_group = settings.unix_socket_group;
  std::vector<std::string> doors;
  for (const auto& [name, door] : settings.listeners)
    doors.push_back(name);
  passed_ = service_manager::passed_sockets(doors);
  open_door(first, settings.listen_backlog, errors);
  for (const auto& [name, door] : settings.listeners)
    open_door(door, settings.listen_backlog, errors);
  std::string error;
  if (errors.empty() && !context_.handover.listen(settings.takeover_socket, error)) errors.push_back(error);
  if (sockets_.empty() && errors.empty()) errors.push_back("nothing to listen on: set listen_addr or unix_socket_dir");
  return errors.empty();
}

/// Everything that could be wrong with the settings has been found by now: what follows is the other process's yes.
bool node::take_over(const config::settings& settings, std::vector<std::string>& errors) {
  std::string error;
  if (settings.takeover_socket.empty())
    error = "--takeover: the settings have no takeover_socket";
  else if (!settings.cluster.listen.empty()) // both would be the same member of it, with the same permits
    error =
        "--takeover: a node of a cluster (listen in [cluster]) cannot be taken over; have it drained by `pg_edgectl "
        "node drain " +
        settings.cluster.node + "` and start it again: the other nodes serve meanwhile";
  else if (!context_.handover.take_over(settings.takeover_socket, error))
    error = "--takeover: refused: " + error;
  if (!error.empty()) errors.push_back(error);
  return error.empty();
}

/// The store, and what it held when it was read.
struct node::opened_store {
  std::unique_ptr<cluster::store> store; // null: there is none
  store_content content;
  std::string told; // why it could not be read
};

bool node::read_store(std::string& why) {
  const config::settings& settings = *context_.settings()->values;
  if (!etcd_ && has_etcd_child(settings.cluster)) etcd_ = start_etcd(settings.cluster);
  if (!opened_) opened_ = std::make_unique<opened_store>(opened_store{open_store(settings), {}, {}});
  auto& [store, content, told] = *opened_;
  if (!store || content.read) return true;
  content = read_store_now(*store, store_root_of(settings));
  if (!settings.cluster.joined) return true; // alone, it goes on without
  if (content.read && !settings.cluster.link_listen.empty() && number_ == 0) {
    number_ = claim_number(*store, store_root_of(settings), settings.cluster.node, content.why);
    content.read = number_ != 0;
  }
  if (content.read) return true;
  why = "the store of the cluster cannot be read: " + store->name() + ": " + content.why;
  if (std::exchange(told, why) != why) {
    log(level::warning, log_event::store_awaited, {{"store", store->name()}, {"why", content.why}});
    service_manager::status("Waiting for the store: " + content.why);
  }
  return false;
}

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
  context_.descriptors = descriptor_limits::of(descriptor_limit());
  system_config_.set("scheduler.max-threads", control_threads);
  system_config_.set("scheduler.policy", caf::atom("sharing"));
  const bool in_cluster = !values->cluster.listen.empty(); // else it only shares the store
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

bool node::serve_other_nodes(link_identity self, const std::string& address, int port, std::string& error) {
  const auto made = actors::serve_other_nodes(context_, std::move(self), address, port, error);
  listeners_.insert(listeners_.end(), made.begin(), made.end());
  return !made.empty();
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

void node::reload() {
  caf::anon_send(context_.node, reload_settings{{"signal SIGHUP", {}}});
}

void node::pause() {
  pause_all(context_, {"signal SIGUSR1", {}});
}

void node::resume() {
  if (!context_.draining.load(std::memory_order_relaxed)) resume_all(context_, {"signal SIGUSR2", {}});
}

/// Links are the business of the process that serves: the one before it lets go of the address.
void node::look_at_links() {
  if (number_ == 0) return;
  if (context_.handover.giving()) {
    for (const caf::actor& one : std::exchange(link_doors_, {}))
      caf::anon_send(one, close_server{"another process accepts links"});
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  if (!link_doors_.empty() || now - links_tried_ < link_pause) return;
  links_tried_ = now;
  std::string error;
  if (!open_links(error) && std::exchange(links_fault_, error) != error)
    log(level::error, log_event::links_failed,
        {{"address", context_.settings()->values->cluster.link_listen}, {"why", error}});
}

bool node::open_links(std::string& error) {
  const config::cluster_settings& one = context_.settings()->values->cluster;
  const auto at = config::parse_endpoint(one.link_listen);
  if (!at) {
    error = "it is not in the settings any more";
    return false;
  }
  link_identity self;
  self.node = number_;
  self.incarnation = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
  self.cluster = one.name;
  self.failure_timeout = std::chrono::duration_cast<std::chrono::milliseconds>(one.failure_timeout);
  if (!one.certificate.empty()) {
    tls_settings parts;
    parts.ca_file = one.ca;
    parts.cert_file = one.certificate;
    parts.key_file = one.key;
    const auto accept = make_client_tls_context(parts, config::tls_mode::verify_ca);
    const auto connect = make_server_tls_context(parts, config::tls_mode::verify_ca);
    error = accept.error + connect.error;
    if (!accept.context || !connect.context) return false;
    self.accept = accept.context;
    self.connect = connect.context;
  }
  const cluster::peer_record own{one.node, *at, self.incarnation};
  link_doors_ = actors::serve_other_nodes(context_, std::move(self), at->host, at->port, error);
  if (link_doors_.empty()) return false;
  if (this_cluster().node) { // the members' records say it
    caf::anon_send(this_cluster().node, links_opened{});
    return true;
  }
  peers_.reset(); // of a time before a takeover that failed
  peers_ = std::make_unique<peer_registry>(context_.links, open_store(*context_.settings()->values),
                                           store_root_of(*context_.settings()->values), number_, own);
  return true;
}

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

void node::shut_down(shutdown_mode mode) {
  const std::string_view signal = mode == shutdown_mode::wait_for_clients   ? "SIGTERM"
                                  : mode == shutdown_mode::wait_for_servers ? "SIGINT"
                                                                            : "SIGQUIT";
  caf::anon_send(context_.node, actors::shut_down{mode, {"signal " + std::string(signal), {}}});
}

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
  const caf::exit_reason reason = caf::exit_reason::user_shutdown;
  for (const auto& handle :
       {caf::actor_cast<caf::actor>(context_.tenants), caf::actor_cast<caf::actor>(context_.console),
        caf::actor_cast<caf::actor>(context_.gatherer), caf::actor_cast<caf::actor>(context_.objects),
        caf::actor_cast<caf::actor>(context_.lookup), caf::actor_cast<caf::actor>(context_.resolver),
        caf::actor_cast<caf::actor>(context_.deriver), caf::actor_cast<caf::actor>(context_.node),
        context_.memory_watch, this_cluster().node})
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
  context_.surveyors.clear();
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
