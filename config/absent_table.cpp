// The settings of pgbouncer that pg_edge does not have, so that its users are told why instead of "unknown key".
#include "config/setting_table.hpp"

#include <algorithm>

namespace pg_edge::config {

namespace {

constexpr absent_row rows[] = {
    {"auth_ldap_options", in_global,
     "LDAP is asked through PAM: auth_type = \"pam\" with the module pam_ldap in its service"},
    {"client_tls_dheparams", in_global, "OpenSSL chooses the parameters itself"},
    {"conffile", in_global, "the file is named on the command line"},
    {"disable_pqexec", in_global, "refusing the simple protocol is not supported yet"},
    {"dns_zone_check_period", in_global,
     "names are looked up anew after dns_max_ttl, and a changed address drains the old one"},
    {"job_name", in_global, "it names the process in syslog; the service manager names it in the journal"},
    {"peer_id", in_global, "peers are not supported yet"},
    {"pidfile", in_global, "pg_edge runs in the foreground under a service manager"},
    {"pkt_buf", in_global, "buffers exist only while bytes are in flight and need no size"},
    {"sbuf_loopcnt", in_global, "each connection has a fixed byte budget a turn"},
    {"service_name", in_global, "pg_edge runs in the foreground under a service manager"},
    {"so_reuseport", in_global, "one process uses all cores (see reactors)"},
    {"syslog", in_global, "the log goes to standard error, which the journal passes on, or to logfile"},
    {"syslog_facility", in_global, "the log goes to standard error, which the journal passes on, or to logfile"},
    {"syslog_ident", in_global, "the log goes to standard error, which the journal passes on, or to logfile"},
    {"tcp_defer_accept", in_global, "it is not supported yet"},
    {"tcp_socket_buffer", in_global, "the kernel sizes its buffers itself"},
    {"track_extra_parameters", in_global,
     "every parameter that Postgres reports follows its client, so there is nothing to list"},
    {"user", in_global, "pg_edge does not change its user; start it as the one it shall run as"},
};

} // namespace

std::span<const absent_row> absent_rows() {
  return rows;
}

const absent_row* find_absent(std::string_view name, section where) {
  const auto found = std::find_if(std::begin(rows), std::end(rows), [&](const absent_row& row) {
    return row.name == name && (row.sections & where) != 0;
  });
  return found == std::end(rows) ? nullptr : found;
}

} // namespace pg_edge::config
