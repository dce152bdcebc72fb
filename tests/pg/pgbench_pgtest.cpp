// pgbench through pg_edge in transaction mode, 100 clients on 10 servers, and values of up to 1 GB each way: no error,
// no connection more than the pool's size, no memory that grows with what passes.
//   PG_EDGE_LONG=1    longer runs, and the whole GB
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/pq.hpp"
#include "tests/support/wire_client.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstdlib>
#include <poll.h>
#include <regex>
#include <sys/socket.h>
#include <thread>

using namespace pg_edge::test;

namespace {

constexpr int pool_size = 10;
constexpr int client_count = 100;

bool long_run() {
  return std::getenv("PG_EDGE_LONG") != nullptr;
}

struct node : pg_edge_process {
  explicit node(int reactors, const std::string& settings = "")
      : pg_edge_process((postgres::shared().wait_until_left(),
                         simple_toml("reactors = " + std::to_string(reactors) + "\ndefault_pool_size = " +
                                     std::to_string(pool_size) + "\nmax_client_conn = 1000\n" + settings))) {}
};

std::vector<std::string> pgbench(const node& pool, std::initializer_list<std::string> options) {
  std::vector<std::string> argv{postgres::program("pgbench"), "-h", "127.0.0.1", "-p",
                                std::to_string(pool.port()),  "-U", "trust_user"};
  argv.insert(argv.end(), options);
  argv.emplace_back("app");
  return argv;
}

/// The number behind a label of pgbench's report, -1 when it is not there.
double reported(const std::string& report, const std::string& label) {
  std::smatch match;
  return std::regex_search(report, match, std::regex(label + "[^0-9\n]*([0-9.]+)")) ? std::stod(match[1]) : -1;
}

/// Runs it, and judges errors and the size of the pool.
void run_bench(int reactors, std::initializer_list<std::string> options, double least_transactions = 100) {
  node pool(reactors);
  backend_watcher watcher(postgres::shared(), "trust_user");
  const run_result result = run(pgbench(pool, options), milliseconds(180000));
  BOOST_TEST(result.status == 0, result.out << result.err);
  BOOST_TEST(result.err.find("error") == std::string::npos, result.err);
  BOOST_TEST(result.err.find("aborted") == std::string::npos, result.err);
  BOOST_TEST(reported(result.out, "transactions actually processed: ") >= least_transactions, result.out);
  BOOST_TEST(reported(result.out, "failed transactions: ") <= 0, result.out);
  BOOST_TEST(watcher.max() <= pool_size);
  BOOST_TEST(watcher.max() >= 2); // it was a pool that was measured
  BOOST_TEST(watcher.samples() > 20);
  BOOST_TEST(pool.running());
}

std::string seconds() {
  return long_run() ? "20" : "2";
}

void initialise() {
  static const bool done = [] {
    node pool(1);
    backend_watcher watcher(postgres::shared(), "trust_user");
    const run_result result = run(pgbench(pool, {"-i", "-s", "5", "-q"}), milliseconds(180000));
    BOOST_TEST(result.status == 0, result.out << result.err);
    BOOST_TEST(postgres::shared().query("select count(*) from pgbench_accounts") == "500000");
    BOOST_TEST(watcher.max() <= pool_size);
    return true;
  }();
  BOOST_TEST(done);
}

/// TPC-B and select-only with one protocol.
void run_both(const std::string& protocol, int reactors) {
  initialise();
  const std::string clients = std::to_string(client_count);
  run_bench(reactors, {"-n", "-M", protocol, "-c", clients, "-j", "2", "-T", seconds()});
  run_bench(reactors, {"-n", "-S", "-M", protocol, "-c", clients, "-j", "2", "-T", seconds()});
  BOOST_TEST(postgres::shared().query("select sum(abalance) = (select sum(delta) from pgbench_history) or "
                                      "not exists (select from pgbench_history) from pgbench_accounts") == "t");
}

/// The most memory a process ever had, in MB.
long peak_memory(pid_t pid) {
  const std::string status = read_file("/proc/" + std::to_string(pid) + "/status");
  const std::size_t at = status.find("VmHWM:");
  if (at == std::string::npos) throw test_failure("no VmHWM of " + std::to_string(pid));
  return std::atol(status.c_str() + at + 6) / 1024;
}

constexpr std::size_t megabyte = 1024 * 1024;

std::size_t big_value() {
  return (long_run() ? 1000 : 200) * megabyte; // Postgres allows a value a little less than 1 GB
}

/// Reads messages without keeping them, straight from the socket of a client that has nothing buffered: the bytes of
/// DataRows and CopyData up to ReadyForQuery.
std::size_t bytes_until_ready(const wire_client& client) {
  static thread_local std::string buffer(megabyte, '\0');
  const auto receive = [&](char* into, std::size_t most) {
    pollfd readable{client.descriptor(), POLLIN, 0};
    if (poll(&readable, 1, 60000) != 1) throw test_failure("nothing came for a minute");
    const ssize_t got = recv(client.descriptor(), into, most, 0);
    if (got <= 0) throw test_failure("the connection was closed");
    return static_cast<std::size_t>(got);
  };
  for (std::size_t bytes = 0;;) {
    unsigned char header[5];
    for (std::size_t got = 0; got < sizeof header;)
      got += receive(reinterpret_cast<char*>(header) + got, sizeof header - got);
    std::size_t left = std::size_t{header[1]} << 24 | header[2] << 16 | header[3] << 8 | header[4];
    left -= 4;
    if (header[0] == 'D' || header[0] == 'd') bytes += left;
    while (left > 0)
      left -= receive(buffer.data(), std::min(left, buffer.size()));
    if (header[0] == 'E') throw test_failure("an error: " + buffer.substr(0, 200));
    if (header[0] == 'Z') return bytes;
  }
}

} // namespace

BOOST_AUTO_TEST_SUITE(pgbench_pgtest)

BOOST_AUTO_TEST_CASE(B049_pgbench_simple_on_1_reactor) {
  run_both("simple", 1);
}
BOOST_AUTO_TEST_CASE(B049_pgbench_simple_on_2_reactors) {
  run_both("simple", 2);
}
BOOST_AUTO_TEST_CASE(B049_pgbench_extended_on_1_reactor) {
  run_both("extended", 1);
}
BOOST_AUTO_TEST_CASE(B049_pgbench_extended_on_2_reactors) {
  run_both("extended", 2);
}
BOOST_AUTO_TEST_CASE(B049_pgbench_prepared_on_1_reactor) {
  run_both("prepared", 1);
}
BOOST_AUTO_TEST_CASE(B049_pgbench_prepared_on_2_reactors) {
  run_both("prepared", 2);
}

BOOST_AUTO_TEST_CASE(B192_thousands_of_short_connections) {
  initialise();
  for (int reactors : {1, 2})
    run_bench(reactors, {"-n", "-S", "-C", "-c", "20", "-j", "2", "-T", seconds()}, 200);
}

// -- big values --------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B191_a_big_value_from_the_server_is_streamed) {
  node pool(1);
  wire_client client(pool.port()), other(pool.port());
  client.login("trust_user", "app");
  other.login("trust_user", "app");
  const long before = peak_memory(pool.pid());
  const std::string size = std::to_string(big_value());
  client.send(query_bytes("select repeat('x', " + size + ")"));
  BOOST_TEST(bytes_until_ready(client) > big_value());
  client.send(parse_bytes("", "select repeat('x', $1::int)") + bind_bytes("", "", {size}) + execute_bytes() +
              sync_bytes());
  BOOST_TEST(bytes_until_ready(client) > big_value());
  other.query("select 'other'", "T D(other) C Z(I)");
  const long growth = peak_memory(pool.pid()) - before;
  BOOST_TEST_MESSAGE("memory grew by " << growth << " MB");
  BOOST_TEST(growth < 16);
}

BOOST_AUTO_TEST_CASE(B191_a_big_value_to_the_server_is_streamed) {
  node pool(1);
  wire_options patient;
  patient.timeout = milliseconds(120000);
  wire_client client(pool.port(), patient);
  client.login("trust_user", "app");
  const long before = peak_memory(pool.pid());
  const std::string part(megabyte, 'x'), size = std::to_string(big_value());
  const auto send_value = [&](std::size_t bytes) {
    for (std::size_t sent = 0; sent < bytes; sent += part.size())
      client.send(part);
  };
  // A Bind with one value, by hand: it is made while it is sent.
  client.send(parse_bytes("", "select length($1::text)"));
  const std::string head =
      std::string(2, '\0') + int16_bytes(0) + int16_bytes(1) + int32_bytes(static_cast<std::int64_t>(big_value()));
  client.send("B" + int32_bytes(static_cast<std::int64_t>(4 + head.size() + big_value() + 2)) + head);
  send_value(big_value());
  client.send(int16_bytes(0) + execute_bytes() + sync_bytes());
  client.expect("1 2 D(" + size + ") C Z(I)");
  // And a query string; Postgres's own lexer takes no literal of more than half a GB.
  const std::size_t literal = std::min(big_value(), 400 * megabyte);
  const std::string begin = "select length('", end("')\0", 3);
  client.send("Q" + int32_bytes(static_cast<std::int64_t>(4 + begin.size() + literal + end.size())) + begin);
  send_value(literal);
  client.send(end);
  client.expect("T D(" + std::to_string(literal) + ") C Z(I)");
  const long growth = peak_memory(pool.pid()) - before;
  BOOST_TEST_MESSAGE("memory grew by " << growth << " MB");
  BOOST_TEST(growth < 16);
}

BOOST_AUTO_TEST_CASE(B132_a_client_that_stops_reading_does_not_make_memory_grow) {
  node pool(1);
  wire_options small;
  small.receive_buffer = 65536;
  wire_client lazy(pool.port(), small), other(pool.port());
  lazy.login("trust_user", "app");
  other.login("trust_user", "app");
  const long before = peak_memory(pool.pid());
  lazy.send(query_bytes("select repeat('x', 1000) from generate_series(1, 200000)"));
  std::this_thread::sleep_for(milliseconds(1000));
  other.query("select 'other'", "T D(other) C Z(I)");
  BOOST_TEST(peak_memory(pool.pid()) - before < 16);
  BOOST_TEST(bytes_until_ready(lazy) >= 200000U * 1000U); // and nothing is lost
  BOOST_TEST(peak_memory(pool.pid()) - before < 16);
}

BOOST_AUTO_TEST_SUITE_END()
