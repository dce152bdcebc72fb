#include "protocol/console_result.hpp"

#include "protocol/messages.hpp"

#include <algorithm>
#include <charconv>

namespace pg_edge::protocol {

namespace {

struct type_row {
  console_type type;
  std::uint32_t oid;
  std::int16_t size;
};

constexpr type_row type_rows[] = {
    {console_type::text, 25, -1},      {console_type::int4, 23, 4},   {console_type::int8, 20, 8},
    {console_type::numeric, 1700, -1}, {console_type::bytea, 17, -1},
};

const type_row& row_of(console_type type) {
  return type_rows[static_cast<std::size_t>(type)];
}

bool is_binary(const result_formats& formats, std::size_t column) {
  if (formats.size() == 1) return formats[0] == 1;
  return column < formats.size() && formats[column] == 1;
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void put_u64(bytes& out, std::uint64_t value) {
  put_u32(out, static_cast<std::uint32_t>(value >> 32));
  put_u32(out, static_cast<std::uint32_t>(value));
}

/// Postgres sends a numeric as digits to the base 10000 with the weight of the first, a sign and a display scale.
bytes numeric(std::string_view digits, bool negative) {
  constexpr std::size_t decimals = 4;
  constexpr std::uint16_t minus = 0x4000;
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
  std::vector<std::uint16_t> groups;
  for (std::string_view rest = digits; !rest.empty();) {
    const std::size_t length = rest.size() % decimals == 0 ? decimals : rest.size() % decimals;
    groups.push_back(number<std::uint16_t>(rest.substr(0, length)).value_or(0));
    rest.remove_prefix(length);
  }
  const std::size_t weight = groups.empty() ? 0 : groups.size() - 1;
  while (!groups.empty() && groups.back() == 0)
    groups.pop_back();
  bytes out;
  put_u16(out, static_cast<std::uint16_t>(groups.size()));
  put_u16(out, static_cast<std::uint16_t>(weight));
  put_u16(out, negative && !groups.empty() ? minus : std::uint16_t{0});
  put_u16(out, 0);
  for (const std::uint16_t group : groups)
    put_u16(out, group);
  return out;
}

} // namespace

std::optional<bytes> binary_value(console_type type, std::string_view text) {
  bytes out;
  switch (type) {
  case console_type::text:
  case console_type::bytea: // only NULLs
    return bytes(text);
  case console_type::int4:
    if (const auto value = number<std::int32_t>(text)) {
      put_i32(out, *value);
      return out;
    }
    return std::nullopt;
  case console_type::int8:
    if (const auto value = number<std::int64_t>(text)) {
      put_u64(out, static_cast<std::uint64_t>(*value));
      return out;
    }
    return std::nullopt;
  case console_type::numeric:
    const bool negative = text.starts_with('-');
    text.remove_prefix(negative ? 1 : 0);
    if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
    return numeric(text, negative);
  }
  return std::nullopt;
}

std::string format_fault(std::size_t columns, const result_formats& formats) {
  if (formats.size() > 1 && formats.size() != columns)
    return "bind message has " + std::to_string(formats.size()) + " result formats but the command has " +
           std::to_string(columns) + " columns";
  for (const std::int16_t format : formats)
    if (format != 0 && format != 1) return "unsupported format code: " + std::to_string(format);
  return {};
}

void append_description(bytes& out, std::span<const console_column> columns, const result_formats& formats) {
  row_description message;
  message.fields.reserve(columns.size());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const type_row& type = row_of(columns[i].type);
    row_description::field field;
    field.name = columns[i].name;
    field.type = type.oid;
    field.type_size = type.size;
    field.format = is_binary(formats, i) ? 1 : 0;
    message.fields.push_back(field);
  }
  append(out, message);
}

void append_row(bytes& out, std::span<const console_column> columns, const console_row& row,
                const result_formats& formats) {
  data_row message;
  std::vector<bytes> encoded; // what the views of `message` point to
  encoded.reserve(columns.size());
  message.values.reserve(columns.size());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (i < row.size() && row[i] && !is_binary(formats, i)) {
      message.values.emplace_back(*row[i]);
      continue;
    }
    // What is no value of its type in binary is NULL, as what is missing.
    auto value = i < row.size() && row[i] ? binary_value(columns[i].type, *row[i]) : std::nullopt;
    if (value)
      message.values.emplace_back(encoded.emplace_back(std::move(*value)));
    else
      message.values.emplace_back();
  }
  append(out, message);
}

} // namespace pg_edge::protocol
