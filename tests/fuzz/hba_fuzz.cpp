// Any text as rules, maps and the names of a client: never a crash, errors exactly when there are no rules, and the
// decision is that of the first rule that would decide alone.
#include "config/hba.hpp"

#include <cstdlib>

using namespace pg_edge::config;

namespace {

void compare(const hba_rules& all, const hba_connection& who) {
  if (decide(all, who).needs_name) return;
  const hba_rule* found = decide(all, who).rule;
  for (const auto& rule : all.rules) {
    hba_rules alone;
    alone.rules.push_back(rule);
    const bool fits = decide(alone, who).rule != nullptr;
    if (&rule == found) {
      if (!fits) std::abort();
      return;
    }
    if (found != nullptr && fits) std::abort();
  }
  if (found != nullptr) std::abort();
}

} // namespace

/// Rules, maps, an included file, a user and a database, with a zero byte between them.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest{reinterpret_cast<const char*>(data), size};
  const auto part = [&] {
    const auto end = rest.find('\0');
    const std::string out{rest.substr(0, end)};
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return out;
  };
  const std::string rules = part(), maps = part(), included = part(), user = part(), database = part();
  outside world;
  world.file = [&](const std::string& path) -> std::optional<std::string> {
    return path == "hba" ? rules : path == "ident" ? maps : path.size() < 6 ? std::optional{included} : std::nullopt;
  };
  std::vector<problem> problems;
  const auto read = read_hba("hba", "ident", world, problems);
  bool errors = false;
  for (const auto& one : problems)
    errors = errors || !one.warning;
  if (errors == (read != nullptr)) std::abort();
  if (read == nullptr) return 0;
  hba_connection who;
  const hba_client_name name{included, true};
  if (!included.empty()) who.name = &name;
  who.user = user;
  who.database = database;
  compare(*read, who);
  who.address = parse_address("10.0.0.1");
  compare(*read, who);
  who.tls = true;
  who.physical_replication = true;
  compare(*read, who);
  for (const auto& line : read->maps)
    static_cast<void>(may_log_in(read->maps, line.map, user, database));
  return 0;
}
