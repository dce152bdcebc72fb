// The small readers of config: addresses, networks, moments, URLs, sizes, tenants in options and user names, patterns,
// secrets. What is accepted must mean something that can be written and read again.
#include "config/load.hpp"
#include "config/network.hpp"
#include "config/pattern.hpp"
#include "config/postgres_url.hpp"
#include "config/secret.hpp"
#include "config/tenant_name.hpp"
#include "config/timestamp.hpp"
#include "config/value_text.hpp"
#include "protocol/startup.hpp"

#include <cstdint>
#include <cstdlib>

using namespace pg_edge::config;

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

void read_networks(std::string_view text) {
  if (const auto address = parse_address(text)) {
    const auto same = parse_network(text);
    must(same && same->contains(*address) && same->prefix == address->size_bits());
  }
  if (const auto one = parse_network(text))
    must(one->prefix <= one->address.size_bits() && one->contains(one->address));
}

void read_values(std::string_view text) {
  if (const auto when = parse_timestamp(text)) must(parse_timestamp(timestamp_text(*when)) == when);
  if (const auto value = parse_duration(text)) must(parse_duration(value_text(*value)) == value);
  if (const auto value = parse_byte_size(text)) must(parse_byte_size(value_text(*value)) == value);
  parse_integer(text);
  parse_boolean(text);
  const auto url = parse_postgres_url(text);
  must(url.error.data() + url.error.size() <= text.data() || text.data() + text.size() <= url.error.data());
  kind_of_secret(text);
  looks_like_broken_verifier(text);
}

const settings& tenants() {
  static const auto all =
      load_text("[pg_edge]\n[databases.app]\nhost = \"h\"\n[tenants.acme.databases.app]\nhost = \"h\"\n"
                "[tenants.\"a.b\".databases.app]\nhost = \"h\"\n[users.\"x.acme\"]\n",
                "fuzz.toml");
  must(all.value != nullptr);
  return *all.value;
}

void read_tenants(std::string_view text) {
  const stripped_options options = strip_tenant_options(text);
  must(strip_tenant_options(options.rest).tenants.empty());
  static const server_name_index names(tenants());
  names.find(text);
  is_server_name_pattern(text);
  const auto choice = choose_tenant(tenants(), names, {{}, options.tenants, text, text});
  must(choice.user.size() <= text.size());
}

void match(std::string_view expression, std::string_view text) {
  const auto compiled = pattern::compile(expression);
  must((compiled.value == nullptr) == !compiled.error.empty());
  if (compiled.value == nullptr) return;
  const auto found = compiled.value->search(text);
  if (found.has_group) must(text.find(found.group) != std::string_view::npos);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_networks(text);
  read_values(text);
  read_tenants(text);
  const std::size_t half = text.find('\n');
  match(text.substr(0, half), half == std::string_view::npos ? text : text.substr(half + 1));
  outside world; // a live source of users
  world.file = [&](const std::string& path) {
    return path == "users" ? std::optional<std::string>(text) : std::nullopt;
  };
  const auto with_file =
      load_text("[pg_edge]\nauth_file = \"users\"\n[databases.app]\nhost = \"h\"\n", "fuzz.toml", world);
  bool errors = false;
  for (const auto& one : with_file.problems)
    errors = errors || !one.warning;
  must(errors == (with_file.value == nullptr));
  return 0;
}
