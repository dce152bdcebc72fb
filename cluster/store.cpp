#include "cluster/store.hpp"

#include "cluster/store_keys.hpp"

namespace pg_edge::cluster {

std::string_view to_string(store_outcome outcome) {
  switch (outcome) {
  case store_outcome::ok:
    return "ok";
  case store_outcome::conflict:
    return "conflict";
  case store_outcome::unavailable:
    return "unavailable";
  case store_outcome::unknown:
    return "unknown";
  }
  return "";
}

// -- keys
// ---------------------------------------------------------------------------------------------------------------------

namespace {

constexpr char digits[] = "0123456789ABCDEF";

bool stays(unsigned char byte) {
  return byte > ' ' && byte != '/' && byte != '%' && byte != 0x7f;
}

int digit_value(char digit) {
  for (int i = 0; i < 16; ++i)
    if (digits[i] == digit) return i;
  return -1;
}

} // namespace

std::string key_part(std::string_view name) {
  std::string out;
  for (const char letter : name) {
    const auto byte = static_cast<unsigned char>(letter);
    if (stays(byte))
      out += letter;
    else
      out += {'%', digits[byte >> 4], digits[byte & 15]};
  }
  return out;
}

std::optional<std::string> name_of_part(std::string_view part) {
  std::string out;
  for (std::size_t at = 0; at < part.size(); ++at) {
    if (part[at] == '%') {
      if (part.size() - at < 3) return std::nullopt;
      const int high = digit_value(part[at + 1]), low = digit_value(part[at + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out += static_cast<char>(high * 16 + low);
      at += 2;
    } else if (!stays(static_cast<unsigned char>(part[at]))) {
      return std::nullopt;
    } else {
      out += part[at];
    }
  }
  return out;
}

std::string store_root(std::string_view cluster) {
  return "/pg_edge/" + key_part(cluster) + "/";
}

std::string store_key(std::string_view root, std::string_view folder, const std::vector<std::string_view>& names) {
  std::string out = std::string{root} + std::string{folder};
  for (const std::string_view name : names)
    out += "/" + key_part(name);
  return out;
}

std::optional<std::vector<std::string>> names_of_key(std::string_view root, std::string_view folder,
                                                     std::string_view key) {
  const std::string prefix = std::string{root} + std::string{folder} + "/";
  if (key.substr(0, prefix.size()) != prefix) return std::nullopt;
  std::string_view rest = key.substr(prefix.size());
  std::vector<std::string> out;
  while (true) {
    const std::size_t slash = rest.find('/');
    auto name = name_of_part(rest.substr(0, slash));
    if (!name) return std::nullopt;
    out.push_back(std::move(*name));
    if (slash == std::string_view::npos) return out;
    rest.remove_prefix(slash + 1);
  }
}

} // namespace pg_edge::cluster
