#include "actors/node_figures.hpp"

#include <algorithm>
#include <tuple>

namespace pg_edge::actors {

// -- errors
// --------------------------------------------------------------------------------------------------------------

namespace {

struct class_row {
  std::string_view code, meaning;
};

// As in Postgres's appendix A.
constexpr class_row classes[] = {
    {"00", "successful completion"},
    {"01", "warning"},
    {"02", "no data"},
    {"08", "connection exception"},
    {"09", "triggered action exception"},
    {"0A", "feature not supported"},
    {"0B", "invalid transaction initiation"},
    {"0L", "invalid grantor"},
    {"0P", "invalid role specification"},
    {"20", "case not found"},
    {"21", "cardinality violation"},
    {"22", "data exception"},
    {"23", "integrity constraint violation"},
    {"24", "invalid cursor state"},
    {"25", "invalid transaction state"},
    {"26", "invalid SQL statement name"},
    {"27", "triggered data change violation"},
    {"28", "invalid authorization"},
    {"2B", "dependent privilege descriptors exist"},
    {"2D", "invalid transaction termination"},
    {"2F", "SQL routine exception"},
    {"34", "invalid cursor name"},
    {"38", "external routine exception"},
    {"39", "external routine invocation exception"},
    {"3B", "savepoint exception"},
    {"3D", "invalid database name"},
    {"3F", "invalid schema name"},
    {"40", "transaction rollback"},
    {"42", "syntax error or access rule violation"},
    {"44", "WITH CHECK OPTION violation"},
    {"53", "insufficient resources"},
    {"54", "program limit exceeded"},
    {"55", "object not in prerequisite state"},
    {"57", "operator intervention"},
    {"58", "system error"},
    {"72", "snapshot failure"},
    {"F0", "configuration file error"},
    {"HV", "foreign data wrapper error"},
    {"P0", "PL/pgSQL error"},
    {"XX", "internal error"},
};

} // namespace

std::string_view sqlstate_class(std::string_view sqlstate) {
  for (const class_row& one : classes)
    if (sqlstate.substr(0, 2) == one.code) return one.meaning;
  return {};
}

void error_ledger::take(const pool_name& name, const protocol::error_count& one,
                        std::chrono::system_clock::time_point now) {
  auto found = records_.find(one.key);
  if (found == records_.end()) {
    const bool room = records_.size() < most;
    found = records_.emplace(room ? one.key : one.key.as_other(), record{}).first;
  }
  record& here = found->second;
  here.total += one.count;
  here.ring.open().count += one.count;
  here.last = now;
  here.name = name;
}

void error_ledger::tick(std::uint64_t tick) {
  for (auto& [key, one] : records_)
    one.ring.close(tick);
}

std::vector<error_figures> error_ledger::rows(const window_clock& at) const {
  std::vector<error_figures> result;
  for (const auto& [key, one] : records_) {
    counted minute;
    one.ring.add_to(minute, at, window::minute);
    result.push_back({key, one.total, minute.count, one.last, one.name});
  }
  std::stable_sort(result.begin(), result.end(), [](const error_figures& a, const error_figures& b) {
    return std::tie(a.last_minute, a.total) > std::tie(b.last_minute, b.total);
  });
  return result;
}

// -- reactors
// ------------------------------------------------------------------------------------------------------------

void reactor_ledger::take(const meter_reading& reading) {
  record& here = records_[reading.reactor];
  here.counters = reading.counters;
}

void reactor_ledger::tick(const window_clock& at) {
  for (auto& [reactor, one] : records_)
    one.busy[at.now() % kept] = one.counters.busy;
}

std::vector<reactor_figures> reactor_ledger::rows(const window_clock& at) const {
  std::vector<reactor_figures> result;
  for (const auto& [reactor, one] : records_) {
    reactor_figures row{reactor, one.counters, {}};
    for (std::size_t i = 0; i < windows.size(); ++i) {
      const auto grown = one.busy[at.now() % kept] - one.busy[at.begin(windows[i]) % kept];
      const auto span = std::chrono::duration<double>(at.span(windows[i])).count();
      if (span > 0) row.busy[i] = std::clamp(std::chrono::duration<double>(grown).count() / span, 0.0, 1.0);
    }
    result.push_back(row);
  }
  return result;
}

} // namespace pg_edge::actors
