// Walks a stream of frames as a connection does. Wherever read_header stops, the frames before it must add up.
#include "protocol/messages.hpp"

#include <cstdint>
#include <cstdlib>

using namespace pg_edge::protocol;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  bytes_view in(reinterpret_cast<const char*>(data), size);
  while (true) {
    frame_header header;
    const header_status status = read_header(in, header);
    if (status == header_status::need_more && in.size() >= frame_header_size) std::abort();
    if (status != header_status::ok) return 0;
    if (header.total() != header.body() + frame_header_size || header.total() < frame_header_size) std::abort();
    if (frontend_name(header.type).empty() || backend_name(header.type).empty()) std::abort();
    if (header.total() > in.size()) return 0;
    in.remove_prefix(header.total());
  }
}
