// The admin console's statements and its side of the extended protocol, fed with anything.
#include "protocol/console_session.hpp"
#include "protocol/console_statement.hpp"
#include "protocol/frame.hpp"

#include <cstdlib>

using namespace pg_edge::protocol;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const bytes_view in(reinterpret_cast<const char*>(data), size);
  for (const console_statement& one : read_console_script(in).statements)
    if (one.words.empty() || one.text.size() > console_text_limit) std::abort();
  console_session session;
  bytes_view rest = in;
  frame_header header;
  bool failed = false;
  while (read_header(rest, header) == header_status::ok && header.total() <= rest.size()) {
    const auto step = session.take(header.type, rest.substr(frame_header_size, header.body()));
    if (step.question && (step.terminate || step.unknown)) std::abort();
    if (step.question) session.answered(failed = !failed);
    rest.remove_prefix(header.total());
  }
  return 0;
}
