// Clients, a small pool and toy servers around the exchange, with every queue of bytes between them in the test's hand:
// each can be delivered whole, byte by byte or at random. It exists so that a scenario is written once and run in every
// splitting and order, and compared with the same client bytes sent straight to a backend of its own.
#pragma once

#include "protocol/exchange.hpp"
#include "tests/protocol/toy_server.hpp"

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace pg_edge::test {

// -- client messages --------------------------------------------------------------------------------------------------

std::string q(std::string_view sql);
std::string p(std::string_view name, std::string_view sql, std::vector<std::uint32_t> types = {});
std::string b(std::string_view name, std::vector<std::string> parameters = {}, std::string_view portal = "");
std::string ds(std::string_view name); // Describe a statement, a portal
std::string dp(std::string_view name = "");
std::string e(std::string_view portal = "", int limit = 0);
std::string cs(std::string_view name); // Close a statement, a portal
std::string cp(std::string_view name);
std::string s(); // Sync
std::string h(); // Flush
std::string copy_data(std::string_view data);
std::string copy_done();
std::string copy_fail(std::string_view why);
/// Parse without a name, Bind, Describe, Execute, Sync: what libpq sends for PQexecParams.
std::string exec_params(std::string_view sql, std::vector<std::string> parameters = {});
std::string raw(char type, std::string_view body);

// -- what a client got
// -------------------------------------------------------------------------------------------------

/// One line a message: "1", "Z I", "D tag", "C SELECT 1", "E 26000 text", with "S name=value". What is not a whole
/// message stands at the end as "+ n bytes".
std::vector<std::string> lines_of(std::string_view bytes);
/// The same for what a client sent.
std::vector<std::string> requests_of(std::string_view bytes);
std::string joined(const std::vector<std::string>& lines);
/// As compared with the oracle: ParameterStatus is left out and what it said stands behind each ReadyForQuery; names in
/// errors are "?", since those of shared statements are the pooler's.
std::string comparable(std::string_view bytes, toy_settings parameters);

// -- the rig
// -----------------------------------------------------------------------------------------------------------

/// How bytes are cut and in which order queues are served.
struct delivery {
  enum class order { eager, lazy, random }; // the server answers as soon as it can, as late as it can, at random
  order in = order::eager;
  std::size_t piece = 0;             // 0: whatever there is; n: n bytes at a time
  std::mt19937_64* random = nullptr; // with it the pieces are of any size
};

struct rig_options {
  std::size_t servers = 1;
  std::size_t max_server_statements = 200;
  bool sharing = true;
  bool spread = false; // a client is given another server than last time, if there is one
  toy_settings server_startup = {};
};

struct rig_server;

struct rig_client {
  protocol::client_session session;
  toy_settings startup; // as reported at login
  std::string outgoing; // not yet arrived
  std::string input;    // arrived, not used up
  std::string output;
  rig_server* server = nullptr;
  rig_server* last_server = nullptr;
  bool wants_server = false;
  bool waits = false;
  bool gone = false;
  std::string broken;
  std::string sent; // all of it, for the oracle
};

struct rig_server {
  protocol::server_session session;
  std::unique_ptr<toy_server> toy;
  std::string to_toy;   // not yet arrived
  std::string from_toy; // not yet arrived
  std::string input;    // arrived, not used up
  rig_client* client = nullptr;
  enum class doing { nothing, restoring, serving, resetting } now = doing::nothing;
  std::string sent; // all that was sent to it
  int closed = 0;   // how often it was replaced by a new connection
};

class rig {
public:
  explicit rig(rig_options options = {}, delivery how = {});
  ~rig();

  /// A client with these start-up parameters.
  rig_client& client(toy_settings startup = {});
  /// Sends, and runs everything until nothing moves.
  void send(rig_client& client, std::string_view bytes);
  /// Sends without running anything.
  void queue(rig_client& client, std::string_view bytes);
  void run();
  /// One queue, one piece; false if nothing moved. For random orders.
  bool step();
  /// What the server was sent since the last call, as lines.
  std::string requests(rig_server& server);
  /// What the client got since the last call, as lines.
  std::string got(rig_client& client);
  /// A query of somebody else on the database.
  void elsewhere(const std::string& sql);

  rig_server& server(std::size_t i) { return *servers_[i]; }
  std::size_t servers() const { return servers_.size(); }
  protocol::exchange_counts& counts() { return counts_; }
  toy_database& database() { return database_; }
  /// What went wrong so far, empty if nothing: rules of the interface that were not kept.
  const std::string& problems() const { return problems_; }
  /// Gives a server to the first client that waits.
  bool check_out();
  /// A client that has gone takes nothing more.
  protocol::statement_cache& cache() { return cache_; }
  /// Lets `client` have `server` next, whatever the order.
  std::function<bool(rig_client&, rig_server&)> may_have;

private:
  bool arrive_at_exchange(rig_client& client);
  bool arrive_at_toy(rig_server& server);
  bool arrive_from_toy(rig_server& server);
  void use_input(rig_client& client);
  void use_input(rig_server& server);
  void attach(rig_server& server, rig_client& client);
  void released(rig_server& server);
  void own_done(rig_server& server);
  void finish_release(rig_server& server);
  void check_clean(rig_server& server);
  void replace(rig_server& server);
  void ask(rig_server& server, const std::string& sql, rig_server::doing what);
  void write(rig_server& server, const protocol::gather& bytes);
  std::size_t piece_of(std::size_t size);
  void problem(const std::string& text);

  rig_options options_;
  delivery how_;
  toy_database database_;
  protocol::statement_cache cache_;
  protocol::exchange_counts counts_;
  protocol::exchange_rules rules_;
  std::vector<std::unique_ptr<rig_server>> servers_;
  std::vector<std::unique_ptr<rig_client>> clients_;
  std::vector<rig_client*> queue_;
  std::string problems_;
  std::uint64_t next_id_ = 1;
};

/// What a backend of the client's own answers to these bytes.
std::string straight(std::string_view bytes, toy_settings startup = {}, toy_database database = {});

} // namespace pg_edge::test
