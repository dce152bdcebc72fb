#include "actors/admin_access.hpp"

#include "config/network.hpp"
#include "config/value_text.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <cctype>

namespace pg_edge::actors {

namespace {

using config::admin_role;

constexpr std::size_t longest_token = 4096;

admin_problem unauthorized(std::string what) {
  return {401, std::move(what), {{"Authorization", "a bearer token is needed"}}, {{"WWW-Authenticate", "Bearer"}}};
}

/// "Bearer x" -> "x"; nullopt: another scheme.
std::optional<std::string_view> bearer_of(std::string_view header) {
  constexpr std::string_view scheme = "bearer ";
  if (header.size() < scheme.size()) return std::nullopt;
  for (std::size_t i = 0; i < scheme.size(); ++i)
    if (std::tolower(static_cast<unsigned char>(header[i])) != scheme[i]) return std::nullopt;
  return config::trim(header.substr(scheme.size()));
}

/// A name that a page in a browser cannot have made ours by its own DNS: an address, or localhost.
bool is_plain_host(std::string_view host) {
  if (host.starts_with('[')) return true;
  host = host.substr(0, host.find(':'));
  return host == "localhost" || config::parse_address(host).has_value();
}

} // namespace

sha256_digest sha256_of(std::string_view text) {
  sha256_digest digest{};
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return digest;
}

std::string hex_of(const sha256_digest& digest) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const unsigned char byte : digest) {
    out.push_back(digits[byte >> 4]);
    out.push_back(digits[byte & 15]);
  }
  return out;
}

/// Digests are compared, not tokens, so their length shows nothing; all of them are, so their order shows nothing.
const config::admin_token* find_token(const config::admin_settings& settings, std::string_view token) {
  const std::string given = hex_of(sha256_of(token));
  const config::admin_token* found = nullptr;
  for (const auto& [name, one] : settings.tokens) {
    const std::string wanted = one.token_sha256.empty() ? hex_of(sha256_of(one.token)) : one.token_sha256;
    const bool same = wanted.size() == given.size() && CRYPTO_memcmp(wanted.data(), given.data(), given.size()) == 0;
    if (same) found = &one;
  }
  return found;
}

std::optional<admin_problem> admin_access::wrong_token(const admin_request& request, clock::time_point now) {
  const std::string key = login_throttle::key(request.peer, "admin", "");
  if (throttle_.refused_for(key, now))
    return admin_problem{429,
                         "Too many wrong tokens came from this address; wait a minute.",
                         {{"Authorization", "not one of [admin.tokens]"}},
                         {{"Retry-After", std::to_string(admin_failure_window.count())}}};
  throttle_.failed(key, now, admin_failure_limit, admin_failure_window);
  log(level::warning, log_event::admin_refused, {{"peer", request.peer}, {"reason", "unknown token"}});
  return unauthorized("The token is not one of [admin.tokens].");
}

std::optional<admin_problem> admin_access::admit(const config::admin_settings& settings, const admin_door& door,
                                                 admin_role needed, admin_request& request, clock::time_point now) {
  if (needed == admin_role::none) return std::nullopt;
  const std::string_view header = request.header("authorization");
  if (header.empty()) {
    request.role = door.loopback ? settings.anonymous_role : admin_role::none;
    if (request.role < needed)
      return unauthorized("This needs the role " + std::string(to_string(needed)) +
                          ": send Authorization: Bearer TOKEN, with a token of [admin.tokens].");
    // A page in somebody's browser reaches loopback addresses too: by a name of its own, or to change something.
    const bool foreign = !is_plain_host(request.header("host")) ||
                         (request.method != http_method::get && !request.header("origin").empty());
    if (foreign)
      return admin_problem{403,
                           "Requests without a token are served for localhost and addresses only, and not to "
                           "pages of other origins; send a token.",
                           {{"Host", "names another host"}},
                           {}};
    return std::nullopt;
  }
  const auto token = bearer_of(header);
  if (!token) return unauthorized("Authorization: only the scheme Bearer is known.");
  const config::admin_token* known = token->size() > longest_token ? nullptr : find_token(settings, *token);
  if (known == nullptr) return wrong_token(request, now);
  request.who = known->name;
  request.role = known->role;
  if (request.role >= needed) return std::nullopt;
  log(level::warning, log_event::admin_refused,
      {{"peer", request.peer}, {"token", request.who}, {"reason", "role"}, {"request", request.target}});
  return admin_problem{403,
                       "This needs the role " + std::string(to_string(needed)) + "; the token " + request.who +
                           " has " + std::string(to_string(request.role)) + ".",
                       {{"Authorization", "the token's role is too small"}},
                       {}};
}

} // namespace pg_edge::actors
