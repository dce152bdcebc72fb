// Any text as pgbouncer's ini, auth_file and included file at once: the import always writes TOML that parses.
#include "config/pgbouncer_ini.hpp"
#include "config/toml_tree.hpp"

#include <cstdlib>

using namespace pg_edge::config;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto read_file = [&](const std::string& path) {
    return path.size() < 16 ? std::optional<std::string>{text} : std::nullopt;
  };
  const auto result = import_pgbouncer(text, "fuzz.ini", read_file);
  if (!parse_toml(result.toml).error.empty()) std::abort();
  return 0;
}
