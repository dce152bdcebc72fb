#include "protocol/sql_sight.hpp"

#include "protocol/sql_lexer.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace pg_edge::protocol::sql {

namespace {

// Looked for anywhere, in strings and comments too: who wraps one of these in a string may well have it run.
constexpr auto state_words = std::to_array<std::string_view>({
    "set_config",
    "set_limit",     // of pg_trgm, sets a parameter
    "advisory_lock", // pg_advisory_lock, pg_try_advisory_lock, ..._shared; the ..._xact_lock ones end by themselves
    "u&\"",          // an identifier that may spell any of these
});

bool word_at(std::string_view text, std::size_t start, std::string_view lower_word) {
  return start < text.size() && starts_with_word(text.substr(start), lower_word);
}

// TEMP, TEMPORARY or a name that begins with pg_temp, so that a column named temperature costs no scan. The byte before
// may be a digit: Postgres reads 1temp as a number and a word.
bool temporary_at(std::string_view text, std::size_t start) {
  constexpr std::string_view short_word = "temp";
  if (!word_at(text, start, short_word)) return false;
  if (start >= 3 && word_at(text, start - 3, "pg_")) return true;
  if (start > 0 && is(text[start - 1], word_start_char)) return false;
  const auto word = text.substr(start, word_end(text, start) - start);
  return word.size() == short_word.size() || same_word(word, "temporary");
}

// Each word is recognized by the rarest pair of letters in it; `at` is where such a pair begins.
void examine(std::string_view text, std::size_t at, sighting& seen) {
  switch (lower(text[at])) {
  case ';':
    seen.semicolon = std::min(seen.semicolon, at);
    break;
  case '_':
    // Names with _c and _l are everywhere, so the letter before is looked at first.
    if (at >= 3 && lower(text[at - 1]) == 't' &&
        (word_at(text, at - 3, state_words[0]) || word_at(text, at - 3, state_words[1])))
      seen.state_word = true;
    if (at >= 8 && lower(text[at - 1]) == 'y' && word_at(text, at - 8, state_words[2])) seen.state_word = true;
    break;
  case '&':
    if (at >= 1 && word_at(text, at - 1, state_words[3])) seen.state_word = true;
    break;
  case 'm':
    if (at >= 2 && lower(text[at - 1]) == 'e' && temporary_at(text, at - 2)) seen.temporary = true;
    break;
  default:
    break;
  }
}

// Sixteen bytes at a time. Plain vector types, which g++ and clang turn into the machine's own.
using lanes = std::uint8_t __attribute__((vector_size(16)));

constexpr lanes all(char c) {
  const auto b = static_cast<std::uint8_t>(c);
  return lanes{b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b};
}

lanes load(const char* from) {
  lanes result;
  std::memcpy(&result, from, sizeof result);
  return result;
}

// Eight lanes of a comparison each; a lane that is true has all its bits set.
using lane_masks = std::array<std::uint64_t, 2>;

// Where in from[0, 16) a pair begins or a ';' is. Reads one byte more than that.
lane_masks signs(const char* from) {
  constexpr lanes case_bit = all(0x20);
  const lanes first = load(from);
  const lanes second = load(from + 1) | case_bit;
  const auto underscore = (first == all('_')) & ((second == all('c')) | (second == all('l')));
  const auto temporary = ((first | case_bit) == all('m')) & (second == all('p'));
  const auto unicode = (first == all('&')) & (second == all('"'));
  const auto found = underscore | temporary | unicode | (first == all(';'));
  static_assert(sizeof(lane_masks) == sizeof found);
  return std::bit_cast<lane_masks>(found);
}

void examine_lanes(std::string_view text, std::size_t at, lane_masks masks, sighting& seen) {
  for (auto mask : masks) {
    while (mask != 0) {
      const bool little = std::endian::native == std::endian::little;
      // Below 8, since the mask is not zero.
      const auto lane = static_cast<std::size_t>(little ? std::countr_zero(mask) : std::countl_zero(mask)) / 8 % 8;
      examine(text, at + lane, seen);
      mask &= ~(std::uint64_t{0xff} << (little ? lane : 7 - lane) * 8);
    }
    at += 8;
  }
}

} // namespace

sighting sight(std::string_view text, bool first_only) {
  sighting seen;
  if (text.size() <= sizeof(lanes)) {
    std::array<char, 2 * sizeof(lanes)> padded{}; // with zeros, which are signs of nothing
    std::copy(text.begin(), text.end(), padded.begin());
    const auto masks = signs(padded.data());
    if ((masks[0] | masks[1]) != 0) examine_lanes(text, 0, masks, seen);
    return seen;
  }
  // The last block overlaps the one before, which does no harm; the very last byte begins no pair.
  const auto last = text.size() - 1 - sizeof(lanes);
  for (std::size_t at = 0;; at = std::min(at + sizeof(lanes), last)) {
    const auto masks = signs(text.data() + at);
    if ((masks[0] | masks[1]) != 0) {
      examine_lanes(text, at, masks, seen);
      if (first_only && (seen.state_word || seen.temporary || seen.semicolon != std::string_view::npos)) return seen;
    }
    if (at == last) break;
  }
  examine(text, text.size() - 1, seen);
  return seen;
}

} // namespace pg_edge::protocol::sql
