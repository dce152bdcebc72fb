#include "config/check.hpp"

#include "config/hba.hpp"
#include "config/secret.hpp"
#include "config/tenant_name.hpp"
#include "config/value_text.hpp"

#include <algorithm>
#include <set>

namespace pg_edge::config {

namespace {

class checker {
public:
  checker(const settings& all, const setting_lines& lines, problem_list& problems)
      : all_{all}, lines_{lines}, problems_{problems} {}

  void listening();
  void doors();
  void tls();
  void pools();
  void authentication();
  void one_tenant(const tenant& owner);
  void names_of_tenants();
  void rules();
  void admin();

private:
  int line(std::string_view key) const {
    const auto found = lines_.find(key);
    return found == lines_.end() ? 0 : found->second;
  }
  void certificate_pair(std::string_view prefix, int at, const std::string& cert, const std::string& key);
  void check_overrides(const std::string& what, int at, const overrides& own, const overrides& outer);
  void check_database(const tenant& owner, const database& one);
  void check_user(const tenant& owner, const user& one);
  void certificates();

  bool open_to_all() const { return all_.auth_type == auth_type::any || all_.auth_type == auth_type::trust; }

  const settings& all_;
  const setting_lines& lines_;
  problem_list& problems_;
};

bool is_loopback(const std::string& address) {
  return address == "localhost" || address == "::1" || address.starts_with("127.");
}

void checker::listening() {
  std::set<std::string> seen;
  for (const auto& address : all_.listen_addr)
    if (!seen.insert(address).second)
      problems_.error(line("listen_addr"), "listen_addr: " + address + " is listed twice");
  if (seen.count("*") != 0 && seen.size() > 1)
    problems_.error(line("listen_addr"), "listen_addr: \"*\" covers the other addresses already");
  if (all_.listen_addr.empty() && all_.unix_socket_dir.empty() && all_.listeners.empty())
    problems_.error(line("unix_socket_dir"), "nothing to listen on: listen_addr and unix_socket_dir are both empty");
}

/// Addresses and sockets of [listeners], against each other and the global ones.
void checker::doors() {
  std::set<std::string> seen;
  const auto take = [&](int at, const std::string& name, int port) {
    if (!seen.insert(name + ":" + std::to_string(port)).second)
      problems_.error(at, name + ", port " + std::to_string(port) + ": two listeners cannot have the same address");
  };
  for (const auto& address : all_.listen_addr)
    take(line("listen_addr"), address, all_.listen_port);
  if (!all_.unix_socket_dir.empty()) take(line("unix_socket_dir"), all_.unix_socket_dir, all_.listen_port);
  for (const auto& [name, door] : all_.listeners) {
    const std::string what = "listener " + name;
    for (const auto& address : door.listen_addr)
      take(door.line, address, door.listen_port);
    if (!door.unix_socket_dir.empty()) take(door.line, door.unix_socket_dir, door.listen_port);
    if (door.listen_addr.empty() && door.unix_socket_dir.empty())
      problems_.error(door.line, what + ": needs listen_addr or unix_socket_dir");
    if (find_tenant(all_, door.tenant) == nullptr)
      problems_.error(door.line, what + ": there is no [tenants." + door.tenant + "]");
    if (door.proxy_protocol && door.proxy_protocol_from.empty() && !door.listen_addr.empty())
      problems_.error(door.line, what + ": proxy_protocol needs proxy_protocol_from, the networks of the proxies");
    const auto mode = door.client_tls_sslmode.value_or(all_.client_tls_sslmode);
    const auto certificate = door.client_tls_cert_file.value_or(all_.client_tls_cert_file);
    const auto authority = door.client_tls_ca_file.value_or(all_.client_tls_ca_file);
    if (mode != tls_mode::disable && certificate.empty())
      problems_.error(door.line, what + ": TLS for clients needs client_tls_cert_file and client_tls_key_file");
    if (mode >= tls_mode::verify_ca && authority.empty())
      problems_.error(door.line, what + ": checking client certificates needs client_tls_ca_file");
    if (door.client_tls_cert_file.has_value() != door.client_tls_key_file.has_value())
      problems_.error(door.line, what + ": client_tls_cert_file and client_tls_key_file go together");
  }
}

void checker::certificate_pair(std::string_view prefix, int at, const std::string& cert, const std::string& key) {
  const std::string name{prefix};
  if (cert.empty() && !key.empty()) problems_.error(at, name + "_key_file: needs " + name + "_cert_file");
  if (!cert.empty() && key.empty()) problems_.error(at, name + "_cert_file: needs " + name + "_key_file");
}

void checker::tls() {
  const int at = line("client_tls_sslmode");
  if (all_.client_tls_sslmode != tls_mode::disable && all_.client_tls_cert_file.empty() &&
      all_.client_tls_key_file.empty())
    problems_.error(at, "client_tls_sslmode: TLS for clients needs client_tls_cert_file and client_tls_key_file");
  if (all_.client_tls_sslmode >= tls_mode::verify_ca && all_.client_tls_ca_file.empty())
    problems_.error(at, "client_tls_sslmode: checking client certificates needs client_tls_ca_file");
  certificate_pair("client_tls", std::max(line("client_tls_cert_file"), line("client_tls_key_file")),
                   all_.client_tls_cert_file, all_.client_tls_key_file);
  certificate_pair("server_tls", std::max(line("server_tls_cert_file"), line("server_tls_key_file")),
                   all_.server_tls_cert_file, all_.server_tls_key_file);
  if (all_.server_tls_sslmode >= tls_mode::verify_ca && all_.server_tls_ca_file.empty())
    problems_.error(line("server_tls_sslmode"), "server_tls_sslmode: checking certificates needs server_tls_ca_file");
}

void checker::pools() {
  if (all_.min_pool_size > all_.default_pool_size)
    problems_.warning(line("min_pool_size"), "min_pool_size: is more than default_pool_size, which limits it");
  if (all_.server_reset_query.empty() && all_.pool_mode == pool_mode::session)
    problems_.warning(line("server_reset_query"),
                      "server_reset_query: without it, session state leaks from one client to the next");
}

void checker::authentication() {
  const bool beyond_host = !std::all_of(all_.listen_addr.begin(), all_.listen_addr.end(), is_loopback);
  const std::string type{to_string(all_.auth_type)};
  if (open_to_all() && beyond_host)
    problems_.warning(line("auth_type"), "auth_type: " + type + " lets everybody in who reaches listen_addr");
  if (all_.auth_type == auth_type::plain && beyond_host && all_.client_tls_sslmode < tls_mode::require)
    problems_.warning(line("auth_type"),
                      "auth_type: plain passwords cross the network unless client_tls_sslmode requires TLS");
  for (const auto* list : {&all_.admin_users, &all_.stats_users})
    for (const auto& name : *list)
      if (!open_to_all() && all_.default_tenant.users.find(name) == all_.default_tenant.users.end()) {
        const std::string key = list == &all_.admin_users ? "admin_users" : "stats_users";
        problems_.warning(line(key), key + ": there is no [users." + name + "], so " + name + " cannot log in");
      }
}

// -- rules ------------------------------------------------------------------------------------------------------------

/// Everything that is about auth_hba_file. Whether a file could be read was said before, so its name is what counts.
void checker::rules() {
  const std::string needs = "auth_type: hba needs auth_hba_file";
  const bool global = !all_.auth_hba_file.empty() || line("auth_hba_file") != 0;
  if (all_.auth_type == auth_type::hba && !global) problems_.error(line("auth_type"), needs);
  if (!all_.auth_ident_file.empty() && !global &&
      std::all_of(all_.tenants.begin(), all_.tenants.end(),
                  [](const auto& entry) { return entry.second.auth_hba_file.empty(); }))
    problems_.error(line("auth_ident_file"), "auth_ident_file: needs auth_hba_file, whose rules name the maps");
  for (const auto& [name, owner] : all_.tenants) {
    const std::string what = "tenant " + name + ": ";
    const bool own = !owner.auth_hba_file.empty();
    if (owner.auth_type == auth_type::hba && !own && !global) problems_.error(owner.line, what + needs);
    if (!own && !owner.auth_ident_file.empty())
      problems_.error(owner.line, what + "auth_ident_file needs auth_hba_file beside it");
  }
  for (const auto& [name, door] : all_.listeners) {
    const auto* owner = door.tenant.empty() ? nullptr : find_tenant(all_, door.tenant);
    if (door.auth_type == auth_type::hba && !global && (owner == nullptr || owner->auth_hba_file.empty()))
      problems_.error(door.line, "listener " + name + ": " + needs);
  }
  certificates();
  if (all_.auth_pam_service.empty() || all_.auth_pam_service.back() == '/')
    problems_.error(line("auth_pam_service"), "auth_pam_service: names no service");
}

/// Methods that look at a client's certificate see none unless one is asked for.
void checker::certificates() {
  const auto asks = [](const listener& door) { return !door.client_tls_ca_file.value_or("").empty(); };
  const bool some_door_asks =
      std::any_of(all_.listeners.begin(), all_.listeners.end(), [&](const auto& entry) { return asks(entry.second); });
  if (!all_.client_tls_ca_file.empty()) return;
  if (all_.auth_type == auth_type::cert)
    problems_.error(line("auth_type"), "auth_type: cert needs client_tls_ca_file, which says whose certificates count");
  for (const auto& [name, door] : all_.listeners)
    if (door.auth_type == auth_type::cert && !asks(door))
      problems_.error(door.line, "listener " + name + ": auth_type cert needs client_tls_ca_file");
  if (some_door_asks) return;
  for (const auto& [name, owner] : all_.tenants)
    if (owner.auth_type == auth_type::cert)
      problems_.error(owner.line, "tenant " + name + ": auth_type cert needs client_tls_ca_file in [pg_edge]");
  const auto look = [&](const hba_rules* of) {
    for (const auto& rule : of == nullptr ? std::vector<hba_rule>{} : of->rules)
      if (rule.clientcert != hba_certificate::any)
        problems_.add({rule.file, rule.line,
                       "asks for a client certificate, and client_tls_ca_file is not set: nobody gets in by this rule",
                       true});
  };
  look(all_.hba.get());
  for (const auto& [name, owner] : all_.tenants)
    look(owner.hba.get());
}

// -- the admin API ----------------------------------------------------------------------------------------------------

void checker::admin() {
  constexpr std::size_t shortest_token = 16;
  constexpr std::size_t sha256_digits = 64;
  const admin_settings& api = all_.admin;
  if (!api.served) return;
  if (api.listen.empty()) problems_.error(api.line, "admin: listen: names no address; leave [admin] out for no API");
  for (const auto& text : api.listen) {
    const auto address = parse_endpoint(text);
    if (!address)
      problems_.error(api.line, "admin: listen: \"" + text + "\" is no address with a port, as 127.0.0.1:9632 is");
    else if (!is_loopback(address->host)) {
      const bool missing_tls = api.tls_cert_file.empty() || api.tls_key_file.empty();
      if (missing_tls || api.tokens.empty())
        problems_.error(api.line, "admin: listen: " + text +
                                      " can be reached from elsewhere, so it needs tls_cert_file, tls_key_file and an "
                                      "[admin.tokens.NAME]");
    }
  }
  if (api.tls_cert_file.empty() != api.tls_key_file.empty())
    problems_.error(api.line, "admin: tls_cert_file and tls_key_file go together");
  for (const auto& [name, one] : api.tokens) {
    const std::string what = "admin token " + name + ": ";
    if (one.token.empty() == one.token_sha256.empty())
      problems_.error(one.line, what + "needs one of token, token_file and token_sha256");
    else if (!one.token.empty() && one.token.size() < shortest_token)
      problems_.error(one.line, what + "is shorter than 16 characters, so it can be guessed");
    if (!one.token_sha256.empty() && (one.token_sha256.size() != sha256_digits ||
                                      one.token_sha256.find_first_not_of("0123456789abcdef") != std::string::npos))
      problems_.error(one.line, what + "token_sha256: is not 64 hexadecimal digits in lower case");
    if (one.role == admin_role::none)
      problems_.error(one.line, what + "role: a token of role none is good for nothing");
  }
}

// -- tenants ----------------------------------------------------------------------------------------------------------

void checker::check_overrides(const std::string& what, int at, const overrides& own, const overrides& outer) {
  const auto pick = [&](auto member, const auto& global) {
    return (own.*member).value_or((outer.*member).value_or(global));
  };
  if (own.min_pool_size.has_value() && *own.min_pool_size > pick(&overrides::pool_size, all_.default_pool_size))
    problems_.warning(at, what + ": min_pool_size is more than the pool size, which limits it");
  if (own.server_tls_sslmode.value_or(tls_mode::disable) >= tls_mode::verify_ca &&
      pick(&overrides::server_tls_ca_file, all_.server_tls_ca_file).empty())
    problems_.error(at, what + ": server_tls_sslmode needs server_tls_ca_file");
  if ((own.server_tls_cert_file.has_value() || own.server_tls_key_file.has_value()) &&
      pick(&overrides::server_tls_cert_file, all_.server_tls_cert_file).empty() !=
          pick(&overrides::server_tls_key_file, all_.server_tls_key_file).empty())
    problems_.error(at, what + ": server_tls_cert_file and server_tls_key_file go together");
}

void checker::check_database(const tenant& owner, const database& one) {
  const std::string what = "database " + one.name;
  check_overrides(what, one.line, one, owner);
  if (all_.auth_type == auth_type::any && one.user.empty())
    problems_.error(one.line, what + ": auth_type any needs a user in every database, since clients need not have one");
  const auto kind = kind_of_secret(one.password);
  if (kind == secret_kind::scram)
    problems_.warning(one.line, what + ": a SCRAM verifier logs in to servers only after a client has logged in as " +
                                    (one.user.empty() ? "that user" : one.user) +
                                    ", and only where the server has the same verifier");
  if (kind == secret_kind::md5)
    problems_.warning(one.line, what + ": an md5 verifier can log in only where the server asks for md5");
  if (looks_like_broken_verifier(one.password))
    problems_.warning(one.line, what + ": the password looks like a malformed verifier; it is used as plain text");
  if (!one.password.empty() && one.user.empty())
    problems_.warning(one.line, what + ": the password serves every user, since no user is named");
  if (one.user.empty() || !one.password.empty()) return;
  const auto found = owner.users.find(one.user);
  if (found != owner.users.end() && kind_of_secret(found->second.secret) == secret_kind::scram)
    problems_.warning(one.line,
                      what + ": [users." + one.user +
                          "] holds a SCRAM verifier: the pool can log in to servers only after a client has logged "
                          "in as " +
                          one.user + ", and only where the server has the same verifier");
}

void checker::check_user(const tenant& owner, const user& one) {
  const std::string what = "user " + one.name;
  if (looks_like_broken_verifier(one.secret))
    problems_.error(one.line, what + ": the password looks like a verifier, but is malformed");
  for (const auto& old : one.old_passwords)
    if (looks_like_broken_verifier(old))
      problems_.error(one.line, what + ": one of old_passwords looks like a verifier, but is malformed");
  if (one.secret.empty() && !one.old_passwords.empty())
    problems_.warning(one.line, what + ": has old_passwords, but no password");
  if (open_to_all()) return;
  const auto kind = kind_of_secret(one.secret);
  // By rules, certificates and Unix sockets one gets in without.
  const bool needs_password = all_.auth_type != auth_type::hba && all_.auth_type != auth_type::cert &&
                              all_.auth_type != auth_type::peer && all_.auth_type != auth_type::pam;
  const bool looked_up = !owner.auth_user.value_or(all_.auth_user).empty() ||
                         std::any_of(owner.databases.begin(), owner.databases.end(),
                                     [](const auto& entry) { return !entry.second.auth_user.value_or("").empty(); });
  if (kind == secret_kind::none && needs_password && !looked_up)
    problems_.warning(one.line, what + ": has no password, so it cannot log in");
  if (kind == secret_kind::md5 && all_.auth_type == auth_type::scram_sha_256)
    problems_.warning(one.line, what + ": an md5 verifier cannot log in with auth_type scram-sha-256");
}

void checker::one_tenant(const tenant& owner) {
  check_overrides("tenant " + owner.name, owner.line, owner, {});
  for (const auto& [name, one] : owner.databases)
    check_database(owner, one);
  for (const auto& [name, one] : owner.users)
    check_user(owner, one);
}

// -- how clients name tenants
// --------------------------------------------------------------------------------------------------

void checker::names_of_tenants() {
  std::map<std::string, std::string> owners; // of server names
  for (const auto& [name, one] : all_.tenants) {
    const std::string what = "tenant " + name;
    for (std::string server_name : one.server_names) {
      if (!is_server_name_pattern(server_name))
        problems_.error(one.line,
                        what + ": server_names: \"" + server_name + "\" is neither a host name nor *. and one");
      std::transform(server_name.begin(), server_name.end(), server_name.begin(),
                     [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
      const auto [owner, added] = owners.emplace(server_name, name);
      if (!added && owner->second != name)
        problems_.error(one.line,
                        what + ": server_names: " + server_name + " means tenant " + owner->second + " already");
    }
    if (one.banned.empty() && !one.banned_until.empty())
      problems_.warning(one.line, what + ": banned_until does nothing without banned, which says why");
    for (const auto& [user_name, who] : one.users)
      if (const auto taken = all_.default_tenant.users.find(user_name + "." + name);
          taken != all_.default_tenant.users.end())
        problems_.warning(taken->second.line, "user " + taken->first +
                                                  ": clients of that name are the default tenant's, not " + user_name +
                                                  " of tenant " + name);
  }
  for (const auto& [name, door] : all_.listeners)
    if (find_tenant(all_, door.tenant) == nullptr)
      problems_.error(door.line, "listener " + name + ": tenant: there is no [tenants." + door.tenant + "]");
}

bool has_no_database(const settings& all) {
  return all.default_tenant.databases.empty() &&
         std::all_of(all.tenants.begin(), all.tenants.end(),
                     [](const auto& entry) { return entry.second.databases.empty(); });
}

} // namespace

void check_settings(const settings& all, const setting_lines& lines, problem_list& problems) {
  checker check{all, lines, problems};
  check.listening();
  check.doors();
  check.tls();
  check.pools();
  check.authentication();
  check.rules();
  check.admin();
  check.one_tenant(all.default_tenant);
  for (const auto& [name, owner] : all.tenants)
    check.one_tenant(owner);
  check.names_of_tenants();
  if (all.cluster.joined && !all.store_path.empty())
    problems.warning(
        lines.count("store_path") != 0 ? lines.find("store_path")->second : 0,
        "store_path: is not used in a cluster, whose objects stand in its store; `pg_edgectl cluster init` "
        "copies them");
  if (has_no_database(all)) problems.warning(0, "there is no database: only the admin console can be reached");
}

} // namespace pg_edge::config
