// A connection's first bytes, as a start-up packet and as the value of `options`. A packet that is accepted must be
// written again as it was; an error of the options must leave no setting behind.
#include "protocol/startup.hpp"

#include <cstdint>
#include <cstdlib>

using namespace pg_edge::protocol;

namespace {

void check_options(std::string_view text) {
  std::string error;
  const auto settings = parse_options(text, error);
  if (!error.empty() && !settings.empty()) std::abort();
}

bytes write_again(const startup_packet& parsed) {
  bytes out;
  if (std::holds_alternative<ssl_request>(parsed)) append_ssl_request(out);
  if (std::holds_alternative<gssenc_request>(parsed)) append_gssenc_request(out);
  if (const auto* m = std::get_if<cancel_request>(&parsed)) append_cancel_request(out, *m);
  if (const auto* m = std::get_if<startup_message>(&parsed)) append_startup(out, *m);
  return out;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const bytes_view in(reinterpret_cast<const char*>(data), size);
  classify_first_bytes(in);
  check_options(in);

  const startup_packet parsed = parse_startup(in);
  if (const auto* error = std::get_if<startup_error>(&parsed)) {
    if (!decode<error_response>(bytes_view(error->response()).substr(frame_header_size))) std::abort();
    return 0;
  }
  if (write_again(parsed) != in) std::abort();
  if (const auto* m = std::get_if<startup_message>(&parsed)) {
    if (m->user().empty() || m->database().empty()) std::abort();
    bytes out;
    append_negotiation(out, negotiate(*m));
    check_options(m->find("options").value_or(""));
  }
  return 0;
}
