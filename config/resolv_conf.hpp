// Name servers on ports of their own. The format of resolv.conf has no place for a port; local caches and service
// meshes listen on others than 53 all the same.
#pragma once

#include <string>
#include <string_view>

namespace pg_edge::config {

/// The name servers of a resolv.conf as "[address]:port,...", 53 where a line gives no port, if at least one line gives
/// one: "nameserver 127.0.0.1:5353" or "nameserver [::1]:5353". Empty if none does. Lines that name no address count
/// as absent, as they do everywhere.
std::string name_servers_with_ports(std::string_view resolv_conf);

} // namespace pg_edge::config
