// A hostile client and a hostile server on the exchange at once. The input is a list of steps: a byte that says whose
// bytes follow and how many, then the bytes. What a step does not use up is fed again with more behind it.
#include "protocol/exchange.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

using namespace pg_edge::protocol;

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

/// What the pooler may say on its own for one call; beyond the limits of sessions.hpp, room for the texts that a
/// single message may bring with it.
constexpr std::size_t own_bytes_bound = 4 * own_bytes_limit;

struct world {
  exchange_counts counts;
  statement_cache cache;
  exchange_rules rules;
  client_session clients[2];
  server_session server;
  bytes from[2];      // unused input of each client
  bytes from_backend; // ... and of the server
  int present = 0;    // the client that has the server
  gather to_server;
  gather to_client;

  explicit world(std::uint8_t flags) {
    rules.share_statements = (flags & 1) != 0;
    rules.max_server_statements = 2;
    rules.cache = &cache;
    rules.counts = &counts;
    auto values = std::make_shared<parameter_values>();
    values->set("TimeZone", "UTC");
    server.rules = &rules;
    server.values = values;
    std::uint64_t id = 1;
    for (client_session& client : clients) {
      client.id = id++;
      client.rules = &rules;
      client.values = client.startup_values = values;
      client.custom_startup = (flags & 2) != 0;
    }
  }

  /// Returns whether it wants to go on with what is left.
  void client_bytes(int which, bytes_view more) {
    bytes& in = from[which];
    in.append(more);
    server_session* mine = which == present ? &server : nullptr;
    for (int turn = 0; turn < 2; ++turn) {
      const std::vector<char> exact(in.begin(), in.end());
      to_server.clear();
      to_client.clear();
      const client_step step =
          from_client(clients[which], mine, bytes_view(exact.data(), exact.size()), to_server, to_client);
      must(step.consumed <= exact.size());
      must(to_server.size() <= exact.size() + own_bytes_bound &&
           to_client.size() <= 2 * exact.size() + own_bytes_bound);
      must(mine != nullptr || to_server.empty());
      if (step.verdict == client_verdict::wait) must(mine != nullptr && !server.owed.empty());
      if (step.verdict == client_verdict::need_server) must(mine == nullptr);
      in.erase(0, step.consumed);
      must(server.owed.size() <= owed_limit + 16);
      if (step.verdict == client_verdict::broken || step.verdict == client_verdict::terminate) in.clear();
      if (step.verdict != client_verdict::need_server) break;
      if (!releasable(server, clients[present]) || !server.settled()) { // as a pool that has none left
        const std::size_t used = refuse_next(clients[which], in, bytes_view("E\0\0\0\5\0", 6), to_client);
        must(used <= in.size());
        in.erase(0, used);
        break;
      }
      give_to(which);
      mine = &server;
    }
    if (in.size() > kept_unnamed_limit * 2) in.clear();
  }

  void give_to(int which) {
    present = which;
    const std::string sql = restoring_sql(server, clients[which]);
    if (!sql.empty()) note_restored(server, clients[which]);
    const auto reset = resetting_sql(server, "DISCARD ALL", false);
    if (!reset || !reset->empty()) note_reset(server);
  }

  void server_bytes(bytes_view more, bool alone) {
    bytes& in = from_backend;
    in.append(more);
    for (int turn = 0; turn < 8; ++turn) {
      const std::vector<char> exact(in.begin(), in.end());
      to_server.clear();
      to_client.clear();
      const std::size_t owed_before = server.owed.size();
      const server_step step = from_server(server, alone ? nullptr : &clients[present],
                                           bytes_view(exact.data(), exact.size()), to_client, to_server);
      must(step.consumed <= exact.size());
      must(to_client.size() <= exact.size() + 16 * (owed_before + 1) + retry_limit);
      must(to_server.size() <= own_bytes_bound);
      if (step.ready) must(server.settled() && server.transaction_status == 'I' && server.owed.empty());
      if (step.drained) must(server.owed.empty());
      in.erase(0, step.consumed);
      if (step.broken) return replace();
      if (!step.ready && !step.own_done) break;
    }
    if (in.size() > 4 * own_bytes_limit) in.clear();
  }

  /// A new connection in place of one that is closed.
  void replace() {
    const parameter_values_ptr values = clients[present].startup_values;
    server = server_session{};
    server.rules = &rules;
    server.values = values;
    from_backend.clear();
    clients[present].frame_left = 0;
    from[present].clear();
  }
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  world all(data[0]);
  bytes_view in(reinterpret_cast<const char*>(data) + 1, size - 1);
  while (!in.empty()) {
    const auto head = static_cast<std::uint8_t>(in[0]);
    in.remove_prefix(1);
    const std::size_t n = std::min<std::size_t>(head & 0x3f, in.size());
    const bytes_view now = in.substr(0, n);
    in.remove_prefix(n);
    switch (head >> 6) {
    case 0:
      all.client_bytes(all.present, now);
      break;
    case 1:
      all.client_bytes(1 - all.present, now);
      break;
    case 2:
      all.server_bytes(now, false);
      break;
    default:
      if (all.server.settled() && (head & 0x20) != 0)
        ask(all.server, now, all.to_server);
      else
        all.server_bytes(now, (head & 0x10) != 0);
    }
  }
  return 0;
}
