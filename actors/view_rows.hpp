// From a view to rows that the admin API and the metrics show: shares added up to pools, pools to databases, users and
// tenants, with what the settings say of each. Pure.
#pragma once

#include "actors/node_view.hpp"
#include "config/resolve.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace pg_edge::actors {

/// All servers of a share, whatever they do.
std::uint32_t servers_of(const share_snapshot& share);
std::uint32_t clients_of(const share_snapshot& share);

/// Its numbers added to the others'; maxwait is the longest.
void add_share(share_snapshot& to, const share_snapshot& what);

struct pool_row {
  pool_name name;
  share_snapshot sum; // only its numbers
  std::uint32_t shares = 0;
  std::shared_ptr<const config::pool_settings> settings;
  bool paused = false;
};
/// By tenant, database and user.
std::vector<pool_row> pool_rows(const node_view& view);

struct tenant_row {
  const config::tenant* entry = nullptr; // lives as long as the view
  std::uint32_t pools = 0, servers = 0, clients = 0;
};
std::vector<tenant_row> tenant_rows(const node_view& view);

struct database_row {
  const config::tenant* tenant = nullptr;
  const config::database* entry = nullptr; // "*" where that answers for the name
  std::string name;
  config::pool_settings settings; // of a pool of it, for a user without settings of its own
  config::client_limits limits;
  std::uint32_t servers = 0, clients = 0;
  bool paused = false, disabled = false;
};
/// The configured ones, and those that "*" answers for at present.
std::vector<database_row> database_rows(const node_view& view);

struct user_row {
  const config::tenant* tenant = nullptr;
  const config::user* entry = nullptr;
  int max_user_connections = 0;
  int max_user_client_connections = 0;
  std::uint32_t servers = 0, clients = 0;
};
/// Clients are counted if the view has them.
std::vector<user_row> user_rows(const node_view& view);

struct connection_row {
  client_row what;
  std::string pool_user;     // the server user of its pool
  std::int64_t reactor = -1; // -1: none, as the console's own clients
};
std::vector<connection_row> client_rows(const node_view& view);
std::vector<connection_row> server_rows(const node_view& view);

/// A client and the server it holds.
struct session_row {
  connection_row client, server;
};
std::vector<session_row> session_rows(const node_view& view);

} // namespace pg_edge::actors
