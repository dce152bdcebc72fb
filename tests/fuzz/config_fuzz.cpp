// Any text as a configuration: never a crash, and a result that keeps its word: settings or errors.
#include "config/difference.hpp"
#include "config/load.hpp"
#include "config/resolve.hpp"
#include "config/setting_table.hpp"

#include <cstdlib>

using namespace pg_edge::config;

namespace {

void use(const settings& all) {
  if (!diff(all, all).empty() || show(all).empty()) std::abort();
  for (const auto& [name, target] : all.default_tenant.databases) {
    const auto found = find_route(all, "", name, "user");
    if (!found.has_value() || found->database != &target) std::abort();
    const auto pool = resolve_pool(all, all.default_tenant, target, name, found->server_user("user"), found->user);
    if (pool.pool_size < 1 || pool.port == 0 || pool.host.empty()) std::abort();
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  outside world;
  world.environment = [](const std::string& name) {
    return name.size() < 4 ? std::optional<std::string>{"7"} : std::nullopt;
  };
  world.file = [](const std::string& path) {
    return path.size() < 8 ? std::optional<std::string>{"text"} : std::nullopt;
  };
  const auto result = load_text({reinterpret_cast<const char*>(data), size}, "fuzz.toml", world);
  bool errors = false;
  for (const auto& one : result.problems)
    errors = errors || !one.warning;
  if (errors == (result.value != nullptr)) std::abort();
  if (result.value != nullptr) use(*result.value);
  return 0;
}
