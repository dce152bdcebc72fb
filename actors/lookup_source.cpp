// Where a user is looked up: from settings to what libpq is told.
#include "actors/tls_context.hpp"
#include "actors/user_lookup.hpp"
#include "protocol/password.hpp"

#include <openssl/sha.h>
#include <openssl/x509.h>

#include <algorithm>
#include <unistd.h>

namespace pg_edge::actors {

namespace {

/// Keeps libpq from files in the home folder that it would use unasked.
constexpr const char* no_file = "/nonexistent";

/// libpq up to 15 needs a file where OpenSSL has a folder too; from 16 on it knows "system".
constexpr int libpq_knows_system_roots = 160000;
constexpr int libpq_knows_require_auth = 160000;

std::string system_roots() {
  if (PQlibVersion() >= libpq_knows_system_roots) return "system";
  const std::string by_openssl = X509_get_default_cert_file();
  return ::access(by_openssl.c_str(), R_OK) == 0 ? by_openssl : "/etc/ssl/certs/ca-certificates.crt";
}

const char* sslmode_name(config::tls_mode mode) {
  static constexpr const char* names[] = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"};
  return names[static_cast<std::size_t>(mode)];
}

/// libpq knows a lowest and a highest version: of a list, its ends.
void add_protocols(libpq_options& out, const std::string& protocols) {
  static constexpr const char* versions[][2] = {
      {"tlsv1.0", "TLSv1"}, {"tlsv1.1", "TLSv1.1"}, {"tlsv1.2", "TLSv1.2"}, {"tlsv1.3", "TLSv1.3"}};
  if (protocols == "all" || protocols == "legacy") {
    out.emplace_back("ssl_min_protocol_version", "TLSv1");
    return;
  }
  const char *lowest = nullptr, *highest = nullptr;
  for (const auto& [ours, theirs] : versions) {
    if (protocols.find(ours) == std::string::npos) continue;
    if (lowest == nullptr) lowest = theirs;
    highest = theirs;
  }
  if (lowest == nullptr) return; // "secure" is libpq's own choice
  out.emplace_back("ssl_min_protocol_version", lowest);
  out.emplace_back("ssl_max_protocol_version", highest);
}

void add_tls(libpq_options& out, const config::pool_settings& target) {
  const tls_mode_row& mode = describe(target.server_tls_sslmode);
  out.emplace_back("sslmode", sslmode_name(target.server_tls_sslmode));
  // With a file libpq verifies even where the mode does not ask for it.
  const std::string roots = target.server_tls_ca_file.empty() ? system_roots() : target.server_tls_ca_file;
  out.emplace_back("sslrootcert", mode.verifies_ca ? roots : no_file);
  out.emplace_back("sslcert", target.server_tls_cert_file.empty() ? no_file : target.server_tls_cert_file);
  out.emplace_back("sslkey", target.server_tls_key_file.empty() ? no_file : target.server_tls_key_file);
  add_protocols(out, target.server_tls_protocols);
  // The gates of server logins (server_allow_cleartext), as far as this libpq has them.
  if (!mode.tls_required && !target.server_allow_cleartext && PQlibVersion() >= libpq_knows_require_auth)
    out.emplace_back("require_auth", "!password");
}

template <class unit>
std::string whole(config::duration span) {
  return std::to_string(std::chrono::duration_cast<unit>(span).count());
}

void add_tcp(libpq_options& out, const config::settings& all) {
  out.emplace_back("keepalives", all.tcp_keepalive ? "1" : "0");
  const auto add = [&](const char* name, const std::string& value) {
    if (value != "0") out.emplace_back(name, value); // libpq takes 0 for a value, and then fails
  };
  add("keepalives_idle", whole<std::chrono::seconds>(all.tcp_keepidle));
  add("keepalives_interval", whole<std::chrono::seconds>(all.tcp_keepintvl));
  add("keepalives_count", std::to_string(all.tcp_keepcnt));
  add("tcp_user_timeout", whole<std::chrono::milliseconds>(all.tcp_user_timeout));
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  for (std::size_t from = 0; from <= list.size();) {
    const std::size_t comma = std::min(list.find(',', from), list.size());
    std::string part = list.substr(from, comma - from);
    part.erase(0, part.find_first_not_of(' '));
    part.erase(part.find_last_not_of(' ') + 1);
    if (!part.empty()) parts.push_back(std::move(part));
    from = comma + 1;
  }
  return parts;
}

} // namespace

libpq_options options_for(const config::pool_settings& target, const config::settings& all) {
  libpq_options out{
      {"port", std::to_string(target.port)}, {"dbname", target.dbname}, {"user", target.server_user},
      {"password", target.server_secret},    {"passfile", no_file},     {"application_name", "pg_edge auth_query"},
      {"target_session_attrs", "any"},       {"gssencmode", "disable"}};
  add_tls(out, target);
  add_tcp(out, all);
  return out;
}

lookup_source find_source(const lookup_user& wish) {
  lookup_source out;
  const std::string& database = wish.auth_dbname.empty() ? wish.database : wish.auth_dbname;
  const auto route = config::find_route(*wish.settings, wish.tenant, database, wish.auth_user);
  out.job.query = wish.auth_query;
  out.job.user = wish.user;
  if (!route) {
    out.error = "database \"" + database + "\" is not configured";
    return out;
  }
  config::pool_settings target = config::resolve_pool(*wish.settings, *route->tenant, *route->database,
                                                      route->database_name, wish.auth_user, route->user);
  const auto kind = protocol::classify_secret(target.server_secret);
  if (kind == protocol::secret_kind::md5 || kind == protocol::secret_kind::scram)
    out.error = "the password of auth_user \"" + wish.auth_user + "\" must be there as plain text";
  out.hosts = split(target.host);
  out.port = target.port;
  out.job.options = options_for(target, *wish.settings);
  const config::duration limit = target.server_connect_timeout;
  out.job.connect_limit = limit.count() > 0 ? limit : config::duration(std::chrono::seconds(15));
  out.job.connection.append(wish.tenant).append(1, '\0').append(route->database_name).append(1, '\0');
  out.job.connection.append(target.host).append(1, '\0');
  for (const auto& [name, value] : out.job.options)
    out.job.connection.append(name).append(1, '=').append(value).append(1, '\0');
  return out;
}

std::string lookup_source::key() const {
  std::string whole = job.connection;
  whole.append(job.query).append(1, '\0').append(job.user);
  std::string digest(SHA256_DIGEST_LENGTH, '\0'); // short, and tells nothing of the password within
  ::SHA256(reinterpret_cast<const unsigned char*>(whole.data()), whole.size(),
           reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

} // namespace pg_edge::actors
