// Any bytes as what another process says during a takeover: never a crash, no memory beyond what came, and what is read
// as a frame has exactly those bytes again.
#include "cluster/handover.hpp"

#include <cstdint>
#include <cstdlib>

using namespace pg_edge::cluster;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  bytes_view in(reinterpret_cast<const char*>(data), size);
  handover_header header;
  while (read_handover_header(in, header) == handover_status::complete) {
    if (in.size() - handover_header_size < header.body) break;
    const bytes_view whole = in.substr(0, handover_header_size + header.body);
    if (const auto frame = decode(header, whole.substr(handover_header_size)); frame && encode(*frame) != whole)
      std::abort();
    in.remove_prefix(whole.size());
  }
  return 0;
}
