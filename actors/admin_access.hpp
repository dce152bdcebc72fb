// Who a request to the admin API comes from: bearer tokens with roles, compared in constant time. Wrong ones are
// logged and counted by address; beyond a limit they are only told to wait. A right one is always let in, or whoever
// shares an address with the operator could lock him out; a token is too long to be guessed.
#pragma once

#include "actors/admin_call.hpp"
#include "actors/login_throttle.hpp"
#include "config/settings.hpp"

#include <array>
#include <chrono>
#include <string>
#include <string_view>

namespace pg_edge::actors {

using sha256_digest = std::array<unsigned char, 32>;
sha256_digest sha256_of(std::string_view text);
std::string hex_of(const sha256_digest& digest);

/// What is known of where a request came in.
struct admin_door {
  bool loopback = false; // the address we listen on
};

/// Failures of one address within the window before more are only told to wait.
inline constexpr int admin_failure_limit = 10;
inline constexpr std::chrono::seconds admin_failure_window{60};

/// Of the API's thread alone.
class admin_access {
public:
  using clock = login_throttle::clock;

  /// Fills in who asks, and refuses what the role does not allow. `needed` none: anybody may.
  std::optional<admin_problem> admit(const config::admin_settings& settings, const admin_door& door,
                                     config::admin_role needed, admin_request& request, clock::time_point now);

private:
  std::optional<admin_problem> wrong_token(const admin_request& request, clock::time_point now);

  login_throttle throttle_;
};

/// The token that it is, in a time that does not tell how much of one was right.
const config::admin_token* find_token(const config::admin_settings& settings, std::string_view token);

} // namespace pg_edge::actors
