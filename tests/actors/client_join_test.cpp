// A client that goes while its pool's answer is on the way: the steward has counted it, so it must be counted out, or
// the pool is held to be in use for ever.
#include "actors/client.hpp"
#include "actors/share.hpp"
#include "config/load.hpp"
#include "config/resolve.hpp"

#include <boost/test/unit_test.hpp>
#include <caf/all.hpp>

#include <fcntl.h>
#include <functional>
#include <future>
#include <memory>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using namespace pg_edge;
using namespace pg_edge::actors;
using namespace std::chrono_literals;

namespace {

bool eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

/// Takes the wish of the one client that comes, and answers nothing.
tenants_actor::behavior_type tenants_played(const std::shared_ptr<std::promise<caf::actor>>& wish) {
  return {[=](const join_pool& message) { wish->set_value(message.client); },
          [](const tenant_unused&) {},
          [](const settings_changed&) {},
          [](const end_clients&) {},
          [](const control_pools&) {},
          [](const list_tenants&) { return tenant_list{}; }};
}

steward_actor::behavior_type steward_played() {
  return {[](const join_pool&) {},      [](const share_report&) {},
          [](const client_left&) {},    [](const share_unused&) {},
          [](const reserve_wish&) {},   [](const settings_changed&) {},
          [](const end_clients&) {},    [](const control_pools&) {},
          [](const permits_shared&) {}, [](const list_shares&) { return share_list{}; }};
}

/// Holds its reactor up from the moment it begins until it is told.
class blocker final : public pinned_actor {
public:
  blocker(caf::actor_config& config, reactor& home, std::shared_future<void> end)
      : pinned_actor(config, home), end_(std::move(end)) {}
  caf::behavior make_behavior() override {
    end_.wait();
    return {};
  }

private:
  std::shared_future<void> end_;
};

/// A node with one reactor and a client that waits for its pool; the log goes into a pipe.
struct joining_client {
  node_context node;
  caf::actor_system_config config;
  std::unique_ptr<caf::actor_system> system;
  std::unique_ptr<reactor> home;
  std::shared_ptr<std::promise<caf::actor>> wish = std::make_shared<std::promise<caf::actor>>();
  caf::actor client;
  int ends[2], log_ends[2];

  explicit joining_client(bool replicates = false) {
    config.set("scheduler.max-threads", std::size_t{2});
    system = std::make_unique<caf::actor_system>(config);
    auto settings = std::make_shared<node_settings>();
    settings->values = config::load_text("[pg_edge]\nauth_type = \"any\"\n[databases.app]\nhost = \"localhost\"\n"
                                         "user = \"u\"\n",
                                         "test.toml")
                           .value;
    BOOST_TEST_REQUIRE((settings->values != nullptr));
    node.set_settings(settings);
    node.tenants = system->spawn(tenants_played, wish);
    BOOST_TEST_REQUIRE((pipe(log_ends) == 0));
    fcntl(log_ends[0], F_SETFL, O_NONBLOCK);
    set_log_descriptor(log_ends[1]);
    BOOST_TEST_REQUIRE((socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0));
    home = std::make_unique<reactor>(*system, 0);
    home->start();
    spawn_pinned<actors::client>(*home, node, stream(ends[0]), socket_address{"unix", 0});
    protocol::bytes packet;
    protocol::startup_message message;
    message.parameters = {{"user", "u"}, {"database", "app"}};
    if (replicates) message.parameters.emplace_back("replication", "database");
    protocol::append_startup(packet, message);
    BOOST_TEST_REQUIRE(
        (send(ends[1], packet.data(), packet.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(packet.size())));
    auto answer = wish->get_future();
    BOOST_TEST_REQUIRE((answer.wait_for(20s) == std::future_status::ready));
    client = answer.get();
  }
  ~joining_client() {
    client = nullptr;
    home->stop();
    home->join();
    caf::anon_send_exit(node.tenants, caf::exit_reason::user_shutdown);
    node.tenants = nullptr;
    system.reset();
    home.reset();
    set_log_descriptor(STDERR_FILENO);
    close(log_ends[0]);
    close(log_ends[1]);
  }

  /// Returns when the client actor has noticed it.
  void hang_up() {
    close(ends[1]);
    std::string lines;
    BOOST_TEST(eventually([&] {
      char buffer[4096];
      for (ssize_t n; (n = read(log_ends[0], buffer, sizeof buffer)) > 0;)
        lines.append(buffer, static_cast<std::size_t>(n));
      return lines.find("event=client_login_failed") != std::string::npos;
    }));
  }
  bool gone() {
    return eventually([&] { return node.clients == 0; });
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(client_join_test)

BOOST_AUTO_TEST_CASE(a_client_gone_before_its_pool_answers_is_counted_out) {
  joining_client one;
  one.hang_up();
  BOOST_TEST(one.node.clients == 1); // it waits for that answer
  caf::scoped_actor share{*one.system};
  caf::anon_send(one.client, pool_joined{caf::actor_cast<caf::actor>(share), one.home.get(), nullptr});
  bool told = false;
  share->receive(
      [&](const detach_client& message) {
        told = true;
        BOOST_TEST(!message.attached); // the share never had it in its own count
      },
      caf::after(20s) >> [] {});
  BOOST_TEST(told);
  BOOST_TEST(one.gone());
}

BOOST_AUTO_TEST_CASE(a_client_gone_before_its_pool_refuses_it_ends) {
  joining_client one;
  one.hang_up();
  caf::anon_send(one.client, pool_refused{"E"});
  BOOST_TEST(one.gone());
}

/// The share is as new as its pool, and its reactor comes to the client first. A replication client asks for a server
/// as soon as it knows its share, as one does that has come from another process with a query.
BOOST_AUTO_TEST_CASE(a_client_that_hears_of_its_share_before_that_has_begun_waits_for_it) {
  joining_client one(true);
  const auto values = one.node.settings()->values;
  const auto pool = std::make_shared<pool_common>();
  pool->id = 1;
  pool->name = {values->default_tenant.name, "app", "u"};
  const auto route = config::find_route(*values, pool->name.tenant, "app", "u");
  BOOST_TEST_REQUIRE(route.has_value());
  pool->set_settings(std::make_shared<const config::pool_settings>(
      config::resolve_pool(*values, *route->tenant, *route->database, "app", "u", route->user)));
  const steward_actor steward = one.system->spawn(steward_played);
  std::promise<void> go_on;
  spawn_pinned<blocker>(*one.home, go_on.get_future().share());
  caf::anon_send(one.client, welcome{}); // means nothing to it now: it is only to be before the share
  auto share = spawn_pinned<actors::share>(*one.home, one.node, pool, steward, cluster::share_key{0, 1});
  caf::anon_send(one.client, pool_joined{share, one.home.get(), pool});
  go_on.set_value();
  BOOST_TEST(eventually([&] { return pool->waiting == 1; }));
  caf::anon_send_exit(steward, caf::exit_reason::user_shutdown);
}

BOOST_AUTO_TEST_SUITE_END()
