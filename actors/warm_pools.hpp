// min_pool_size before the first client: pools that can be known from the file, because their database forces a server
// user, are made when the node starts and after each reload.
#pragma once

#include "actors/messages.hpp"

namespace pg_edge::actors {

void warm_pools(const tenants_actor& tenants, const config::settings& all);

} // namespace pg_edge::actors
