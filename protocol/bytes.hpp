// Bytes as Postgres lays them on the wire: integers are big endian, strings end with a zero byte.
// The one place that turns numbers into bytes and back; everything that arrives is read through `reader`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pg_edge::protocol {

using bytes = std::string;
using bytes_view = std::string_view;

// -- writing
// -----------------------------------------------------------------------------------------------------------

inline void put_u8(bytes& out, std::uint8_t value) {
  out.push_back(static_cast<char>(value));
}

inline void put_u16(bytes& out, std::uint16_t value) {
  const char raw[2] = {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
  out.append(raw, sizeof raw);
}

/// Overwrites the four bytes at `at`; used to fill in a length once the body is known.
inline void store_u32(char* at, std::uint32_t value) {
  at[0] = static_cast<char>(value >> 24);
  at[1] = static_cast<char>((value >> 16) & 0xff);
  at[2] = static_cast<char>((value >> 8) & 0xff);
  at[3] = static_cast<char>(value & 0xff);
}

inline void put_u32(bytes& out, std::uint32_t value) {
  char raw[4];
  store_u32(raw, value);
  out.append(raw, sizeof raw);
}

inline void put_i32(bytes& out, std::int32_t value) {
  put_u32(out, static_cast<std::uint32_t>(value));
}

inline void put_bytes(bytes& out, bytes_view value) {
  out.append(value);
}

/// Writes `value` and its closing zero byte. A zero byte inside `value` ends it there: otherwise whoever chooses the
/// value (a user name, the text of an error) could add fields of his own to the message.
inline void put_cstring(bytes& out, bytes_view value) {
  out.append(value.substr(0, value.find('\0')));
  out.push_back('\0');
}

// -- reading
// -----------------------------------------------------------------------------------------------------------

/// Reads the two bytes at `at`, which the caller knows to exist.
inline std::uint16_t load_u16(const char* at) {
  const auto byte = [at](int i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(at[i])); };
  return static_cast<std::uint16_t>(byte(0) << 8 | byte(1));
}

/// Reads the four bytes at `at`, which the caller knows to exist.
inline std::uint32_t load_u32(const char* at) {
  const auto byte = [at](int i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(at[i])); };
  return byte(0) << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
}

/// A cursor over bytes nobody vouches for. A read past the end returns zero or an empty view, and ok() is false from
/// then on (every later read fails too), so a body is read field by field and checked once. The views it returns point
/// into the bytes it was given.
class reader {
public:
  explicit reader(bytes_view in) : in_(in) {}

  std::uint8_t u8() {
    const bytes_view raw = take(1);
    return raw.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(raw[0]);
  }
  std::uint16_t u16() {
    const bytes_view raw = take(2);
    return raw.empty() ? std::uint16_t{0} : load_u16(raw.data());
  }
  std::uint32_t u32() {
    const bytes_view raw = take(4);
    return raw.empty() ? 0u : load_u32(raw.data());
  }
  std::int32_t i32() { return static_cast<std::int32_t>(u32()); }

  /// The bytes up to the next zero byte, which is consumed but not returned.
  bytes_view cstring() {
    const std::size_t length = ok_ ? in_.find('\0') : bytes_view::npos;
    if (length == bytes_view::npos) return fail();
    const bytes_view value = in_.substr(0, length);
    in_.remove_prefix(length + 1);
    return value;
  }

  bytes_view take(std::size_t count) {
    if (!ok_ || count > in_.size()) return fail();
    const bytes_view value = in_.substr(0, count);
    in_.remove_prefix(count);
    return value;
  }

  /// Everything that is left; empty is fine.
  bytes_view rest() { return take(in_.size()); }

  /// Lets a caller that found a wrong value fail the whole reading; returns an empty view.
  bytes_view fail() {
    ok_ = false;
    in_ = {};
    return {};
  }

  bool ok() const { return ok_; }
  bool at_end() const { return in_.empty(); }

private:
  bytes_view in_;
  bool ok_ = true;
};

} // namespace pg_edge::protocol
