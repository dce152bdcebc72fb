// Settings that change while clients work: nobody notices a reload, a pool that grows or shrinks, a tenant that comes
// or goes, or a certificate that is replaced; and an operator is told what changed, what waits for a restart and what
// is wrong.
#include "tests/pg/edges_support.hpp"

#include <boost/test/unit_test.hpp>

#include <thread>

using namespace pg_edge::test;

namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string told(const pq& console) {
  std::string all;
  for (const std::string& line : console.notices())
    all += line + "\n";
  return all;
}

/// Clients that work until they are told to stop, each in one connection; what goes wrong is counted.
class workers {
public:
  workers(const std::string& conninfo, int count) {
    for (int i = 0; i < count; ++i)
      threads_.emplace_back([this, conninfo, i] { work(conninfo, i); });
  }
  ~workers() { stop(); }
  void stop() {
    stopping_ = true;
    for (std::thread& one : threads_)
      one.join();
    threads_.clear();
  }
  int done() const { return done_; }
  int failed() const { return failed_; }
  std::string first_failure() {
    const std::lock_guard<std::mutex> hold(mutex_);
    return failure_;
  }

private:
  void work(const std::string& conninfo, int number) {
    try {
      pq client(conninfo);
      const std::string mine = std::to_string(number);
      while (!stopping_) {
        client.exec("begin");
        const std::string answer = client.value("select " + mine + " + 0");
        client.exec("commit");
        if (answer != mine) throw test_failure("another client's answer: " + answer);
        ++done_;
      }
    } catch (const std::exception& what) {
      ++failed_;
      const std::lock_guard<std::mutex> hold(mutex_);
      if (failure_.empty()) failure_ = what.what();
    }
  }

  std::atomic<bool> stopping_ = false;
  std::atomic<int> done_ = 0, failed_ = 0;
  std::mutex mutex_;
  std::string failure_;
  std::vector<std::thread> threads_;
};

std::string toml_of(int round) {
  const std::string size = std::to_string(2 + round % 9);
  std::string more;
  if (round % 2 == 1)
    more += "[tenants.t" + std::to_string(round) + "]\n[tenants.t" + std::to_string(round) +
            ".databases.x]\nhost = \"127.0.0.1\"\n[users.u" + std::to_string(round) + "]\npassword = \"x\"\n";
  return simple_toml("admin_users = [\"postgres\"]\nmax_client_conn = 500\ndefault_pool_size = " + size +
                         "\nmin_pool_size = " + std::to_string(round % 3) +
                         "\nquery_timeout = " + std::to_string(100 + round) +
                         "\nclient_tls_sslmode = \"allow\"\nclient_tls_cert_file = \"{cert}\"\n"
                         "client_tls_key_file = \"{key}\"\n",
                     more);
}

} // namespace

BOOST_AUTO_TEST_SUITE(live_config_pgtest)

BOOST_AUTO_TEST_CASE(B148_a_hundred_reloads_and_new_certificates_under_load_are_noticed_by_nobody) {
  constexpr int reloads = 100;
  pg_edge_process node(toml_of(0));
  const std::string script = node.folder() + "/script.sql";
  write_file(script, "begin;\nselect pg_sleep(0.001);\nselect count(*) from pg_class;\nend;\n");
  workers plain(node.conninfo(), 6);
  workers over_tls(node.conninfo() + " sslmode=require", 3);
  std::atomic<bool> stopping = false;
  std::atomic<int> bench_runs = 0;
  std::string bench_trouble;
  std::thread bench([&] {
    while (!stopping) {
      const run_result result =
          run({postgres::program("pgbench"), "-n", "-h", "127.0.0.1", "-p", std::to_string(node.port()), "-U",
               "trust_user", "-c", "8", "-T", "3", "-M", "prepared", "-f", script, "app"},
              milliseconds(120000));
      ++bench_runs;
      const bool clean = result.status == 0 && !has(result.err, "error") && !has(result.err, "aborted") &&
                         !has(result.out, "failed transactions: 1");
      if (!clean) bench_trouble += result.out + result.err;
    }
  });
  pq console("host=127.0.0.1 port=" + std::to_string(node.port()) + " user=postgres dbname=pgbouncer");
  std::string last_authority = read_file(node.authority_file());
  for (int round = 1; round <= reloads; ++round) {
    node.rewrite_config(toml_of(round));
    if (round % 10 == 0) {
      const certificate_authority authority("authority " + std::to_string(round));
      const auto leaf = authority.issue("localhost");
      last_authority = authority.certificate();
      write_file(node.folder() + "/server.crt", leaf.certificate);
      write_file(node.folder() + "/server.key", leaf.key);
    }
    if (round % 5 == 0) node.signal(SIGHUP); // the console's one comes behind it
    console.exec("RELOAD");
  }
  BOOST_TEST(has(told(console), "default_pool_size: "));
  stopping = true;
  bench.join();
  plain.stop();
  over_tls.stop();
  BOOST_TEST(bench_runs >= 1);
  BOOST_TEST(bench_trouble.empty(), bench_trouble);
  BOOST_TEST(plain.failed() == 0, plain.first_failure());
  BOOST_TEST(over_tls.failed() == 0, over_tls.first_failure());
  BOOST_TEST(plain.done() > reloads);
  BOOST_TEST(over_tls.done() > 0);
  // New connections are shown the last certificate.
  const std::string file = node.folder() + "/last_ca.crt";
  write_file(file, last_authority);
  const std::string verified = node.conninfo() + " host=localhost sslmode=verify-full sslrootcert=";
  BOOST_TEST(pq(verified + file).value("select 1") == "1");
  BOOST_TEST(!pq::attempt(verified + node.authority_file()).ok());
}

BOOST_AUTO_TEST_CASE(B148_a_pool_shrinks_and_grows_while_it_works) {
  const auto toml = [](int size) {
    return simple_toml("admin_users = [\"postgres\"]\ndefault_pool_size = " + std::to_string(size) + "\n");
  };
  pg_edge_process node(toml(8));
  workers load(node.conninfo("md5_user"), 12);
  BOOST_TEST(wait_for([] { return postgres::shared().backends("md5_user") == 8; }));
  pq console("host=127.0.0.1 port=" + std::to_string(node.port()) + " user=postgres dbname=pgbouncer");
  for (const int size : {2, 10, 1, 6}) {
    node.rewrite_config(toml(size));
    console.exec("RELOAD");
    BOOST_TEST(wait_for([&] { return postgres::shared().backends("md5_user") == size; }),
               "size " << size << ", backends " << postgres::shared().backends("md5_user"));
  }
  load.stop();
  BOOST_TEST(load.failed() == 0, load.first_failure());
}

BOOST_AUTO_TEST_CASE(B148_reload_says_what_changed_what_waits_and_what_is_wrong) {
  const auto toml = [](const std::string& settings, const std::string& tables) {
    return simple_toml("admin_users = [\"postgres\"]\n" + settings, tables);
  };
  pg_edge_process node(toml("default_pool_size = 3\n", ""));
  pq console("host=127.0.0.1 port=" + std::to_string(node.port()) + " user=postgres dbname=pgbouncer");
  node.rewrite_config(toml("default_pool_size = 4\nlisten_backlog = 77\n",
                           "[tenants.new]\n[users.late]\npassword = \"x\"\n[databases.more]\n"));
  console.exec("RELOAD");
  const std::string said = told(console);
  for (const char* part : {"default_pool_size: 3 -> 4", "listen_backlog: 128 -> 77 (needs a restart)",
                           "tenant new: added", "user late: added", "database more: added"})
    BOOST_TEST(has(said, part), said);
  node.rewrite_config(toml("default_pool_size = 5\nquery_timeout = \"soon\"\n", "[users.later]\npasword = \"x\"\n"));
  const pq_result refused = console.try_exec("RELOAD");
  BOOST_TEST(!refused.ok());
  BOOST_TEST(has(refused.message(), "query_timeout"), refused.message());
  BOOST_TEST(has(refused.message(), "did you mean password?"), refused.message());
  BOOST_TEST(console.exec("SHOW CONFIG").cell("key", "default_pool_size", "value") == "4"); // nothing of it
}

/// A certificate that does not fit its key changes nothing, and the old one goes on being shown.
BOOST_AUTO_TEST_CASE(a_certificate_that_cannot_be_used_is_refused) {
  pg_edge_process node(toml_of(0));
  pq console("host=127.0.0.1 port=" + std::to_string(node.port()) + " user=postgres dbname=pgbouncer");
  const certificate_authority other("other");
  write_file(node.folder() + "/server.crt", other.issue("localhost").certificate);
  node.rewrite_config(toml_of(4));
  const pq_result refused = console.try_exec("RELOAD");
  BOOST_TEST(!refused.ok());
  BOOST_TEST(has(refused.message(), "client_tls"), refused.message());
  BOOST_TEST(console.exec("SHOW CONFIG").cell("key", "default_pool_size", "value") == "2");
  const std::string verified =
      node.conninfo() + " host=localhost sslmode=verify-full sslrootcert=" + node.authority_file();
  BOOST_TEST(pq(verified).value("select 1") == "1");
}

BOOST_AUTO_TEST_SUITE_END()
