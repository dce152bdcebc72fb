// A hostile server during our login. The first byte chooses secret and channel; then messages: a type, a length byte,
// a body. Whatever it says: no cleartext password where somebody could listen, nothing sent after the end, `done` only
// behind a ReadyForQuery, and with SCRAM never without the server's proof.
#include "protocol/fields.hpp"
#include "protocol/frame.hpp"
#include "protocol/messages.hpp"
#include "protocol/password.hpp"
#include "protocol/server_login.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

using namespace pg_edge::protocol;

namespace {

using verdict = server_login::verdict;

void must(bool holds) {
  if (!holds) std::abort();
}

const std::string password = "the secret nobody may hear";

server_login::identity who(unsigned choice) {
  static const scram_verifier stored =
      make_verifier(salted_password(password, "0123456789abcdef", 2), "0123456789abcdef", 2);
  static const client_keys keys = derive_keys(salted_password(password, "0123456789abcdef", 2));
  switch (choice) {
  case 0:
    return {"bob", password, {}, {}};
  case 1:
    return {"bob", format_verifier(stored), keys.client_key, keys.server_key};
  case 2:
    return {"bob", md5_secret(password, "bob"), {}, {}};
  default:
    return {"bob", "", {}, {}};
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const unsigned flags = data[0];
  bytes_view in(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool tls = (flags & 4) != 0, safe = (flags & 8) != 0;
  server_login login(who(flags & 3), "cnonce", {tls, tls && (flags & 16) != 0 ? bytes(32, 'e') : bytes(), safe});
  bool over = false, asked_scram = false, authenticated = false;
  while (in.size() >= 2) {
    const char type = in[0];
    const std::size_t length = std::min<std::size_t>(static_cast<std::uint8_t>(in[1]), in.size() - 2);
    const std::vector<char> body(in.begin() + 2, in.begin() + 2 + static_cast<std::ptrdiff_t>(length));
    in.remove_prefix(2 + length);
    const bytes_view view(body.data(), body.size());
    if (type == 'R' && length >= 4 && load_u32(view.data()) == 0) authenticated = true;
    auto step = login.message(type, view);
    for (int turns = 0; step.now == verdict::derive; ++turns) {
      must(turns == 0 && login.iterations() >= 1 && !login.salt().empty());
      asked_scram = true;
      step = login.keys((flags & 32) != 0 ? bytes() : salted_password(login.secret(), login.salt(), 1));
    }
    must(step.send.size() < 4096);
    if (!safe && !tls) must(step.send.find(password) == bytes::npos);
    if (over) must(step.now != verdict::done && step.send.empty());
    const bool ends = step.now == verdict::failed || step.now == verdict::impossible;
    if (!over && ends) must(!step.why.empty() && step.send.empty());
    over = over || step.now != verdict::more;
    if (step.now == verdict::done) {
      must(type == 'Z' && authenticated && step.send.empty());
      must(!asked_scram); // it does not know the secret
    }
  }
  return 0;
}
