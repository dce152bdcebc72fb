#include "actors/resolver.hpp"

#include "actors/control_stats.hpp"
#include "actors/dns_thread.hpp"
#include "actors/log.hpp"
#include "cluster/name_cache.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <unordered_map>

// The thread's answers arrive as messages of this type; nothing else sends it.
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::dns_result)

namespace pg_edge::actors {

namespace {

using clock = std::chrono::steady_clock;
using tick_atom = caf::atom_constant<caf::atom("tick")>;
using inner_resolver_actor = resolver_actor::extend<caf::reacts_to<dns_result>, caf::reacts_to<tick_atom>>;

/// How often it looks whose patience or whose addresses' time is over.
constexpr std::chrono::milliseconds look_pause{100};
/// So long who asks waits for name servers: where addresses are known from before, and where none are.
constexpr std::chrono::milliseconds patience_with_addresses{500};
constexpr std::chrono::milliseconds patience{5000};
/// So long the addresses of one family wait for those of the other.
constexpr std::chrono::milliseconds family_patience{300};
/// Clients' names that may be looked up at the same time; one more is told that it has none.
constexpr std::size_t most_clients = 2000;

server_address to_address(const config::ip_address& ip, const std::string& host, std::uint16_t port) {
  server_address out;
  if (ip.v6) {
    sockaddr_in6 raw{};
    raw.sin6_family = AF_INET6;
    raw.sin6_port = htons(port);
    std::memcpy(&raw.sin6_addr, ip.bytes.data(), sizeof raw.sin6_addr);
    std::memcpy(&out.address, &raw, sizeof raw);
    out.length = sizeof raw;
  } else {
    sockaddr_in raw{};
    raw.sin_family = AF_INET;
    raw.sin_port = htons(port);
    std::memcpy(&raw.sin_addr, ip.bytes.data(), sizeof raw.sin_addr);
    std::memcpy(&out.address, &raw, sizeof raw);
    out.length = sizeof raw;
  }
  out.host = host;
  out.port = port;
  return out;
}

/// Whether this machine has a way there. Nothing is sent for it.
bool has_route(const server_address& to) {
  const int fd = ::socket(to.address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool found = ::connect(fd, reinterpret_cast<const sockaddr*>(&to.address), to.length) == 0;
  ::close(fd);
  return found;
}

std::string text_of(const config::ip_address& ip) {
  char text[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(ip.v6 ? AF_INET6 : AF_INET, ip.bytes.data(), text, sizeof text);
  return text;
}

std::string text_of(const std::vector<config::ip_address>& all) {
  std::string out;
  for (const auto& one : all)
    out.append(out.empty() ? "" : ",").append(text_of(one));
  return out;
}

std::optional<server_address> unix_address(const std::string& folder, std::uint16_t port) {
  server_address result;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = folder + "/.s.PGSQL." + std::to_string(port);
  if (path.size() >= sizeof address.sun_path) return std::nullopt;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  std::memcpy(&result.address, &address, sizeof address);
  result.length = sizeof address;
  return result;
}

// -- the actor
// --------------------------------------------------------------------------------------------------------------

struct resolver_state {
  using self_pointer = inner_resolver_actor::stateful_pointer<resolver_state>;
  using address_promise = caf::typed_response_promise<resolved_host>;
  using name_promise = caf::typed_response_promise<client_name>;

  struct waiter {
    std::string name;
    std::uint16_t port = 0;
    clock::time_point until;
    address_promise reply;
  };
  struct client_question {
    config::ip_address address;
    std::string name; // once it is known
    std::vector<name_promise> waiters;
  };

  explicit resolver_state(self_pointer owner) : self(owner) {}

  void start(node_context& where);
  caf::result<resolved_host> resolve(const resolve_host& what);
  caf::result<client_name> name_of(const name_client& who);
  void take(dns_result& result);
  void take_addresses(const std::string& name, const dns_result& result);
  void take_client(std::uint64_t id, const dns_result& result);
  void answer_client(std::uint64_t id, bool confirmed);
  void look();
  void ask(const std::string& name);
  void arm();
  resolved_host known(const std::string& name, std::uint16_t port) const;
  void report(const std::string& name, const cluster::name_change& change) const;

  self_pointer self;
  node_context* node = nullptr;
  control_stats stats{actor_kind::resolver};
  cluster::name_cache names;
  std::list<waiter> waiters;
  std::unordered_map<std::uint64_t, std::string> asked;                                // names, by question
  std::unordered_map<std::uint64_t, std::pair<clock::time_point, dns_result>> partial; // by question
  std::unordered_map<std::uint64_t, client_question> clients;
  std::uint64_t next_id = 1;
  bool armed = false;
  std::unique_ptr<dns_thread> thread; // last: it ends before anything that it reports to
};

void resolver_state::start(node_context& where) {
  node = &where;
  thread =
      std::make_unique<dns_thread>(where.settings()->values->resolv_conf, [me = self->address()](dns_result result) {
        if (const auto alive = caf::actor_cast<caf::actor>(me)) caf::anon_send(alive, std::move(result));
      });
}

// -- host names
// ------------------------------------------------------------------------------------------------------------

caf::result<resolved_host> resolver_state::resolve(const resolve_host& what) {
  if (auto literal = literal_address(what.host, what.port)) return resolved_host{{*literal}, {}};
  arm();
  const auto now = clock::now();
  if (names.fresh(what.host, now)) return known(what.host, what.port);
  const auto* entry = names.find(what.host);
  const bool spare = entry != nullptr && !entry->addresses.empty();
  ask(what.host);
  address_promise reply = self->make_response_promise<address_promise>();
  waiters.push_back({what.host, what.port, now + (spare ? patience_with_addresses : patience), reply});
  return reply;
}

void resolver_state::ask(const std::string& name) {
  if (!names.begin(name, clock::now())) return;
  const std::uint64_t id = next_id++;
  asked[id] = name;
  node->dns.queries.fetch_add(1, std::memory_order_relaxed);
  node->dns.pending.store(asked.size(), std::memory_order_relaxed);
  thread->ask({id, name, {}});
}

/// Addresses that cannot be reached from here come last, as RFC 6724 has it.
resolved_host resolver_state::known(const std::string& name, std::uint16_t port) const {
  resolved_host out;
  const auto* entry = names.find(name);
  if (entry != nullptr)
    for (const auto& ip : entry->addresses)
      out.addresses.push_back(to_address(ip, name, port));
  if (out.addresses.size() > 1) std::stable_partition(out.addresses.begin(), out.addresses.end(), has_route);
  if (out.addresses.empty())
    out.error = "could not resolve \"" + name +
                "\": " + (entry == nullptr || entry->why.empty() ? "no name server has answered yet" : entry->why);
  return out;
}

void resolver_state::take(dns_result& result) {
  const auto id = result.id;
  const auto found = asked.find(id);
  if (found == asked.end()) return take_client(id, result);
  if (result.partial) {
    partial[id] = {clock::now() + family_patience, std::move(result)};
    return arm();
  }
  partial.erase(id);
  const std::string name = std::move(found->second);
  asked.erase(found);
  node->dns.pending.store(asked.size(), std::memory_order_relaxed);
  take_addresses(name, result);
}

void resolver_state::take_addresses(const std::string& name, const dns_result& result) {
  const auto settings = node->settings()->values;
  using std::chrono::duration_cast, std::chrono::milliseconds;
  const cluster::name_cache::limits limits{duration_cast<milliseconds>(settings->dns_max_ttl),
                                           duration_cast<milliseconds>(settings->dns_nxdomain_ttl)};
  const auto change = names.answered(name, result.v4, result.v6, limits, clock::now());
  report(name, change);
  if (const auto* entry = names.find(name)) {
    node->hosts.set_addresses(name, entry->addresses);
    node->dns.set(name, {entry->until, text_of(entry->addresses)});
  }
  for (auto one = waiters.begin(); one != waiters.end();) {
    const auto here = one++;
    if (here->name != name) continue;
    here->reply.deliver(known(name, here->port));
    waiters.erase(here);
  }
}

void resolver_state::report(const std::string& name, const cluster::name_change& change) const {
  const auto* entry = names.find(name);
  if (entry == nullptr) return;
  if (change.began_to_fail)
    log(level::warning, log_event::dns_failed,
        {{"host", name}, {"reason", entry->why}, {"addresses_in_use", text_of(entry->addresses)}});
  if (change.works_again)
    log(level::info, log_event::dns_works_again, {{"host", name}, {"addresses", text_of(entry->addresses)}});
  if (!change.added.empty() || !change.removed.empty())
    log(level::info, log_event::host_moved,
        {{"host", name},
         {"added", text_of(change.added)},
         {"removed", text_of(change.removed)},
         {"addresses", text_of(entry->addresses)}});
}

void resolver_state::arm() {
  if (!std::exchange(armed, true)) self->delayed_send(self, look_pause, tick_atom::value);
}

void resolver_state::look() {
  armed = false;
  const auto now = clock::now();
  for (auto one = partial.begin(); one != partial.end();) {
    const auto here = one++;
    if (here->second.first > now) continue;
    if (const auto name = asked.find(here->first); name != asked.end())
      take_addresses(name->second, here->second.second);
    partial.erase(here);
  }
  for (auto one = waiters.begin(); one != waiters.end();) {
    const auto here = one++;
    if (here->until > now) continue;
    here->reply.deliver(known(here->name, here->port));
    waiters.erase(here);
  }
  const auto in_use = [&](const std::string& name) { return node->hosts.in_use(name); };
  for (const std::string& name : names.due(now, in_use))
    ask(name);
  if (!waiters.empty() || !partial.empty() || names.any(in_use)) arm();
}

// -- names of clients
// ------------------------------------------------------------------------------------------------------

caf::result<client_name> resolver_state::name_of(const name_client& who) {
  name_promise reply = self->make_response_promise<name_promise>();
  for (auto& [id, one] : clients)
    if (one.address == who.address && one.name.empty()) {
      one.waiters.push_back(reply);
      return reply;
    }
  if (clients.size() >= most_clients) return client_name{};
  const std::uint64_t id = next_id++;
  clients[id] = {who.address, {}, {reply}};
  thread->ask({id, {}, who.address});
  return reply;
}

/// First its name, then whether that name has its address: anybody may write names into a zone of his own addresses.
void resolver_state::take_client(std::uint64_t id, const dns_result& result) {
  const auto found = clients.find(id);
  if (found == clients.end()) return;
  client_question& who = found->second;
  if (who.name.empty()) {
    who.name = result.name;
    if (who.name.empty()) return answer_client(id, false);
    return thread->ask({id, who.name, {}});
  }
  const auto& addresses = who.address.v6 ? result.v6.addresses : result.v4.addresses;
  const bool confirmed = std::find(addresses.begin(), addresses.end(), who.address) != addresses.end();
  if (confirmed || !result.partial) answer_client(id, confirmed);
}

void resolver_state::answer_client(std::uint64_t id, bool confirmed) {
  const auto found = clients.find(id);
  for (name_promise& one : found->second.waiters)
    one.deliver(client_name{{found->second.name, confirmed}});
  clients.erase(found);
}

inner_resolver_actor::behavior_type resolver(resolver_state::self_pointer self, node_context* node) {
  self->state.start(*node);
  return {
      [self](const resolve_host& what) {
        self->state.stats.note(self);
        return self->state.resolve(what);
      },
      [self](const name_client& who) {
        self->state.stats.note(self);
        return self->state.name_of(who);
      },
      [self](dns_result& result) {
        self->state.stats.note(self);
        self->state.take(result);
      },
      [self](tick_atom) {
        self->state.stats.note(self);
        self->state.look();
      },
  };
}

} // namespace

std::optional<server_address> literal_address(const std::string& host, std::uint16_t port) {
  std::optional<server_address> result;
  if (host.starts_with('/')) {
    result = unix_address(host, port);
  } else {
    config::ip_address ip;
    ip.v6 = ::inet_pton(AF_INET, host.c_str(), ip.bytes.data()) != 1;
    if (ip.v6 && ::inet_pton(AF_INET6, host.c_str(), ip.bytes.data()) != 1) return result;
    result = to_address(ip, host, port);
  }
  if (result) {
    result->host = host;
    result->port = port;
  }
  return result;
}

resolver_actor spawn_resolver(caf::actor_system& system, node_context& node) {
  return caf::actor_cast<resolver_actor>(system.spawn(resolver, &node));
}

} // namespace pg_edge::actors
