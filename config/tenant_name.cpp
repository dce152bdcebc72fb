#include "config/tenant_name.hpp"

#include "config/timestamp.hpp"

#include <algorithm>

namespace pg_edge::config {

namespace {

constexpr std::string_view source_texts[] = {"by its listener", "in the options", "as the server's name in TLS",
                                             "at the end of the user name"};

/// The names of an option that says the tenant.
constexpr std::string_view option_names[] = {"tenant", "reference", "endpoint"};

/// Switches of the postgres program whose value may be the next word.
constexpr std::string_view switches_with_value = "BCDNSWcdfhkprtv";

/// The hosts of a name may not be longer (RFC 1035), so no longer one is looked for.
constexpr std::size_t max_server_name = 253;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return lower(c); });
  return out;
}

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

std::string quoted(std::string_view name, tenant_source source) {
  return "\"" + std::string(name) + "\" " + std::string(describe(source));
}

} // namespace

std::string_view describe(tenant_source source) {
  return source_texts[static_cast<std::size_t>(source)];
}

// -- names in TLS
// --------------------------------------------------------------------------------------------------------------

server_name_index::server_name_index(const settings& all) {
  for (const auto& [name, one] : all.tenants)
    for (const std::string& pattern : one.server_names)
      names_.emplace(lower(pattern), name);
}

std::string_view server_name_index::find(std::string_view server_name) const {
  if (names_.empty() || server_name.empty() || server_name.size() > max_server_name) return {};
  if (server_name.ends_with('.')) server_name.remove_suffix(1); // written as absolute
  const std::string name = lower(server_name);
  if (const auto exact = names_.find(name); exact != names_.end()) return exact->second;
  const auto dot = name.find('.');
  if (dot == std::string::npos || dot == 0) return {};
  const auto wild = names_.find("*" + name.substr(dot));
  return wild == names_.end() ? std::string_view{} : std::string_view{wild->second};
}

bool is_server_name_pattern(std::string_view text) {
  if (text.starts_with("*.")) text.remove_prefix(2);
  if (text.empty() || text.size() > max_server_name) return false;
  while (true) {
    const auto label = text.substr(0, text.find('.'));
    const bool good = !label.empty() && std::all_of(label.begin(), label.end(), [](char c) {
      return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
    if (!good) return false;
    if (label.size() == text.size()) return true;
    text.remove_prefix(label.size() + 1);
  }
}

// -- in the options
// ------------------------------------------------------------------------------------------------------------

namespace {

/// A word of the options, as it stands there and as it is meant.
struct option_word {
  std::size_t begin = 0, end = 0;
  std::string text;
};

/// As Postgres splits them: at white space that no backslash stands before.
std::vector<option_word> words_of(std::string_view options) {
  std::vector<option_word> words;
  std::size_t at = 0;
  while (true) {
    while (at < options.size() && is_space(options[at]))
      ++at;
    if (at == options.size()) return words;
    option_word& word = words.emplace_back();
    word.begin = at;
    for (; at < options.size() && !is_space(options[at]); ++at) {
      if (options[at] == '\\' && ++at == options.size()) break;
      word.text.push_back(options[at]);
    }
    word.end = at;
  }
}

/// The value, if the text is `tenant=value` or the like.
std::optional<std::string> tenant_of(std::string_view assignment) {
  const auto equals = assignment.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  const std::string name = lower(assignment.substr(0, equals));
  if (std::find(std::begin(option_names), std::end(option_names), name) == std::end(option_names)) return std::nullopt;
  return std::string(assignment.substr(equals + 1));
}

/// Of one word, or of two where the first is a switch: how many it takes, and the tenant if it names one.
std::pair<std::size_t, std::optional<std::string>> read_option(const std::vector<option_word>& words, std::size_t at) {
  const std::string& word = words[at].text;
  if (word.starts_with("--")) return {1, tenant_of(std::string_view(word).substr(2))};
  if (word.empty() || word[0] != '-') return {1, tenant_of(word)};
  const bool value_follows =
      word.size() == 2 && switches_with_value.find(word[1]) != std::string_view::npos && at + 1 < words.size();
  if (word == "-c" && value_follows) return {2, tenant_of(words[at + 1].text)};
  if (word.starts_with("-c")) return {1, tenant_of(std::string_view(word).substr(2))};
  return {value_follows ? 2u : 1u, std::nullopt};
}

} // namespace

stripped_options strip_tenant_options(std::string_view options) {
  stripped_options out;
  const auto words = words_of(options);
  std::size_t kept_to = 0; // up to where `options` is dealt with
  for (std::size_t at = 0; at < words.size();) {
    auto [count, tenant] = read_option(words, at);
    const std::size_t end = words[at + count - 1].end;
    if (tenant) {
      out.rest += options.substr(kept_to, words[at].begin - kept_to);
      kept_to = end;
      while (kept_to < options.size() && is_space(options[kept_to]))
        ++kept_to;
      out.tenants.push_back(*std::move(tenant));
    }
    at += count;
  }
  out.rest += options.substr(kept_to);
  if (!out.tenants.empty())
    while (!out.rest.empty() && is_space(out.rest.back()) && (out.rest.size() < 2 || out.rest.end()[-2] != '\\'))
      out.rest.pop_back();
  return out;
}

// -- which tenant
// --------------------------------------------------------------------------------------------------------------

namespace {

bool has_user(const tenant& one, std::string_view name) {
  return one.users.find(name) != one.users.end();
}

/// The user name with its tenant behind a dot, if there is one of that name.
std::optional<std::pair<std::string, std::string_view>> split_user(const settings& all, std::string_view user) {
  for (auto dot = user.rfind('.'); dot != std::string_view::npos && dot > 0; dot = user.rfind('.', dot - 1)) {
    const auto name = user.substr(dot + 1);
    if (!name.empty() && find_tenant(all, name) != nullptr) return std::pair{std::string(user.substr(0, dot)), name};
  }
  return std::nullopt;
}

/// Everything that could name a tenant, in words, if it is more than one thing.
std::string list_signs(const tenant_signs& signs) {
  std::vector<std::string> all;
  if (!signs.listener.empty()) all.push_back(quoted(signs.listener, tenant_source::listener));
  if (!signs.options.empty()) all.push_back(quoted(signs.options.front(), tenant_source::options));
  if (!signs.server_name.empty()) all.push_back(quoted(signs.server_name, tenant_source::server_name));
  const auto dot = signs.user.rfind('.');
  if (dot != std::string_view::npos) all.push_back(quoted(signs.user.substr(dot + 1), tenant_source::user));
  if (all.size() < 2) return {};
  std::string out;
  for (const std::string& one : all)
    out += (out.empty() ? "" : ", ") + one;
  return out;
}

/// The tenant that something beside the user name means; false if two of them contradict each other.
bool outer_tenant(const server_name_index& names, const tenant_signs& signs, tenant_choice& out) {
  const auto name_it = [&out](std::string_view name, tenant_source source) {
    if (out.asked.empty()) {
      out.asked = name;
      out.source = source;
    }
    return out.asked == name;
  };
  const auto in_the_open = [&](std::string_view name, tenant_source source) {
    if (name.empty() || name_it(name, source)) return true;
    out.open_conflict =
        std::pair{tenant_choice::named{out.asked, out.source}, tenant_choice::named{std::string(name), source}};
    return false;
  };
  if (!in_the_open(signs.listener, tenant_source::listener)) return false;
  for (const std::string& name : signs.options)
    if (!in_the_open(name, tenant_source::options)) return false;
  const auto by_tls = names.find(signs.server_name);
  if (by_tls.empty() || name_it(by_tls, tenant_source::server_name)) return true;
  out.hidden_reason =
      "two tenants: " + quoted(out.asked, out.source) + ", " + quoted(by_tls, tenant_source::server_name);
  return false;
}

} // namespace

tenant_choice choose_tenant(const settings& all, const server_name_index& names, const tenant_signs& signs) {
  tenant_choice out;
  out.user = signs.user;
  if (all.tenants.empty()) {
    out.found = &all.default_tenant;
    return out;
  }
  out.signs = list_signs(signs);
  if (!outer_tenant(names, signs, out)) return out;
  if (out.asked.empty()) {
    out.found = &all.default_tenant;
    if (has_user(all.default_tenant, signs.user)) return out;
    if (auto split = split_user(all, signs.user)) {
      out.asked = split->second;
      out.source = tenant_source::user;
      out.found = find_tenant(all, split->second);
      out.user = std::move(split->first);
    }
    return out;
  }
  out.found = find_tenant(all, out.asked);
  if (out.found == nullptr) out.hidden_reason = "no tenant " + quoted(out.asked, out.source);
  if (out.found != nullptr && has_user(*out.found, signs.user)) return out;
  const std::string suffix = "." + out.asked;
  if (signs.user.size() > suffix.size() && signs.user.ends_with(suffix))
    out.user = signs.user.substr(0, signs.user.size() - suffix.size());
  else if (const auto split = split_user(all, signs.user))
    out.hidden_reason =
        "perhaps two tenants: " + quoted(out.asked, out.source) + ", " + quoted(split->second, tenant_source::user);
  return out;
}

const tenant& nobody() {
  static const tenant none = [] {
    tenant out;
    out.name = "/"; // what no tenant can be called
    return out;
  }();
  return none;
}

// -- banned
// --------------------------------------------------------------------------------------------------------------------

std::optional<std::string> ban_text(const std::string& banned, const std::string& banned_until,
                                    std::chrono::system_clock::time_point now) {
  if (banned.empty()) return std::nullopt;
  if (banned_until.empty()) return ": " + banned;
  const auto until = parse_timestamp(banned_until);
  if (until && now >= *until) return std::nullopt;
  return " until " + (until ? timestamp_text(*until) : banned_until) + ": " + banned;
}

} // namespace pg_edge::config
