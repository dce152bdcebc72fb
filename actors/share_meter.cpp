// What a share and its clients have counted since they were last read. See actors/meter.
#include "actors/client.hpp"
#include "actors/share.hpp"

namespace pg_edge::actors {

using cluster::server_state;

/// Its clients' names are told again after so many readings: who reads forgets clients that were idle for a minute.
constexpr std::uint32_t name_again = 50;

share_counts share::all_counts() const {
  share_counts result = counts_;
  result.query_count = exchange_counts_.queries;
  result.xact_count = exchange_counts_.transactions;
  result.client_parse_count = exchange_counts_.client_parses;
  result.server_parse_count = exchange_counts_.server_parses;
  result.bind_count = exchange_counts_.binds;
  result.received = exchange_counts_.client_bytes;
  result.sent = exchange_counts_.server_bytes;
  result.wait_time = times_.sum(timed::wait);
  result.query_time = times_.sum(timed::query);
  result.xact_time = times_.sum(timed::transaction);
  return result;
}

/// Returns whether anything has.
bool share::read_growth(pool_growth& into) {
  const share_counts now = all_counts();
  bool grown = !exchange_counts_.errors.empty();
  for (const count_row& row : count_rows) {
    into.counts.*row.member = now.*row.member - read_counts_.*row.member;
    grown = grown || into.counts.*row.member > 0;
  }
  times_.drain(into.times);
  for (const sparse_histogram& one : into.times)
    grown = grown || !one.empty();
  if (!grown) return false;
  read_counts_ = now;
  into.name = pool_->name;
  into.mode = settings_.of(*pool_).mode;
  exchange_counts_.errors.drain([&](const protocol::error_count& one) { into.errors.push_back(one); });
  return true;
}

void share::read_clients(std::uint64_t round, std::vector<client_growth>& into) {
  for (list_link* link = clients_.next(); link != &clients_; link = link->next())
    static_cast<owned_link<client>*>(link)->owner.read_growth(round, into);
}

pool_state share::state() const {
  pool_state result;
  const config::pool_settings& settings = settings_.of(*pool_);
  result.name = pool_->name;
  result.mode = settings.mode;
  result.size = static_cast<std::uint32_t>(std::max(settings.pool_size, 0));
  result.permits = permits_.held();
  result.servers_idle = permits_.count(server_state::idle);
  result.servers_active = permits_.count(server_state::busy);
  result.servers_login = permits_.count(server_state::opening);
  result.servers_closing = permits_.count(server_state::closing) + permits_.count(server_state::leaving);
  result.clients_waiting = static_cast<std::uint32_t>(waiters_.size());
  const std::uint32_t others = client_count_ - std::min(client_count_, result.clients_waiting);
  result.clients_active = std::min(others, result.servers_active);
  result.clients_idle = others - result.clients_active;
  if (!waiters_.empty())
    result.max_wait = std::chrono::duration_cast<std::chrono::microseconds>(home().now() - waiters_.front().since);
  return result;
}

// -- a client
// -----------------------------------------------------------------------------------------------------------

void client::read_growth(std::uint64_t round, std::vector<client_growth>& into) {
  const std::uint64_t bytes = meter_.received + meter_.sent;
  if (bytes == meter_.read_bytes && meter_.answered == meter_.read_answered) return;
  client_growth grown;
  grown.id = session_.id;
  grown.queries = session_.queries;
  grown.transactions = session_.transactions;
  grown.received = meter_.received;
  grown.sent = meter_.sent;
  grown.query_time = meter_.query_time;
  const std::uint32_t answered = meter_.answered - meter_.read_answered;
  grown.durations = static_cast<std::uint8_t>(std::min<std::uint32_t>(answered, kept_durations));
  for (std::uint32_t i = 0; i < grown.durations; ++i)
    grown.recent[i] = meter_.recent[(meter_.answered - 1 - i) % kept_durations];
  meter_.read_bytes = bytes;
  meter_.read_answered = meter_.answered;
  const auto number = static_cast<std::uint32_t>(round);
  if (meter_.told_at == 0 || number - meter_.told_at >= name_again) {
    meter_.told_at = std::max(number, 1U);
    const std::string application(session_.values ? session_.values->get("application_name") : std::string_view());
    grown.who = std::make_shared<const client_identity>(
        client_identity{{pool_->name.tenant, pool_->name.database, user_}, peer_.host, application, peer_.port});
  }
  into.push_back(std::move(grown));
}

} // namespace pg_edge::actors
