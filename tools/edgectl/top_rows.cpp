#include "tools/edgectl/top_rows.hpp"

#include <algorithm>
#include <cstdio>

namespace pg_edge::edgectl::top {

namespace {

constexpr double one = 1, megabyte = 1e6, ms = 1000; // microseconds

using enum source;
constexpr column_row all_columns[] = {
    {"xact_s", "XACT/S", 'x', 0, throughput, "transactions", one},
    {"query_s", "QUERY/S", 'y', 0, throughput, "queries", one},
    {"in_mb_s", "IN MB/S", 'i', 2, throughput, "received", megabyte},
    {"out_mb_s", "OUT MB/S", 'o', 2, throughput, "sent", megabyte},
    {"query_ms", "QUERY MS", 'm', 2, throughput, "query_mean_us", ms},
    {"query_p95_ms", "Q P95", '5', 2, throughput, "query_p95_us", ms},
    {"query_p99_ms", "Q P99", '9', 2, throughput, "query_p99_us", ms},
    {"xact_p99_ms", "X P99", 't', 2, throughput, "xact_p99_us", ms},
    {"wait_p99_ms", "WAIT P99", 'w', 2, throughput, "wait_p99_us", ms},
    {"maxwait_ms", "MAXWAIT", 'a', 0, pools, "maxwait_us", ms, true},
    {"clients", "CLIENTS", 'c', 0, pools, "cl_active", one, false, "cl_waiting"},
    {"waiting", "WAITING", 'g', 0, pools, "cl_waiting", one},
    {"servers", "BUSY", 's', 0, pools, "sv_active", one},
    {"idle", "IDLE", 'd', 0, pools, "sv_idle", one},
};

constexpr grouping_row all_groupings[] = {
    {"pool", "pools"}, {"database", "databases"}, {"user", "users"}, {"tenant", "tenants"}, {"client", "clients"}};

std::string text(const json& row, const char* field) {
  const auto found = row.find(field);
  return found != row.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

std::optional<double> number(const json& row, std::string_view field) {
  const auto found = row.find(std::string(field));
  return found != row.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

std::string name_of(const json& row, std::string_view by) {
  std::string name = text(row, "tenant");
  if (by != "tenant" && by != "user") name += "/" + text(row, "database");
  if (by != "tenant" && by != "database") name += "/" + text(row, "user");
  if (by != "client") return name;
  name += " #" + row.value("client", json()).dump();
  if (const std::string application = text(row, "application_name"); !application.empty()) name += " " + application;
  if (const std::string address = text(row, "addr"); !address.empty()) name += " " + address;
  return name;
}

void take_pool(line& into, const json& pool) {
  for (const column_row& column : all_columns) {
    if (column.from != pools) continue;
    const double now = (number(pool, column.field).value_or(0) + number(pool, column.also).value_or(0)) / column.unit;
    double& figure = into.figures[column.name];
    figure = column.longest ? std::max(figure, now) : figure + now;
  }
}

/// What had no traffic has rates of 0, and times of nothing.
void take_throughput(line& into, const json* row) {
  for (const column_row& column : all_columns) {
    if (column.from != throughput) continue;
    const auto figure = row == nullptr ? std::optional(0.0) : number(*row, column.field);
    if (figure) into.figures[column.name] = *figure / column.unit;
  }
}

void sort_lines(std::vector<line>& lines, const wish& how) {
  const std::string_view column = all_columns[how.sort].name;
  std::stable_sort(lines.begin(), lines.end(), [&](const line& a, const line& b) {
    const auto left = a.value(column), right = b.value(column);
    if (!left || !right) return left.has_value() && !right; // what is not known stands last
    return how.reversed ? *left < *right : *left > *right;
  });
}

std::string padded(std::string_view words, std::size_t width) {
  std::string out(words.substr(0, width));
  out.append(width - out.size(), ' ');
  return out;
}

std::string in_cell(const std::string& words) {
  constexpr std::size_t cell = 10;
  return std::string(words.size() < cell ? cell - words.size() : 1, ' ') + words;
}

std::string figure_text(const line& row, const column_row& column) {
  const auto value = row.value(column.name);
  if (!value) return "-";
  char out[64];
  std::snprintf(out, sizeof out, "%.*f", column.digits, *value);
  return out;
}

} // namespace

std::span<const column_row> columns() {
  return all_columns;
}

std::span<const grouping_row> groupings() {
  return all_groupings;
}

std::vector<line> look(api& node, const wish& what) {
  const grouping_row& by = all_groupings[what.by];
  std::map<std::string, line> found;
  if (by.name != "client")
    for (const json& pool : node.list("/v1/pools")) {
      line& into = found[name_of(pool, by.name)];
      take_pool(into, pool);
      take_throughput(into, nullptr);
    }
  const std::string query = "window=" + std::string(windows[what.window]);
  for (const json& row : node.list("/v1/throughput/" + std::string(by.path), query))
    take_throughput(found[name_of(row, by.name)], &row);
  std::vector<line> lines;
  for (auto& [name, one_line] : found) {
    one_line.name = name;
    lines.push_back(std::move(one_line));
  }
  sort_lines(lines, what);
  return lines;
}

json json_of(const std::vector<line>& lines) {
  json out = json::array();
  for (const line& row : lines) {
    json into{{"name", row.name}};
    for (const column_row& column : all_columns) {
      const auto value = row.value(column.name);
      into[std::string(column.name)] = value ? json(*value) : json();
    }
    out.push_back(std::move(into));
  }
  return out;
}

std::string drawn(const std::vector<line>& lines, const wish& how, std::size_t width, std::size_t height,
                  bool colours) {
  constexpr std::size_t cell = 10, least_name = 12;
  std::size_t name_width = least_name;
  for (const line& row : lines)
    name_width = std::max(name_width, row.name.size());
  std::size_t shown = std::size(all_columns);
  if (width > 0) {
    name_width = std::min(name_width, std::max(least_name, width / 3));
    shown = std::min(shown, (width - std::min(width, name_width)) / cell);
  }
  std::string out = padded("NAME", name_width);
  for (std::size_t i = 0; i < shown; ++i)
    out += in_cell((i == how.sort ? "*" : "") + std::string(all_columns[i].heading));
  if (colours) out = "\x1b[7m" + out + "\x1b[0m";
  out += "\n";
  for (std::size_t i = 0; i < lines.size() && (height == 0 || i < height); ++i) {
    out += padded(lines[i].name, name_width);
    for (std::size_t j = 0; j < shown; ++j)
      out += in_cell(figure_text(lines[i], all_columns[j]));
    out += "\n";
  }
  return out;
}

} // namespace pg_edge::edgectl::top
