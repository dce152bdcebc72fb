#include "protocol/messages.hpp"

namespace pg_edge::protocol {

namespace {

constexpr std::uint8_t no_message = 0xff;
static_assert(all_messages::size < no_message);

/// For each type byte the number of its row in message_infos.
using lookup_table = std::array<std::uint8_t, 256>;

/// A flat table a direction, since the data path asks for every message. The first row of a type byte wins.
constexpr lookup_table make_lookup(direction from) {
  lookup_table table{};
  table.fill(no_message);
  for (std::size_t i = 0; i < message_infos.size(); ++i) {
    const message_info& info = message_infos[i];
    const bool both_ways = info.type == copy_data::info.type || info.type == copy_done::info.type;
    auto& slot = table[static_cast<unsigned char>(info.type)];
    if ((info.from == from || both_ways) && slot == no_message) slot = static_cast<std::uint8_t>(i);
  }
  return table;
}

constexpr lookup_table frontend_table = make_lookup(direction::frontend);
constexpr lookup_table backend_table = make_lookup(direction::backend);

const message_info* find(const lookup_table& table, char type) {
  const std::uint8_t row = table[static_cast<unsigned char>(type)];
  return row == no_message ? nullptr : &message_infos[row];
}

} // namespace

const message_info* frontend_info(char type) {
  return find(frontend_table, type);
}

const message_info* backend_info(char type) {
  return find(backend_table, type);
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
