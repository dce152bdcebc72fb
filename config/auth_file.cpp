#include "config/auth_file.hpp"

#include "config/ini_reader.hpp"
#include "config/secret.hpp"

namespace pg_edge::config {

namespace {

/// A file of another kind has nothing but malformed lines; nobody reads more of them than this.
constexpr std::size_t most_problems_shown = 20;

/// Why the line cannot be used; empty when it can. Never repeats the secret.
std::string fault_of(const auth_file_line& one) {
  if (!one.well_formed) return "expected \"user\" \"password\", each in double quotes";
  if (one.name.empty()) return "the user name is empty";
  if ((one.name + one.secret).find('\0') != std::string::npos) return "holds a zero byte";
  if (looks_like_broken_verifier(one.secret)) return "the password looks like a verifier, but is malformed";
  return {};
}

} // namespace

void read_auth_file(settings& all, int line, const outside& world, problem_list& problems) {
  if (all.auth_file.empty()) return;
  const auto text = world.file ? world.file(all.auth_file) : std::nullopt;
  if (!text.has_value()) return problems.error(line, "auth_file: cannot read " + all.auth_file);
  std::map<std::string, std::string> secrets; // of a name given twice the last one counts, as in pgbouncer
  std::size_t faults = 0;
  for (auto& one : parse_auth_file(*text)) {
    auto fault = fault_of(one);
    if (fault.empty())
      secrets.insert_or_assign(std::move(one.name), std::move(one.secret));
    else if (++faults <= most_problems_shown)
      problems.add({all.auth_file, one.line, std::move(fault), false});
  }
  if (faults > most_problems_shown)
    problems.add({all.auth_file, 0, std::to_string(faults - most_problems_shown) + " more lines are malformed", false});
  for (auto& [name, secret] : secrets) {
    const auto [found, is_new] = all.default_tenant.users.try_emplace(name);
    if (is_new) {
      found->second.name = name;
      found->second.line = line;
    }
    if (found->second.secret.empty()) found->second.secret = std::move(secret);
  }
}

} // namespace pg_edge::config
