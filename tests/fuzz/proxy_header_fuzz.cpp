// Whatever a load balancer, or somebody who says to be one, sends first.
#include "protocol/proxy_header.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pg_edge::protocol;
  const bytes_view in{reinterpret_cast<const char*>(data), size};
  proxy_header out;
  if (read_proxy_header(in, out) != proxy_status::complete) return 0;
  if (out.length > size || out.length > max_proxy_header || out.length < proxy_header_start) std::abort();
  if (out.has_source == out.source.empty()) std::abort();
  return 0;
}
