// Everything of SCRAM and of stored secrets that reads bytes nobody vouches for. The first byte chooses which; the rest
// is the message. What was accepted must be consistent: a verifier prints as it was read, and no proof passes.
#include "protocol/password.hpp"
#include "protocol/scram.hpp"

#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace {

using namespace pg_edge::protocol;

void must(bool holds) {
  if (!holds) std::abort();
}

const scram_verifier& verifier() {
  static const auto made = make_verifier(salted_password("secret", "0123456789abcdef", 2), "0123456789abcdef", 2);
  return made;
}

void fuzz_server(bytes_view message, bool plus, bool offered) {
  scram_server server(verifier(), "snonce", offered ? std::optional<bytes>("end point") : std::nullopt);
  const auto first = server.client_first(message, plus);
  must(first.reply.empty() == (first.error != scram_error::none));
  must(server.client_final(message).error != scram_error::none);
}

void fuzz_client_final(bytes_view message) {
  scram_server server(verifier(), "snonce");
  must(server.client_first("n,,n=,r=cnonce").error == scram_error::none);
  must(server.client_final(message).error != scram_error::none);
}

void fuzz_client(bytes_view message) {
  scram_client client("cnonce");
  if (client.server_first(message) != scram_error::none) return;
  must(client.iterations() >= 1 && client.iterations() <= scram_max_iterations && !client.salt().empty());
  must(client.client_final(derive_keys(bytes(scram_key_size, 'k'))).error == scram_error::none);
}

void fuzz_server_final(bytes_view message) {
  scram_client client("cnonce");
  must(client.server_first("r=cnoncesnonce,s=c2FsdA==,i=2") == scram_error::none);
  must(client.client_final(derive_keys(bytes(scram_key_size, 'k'))).error == scram_error::none);
  must(client.server_final(message) != scram_error::none);
}

void fuzz_texts(std::string_view text) {
  if (const auto read = parse_verifier(text)) must(format_verifier(*read) == text);
  if (const auto raw = base64_decode(text)) must(base64_encode(*raw) == text);
  must(normalise_password(text).size() <= text.size());
  must((classify_secret(text) == secret_kind::scram) == parse_verifier(text).has_value());
  must(!verify_md5(text, "user", "salt", text.substr(0, text.size() / 2)));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 8) {
  case 0:
  case 1:
  case 2:
  case 3:
    fuzz_server(rest, (data[0] & 1) != 0, (data[0] & 2) != 0);
    break;
  case 4:
    fuzz_client_final(rest);
    break;
  case 5:
    fuzz_client(rest);
    break;
  case 6:
    fuzz_server_final(rest);
    break;
  default:
    fuzz_texts(rest);
  }
  return 0;
}
