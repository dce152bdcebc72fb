// The field kinds of the Postgres manual ("Message Data Types"), once for writing and once for reading. A message lists
// its fields in a function `body(fields, message)`; run with field_writer it encodes, with field_reader it decodes.
#pragma once

#include "protocol/bytes.hpp"

#include <algorithm>
#include <array>
#include <concepts>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace pg_edge::protocol {

/// A value in Bind, DataRow or FunctionCall: SQL NULL is nullopt.
using value = std::optional<bytes_view>;

/// One field of an ErrorResponse or NoticeResponse: its code ('S', 'C', 'M', ...) and text.
using response_field = std::pair<char, bytes_view>;

/// A count is an unsigned Int16: Postgres reads it so (65,535 parameters work), whatever the manual's "Int16" suggests.
constexpr std::size_t max_list16 = std::numeric_limits<std::uint16_t>::max();

class field_writer {
public:
  explicit field_writer(bytes& out) : out_(out) {}

  void byte1(char value) { out_.push_back(value); }
  void byte4(const std::array<char, 4>& value) { out_.append(value.data(), value.size()); }
  void int8(std::uint8_t value) { put_u8(out_, value); }
  void int16(std::int16_t value) { put_u16(out_, static_cast<std::uint16_t>(value)); }
  void int32(std::integral auto value) { put_u32(out_, static_cast<std::uint32_t>(value)); }
  void string(bytes_view value) { put_cstring(out_, value); }
  /// An Int32 with a fixed value that tells messages of one type byte apart.
  void constant32(std::int32_t value) { put_i32(out_, value); }
  /// All that remains of the message, between `min` and `max` bytes.
  void byten(bytes_view value, std::size_t = 0, std::size_t = bytes::npos) { put_bytes(out_, value); }
  /// Int32 length, or -1 for NULL, then that many bytes.
  void sized(const value& v) {
    put_i32(out_, v ? static_cast<std::int32_t>(v->size()) : -1);
    if (v) put_bytes(out_, *v);
  }
  /// Int16 count, then each item by `item(fields, x)`. A list beyond 65,535 items is cut: the count cannot say more.
  template <class T, class Item>
  void list16(const std::vector<T>& items, Item item) {
    const std::size_t count = std::min(items.size(), max_list16);
    put_u16(out_, static_cast<std::uint16_t>(count));
    for (std::size_t i = 0; i < count; ++i)
      item(*this, items[i]);
  }
  /// Int32 count, then that many strings.
  void strings32(const std::vector<bytes_view>& items) {
    put_u32(out_, static_cast<std::uint32_t>(items.size()));
    for (const bytes_view item : items)
      string(item);
  }
  /// Strings up to an empty one. An empty item would end the list early, so it is left out.
  void strings_until_empty(const std::vector<bytes_view>& items) {
    for (const bytes_view item : items)
      if (!item.empty()) string(item);
    put_u8(out_, 0);
  }
  /// Code and string, up to a zero code.
  void response_fields(const std::vector<response_field>& items) {
    for (const auto& [code, text] : items) {
      byte1(code);
      string(text);
    }
    put_u8(out_, 0);
  }

private:
  bytes& out_;
};

/// Lists grow item by item and stop at the first failed read, so a count that lies costs no memory.
class field_reader {
public:
  explicit field_reader(bytes_view body) : in_(body) {}

  /// True when every field was there and nothing is left over.
  bool complete() const { return in_.ok() && in_.at_end(); }

  void byte1(char& value) { value = static_cast<char>(in_.u8()); }
  void byte4(std::array<char, 4>& value) {
    const bytes_view raw = in_.take(value.size());
    std::copy(raw.begin(), raw.end(), value.begin());
  }
  void int8(std::uint8_t& value) { value = in_.u8(); }
  void int16(std::int16_t& value) { value = static_cast<std::int16_t>(in_.u16()); }
  void int32(std::integral auto& value) { value = static_cast<std::remove_reference_t<decltype(value)>>(in_.u32()); }
  void string(bytes_view& value) { value = in_.cstring(); }
  void constant32(std::int32_t value) {
    if (in_.i32() != value) in_.fail();
  }
  void byten(bytes_view& value, std::size_t min = 0, std::size_t max = bytes::npos) {
    value = in_.rest();
    if (value.size() < min || value.size() > max) in_.fail();
  }
  void sized(value& v) {
    const std::int32_t length = in_.i32();
    if (length < -1) in_.fail();
    v = length < 0 ? value{} : value{in_.take(static_cast<std::size_t>(length))};
  }
  template <class T, class Item>
  void list16(std::vector<T>& items, Item item) {
    for (std::uint16_t left = in_.u16(); left > 0 && in_.ok(); --left)
      item(*this, items.emplace_back());
  }
  void strings32(std::vector<bytes_view>& items) {
    for (std::uint32_t left = in_.u32(); left > 0 && in_.ok(); --left)
      items.push_back(in_.cstring());
  }
  void strings_until_empty(std::vector<bytes_view>& items) {
    for (bytes_view item = in_.cstring(); in_.ok() && !item.empty(); item = in_.cstring())
      items.push_back(item);
  }
  void response_fields(std::vector<response_field>& items) {
    for (char code = static_cast<char>(in_.u8()); in_.ok() && code != 0; code = static_cast<char>(in_.u8()))
      items.emplace_back(code, in_.cstring());
  }

private:
  reader in_;
};

} // namespace pg_edge::protocol
