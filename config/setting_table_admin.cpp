// The rows of the setting table that belong to the admin HTTP API.
#include "config/setting_table.hpp"

namespace pg_edge::config {

namespace {

constexpr bool restart_only = false;
constexpr int most_connections = 10'000;
constexpr int most_series = 100'000;

using a = admin_settings;
using t = admin_token;

constexpr setting_row rows[] = {
    {.name = "listen",
     .sections = in_admin,
     .of_admin = &a::listen,
     .reloadable = restart_only,
     .example = "[\"127.0.0.1:9632\"]",
     .group = "Admin API",
     .help = "Addresses and ports of the admin API, /metrics and health checks, as \"127.0.0.1:9632\" or "
             "\"[::1]:9632\"; other than loopback ones need TLS and tokens."},
    {.name = "tls_cert_file",
     .sections = in_admin,
     .of_admin = &a::tls_cert_file,
     .rule = value_rule::readable_file,
     .example = "\"\"",
     .group = "Admin API",
     .help = "Certificate of the admin API; with it, only HTTPS is spoken."},
    {.name = "tls_key_file",
     .sections = in_admin,
     .of_admin = &a::tls_key_file,
     .rule = value_rule::readable_file,
     .example = "\"\"",
     .group = "Admin API",
     .help = "Private key of tls_cert_file."},
    {.name = "anonymous_role",
     .sections = in_admin,
     .of_admin = &a::anonymous_role,
     .example = "\"viewer\"",
     .group = "Admin API",
     .help = "What requests without a token may do, at loopback addresses only; \"none\" asks for a token everywhere "
             "but at the health checks."},
    {.name = "max_connections",
     .sections = in_admin,
     .of_admin = &a::max_connections,
     .low = 1,
     .high = most_connections,
     .example = "256",
     .group = "Admin API",
     .help =
         "Connections to the admin API at a time; one more takes the place of the one that has been silent longest."},
    {.name = "request_timeout",
     .sections = in_admin,
     .of_admin = &a::request_timeout,
     .example = "30",
     .group = "Admin API",
     .help = "How long a request may take to arrive, and an answer to be made or taken; 0 means as long as it likes."},
    {.name = "metrics_tenants",
     .sections = in_admin,
     .of_admin = &a::metrics_tenants,
     .low = 0,
     .high = most_series,
     .example = "100",
     .group = "Admin API",
     .help = "So many tenants, the busiest, have series of their own in /metrics; the others are summed as \"other\"."},
    {.name = "metrics_pools",
     .sections = in_admin,
     .of_admin = &a::metrics_pools,
     .low = 0,
     .high = most_series,
     .example = "1000",
     .group = "Admin API",
     .help = "So many pools of those tenants have series of their own in /metrics; the others of a tenant are summed."},
    {.name = "role",
     .sections = in_token,
     .of_token = &t::role,
     .example = "\"viewer\"",
     .group = "Admin API",
     .help = "What the token is good for: viewer looks, operator also pauses, kills and drains, admin also changes "
             "tenants, databases, users and bans."},
    {.name = "token",
     .sections = in_token,
     .rule = value_rule::secret,
     .example = "\"choose-16-characters-or-more\"",
     .group = "Admin API",
     .help = "The bearer token, 16 characters at least; best as \"${VARIABLE}\"."},
    {.name = "token_file",
     .sections = in_token,
     .rule = value_rule::secret_file,
     .example = "\"admin.token\"",
     .group = "Admin API",
     .help = "File with the token on its first line, relative to the configuration file's folder."},
    {.name = "token_sha256",
     .sections = in_token,
     .of_token = &t::token_sha256,
     .example = "\"\"",
     .group = "Admin API",
     .help = "The token's SHA-256 in hexadecimal, so that the file does not hold the token."},
};

} // namespace

std::span<const setting_row> admin_rows() {
  return rows;
}

} // namespace pg_edge::config
