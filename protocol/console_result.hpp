// Tables of text as Postgres results. The admin console answers with them, over the simple and the extended protocol,
// so that drivers see typed columns as if they had asked a database.
#pragma once

#include "protocol/bytes.hpp"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace pg_edge::protocol {

enum class console_type : std::uint8_t { text, int4, int8, numeric, bytea };

struct console_column {
  std::string_view name;
  console_type type = console_type::text;
};

/// A value as text; nullopt is NULL. Numbers are decimal integers.
using console_cell = std::optional<std::string>;
using console_row = std::vector<console_cell>;

/// The result formats of a Bind: none, all columns are text; one, for all; else one a column. 1 is binary.
using result_formats = std::vector<std::int16_t>;

/// Why these formats cannot be used with that many columns; empty if they can.
std::string format_fault(std::size_t columns, const result_formats& formats);

/// Appends a whole RowDescription.
void append_description(bytes& out, std::span<const console_column> columns, const result_formats& formats = {});

/// Appends a whole DataRow. A row that is shorter than the columns is filled up with NULLs.
void append_row(bytes& out, std::span<const console_column> columns, const console_row& row,
                const result_formats& formats = {});

/// A decimal integer in the binary format of its type; nullopt when it is none, or too large for it.
std::optional<bytes> binary_value(console_type type, std::string_view text);

} // namespace pg_edge::protocol
