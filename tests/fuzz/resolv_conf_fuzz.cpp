// Any text as resolv.conf: never a crash, and what comes out is a list of addresses with ports.
#include "config/network.hpp"
#include "config/resolv_conf.hpp"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string list = pg_edge::config::name_servers_with_ports({reinterpret_cast<const char*>(data), size});
  while (!list.empty()) {
    const auto end = std::min(list.find(','), list.size());
    std::string one = list.substr(0, end);
    list.erase(0, end + 1);
    const auto colon = one.rfind(':');
    if (colon == std::string::npos || std::atoi(one.c_str() + colon + 1) < 1) std::abort();
    one.resize(colon);
    if (one.starts_with('[')) one = one.substr(1, one.size() - 2);
    if (!pg_edge::config::parse_address(one)) std::abort();
  }
  return 0;
}
