#include "actors/node.hpp"

#include "actors/console.hpp"
#include "actors/console_control.hpp"
#include "actors/gatherer.hpp"
#include "actors/live_settings.hpp"
#include "actors/log.hpp"
#include "actors/memory_watch.hpp"
#include "actors/objects.hpp"
#include "actors/random.hpp"
#include "actors/resolver.hpp"
#include "actors/tenants.hpp"
#include "actors/user_lookup.hpp"
#include "actors/warm_pools.hpp"
#include "config/load.hpp"
#include "protocol/errors.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <sys/resource.h>
#include <thread>

namespace pg_edge::actors {

namespace {

/// Control actors have little to do; key derivation is what these threads are for.
constexpr std::size_t control_threads = 2;
/// How often a node that drains looks whether its clients have gone.
constexpr std::chrono::milliseconds drain_look{50};

using look_again_atom = caf::atom_constant<caf::atom("look")>;

struct node_state {
  actor_stats::alive_token alive{actor_kind::node};
  node_context* context = nullptr;
  std::unique_ptr<live_settings> settings;
  std::vector<caf::actor>* listeners = nullptr;
  std::atomic<bool>* finished = nullptr;
  bool stopping = false;
};

using inner_node_actor = node_actor::extend<caf::reacts_to<look_again_atom>>;
using node_self = inner_node_actor::stateful_pointer<node_state>;

std::string_view describe_mode(shutdown_mode mode) {
  return mode == shutdown_mode::wait_for_clients   ? "wait for clients"
         : mode == shutdown_mode::wait_for_servers ? "wait for servers"
                                                   : "at once";
}

void begin_shutdown(node_self self, shutdown_mode mode) {
  node_state& state = self->state;
  state.context->draining = true; // before the log says so: who reads that line may rely on it
  log(level::info, log_event::node_stopping,
      {{"mode", describe_mode(mode)}, {"clients", state.context->clients.load(std::memory_order_relaxed)}});
  for (const caf::actor& listener : *state.listeners)
    caf::anon_send(listener, close_server{"shutdown"});
  // A second word means: now.
  if (mode == shutdown_mode::at_once || state.stopping) {
    *state.finished = true;
    return;
  }
  state.stopping = true;
  if (mode == shutdown_mode::wait_for_servers) {
    const end_clients word{protocol::make_error(protocol::error_code::shutting_down), true};
    caf::anon_send(state.context->tenants, word);
    caf::anon_send(state.context->console, word);
  }
  caf::anon_send(self, look_again_atom::value);
}

inner_node_actor::behavior_type node_behaviour(node_self self, node_context* context, std::string file,
                                               std::vector<caf::actor>* listeners, std::atomic<bool>* finished) {
  self->state.context = context;
  self->state.settings = std::make_unique<live_settings>(*context, std::move(file));
  self->state.listeners = listeners;
  self->state.finished = finished;
  return {
      [self](const reload_settings&) { return self->state.settings->reload(); },
      [self](const take_objects& message) { return self->state.settings->take(message.now); },
      [self](const shut_down& message) { begin_shutdown(self, message.mode); },
      [self](look_again_atom) {
        if (self->state.context->clients.load(std::memory_order_relaxed) <= 0)
          *self->state.finished = true;
        else
          self->delayed_send(self, drain_look, look_again_atom::value);
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

node::node(std::string file, config::load_result loaded) : file_(std::move(file)) {
  auto in_force = std::make_shared<node_settings>();
  in_force->values = loaded.value;
  in_force->of_file = std::make_shared<const config::load_result>(std::move(loaded));
  context_.set_settings(std::move(in_force));
  context_.secret = machine_secret();
}

node::~node() {
  stop();
}

void node::open_door(const config::listener& door, int backlog, std::vector<std::string>& errors) {
  std::string error;
  const auto keep = [&](std::shared_ptr<listening_socket> socket) {
    if (socket)
      sockets_.push_back({std::move(socket), door.name});
    else
      errors.push_back((door.name.empty() ? "" : "listener " + door.name + ": ") + "cannot listen on " + error);
  };
  for (const std::string& address : door.listen_addr)
    keep(listening_socket::tcp(address, door.listen_port, backlog, error));
  if (!door.unix_socket_dir.empty())
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
  open_door(first, settings.listen_backlog, errors);
  for (const auto& [name, door] : settings.listeners)
    open_door(door, settings.listen_backlog, errors);
  if (sockets_.empty() && errors.empty()) errors.push_back("nothing to listen on: set listen_addr or unix_socket_dir");
  return errors.empty();
}

bool node::start(std::vector<std::string>& errors) {
  auto store = open_store(*context_.settings()->values);
  store_content content;
  if (store) content = read_store_now(*store, cluster::store_root(cluster::local_cluster));
  std::string error;
  const std::shared_ptr<const node_settings> in_force =
      merge_settings(context_.settings()->of_file, content.objects, error);
  const auto values = in_force ? in_force->values : context_.settings()->values;
  if (!in_force) errors.push_back(error);
  if (!open_listeners(*values, errors) || !in_force) {
    sockets_.clear();
    return false;
  }
  context_.set_settings(in_force);
  context_.descriptors = descriptor_limits::of(descriptor_limit());
  system_config_.set("scheduler.max-threads", control_threads);
  system_config_.set("scheduler.policy", caf::atom("sharing"));
  system_ = std::make_unique<caf::actor_system>(system_config_);
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  const unsigned count = values->reactors > 0 ? static_cast<unsigned>(values->reactors) : cores;
  for (unsigned i = 0; i < count; ++i)
    context_.reactors.push_back(std::make_unique<reactor>(*system_, i));
  context_.deriver = spawn_key_deriver(*system_);
  context_.resolver = spawn_resolver(*system_, context_);
  context_.lookup = spawn_user_lookup(*system_, context_);
  context_.tenants = spawn_tenants(*system_, context_);
  context_.console = spawn_console(*system_, context_);
  context_.gatherer = spawn_gatherer(*system_, context_);
  context_.node = system_->spawn(node_behaviour, &context_, file_, &listeners_, &finished_);
  context_.objects = spawn_objects(*system_, context_, std::move(store), std::move(content));
  context_.memory_watch = spawn_memory_watch(*system_, context_);
  for (const auto& one : context_.reactors)
    one->start();
  for (const auto& [socket, door] : sockets_) {
    for (const auto& one : context_.reactors)
      listeners_.push_back(spawn_pinned<listener>(*one, context_, socket, door));
    log(level::info, log_event::listening, {{"address", socket->name()}, {"listener", door}});
  }
  if (values->admin.served) admin_ = std::make_unique<admin_http>(*system_, context_);
  warm_pools(context_.tenants, *values);
  sockets_.clear(); // the listeners hold them: they close with the last of those
  log(level::info, log_event::node_started, {{"version", PG_EDGE_VERSION}, {"reactors", count}, {"file", file_}});
  return true;
}

void node::reload() {
  caf::anon_send(context_.node, reload_settings{});
}

void node::pause() {
  pause_all(context_, "SIGUSR1");
}

void node::resume() {
  if (!context_.draining.load(std::memory_order_relaxed)) resume_all(context_, "SIGUSR2");
}

void node::shut_down(shutdown_mode mode) {
  caf::anon_send(context_.node, actors::shut_down{mode});
}

void node::stop() {
  if (!system_) return;
  admin_.reset(); // first: it asks all the others
  for (const auto& one : context_.reactors)
    one->stop();
  for (const auto& one : context_.reactors)
    one->join();
  listeners_.clear();
  context_.pam.close(); // what it has to say goes to actors
  const caf::exit_reason reason = caf::exit_reason::user_shutdown;
  for (const auto& handle :
       {caf::actor_cast<caf::actor>(context_.tenants), caf::actor_cast<caf::actor>(context_.console),
        caf::actor_cast<caf::actor>(context_.gatherer), caf::actor_cast<caf::actor>(context_.objects),
        caf::actor_cast<caf::actor>(context_.lookup), caf::actor_cast<caf::actor>(context_.resolver),
        caf::actor_cast<caf::actor>(context_.deriver), caf::actor_cast<caf::actor>(context_.node),
        context_.memory_watch})
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
  log(level::info, log_event::node_stopped);
  system_config_.set("middleman.attach-utility-actors", true);
  system_.reset();
  context_.reactors.clear();
}

} // namespace pg_edge::actors
