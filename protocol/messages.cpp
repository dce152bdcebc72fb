#include "protocol/messages.hpp"

namespace pg_edge::protocol {

namespace {

using lookup_table = std::array<const message_info*, 256>;

/// A flat table a direction: the data path asks for every message. The first row of a type byte wins.
constexpr lookup_table make_lookup(direction from) {
  lookup_table table{};
  for (const message_info& info : message_infos) {
    const bool both_ways = info.type == copy_data::info.type || info.type == copy_done::info.type;
    auto& slot = table[static_cast<unsigned char>(info.type)];
    if ((info.from == from || both_ways) && slot == nullptr) slot = &info;
  }
  return table;
}

constexpr lookup_table frontend_table = make_lookup(direction::frontend);
constexpr lookup_table backend_table = make_lookup(direction::backend);

} // namespace

const message_info* frontend_info(char type) {
  return frontend_table[static_cast<unsigned char>(type)];
}

const message_info* backend_info(char type) {
  return backend_table[static_cast<unsigned char>(type)];
}

std::string_view frontend_name(char type) {
  const message_info* info = frontend_info(type);
  return info ? info->name : "unknown";
}

std::string_view backend_name(char type) {
  if (type == authentication_ok::info.type) return "Authentication";
  const message_info* info = backend_info(type);
  return info ? info->name : "unknown";
}

bytes_view error_field(bytes_view error_body, char field) {
  reader in(error_body);
  for (char code = static_cast<char>(in.u8()); in.ok() && code != 0; code = static_cast<char>(in.u8())) {
    const bytes_view text = in.cstring();
    if (code == field) return text;
  }
  return {};
}

} // namespace pg_edge::protocol
