// Lists of the admin API: rows of whatever type, described by a table of columns, filtered, sorted and cut into pages
// on this side. The same table makes the schema in /openapi.json.
//
//   ?tenant=acme&state=active,waiting     any of the values          ?name~=app*          a pattern with * and ?
//   ?wait_us>=1000  wait_us>  <  <=  !=   compared                   ?sort=-wait_us,id    descending, then ascending
//   ?limit=100&cursor=...                 the page behind the one whose `next` the cursor was
//
// A cursor holds what the last row of a page was sorted by, not how many rows went before: rows that come and go
// meanwhile do not make others appear twice or be left out.
#pragma once

#include "actors/admin_call.hpp"
#include "actors/admin_routes.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::actors {

template <class Row>
struct admin_column {
  admin_field field;
  json (*value)(const Row&);
};

inline constexpr std::size_t usual_page = 100;
inline constexpr std::size_t largest_page = 1000;

/// A list as the request wants it. `rows` is their number, `value(row, column)` a value of one. Fields marked as key
/// tell rows apart. The result is the body of the answer, or a problem.
struct list_source {
  std::span<const admin_field> fields;
  std::size_t rows = 0;
  std::function<json(std::size_t row, std::size_t column)> value;
  bool complete = true; // false: some of the rows are not known
};
struct list_result {
  json body;
  std::optional<admin_problem> problem;
};
list_result make_list(const admin_request& request, const list_source& source);

/// What is wrong with a list's parameters in the query; also for names of columns.
std::optional<admin_problem> check_list_query(std::span<const admin_field> fields, const admin_request& request);

/// The fields of a table of columns, for admin_route::columns.
template <class Row, std::size_t Count>
const std::vector<admin_field>& fields_of(const admin_column<Row> (&columns)[Count]) {
  static const std::vector<admin_field> fields = [&] {
    std::vector<admin_field> out;
    for (const admin_column<Row>& one : columns)
      out.push_back(one.field);
    return out;
  }();
  return fields;
}

template <class Row, std::size_t Count>
json object_of(const admin_column<Row> (&columns)[Count], const Row& row) {
  json out = json::object();
  for (const admin_column<Row>& one : columns)
    out[std::string(one.field.name)] = one.value(row);
  return out;
}

template <class Row, std::size_t Count>
void reply_list(const admin_call_ptr& call, const admin_column<Row> (&columns)[Count], const std::vector<Row>& rows,
                bool complete) {
  const auto& fields = fields_of(columns);
  list_result made =
      make_list(call->request(),
                {fields, rows.size(),
                 [&](std::size_t row, std::size_t column) { return columns[column].value(rows[row]); }, complete});
  if (made.problem) return call->fail(*made.problem);
  call->reply(made.body);
}

} // namespace pg_edge::actors
