#include "actors/throughput_ledger.hpp"

#include <algorithm>
#include <tuple>

namespace pg_edge::actors {

// -- figures
// -------------------------------------------------------------------------------------------------------------

void pool_figures::merge(const pool_figures& other) {
  queries += other.queries;
  transactions += other.transactions;
  received += other.received;
  sent += other.sent;
  query.merge(other.query);
  transaction.merge(other.transaction);
  wait.merge(other.wait);
}

/// Of n + 1 seconds each shall have its part of the durations: the n-th takes every (n + 1)-th place.
void client_figures::fold(const client_figures& other, std::uint64_t part) {
  queries += other.queries;
  transactions += other.transactions;
  received += other.received;
  sent += other.sent;
  query_time += other.query_time;
  for (std::uint8_t i = 0; i < other.durations; ++i) {
    if (durations < kept_durations)
      recent[durations++] = other.recent[i];
    else if (i % (part + 1) == 0)
      recent[(i + part) % kept_durations] = other.recent[i];
  }
}

namespace {

/// What is merged for a row.
struct row_sum {
  std::uint64_t queries = 0, transactions = 0, received = 0, sent = 0, query_time = 0;
  sparse_histogram query, transaction, wait;

  void merge(const pool_figures& other) {
    queries += other.queries;
    transactions += other.transactions;
    received += other.received;
    sent += other.sent;
    query.merge(other.query);
    transaction.merge(other.transaction);
    wait.merge(other.wait);
    query_time = query.sum();
  }
  void merge(const client_figures& other) {
    queries += other.queries;
    transactions += other.transactions;
    received += other.received;
    sent += other.sent;
    query_time += other.query_time;
    if (other.durations == 0) return;
    const std::uint64_t each = std::max<std::uint64_t>(1, other.queries / other.durations);
    for (std::uint8_t i = 0; i < other.durations; ++i)
      query.add(other.recent[i], each);
  }
  bool empty() const { return queries == 0 && transactions == 0 && received == 0 && sent == 0 && wait.empty(); }
};

throughput_row make_row(row_sum&& sum, window over, std::chrono::microseconds span) {
  throughput_row row;
  row.over = over;
  const double seconds = std::max(static_cast<double>(span.count()) / 1e6, 1e-6);
  const auto rate = [seconds](std::uint64_t count) { return static_cast<double>(count) / seconds; };
  row.queries = rate(sum.queries);
  row.transactions = rate(sum.transactions);
  row.received = rate(sum.received);
  row.sent = rate(sum.sent);
  row.query_time = sum.queries == 0 ? 0 : sum.query_time / sum.queries;
  row.query = std::move(sum.query);
  row.transaction = std::move(sum.transaction);
  row.wait = std::move(sum.wait);
  return row;
}

pool_name summed(const pool_name& name, throughput_by by) {
  switch (by) {
  case throughput_by::tenant:
    return {name.tenant, {}, {}};
  case throughput_by::database:
    return {name.tenant, name.database, {}};
  case throughput_by::user:
    return {name.tenant, {}, name.user};
  default:
    return name;
  }
}

/// Counters only grow; what is smaller than before is another client's, and begins at nothing.
std::uint64_t grown(std::uint64_t& before, std::uint64_t now) {
  const std::uint64_t result = now >= before ? now - before : now;
  before = now;
  return result;
}

} // namespace

// -- taking in
// -----------------------------------------------------------------------------------------------------------

void throughput_ledger::take(const meter_reading& reading) {
  for (const pool_growth& one : reading.pools) {
    pool_figures& open = pools_[one.name].open();
    open.queries += one.counts.query_count;
    open.transactions += one.counts.xact_count;
    open.received += one.counts.received;
    open.sent += one.counts.sent;
    open.query.merge(one.times[static_cast<std::size_t>(timed::query)]);
    open.transaction.merge(one.times[static_cast<std::size_t>(timed::transaction)]);
    open.wait.merge(one.times[static_cast<std::size_t>(timed::wait)]);
  }
  for (const client_growth& one : reading.clients)
    take_client(one);
  for (const std::uint64_t id : reading.gone)
    clients_.erase(id);
}

void throughput_ledger::take_client(const client_growth& now) {
  auto found = clients_.find(now.id);
  if (found == clients_.end()) {
    if (clients_.size() >= most_clients || now.who == nullptr) return; // it is told again within a minute
    found = clients_.emplace(now.id, client_record{}).first;
  }
  client_record& record = found->second;
  if (now.who) record.who = now.who;
  client_figures fresh;
  fresh.queries = static_cast<std::uint32_t>(grown(record.queries, now.queries));
  fresh.transactions = static_cast<std::uint32_t>(grown(record.transactions, now.transactions));
  fresh.received = grown(record.received, now.received);
  fresh.sent = grown(record.sent, now.sent);
  fresh.query_time = grown(record.query_time, now.query_time);
  fresh.durations = now.durations;
  fresh.recent = now.recent;
  record.ring.open().fold(fresh, 0);
}

void throughput_ledger::tick(clock::time_point now) {
  clock_.tick(now);
  for (auto place = pools_.begin(); place != pools_.end();) {
    place->second.close(clock_.now());
    place = place->second.idle() ? pools_.erase(place) : std::next(place);
  }
  for (auto place = clients_.begin(); place != clients_.end();) {
    place->second.ring.close(clock_.now());
    place = place->second.ring.idle() ? clients_.erase(place) : std::next(place);
  }
}

// -- asking
// --------------------------------------------------------------------------------------------------------------

std::vector<throughput_row> throughput_ledger::pool_rows(throughput_by by, window over) const {
  std::map<pool_name, row_sum> sums;
  for (const auto& [name, ring] : pools_)
    ring.add_to(sums[summed(name, by)], clock_, over);
  std::vector<throughput_row> rows;
  for (auto& [name, sum] : sums) {
    if (sum.empty()) continue;
    rows.push_back(make_row(std::move(sum), over, clock_.span(over)));
    rows.back().name = name;
  }
  return rows;
}

std::vector<throughput_row> throughput_ledger::client_rows(window over) const {
  std::vector<throughput_row> rows;
  for (const auto& [id, record] : clients_) {
    row_sum sum;
    record.ring.add_to(sum, clock_, over);
    if (sum.empty()) continue;
    throughput_row& row = rows.emplace_back(make_row(std::move(sum), over, clock_.span(over)));
    row.client = id;
    row.name = record.who->name;
    row.addr = record.who->addr + (record.who->port > 0 ? ":" + std::to_string(record.who->port) : std::string());
    row.application_name = record.who->application_name;
  }
  return rows;
}

std::vector<throughput_row> throughput_ledger::rows(const throughput_question& question) const {
  std::vector<throughput_row> rows =
      question.by == throughput_by::client ? client_rows(question.over) : pool_rows(question.by, question.over);
  const throughput_column* by = question.order != nullptr ? question.order : find_throughput_column("queries");
  // Equal ones in the order of their names, so that a list that is looked at again does not jump.
  const auto before = [&](const throughput_row& a, const throughput_row& b) {
    if (by->text != nullptr) {
      const std::string left = by->text(a), right = by->text(b);
      if (left != right) return question.ascending ? left < right : left > right;
    } else {
      const auto value = [by](const throughput_row& row) {
        return by->exact != nullptr ? by->exact(row) : static_cast<double>(by->number(row));
      };
      const double left = value(a), right = value(b);
      if (left != right) return question.ascending ? left < right : left > right;
    }
    return std::tie(a.name, a.client) < std::tie(b.name, b.client);
  };
  if (question.limit > 0 && question.limit < rows.size()) {
    const auto end = rows.begin() + static_cast<std::ptrdiff_t>(question.limit);
    std::partial_sort(rows.begin(), end, rows.end(), before);
    rows.erase(end, rows.end());
  } else {
    std::sort(rows.begin(), rows.end(), before);
  }
  return rows;
}

std::map<std::string, std::uint64_t> throughput_ledger::busiest() const {
  std::map<std::string, std::uint64_t> result;
  for (const auto& [name, ring] : pools_) {
    row_sum sum;
    ring.add_to(sum, clock_, window::minute);
    result[name.tenant] += sum.queries;
  }
  return result;
}

} // namespace pg_edge::actors
