// Any bytes as what another process says during a takeover: never a crash, no memory beyond what came, and what is read
// as a frame has exactly those bytes again. Of what refuses, only an older version is ever taken.
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
    const auto frame = decode(header, whole.substr(handover_header_size));
    if (frame && encode(*frame) != whole) std::abort();
    if (const auto* words = frame ? std::get_if<hello>(&*frame) : nullptr)
      if (objection_to(*words, "1.0").has_value() !=
          (words->magic != handover_magic || words->version < oldest_handover_version ||
           words->version > handover_version))
        std::abort();
    if (const auto* no = frame ? std::get_if<refused_to_give>(&*frame) : nullptr)
      if (const auto older = version_instead(no->why, handover_version);
          older && (*older < oldest_handover_version || *older >= handover_version))
        std::abort();
    in.remove_prefix(whole.size());
  }
  return 0;
}
