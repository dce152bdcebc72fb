// Nodes that run the cluster's etcd themselves, with certificates of pg_edgectl cert: founded by word only, and once;
// what a single node had is taken along; members join and leave; killed nodes find their etcd, and killed etcds return.
#include "tests/pg/api_support.hpp"
#include "tests/pg/edges_support.hpp"
#include "tests/support/folders.hpp"

#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <sys/stat.h>

using namespace pg_edge::test;
using namespace std::chrono_literals;

namespace {

constexpr auto patience = 90s; // the machine may be busy
const std::string ctl_program = std::string(build_folder) + "/pg_edgectl";

run_result ctl(const std::vector<std::string>& words) {
  std::vector<std::string> all{ctl_program};
  all.insert(all.end(), words.begin(), words.end());
  return run(all, 120s);
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void check_ctl(const std::vector<std::string>& words, int status, const std::string& part) {
  const run_result got = ctl(words);
  BOOST_TEST(got.status == status, got.out << got.err);
  BOOST_TEST(has(got.out + got.err, part), got.out << got.err);
}

struct etcd_ports {
  std::string client = "127.0.0.1:" + std::to_string(free_port()), peer = "127.0.0.1:" + std::to_string(free_port());
};

/// `files`: the folder with certificates.
std::string cluster_section(const std::string& node, const etcd_ports& own, const std::vector<etcd_ports>& all,
                            const std::string& files) {
  std::string store;
  for (const etcd_ports& one : all)
    store += (store.empty() ? "\"https://" : ", \"https://") + one.client + "\"";
  return "[cluster]\nname = \"blue\"\nnode = \"" + node + "\"\nstore = [" + store + "]\netcd_listen = \"" + own.client +
         "\"\netcd_peer_listen = \"" + own.peer + "\"\netcd_folder = \"{dir}/etcd\"\ncertificate = \"" + files + "/" +
         node + ".crt\"\nkey = \"" + files + "/" + node + ".key\"\nca = \"" + files + "/cluster-ca.crt\"\n";
}

std::string toml(std::uint16_t api, const std::string& cluster) {
  return simple_toml("default_pool_size = 3\nauth_type = \"scram-sha-256\"\nstore_path = \"{dir}/store.db\"\n",
                     "[admin]\nlisten = \"127.0.0.1:" + std::to_string(api) + "\"\n[admin.tokens.boss]\ntoken = \"" +
                         api_boss + "\"\nrole = \"admin\"\n" + cluster);
}

pg_edge_options early() {
  pg_edge_options out;
  out.wait_until_listening = false;
  return out;
}

void make_files(const std::string& folder, const std::vector<std::string>& nodes) {
  check_ctl({"cert", "ca", "--folder", folder}, 0, "cluster-ca.key: its key");
  for (const std::string& node : nodes)
    check_ctl({"cert", "node", node, "--folder", folder, "--hosts", "10.0.0.1,a.example"}, 0, "IP:10.0.0.1");
}

bool serves(std::uint16_t api) {
  return wait_for([&] { return ask(api, "GET", "/v1/store").status == 200; }, patience);
}

bool works(std::uint16_t api) {
  return wait_for(
      [&] {
        const answer got = ask(api, "GET", "/v1/store");
        return got.status == 200 && got.value()["works"] == true;
      },
      patience);
}

pid_t etcd_of(const pg_edge_process& node) {
  return std::atoi(read_file(node.folder() + "/etcd/pid").c_str());
}

/// How many processes have this node's data folder.
int etcds_of(const pg_edge_process& node) {
  return std::atoi(run({"pgrep", "-c", "-f", "--", "--data-dir=" + node.folder() + "/etcd/data"}).out.c_str());
}

} // namespace

BOOST_AUTO_TEST_SUITE(cluster_child_pgtest)

BOOST_AUTO_TEST_CASE(certificates_are_made_once_and_for_their_owner) {
  const temp_dir folder;
  check_ctl({"cert", "node", "a", "--folder", folder.path()}, 1, "make the authority first");
  make_files(folder.path(), {"a"});
  check_ctl({"cert", "ca", "--folder", folder.path()}, 1, "is there already");
  check_ctl({"cert", "node", "a", "--folder", folder.path()}, 1, "is there already");
  check_ctl({"cert", "node", "../a", "--folder", folder.path()}, 1, "is no name of a node");
  check_ctl({"cert", "node", "b", "--folder", folder.path(), "--hosts", "x,URI:y z"}, 1, "neither an address");
  check_ctl({"cert", "node", "b", "--folder", folder.path(), "--days", "soon"}, 1, "is no number");
  check_ctl({"cert", "b"}, 1, "cert takes ca");
  struct stat key {};
  BOOST_REQUIRE(::stat((folder / "a.key").c_str(), &key) == 0);
  BOOST_TEST((key.st_mode & 0777) == 0600);
  const run_result verified = run({"openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile",
                                   folder / "cluster-ca.crt", folder / "a.crt"});
  BOOST_TEST(verified.status == 0, verified.out << verified.err);
}

BOOST_AUTO_TEST_CASE(a_single_node_becomes_a_cluster_with_all_it_had) {
  const temp_dir files;
  make_files(files.path(), {"a"});
  const std::uint16_t api = free_port();
  pg_edge_process node(toml(api, ""));
  BOOST_REQUIRE(serves(api));
  BOOST_TEST(ask(api, "POST", "/v1/tenants", R"({"tenant":"t"})").status == 201);
  BOOST_TEST(ask(api, "POST", "/v1/databases",
                 R"({"tenant":"t","database":"app","host":"127.0.0.1","dbname":"app","user":"trust_user","port":)" +
                     std::to_string(postgres::shared().port()) + "}")
                 .status == 201);
  BOOST_TEST(ask(api, "POST", "/v1/users", R"({"tenant":"t","user":"joe","password":"secret of joe"})").status == 201);
  check_ctl({"cluster", "init", "--config", node.config_file()}, 1, "has no [cluster]");
  node.stop();

  const etcd_ports own;
  node.rewrite_config(toml(api, cluster_section("a", own, {own}, files.path())));
  check_ctl({"cluster", "init", "--config", node.config_file()}, 1, "start the node first");
  node.start(early());
  BOOST_TEST(node.wait_for_log("pg_edgectl cluster init founds a new cluster here", patience));
  BOOST_TEST(node.wait_for_log("event=store_awaited", patience));
  BOOST_TEST(etcds_of(node) == 0); // nobody has said so yet
  check_ctl({"cluster", "init", "--config", node.config_file(), "--wait", "90"}, 0,
            "7 objects and lines of the audit log copied"); // three objects, their changes, and the stop
  BOOST_REQUIRE(serves(api));
  const std::string login =
      "host=127.0.0.1 port=" + std::to_string(node.port()) + " user=joe.t dbname=app password='secret of joe'";
  BOOST_TEST(wait_for([&] { return pq::attempt(login).ok(); }, patience));
  BOOST_TEST(ask(api, "GET", "/v1/audit").value()["items"].size() == 4U);
  BOOST_TEST(ask(api, "DELETE", "/v1/users/t/joe", "", {"If-Match: *"}).status == 204);
  // Once more: what was removed since does not come back.
  check_ctl({"cluster", "init", "--config", node.config_file()}, 0, "nothing is copied now");
  BOOST_TEST(ask(api, "GET", "/v1/users/t/joe/definition").status == 404);
  BOOST_TEST(ask(api, "POST", "/v1/users", R"({"tenant":"t","user":"joe","password":"secret of joe"})").status == 201);
  check_ctl({"cluster", "leave", "--config", node.config_file()}, 1, "last member");

  // Its etcd is killed: traffic goes on, and it comes back.
  const pid_t etcd = etcd_of(node);
  ::kill(etcd, SIGKILL);
  BOOST_TEST(pq(login).value("select 1") == "1");
  BOOST_TEST(wait_for([&] { return etcd_of(node) != etcd; }, patience));
  BOOST_REQUIRE(works(api));

  // The node is killed: its etcd goes on, and is found again.
  const pid_t later = etcd_of(node);
  BOOST_TEST(node.stop(SIGKILL) == 128 + SIGKILL);
  BOOST_TEST(etcds_of(node) == 1);
  node.start();
  BOOST_REQUIRE(serves(api));
  BOOST_TEST(node.wait_for_log("found_running=true", patience));
  BOOST_TEST(etcd_of(node) == later);
  BOOST_TEST(pq(login).value("select 1") == "1");
  node.stop();
  BOOST_TEST(etcds_of(node) == 0); // told to end, it takes it along
}

BOOST_AUTO_TEST_CASE(a_process_that_takes_over_takes_the_etcd_over) {
  const temp_dir files;
  make_files(files.path(), {"a"});
  const std::uint16_t api = free_port();
  const etcd_ports own;
  std::string text = toml(api, cluster_section("a", own, {own}, files.path()));
  text.replace(text.find("store_path = \"{dir}/store.db\""), 29, "takeover_socket = \"{dir}/takeover.sock\"");
  pg_edge_process node(text, early());
  BOOST_TEST(node.wait_for_log("event=store_awaited", patience));
  check_ctl({"cluster", "init", "--config", node.config_file(), "--wait", "90"}, 0, "the store of cluster blue works");
  BOOST_REQUIRE(serves(api));
  const pid_t etcd = etcd_of(node);
  // One that cannot serve, since the node does, leaves it alone.
  const run_result second = run({pg_edge_process::binary(), "--config", node.config_file()}, 60s);
  BOOST_TEST(second.status == 1, second.err);
  BOOST_TEST(etcd_of(node) == etcd);
  BOOST_REQUIRE(works(api));
  node.take_over();
  BOOST_TEST(node.former().wait(patience).has_value());
  BOOST_TEST(node.wait_for_log("found_running=true", patience));
  BOOST_REQUIRE(works(api));
  BOOST_TEST(etcd_of(node) == etcd);
  ::kill(etcd, SIGKILL); // the new process looks after it
  BOOST_TEST(wait_for([&] { return etcd_of(node) != etcd; }, patience));
  BOOST_REQUIRE(works(api));
}

BOOST_AUTO_TEST_CASE(three_nodes_are_one_cluster_that_outlives_one_of_them) {
  const temp_dir files;
  make_files(files.path(), {"a", "b", "c"});
  std::vector<etcd_ports> own;
  for (int i = 0; i < 3; ++i)
    own.emplace_back();
  std::vector<std::uint16_t> api;
  std::vector<std::unique_ptr<pg_edge_process>> nodes;
  for (const std::string name : {"a", "b", "c"}) {
    api.push_back(free_port());
    nodes.push_back(std::make_unique<pg_edge_process>(
        toml(api.back(), cluster_section(name, own[nodes.size()], own, files.path())), early()));
    BOOST_TEST(nodes.back()->wait_for_log("event=store_awaited", patience));
  }
  check_ctl({"cluster", "init", "--config", nodes[0]->config_file(), "--wait", "90"}, 0, "founded, with the etcd of");
  // Two can never be founded, and the others serve by the first one's before theirs are members.
  check_ctl({"cluster", "init", "--config", nodes[1]->config_file()}, 1, "pg_edgectl cluster join");
  for (const std::uint16_t one : api)
    BOOST_REQUIRE(serves(one));
  for (std::size_t i = 1; i < 3; ++i) {
    check_ctl({"cluster", "join", "--config", nodes[i]->config_file()}, 0, "is a member of cluster blue");
    BOOST_TEST(nodes[i]->wait_for_log("event=etcd_child state=serving", patience));
    BOOST_REQUIRE(works(api[i]));
  }
  check_ctl({"cluster", "join", "--config", nodes[1]->config_file()}, 1, "is a member already");
  BOOST_TEST(ask(api[2], "POST", "/v1/tenants", R"({"tenant":"t"})").status == 201);
  BOOST_TEST(wait_for([&] { return ask(api[0], "GET", "/v1/tenants/t").status == 200; }, patience));

  // One is lost, node and etcd: the other two change things.
  const pid_t lost = etcd_of(*nodes[0]);
  BOOST_TEST(nodes[0]->stop(SIGKILL) == 128 + SIGKILL);
  ::kill(lost, SIGKILL);
  BOOST_TEST(wait_for(
      [&] {
        const int status = ask(api[1], "POST", "/v1/tenants", R"({"tenant":"u"})").status;
        return status == 201 || status == 409;
      },
      patience));
  BOOST_TEST(wait_for([&] { return ask(api[2], "GET", "/v1/tenants/u").status == 200; }, patience));
  nodes[0]->start();
  BOOST_REQUIRE(serves(api[0]));
  BOOST_TEST(ask(api[0], "GET", "/v1/tenants/u").status == 200);
  BOOST_REQUIRE(works(api[0]));

  // One leaves: its node goes on with the store of the others.
  BOOST_REQUIRE(wait_for([&] { return etcds_of(*nodes[0]) == 1; }, patience));
  std::string refused;
  BOOST_TEST(wait_for(
                 [&] {
                   const run_result left = ctl({"cluster", "leave", "--config", nodes[2]->config_file()});
                   refused = left.err;
                   return left.status == 0;
                 },
                 patience),
             refused);
  BOOST_TEST(wait_for([&] { return etcds_of(*nodes[2]) == 0; }, patience));
  BOOST_TEST(nodes[2]->wait_for_log("state=unfounded", patience));
  BOOST_TEST(wait_for([&] { return std::filesystem::exists(nodes[2]->folder() + "/etcd/data.left"); }, patience));
  BOOST_TEST(wait_for(
      [&] {
        const int status = ask(api[2], "POST", "/v1/tenants", R"({"tenant":"v"})").status;
        return status == 201 || status == 409;
      },
      patience));
  BOOST_TEST(wait_for([&] { return ask(api[0], "GET", "/v1/tenants/v").status == 200; }, patience));
}

BOOST_AUTO_TEST_SUITE_END()
