#include "actors/admin_list.hpp"

#include "config/value_text.hpp"

#include <openssl/evp.h>

#include <algorithm>

namespace pg_edge::actors {

namespace {

enum class comparison : std::uint8_t { any_of, differs, like, less, less_equal, greater, greater_equal };

struct operator_row {
  std::string_view text;
  comparison means;
};
// Behind the name, before "=", which the query has split off already; longer ones first.
constexpr operator_row operators[] = {
    {"~", comparison::like},
    {"!", comparison::differs},
    {">", comparison::greater_equal},
    {"<", comparison::less_equal},
};

struct filter {
  std::size_t column = 0;
  comparison how = comparison::any_of;
  std::string text;
  std::vector<std::string> list; // of any_of
  double number = 0;             // of comparisons
};

struct sort_key {
  std::size_t column = 0;
  bool descending = false;
};

struct wish {
  std::vector<filter> filters;
  std::vector<sort_key> sort;
  std::string sort_text;
  std::size_t limit = usual_page;
  json after; // values of the sort keys of the last row seen; null: from the beginning
  std::optional<admin_problem> problem;
};

constexpr std::string_view paging[] = {"sort", "limit", "cursor"};

admin_problem wrong(const std::string& name, const std::string& why) {
  return {400, "query: " + name + ": " + why, {{"query: " + name, why}}, {}};
}

std::optional<std::size_t> column_of(std::span<const admin_field> fields, std::string_view name) {
  for (std::size_t i = 0; i < fields.size(); ++i)
    if (fields[i].name == name) return i;
  return std::nullopt;
}

std::string did_you_mean(std::span<const admin_field> fields, std::string_view name) {
  std::vector<std::string_view> names(std::begin(paging), std::end(paging));
  for (const admin_field& one : fields)
    names.push_back(one.name);
  const std::string_view near = config::nearest(name, names);
  return near.empty() ? std::string() : ", did you mean " + std::string(near) + "?";
}

bool is_number(const admin_field& field) {
  return field.type == "integer" || field.type == "number";
}

/// "wait_us>" and "1000" (of "wait_us>=1000"), or "wait_us>1000" and "" (of "wait_us>1000").
std::optional<admin_problem> read_filter(std::span<const admin_field> fields, const std::string& name,
                                         const std::string& value, wish& into) {
  filter one;
  one.text = value;
  std::string_view column = name;
  const auto mark = column.find_first_of("<>!~");
  if (mark != std::string_view::npos) {
    const std::string_view rest = column.substr(mark + 1);
    for (const operator_row& row : operators)
      if (column[mark] == row.text[0]) one.how = row.means;
    if (!rest.empty()) { // strictly: no "=" followed
      if (one.how == comparison::greater_equal)
        one.how = comparison::greater;
      else if (one.how == comparison::less_equal)
        one.how = comparison::less;
      else
        return wrong(name, "write NAME~=PATTERN or NAME!=VALUE");
      one.text = std::string(rest);
    }
    column = column.substr(0, mark);
  }
  const auto found = column_of(fields, column);
  if (!found) return wrong(std::string(column), "unknown parameter" + did_you_mean(fields, column));
  one.column = *found;
  const bool ordered = one.how != comparison::any_of && one.how != comparison::differs && one.how != comparison::like;
  if (ordered) {
    const std::optional<std::int64_t> number = config::parse_integer(one.text);
    if (!is_number(fields[*found])) return wrong(std::string(column), "is no number, so it cannot be compared");
    if (!number) return wrong(std::string(column), "\"" + one.text + "\" is no integer");
    one.number = static_cast<double>(*number);
  }
  if (one.how == comparison::any_of || one.how == comparison::differs) {
    one.list = config::split_list(one.text);
    if (one.list.empty()) one.list.emplace_back(); // "name=" asks for empty ones
  }
  into.filters.push_back(std::move(one));
  return std::nullopt;
}

std::optional<admin_problem> read_sort(std::span<const admin_field> fields, const std::string& text, wish& into) {
  into.sort.clear();
  into.sort_text = text;
  for (const std::string& part : config::split_list(text)) {
    sort_key key;
    key.descending = part.starts_with('-');
    const std::string_view name = std::string_view(part).substr(key.descending ? 1 : 0);
    const auto found = column_of(fields, name);
    if (!found) return wrong("sort", "there is no " + std::string(name) + did_you_mean(fields, name));
    key.column = *found;
    into.sort.push_back(key);
  }
  return std::nullopt;
}

// -- cursors
// ------------------------------------------------------------------------------------------------------------------

std::string base64url(std::string_view text) {
  std::string out(4 * ((text.size() + 2) / 3) + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(size));
  while (out.ends_with('='))
    out.pop_back();
  std::replace(out.begin(), out.end(), '+', '-');
  std::replace(out.begin(), out.end(), '/', '_');
  return out;
}

std::optional<std::string> from_base64url(std::string text) {
  std::replace(text.begin(), text.end(), '-', '+');
  std::replace(text.begin(), text.end(), '_', '/');
  std::size_t filled = 0;
  for (; text.size() % 4 != 0; ++filled)
    text.push_back('=');
  if (filled > 2) return std::nullopt;
  std::string out(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  out.resize(static_cast<std::size_t>(size) - filled);
  return out;
}

std::string make_cursor(const wish& what, const json& keys) {
  return base64url(
      json{{"sort", what.sort_text}, {"after", keys}}.dump(-1, ' ', false, json::error_handler_t::replace));
}

std::optional<admin_problem> read_cursor(const std::string& text, wish& into) {
  const auto plain = from_base64url(text);
  const json held = plain ? json::parse(*plain, nullptr, false) : json();
  const bool whole = held.is_object() && held.contains("sort") && held.contains("after") && held["after"].is_array() &&
                     held["sort"].is_string();
  if (!whole) return wrong("cursor", "is not one that a list has given as next");
  if (held["sort"].get<std::string>() != into.sort_text)
    return wrong("cursor", "belongs to a list with another sort order");
  into.after = held["after"];
  return std::nullopt;
}

wish read_wish(std::span<const admin_field> fields, const admin_request& request) {
  wish out;
  for (const auto& [name, value] : request.query) {
    if (name == "sort")
      out.problem = read_sort(fields, value, out);
    else if (name == "limit") {
      const auto number = config::parse_integer(value);
      if (!number || *number < 1 || *number > static_cast<std::int64_t>(largest_page))
        out.problem = wrong("limit", "is a number from 1 to " + std::to_string(largest_page));
      else
        out.limit = static_cast<std::size_t>(*number);
    } else if (name != "cursor")
      out.problem = read_filter(fields, name, value, out);
    if (out.problem) return out;
  }
  for (std::size_t i = 0; i < fields.size(); ++i) // rows have one order, whatever is asked for
    if (fields[i].key) out.sort.push_back({i, false});
  if (const auto cursor = request.asked("cursor")) out.problem = read_cursor(*cursor, out);
  if (!out.problem && out.after.is_array() && out.after.size() != out.sort.size())
    out.problem = wrong("cursor", "is not one that this list has given as next");
  return out;
}

// -- rows
// ---------------------------------------------------------------------------------------------------------------------

std::string text_of(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.is_null() ? std::string() : value.dump(-1, ' ', false, json::error_handler_t::replace);
}

bool fits_pattern(std::string_view pattern, std::string_view text) {
  std::size_t star = std::string_view::npos, from = 0, p = 0, t = 0;
  while (t < text.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t]) && pattern[p] != '*') {
      ++p;
      ++t;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*')
    ++p;
  return p == pattern.size();
}

bool passes(const filter& one, const json& value) {
  const std::string text = text_of(value);
  switch (one.how) {
  case comparison::any_of:
    return std::find(one.list.begin(), one.list.end(), text) != one.list.end();
  case comparison::differs:
    return std::find(one.list.begin(), one.list.end(), text) == one.list.end();
  case comparison::like:
    return fits_pattern(one.text, text);
  default:
    break;
  }
  if (!value.is_number()) return false;
  const double number = value.get<double>();
  switch (one.how) {
  case comparison::less:
    return number < one.number;
  case comparison::less_equal:
    return number <= one.number;
  case comparison::greater:
    return number > one.number;
  default:
    return number >= one.number;
  }
}

/// Nulls come first; numbers by size, texts by their bytes; what a cursor has brought may be of any type.
int order_of(const json& a, const json& b) {
  const auto rank = [](const json& value) { return value.is_null() ? 0 : value.is_number() ? 1 : 2; };
  if (rank(a) != rank(b)) return rank(a) < rank(b) ? -1 : 1;
  if (a.is_null()) return 0;
  if (a.is_number()) return a < b ? -1 : b < a ? 1 : 0;
  const std::string left = text_of(a), right = text_of(b);
  return left < right ? -1 : right < left ? 1 : 0;
}

int order_of(const std::vector<sort_key>& sort, const json& a, const json& b) {
  for (std::size_t i = 0; i < sort.size(); ++i)
    if (const int order = order_of(a[i], b[i]); order != 0) return sort[i].descending ? -order : order;
  return 0;
}

} // namespace

std::optional<admin_problem> check_list_query(std::span<const admin_field> fields, const admin_request& request) {
  return read_wish(fields, request).problem;
}

list_result make_list(const admin_request& request, const list_source& source) {
  const wish what = read_wish(source.fields, request);
  if (what.problem) return {{}, what.problem};
  struct entry {
    std::size_t row;
    json keys;
  };
  std::vector<entry> found;
  for (std::size_t row = 0; row < source.rows; ++row) {
    const bool wanted = std::all_of(what.filters.begin(), what.filters.end(),
                                    [&](const filter& one) { return passes(one, source.value(row, one.column)); });
    if (!wanted) continue;
    json keys = json::array();
    for (const sort_key& key : what.sort)
      keys.push_back(source.value(row, key.column));
    found.push_back({row, std::move(keys)});
  }
  const auto before = [&](const json& a, const json& b) { return order_of(what.sort, a, b) < 0; };
  std::stable_sort(found.begin(), found.end(), [&](const entry& a, const entry& b) { return before(a.keys, b.keys); });
  auto place = found.begin();
  if (what.after.is_array())
    place = std::upper_bound(found.begin(), found.end(), what.after,
                             [&](const json& value, const entry& one) { return before(value, one.keys); });
  json items = json::array();
  json next;
  for (; place != found.end(); ++place) {
    if (items.size() == what.limit) {
      next = make_cursor(what, std::prev(place)->keys);
      break;
    }
    json item = json::object();
    for (std::size_t column = 0; column < source.fields.size(); ++column)
      item[std::string(source.fields[column].name)] = source.value(place->row, column);
    items.push_back(std::move(item));
  }
  json body = json::object();
  body["items"] = std::move(items);
  body["total"] = found.size();
  body["next"] = std::move(next);
  body["complete"] = source.complete;
  return {std::move(body), std::nullopt};
}

} // namespace pg_edge::actors
