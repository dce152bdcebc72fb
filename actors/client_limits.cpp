#include "actors/client_limits.hpp"

#include <map>
#include <tuple>

namespace pg_edge::actors {

using counter = std::pair<const std::string, int>;
using place_names = std::tuple<std::string, std::string, std::string>;

/// All clients with the same three names; its counters are shared with rows that differ in one of them.
struct client_seat::row {
  client_seats::tables* owner = nullptr;
  const place_names* names = nullptr; // its key among the rows
  int clients = 0;
  counter *tenant = nullptr, *database = nullptr, *user = nullptr;
};

struct client_seats::tables {
  mutable std::mutex lock;
  std::map<std::string, int> tenants, databases, users;
  std::map<place_names, client_seat::row> rows;
};

namespace {

/// A tenant's name holds no '/', so this is nobody else's.
std::string key(std::string_view tenant, std::string_view name) {
  return std::string(tenant) + "/" + std::string(name);
}

int value_of(const std::map<std::string, int>& in, const std::string& name) {
  const auto found = in.find(name);
  return found == in.end() ? 0 : found->second;
}

void count_down(std::map<std::string, int>& in, counter& one) {
  if (--one.second == 0) in.erase(in.find(one.first));
}

counter& count_up(std::map<std::string, int>& in, const std::string& name) {
  counter& one = *in.try_emplace(name, 0).first;
  ++one.second;
  return one;
}

} // namespace

client_seats::client_seats() : tables_(std::make_unique<tables>()) {}
client_seats::~client_seats() = default;

client_seat client_seats::take(const client_place& place, const config::client_limits& limits,
                               client_limit_reached& reached) {
  const std::string tenant(place.tenant), database = key(tenant, place.database), user = key(tenant, place.user);
  std::lock_guard guard(tables_->lock);
  const auto full = [&](int limit, int now, std::string_view setting) {
    if (limit <= 0 || now < limit) return false;
    reached = {setting, limit};
    return true;
  };
  if (full(limits.max_tenant_client_connections, value_of(tables_->tenants, tenant), "max_tenant_client_connections") ||
      full(limits.max_db_client_connections, value_of(tables_->databases, database), "max_db_client_connections") ||
      full(limits.max_user_client_connections, value_of(tables_->users, user), "max_user_client_connections"))
    return {};
  auto& [names, row] = *tables_->rows.try_emplace({tenant, std::string(place.database), std::string(place.user)}).first;
  if (row.owner == nullptr) row.owner = tables_.get(); // read without the lock by those who have a seat already
  row.names = &names;
  ++row.clients;
  row.tenant = &count_up(tables_->tenants, tenant);
  row.database = &count_up(tables_->databases, database);
  row.user = &count_up(tables_->users, user);
  return client_seat(&row);
}

void client_seat::release() {
  if (at_ == nullptr) return;
  row& mine = *std::exchange(at_, nullptr);
  client_seats::tables& all = *mine.owner;
  std::lock_guard guard(all.lock);
  count_down(all.tenants, *mine.tenant);
  count_down(all.databases, *mine.database);
  count_down(all.users, *mine.user);
  if (--mine.clients == 0) all.rows.erase(all.rows.find(*mine.names));
}

client_seats::counts client_seats::count(const client_place& place) const {
  const std::string tenant(place.tenant);
  std::lock_guard guard(tables_->lock);
  return {value_of(tables_->tenants, tenant), value_of(tables_->databases, key(tenant, place.database)),
          value_of(tables_->users, key(tenant, place.user))};
}

std::size_t client_seats::size() const {
  std::lock_guard guard(tables_->lock);
  return tables_->rows.size() + tables_->tenants.size() + tables_->databases.size() + tables_->users.size();
}

// -- where a limit is set
// -------------------------------------------------------------------------------------------------------

namespace {

std::optional<int> own_value(const config::overrides& level, std::string_view setting) {
  if (setting == "max_tenant_client_connections") return level.max_tenant_client_connections;
  if (setting == "max_db_client_connections") return level.max_db_client_connections;
  return level.max_user_client_connections;
}

} // namespace

std::string where_set(const config::route& way, std::string_view setting) {
  const std::string owner =
      way.tenant->name == config::default_tenant_name ? std::string() : "tenants." + way.tenant->name;
  const std::string within = owner.empty() ? "" : owner + ".";
  if (way.user != nullptr && own_value(*way.user, setting)) return "[" + within + "users." + way.user->name + "]";
  if (way.database != nullptr && own_value(*way.database, setting))
    return "[" + within + "databases." + way.database->name + "]";
  if (own_value(*way.tenant, setting) && !owner.empty()) return "[" + owner + "]";
  return "[pg_edge]";
}

} // namespace pg_edge::actors
