// The columns of throughput, a row each, and what is asked for in words.
#include "actors/throughput_ledger.hpp"
#include "protocol/console_statement.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace pg_edge::actors {

namespace {

using row = throughput_row;

std::uint64_t rounded(double value) {
  return static_cast<std::uint64_t>(std::llround(std::max(value, 0.0)));
}

template <double row::*Member>
constexpr auto rate = +[](const row& one) { return rounded(one.*Member); };
template <double row::*Member>
constexpr auto exactly = +[](const row& one) { return one.*Member; };
template <sparse_histogram row::*Member, int Percent>
constexpr auto percentile = +[](const row& one) { return (one.*Member).quantile(Percent / 100.0); };

constexpr auto a_client = +[](const row& one) { return one.client != 0; };
/// Of a client nothing but its queries is timed.
constexpr auto no_client = +[](const row& one) { return one.client == 0; };

constexpr throughput_column columns[] = {
    {"tenant", "the tenant", [](const row& one) { return one.name.tenant; }},
    {"database", "the database, as clients name it", [](const row& one) { return one.name.database; }},
    {"user", "the pool's server user; of a client its own", [](const row& one) { return one.name.user; }},
    {"client", "id of the connection, as in SHOW CLIENTS", nullptr, [](const row& one) { return one.client; }, nullptr,
     a_client},
    {"addr", "its address", [](const row& one) { return one.addr; }},
    {"application_name", "what it calls itself", [](const row& one) { return one.application_name; }},
    {"window", "seconds that the figures are of", nullptr,
     [](const row& one) { return static_cast<std::uint64_t>(seconds_of(one.over)); }},
    {"queries", "queries answered, a second", nullptr, rate<&row::queries>, exactly<&row::queries>},
    {"transactions", "transactions ended, a second", nullptr, rate<&row::transactions>, exactly<&row::transactions>},
    {"received", "bytes from clients, a second", nullptr, rate<&row::received>, exactly<&row::received>},
    {"sent", "bytes from servers, a second", nullptr, rate<&row::sent>, exactly<&row::sent>},
    {"query_mean_us", "a query's mean time in microseconds", nullptr, [](const row& one) { return one.query_time; }},
    {"query_p50_us", "half of the queries took no longer", nullptr, percentile<&row::query, 50>},
    {"query_p95_us", "95 of 100 queries took no longer", nullptr, percentile<&row::query, 95>},
    {"query_p99_us", "99 of 100 queries took no longer", nullptr, percentile<&row::query, 99>},
    {"xact_p50_us", "the same of transactions", nullptr, percentile<&row::transaction, 50>, nullptr, no_client},
    {"xact_p99_us", "the same of transactions", nullptr, percentile<&row::transaction, 99>, nullptr, no_client},
    {"wait_p50_us", "the same of waits for a server", nullptr, percentile<&row::wait, 50>, nullptr, no_client},
    {"wait_p99_us", "the same of waits for a server", nullptr, percentile<&row::wait, 99>, nullptr, no_client},
};

struct by_name {
  std::string_view word;
  throughput_by by;
};
constexpr by_name by_names[] = {{"tenant", throughput_by::tenant},
                                {"database", throughput_by::database},
                                {"user", throughput_by::user},
                                {"pool", throughput_by::pool},
                                {"client", throughput_by::client}};

/// One clause; returns how many words it takes, 0 if it is none, with the reason in `fault`.
std::size_t read_clause(std::span<const std::string> words, throughput_question& into, std::string& fault) {
  using protocol::same_word;
  for (const by_name& one : by_names)
    if (same_word(words[0], one.word)) {
      into.by = one.by;
      return 1;
    }
  if (same_word(words[0], "over") && words.size() > 1) {
    for (const window which : windows)
      if (words[1] == std::to_string(seconds_of(which))) {
        into.over = which;
        return 2;
      }
    fault = "OVER takes 1, 10 or 60 seconds";
    return 0;
  }
  if (same_word(words[0], "limit") && words.size() > 1) {
    const auto [end, wrong] = std::from_chars(words[1].data(), words[1].data() + words[1].size(), into.limit);
    if (wrong == std::errc() && end == words[1].data() + words[1].size()) return 2;
    fault = "LIMIT takes a number of rows";
    return 0;
  }
  if (same_word(words[0], "order") && words.size() > 2 && same_word(words[1], "by")) {
    into.order = find_throughput_column(words[2]);
    if (into.order == nullptr) {
      fault = "there is no column \"" + words[2] + "\" to order by";
      return 0;
    }
    into.ascending = into.order->text != nullptr; // names from the first, figures from the largest
    const bool said = words.size() > 3 && (same_word(words[3], "asc") || same_word(words[3], "desc"));
    if (said) into.ascending = same_word(words[3], "asc");
    return said ? 4 : 3;
  }
  fault = "\"" + words[0] + "\" is none of TENANT, DATABASE, USER, POOL, CLIENT, OVER, ORDER BY and LIMIT";
  return 0;
}

} // namespace

std::span<const throughput_column> throughput_columns() {
  return columns;
}

const throughput_column* find_throughput_column(std::string_view name) {
  for (const throughput_column& one : columns)
    if (protocol::same_word(one.name, name)) return &one;
  return nullptr;
}

throughput_request read_throughput_question(const std::vector<std::string>& words) {
  throughput_request result;
  std::span<const std::string> rest(words);
  while (!rest.empty()) {
    const std::size_t taken = read_clause(rest, result.question, result.fault);
    if (taken == 0) break;
    rest = rest.subspan(taken);
  }
  return result;
}

} // namespace pg_edge::actors
