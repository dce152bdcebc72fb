// Which method a client must prove itself by: auth_type of its listener, tenant or node, or what a rule of the HBA file
// says about it. What needs no word from the client, a certificate or the owner of a Unix socket, is looked at here.
#include "actors/client_login_state.hpp"

#include <cstring>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/socket.h>

namespace pg_edge::actors {

namespace {

using protocol::error_code;

config::auth_type method_of(config::hba_method method) {
  switch (method) {
  case config::hba_method::trust:
    return config::auth_type::trust;
  case config::hba_method::md5:
    return config::auth_type::md5;
  case config::hba_method::password:
    return config::auth_type::plain;
  case config::hba_method::cert:
    return config::auth_type::cert;
  case config::hba_method::peer:
    return config::auth_type::peer;
  case config::hba_method::pam:
    return config::auth_type::pam;
  case config::hba_method::reject: // refused before
  case config::hba_method::scram_sha_256:
    break;
  }
  return config::auth_type::scram_sha_256;
}

config::ip_address address_of(const sockaddr& raw) {
  config::ip_address out;
  out.v6 = raw.sa_family == AF_INET6;
  const void* from = out.v6 ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6&>(raw).sin6_addr)
                            : static_cast<const void*>(&reinterpret_cast<const sockaddr_in&>(raw).sin_addr);
  std::memcpy(out.bytes.data(), from, out.v6 ? sizeof(in6_addr) : sizeof(in_addr));
  return out;
}

/// The addresses of this machine as they are now; Postgres, too, looks for each login whose rules ask.
std::vector<config::masked_address> interfaces() {
  std::vector<config::masked_address> out;
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return out; // samehost and samenet then mean nobody
  for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next)
    if (one->ifa_addr != nullptr && one->ifa_netmask != nullptr &&
        (one->ifa_addr->sa_family == AF_INET || one->ifa_addr->sa_family == AF_INET6)) {
      // The mask's own family is not always set.
      sockaddr_storage mask{};
      std::memcpy(&mask, one->ifa_netmask,
                  one->ifa_addr->sa_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
      mask.ss_family = one->ifa_addr->sa_family;
      out.push_back({address_of(*one->ifa_addr), address_of(reinterpret_cast<const sockaddr&>(mask))});
    }
  ::freeifaddrs(first);
  return out;
}

bool is_unix_socket(int fd) {
  int domain = 0;
  socklen_t size = sizeof domain;
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

/// Who is at the other end of a Unix socket; nullopt when that cannot be said.
std::optional<std::string> system_user(int fd) {
  ucred who{};
  socklen_t size = sizeof who;
  if (!is_unix_socket(fd) || ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return std::nullopt;
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> room(16 * 1024);
  if (::getpwuid_r(who.uid, &entry, room.data(), room.size(), &found) != 0 || found == nullptr) return std::nullopt;
  return std::string(found->pw_name);
}

} // namespace

/// Sets login_->route and login_->method, and goes on with that unless the client may not come in.
void client::choose_method() {
  const config::settings& settings = *login_->settings->values;
  login_->route = config::find_route(settings, login_->tenant->name, database_, user_);
  const config::database* target = login_->route ? login_->route->database : nullptr;
  login_->rules = config::resolve_login(settings, *login_->tenant, target, login_->door);
  login_->method = login_->rules.auth_type;
  if (login_->method == config::auth_type::hba) return ask_rules(nullptr);
  method_chosen();
}

void client::method_chosen() {
  const bool wants_certificate = login_->method == config::auth_type::cert ||
                                 (login_->rule != nullptr && login_->rule->clientcert != config::hba_certificate::any);
  if (wants_certificate && !socket_.peer_verified()) return fail(error_code::certificate_required);
  if (login_->method == config::auth_type::cert && !certificate_serves(error_code::certificate_failed)) return;
  if (login_->method == config::auth_type::peer && !system_user_serves()) return;
  find_secret();
}

/// Finds the rule for this client, and with it the method. `name`: of its address; null: not looked up.
void client::ask_rules(const config::hba_client_name* name) {
  const config::hba_rules* rules = login_->rules.hba;
  config::hba_connection who;
  // A Unix socket can be bound to a path that reads like an address; TCP alone has ports.
  if (peer_.port != 0) who.address = config::parse_address(peer_.host);
  const bool unclear = !who.address && !is_unix_socket(socket_.fd());
  who.tls = socket_.tls();
  who.database = database_;
  who.user = user_;
  who.physical_replication = replication_ && !logical_replication_;
  const auto here = rules != nullptr && rules->asks_interfaces ? interfaces() : std::vector<config::masked_address>{};
  who.interfaces = here;
  who.name = name;
  const auto decision = rules == nullptr || unclear ? config::hba_decision{} : config::decide(*rules, who);
  if (decision.needs_name) return ask_name(*who.address);
  login_->rule = decision.rule;
  if (login_->rule == nullptr || login_->rule->method == config::hba_method::reject)
    return refuse_by_rule(login_->rule != nullptr);
  login_->method = method_of(login_->rule->method);
  method_chosen();
}

/// A rule with a host name may fit: the resolver says whose address this is. Without an answer it is nobody's, as in
/// Postgres, and the rules behind decide.
void client::ask_name(const config::ip_address& address) {
  login_->busy = true;
  const auto go_on = [this](const config::hba_client_name& name) {
    if (step_ != client_step::authenticating) return;
    login_->busy = false;
    ask_rules(&name);
    use_input();
    read_later();
  };
  request(node_.resolver, caf::infinite, name_client{address})
      .then([go_on](const client_name& found) { go_on(found.is); }, [go_on](caf::error&) { go_on({}); });
}

void client::refuse_by_rule(bool there_is_one) {
  const std::string host = peer_.port == 0 ? "[local]" : peer_.host;
  const std::string_view encryption = socket_.tls() ? "SSL encryption" : "no encryption";
  if (replication_ && !logical_replication_)
    return fail(there_is_one ? error_code::hba_reject_replication : error_code::hba_no_entry_replication,
                {host, login_->asked_user, encryption});
  fail(there_is_one ? error_code::hba_reject : error_code::hba_no_entry,
       {host, login_->asked_user, database_, encryption});
}

/// Whether the name in the certificate may be this user; if not, the client is refused with `otherwise`.
bool client::certificate_serves(error_code otherwise) {
  const config::hba_rule* rule = login_->rule;
  const std::string name = rule != nullptr && rule->whole_name ? socket_.peer_subject() : socket_.peer_common_name();
  const bool serves =
      !name.empty() &&
      (rule == nullptr ? name == user_ : config::may_log_in(login_->rules.hba->maps, rule->map, name, user_));
  if (!serves)
    fail(protocol::make_error(otherwise, {login_->asked_user}),
         name.empty() ? "the client certificate has no usable name" : "the client certificate is of " + name);
  return serves;
}

/// clientcert=verify-full beside another method: looked at when that has succeeded, as in Postgres.
bool client::certificate_agrees() {
  const config::hba_rule* rule = login_->rule;
  if (rule == nullptr || rule->clientcert != config::hba_certificate::verify_full ||
      rule->method == config::hba_method::cert)
    return true;
  return certificate_serves(rule->method == config::hba_method::trust ? error_code::trust_failed
                                                                      : error_code::password_failed);
}

bool client::system_user_serves() {
  // Behind a proxy the socket is the proxy's own.
  const bool by_proxy = login_->door != nullptr && login_->door->proxy_protocol;
  const auto name = by_proxy ? std::nullopt : system_user(socket_.fd());
  const config::hba_rule* rule = login_->rule;
  const bool serves =
      name && (rule == nullptr ? *name == user_ : config::may_log_in(login_->rules.hba->maps, rule->map, *name, user_));
  if (!serves)
    fail(protocol::make_error(error_code::peer_failed, {login_->asked_user}),
         name ? "the system user is " + *name : "the system user at the other end is not known");
  return serves;
}

} // namespace pg_edge::actors
