// What a transaction costs in things that can be counted: allocations, system calls, waits, messages between actors.
// The bounds are exact but for what timers add while the run lasts.
#include "tests/preload/counts.hpp"
#include "tests/support/folders.hpp"
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/pq.hpp"
#include "tests/support/wire_client.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace pg_edge::test;

namespace {

/// The file in which the process counts, mapped here.
class shared_counts {
public:
  shared_counts() {
    const int fd = ::open(path().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || ::ftruncate(fd, sizeof(process_counts)) != 0) throw test_failure("no file for the counts");
    ::chmod(folder_.path().c_str(), 0755);
    ::chmod(path().c_str(), 0666);
    mapped_ = static_cast<process_counts*>(
        ::mmap(nullptr, sizeof(process_counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    ::close(fd);
  }
  ~shared_counts() { ::munmap(mapped_, sizeof(process_counts)); }
  shared_counts(const shared_counts&) = delete;
  shared_counts& operator=(const shared_counts&) = delete;

  std::string path() const { return folder_ / "counts"; }
  const process_counts& now() const { return *mapped_; }

private:
  temp_dir folder_;
  process_counts* mapped_ = nullptr;
};

struct cost {
  double allocations = 0, system_calls = 0, waits = 0, messages = 0;
};

struct counted_node {
  shared_counts counts;
  pg_edge_process process;
  pq console;

  counted_node()
      : process(simple_toml("reactors = 1\npool_mode = \"transaction\"\nadmin_users = \"trust_user\"\n"
                            "server_tls_sslmode = \"disable\"\n"),
                options()),
        console(process.conninfo("trust_user", "pgbouncer")) {}

  pg_edge_options options() const {
    pg_edge_options how;
    how.environment = {"LD_PRELOAD=" + std::string(build_folder) + "/tests/libpreload_counter.so",
                       "PG_EDGE_COUNTS=" + counts.path()};
    return how;
  }

  double messages() {
    double sum = 0;
    const pq_result actors = console.exec("SHOW ACTORS");
    for (int row = 0; row < actors.rows(); ++row)
      for (const char* kind : {"client", "server", "share"})
        if (actors.value(row, 0) == kind) sum += std::atof(actors.value(row, 2).c_str());
    return sum;
  }

  /// Of one transaction that sends these bytes and waits for the answer, the average of many.
  cost of(const std::string& transaction) {
    constexpr int many = 2000;
    wire_client client(process.port());
    client.login("trust_user", "app");
    const auto run = [&](int times) {
      for (int i = 0; i < times; ++i) {
        client.send(transaction);
        client.read_until_ready();
      }
    };
    run(50);
    const double messages_before = messages();
    const process_counts& now = counts.now();
    const double allocations = static_cast<double>(now.allocations);
    const double calls = static_cast<double>(now.system_calls);
    const double waits = static_cast<double>(now.waits);
    run(many);
    cost each{(static_cast<double>(now.allocations) - allocations) / many,
              (static_cast<double>(now.system_calls) - calls) / many, (static_cast<double>(now.waits) - waits) / many,
              0};
    each.messages = (messages() - messages_before) / many;
    BOOST_TEST_MESSAGE("allocations " << each.allocations << ", system calls " << each.system_calls << ", waits "
                                      << each.waits << ", messages " << each.messages);
    return each;
  }
};

/// What ticks and the console add to two thousand transactions, however slowly they run.
constexpr double slack = 0.25;

} // namespace

BOOST_AUTO_TEST_SUITE(counts_pgtest)

BOOST_AUTO_TEST_CASE(a_transaction_costs_one_read_and_one_write_a_side_and_no_allocation) {
  if (std::getenv("PG_EDGE_SANITIZED") != nullptr) return; // its allocator is not ours to count
  counted_node node;
  const std::string extended =
      parse_bytes("", "select 1") + bind_bytes("", "") + describe_bytes('P', "") + execute_bytes() + sync_bytes();
  for (const auto& [name, bytes] : {std::pair<const char*, std::string>{"simple", query_bytes("select 1")},
                                    {"extended", extended},
                                    {"a longer text", query_bytes("select 1 /* " + std::string(500, 'x') + " */")}}) {
    BOOST_TEST_CONTEXT(name) {
      const cost each = node.of(bytes);
      BOOST_TEST(each.allocations <= 0 + slack);
      BOOST_TEST(each.system_calls <= 4 + slack);
      BOOST_TEST(each.waits <= 2 + slack);
      BOOST_TEST(each.messages <= 0 + slack); // decisions on one reactor need no mailbox
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
