// Bytes written down by hand for the tests of the wire: hex digits, with text between quotes, so that each field can
// stand on a line of its own with its comment.
#pragma once

#include "protocol/bytes.hpp"

#include <initializer_list>
#include <stdexcept>

namespace pg_edge::protocol::tests {

/// "0000000c 'SELECT' 00" gives four bytes, six letters and a zero byte. Blanks outside quotes mean nothing.
inline bytes wire(std::initializer_list<std::string_view> fields) {
  const auto digit = [](char c) {
    const std::size_t value = std::string_view("0123456789abcdef").find(c);
    if (value == std::string_view::npos) throw std::invalid_argument(std::string("not a hex digit: ") + c);
    return static_cast<unsigned>(value);
  };
  bytes out;
  for (const std::string_view field : fields) {
    for (std::size_t i = 0; i < field.size(); ++i) {
      if (field[i] == ' ') continue;
      if (field[i] == '\'') {
        const std::size_t end = field.find('\'', i + 1);
        out.append(field.substr(i + 1, end - i - 1));
        i = end;
        continue;
      }
      out.push_back(static_cast<char>(digit(field.at(i)) << 4 | digit(field.at(i + 1))));
      ++i;
    }
  }
  return out;
}

} // namespace pg_edge::protocol::tests
