#include "config/pattern.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <cstdint>
#include <pcre2.h>

namespace pg_edge::config {

namespace {

// A name of 10 kB against an ordinary pattern takes some ten thousand steps.
constexpr std::uint32_t most_steps = 1'000'000;
constexpr std::uint32_t most_depth = 10'000;
constexpr std::uint32_t most_heap_kb = 16 * 1024;
constexpr std::size_t longest_pattern = 8192;

/// Escapes that mean the same to Postgres and PCRE2.
constexpr std::string_view shared_escapes = "dwsDWSAnrtf";
/// What may follow "(?" in both.
constexpr std::string_view shared_groups[] = {":", "=", "!", "<=", "<!", "i)"};

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// What PCRE2 would take for something else than Postgres does; empty: nothing.
std::string difference(std::string_view text) {
  if (text.starts_with("***")) return "*** is not supported";
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto rest = text.substr(at + 1);
    if (text[at] == '\\' && !rest.empty()) {
      const char c = rest.front();
      const bool back_reference = c >= '1' && c <= '9';
      if (is_word_character(c) && !back_reference && shared_escapes.find(c) == std::string_view::npos)
        return std::string("\\") + c + " is not supported";
      ++at;
    } else if (text[at] == '(' && rest.starts_with('*')) {
      return "(* is not supported";
    } else if (text[at] == '(' && rest.starts_with('?')) {
      bool shared = false;
      for (const auto group : shared_groups)
        shared = shared || rest.substr(1).starts_with(group);
      if (!shared) return "this kind of (? is not supported";
    }
  }
  return {};
}

struct match_limits {
  match_limits() {
    pcre2_set_match_limit(context, most_steps);
    pcre2_set_depth_limit(context, most_depth);
    pcre2_set_heap_limit(context, most_heap_kb);
  }
  ~match_limits() { pcre2_match_context_free(context); }
  match_limits(const match_limits&) = delete;
  match_limits& operator=(const match_limits&) = delete;
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
};

} // namespace

pattern::compiled pattern::compile(std::string_view text) {
  if (text.size() > longest_pattern) return {nullptr, "longer than " + std::to_string(longest_pattern) + " bytes"};
  if (auto why = difference(text); !why.empty()) return {nullptr, why};
  int code = 0;
  PCRE2_SIZE offset = 0;
  // "." matches a newline and "$" only the very end, as in Postgres.
  constexpr std::uint32_t options =
      PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C;
  pcre2_code* made =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), options, &code, &offset, nullptr);
  if (made == nullptr) {
    char message[256] = "";
    pcre2_get_error_message(code, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
    return {nullptr, message};
  }
  std::shared_ptr<pattern> out{new pattern};
  out->code_ = std::shared_ptr<void>(made, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
  return {std::move(out), {}};
}

pattern::found pattern::search(std::string_view text) const {
  const match_limits limits;
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data{
      pcre2_match_data_create_from_pattern(code, nullptr), pcre2_match_data_free};
  if (data == nullptr || limits.context == nullptr) return {outcome::too_much, false, {}};
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const int groups = pcre2_match(code, subject, text.size(), 0, 0, data.get(), limits.context);
  if (groups == PCRE2_ERROR_NOMATCH) return {};
  if (groups < 0) return {outcome::too_much, false, {}};
  found out{outcome::yes, false, {}};
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
  if (groups > 1 && ends[2] != PCRE2_UNSET && ends[3] >= ends[2]) {
    out.has_group = true;
    out.group = text.substr(ends[2], ends[3] - ends[2]);
  }
  return out;
}

} // namespace pg_edge::config
