// The first byte chooses a message of the table, the rest is its body. A body that is accepted must encode to itself.
#include "protocol/messages.hpp"

#include <cstdint>
#include <cstdlib>

using namespace pg_edge::protocol;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bytes_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::size_t row = 0;
  all_messages::for_each([&]<class M>() {
    if (row++ != data[0] % all_messages::size) return;
    const auto m = decode<M>(body);
    if (m && bytes_view(encode(*m)).substr(frame_header_size) != body) std::abort();
  });
  for (const char field : {'S', 'C', 'M'}) {
    const bytes_view text = error_field(body, field);
    if (!text.empty() && (text.data() < body.data() || text.data() + text.size() > body.data() + body.size()))
      std::abort();
  }
  return 0;
}
