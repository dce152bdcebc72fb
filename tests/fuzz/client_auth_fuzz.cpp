// A hostile client during its authentication. The first byte chooses method and stored secrets; then answers: a length
// byte and a body. Nobody gets in without the password, and who was refused stays so.
#include "protocol/client_auth.hpp"
#include "protocol/password.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

using namespace pg_edge::protocol;

namespace {

using verdict = client_auth::verdict;

void must(bool holds) {
  if (!holds) std::abort();
}

const std::string password = "a password that no corpus finds: 5f1c0e9b";

std::vector<std::string> secrets(unsigned choice) {
  static const std::string scram =
      format_verifier(make_verifier(salted_password(password, "0123456789abcdef", 2), "0123456789abcdef", 2));
  switch (choice) {
  case 0:
    return {};
  case 1:
    return {password};
  case 2:
    return {scram, password};
  default:
    return {md5_secret(password, "bob"), scram};
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const unsigned flags = data[0];
  bytes_view in(reinterpret_cast<const char*>(data) + 1, size - 1);
  static constexpr auth_method methods[] = {auth_method::cleartext, auth_method::md5, auth_method::scram,
                                            auth_method::scram};
  client_auth auth({"bob", secrets(flags & 3), methods[flags >> 2 & 3], 2}, "snonce", "salt", "of the node",
                   (flags & 16) != 0 ? bytes(32, 'e') : bytes());
  int derivations = 0;
  bool over = false;
  const auto settle = [&](client_auth::step step) {
    while (step.now == verdict::derive) {
      must(++derivations <= 8 && auth.iterations() >= 1);
      step = auth.keys((flags & 32) != 0 ? bytes() : salted_password(auth.password(), auth.salt(), 2));
    }
    must(step.now != verdict::accepted && step.send.size() < 4096);
    if (over) must(step.now != verdict::more);
    over = over || step.now != verdict::more;
  };
  settle(auth.begin());
  while (!in.empty()) {
    const std::size_t length = std::min<std::size_t>(static_cast<std::uint8_t>(in[0]), in.size() - 1);
    const std::vector<char> body(in.begin() + 1, in.begin() + 1 + static_cast<std::ptrdiff_t>(length));
    in.remove_prefix(1 + length);
    settle(auth.answer(bytes_view(body.data(), body.size())));
  }
  return 0;
}
