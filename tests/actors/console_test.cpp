// The console against a tree of actors that the test plays, and the pure parts behind it.
#include "actors/console.hpp"
#include "actors/console_commands.hpp"
#include "actors/gatherer.hpp"
#include "protocol/messages.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge;
using namespace pg_edge::actors;
using namespace std::chrono_literals;

namespace {

using clock_type = stats_ledger::clock;
const clock_type::time_point start{};

stats_ledger::sample sample(caf::actor_id share, const std::string& database, std::uint64_t queries,
                            std::uint64_t query_time = 0) {
  stats_ledger::sample result{share, {"default", database}, {}};
  result.counts.query_count = queries;
  result.counts.query_time = query_time;
  return result;
}

const database_key a{"default", "a"};

// -- a tree that the test plays
// -----------------------------------------------------------------------------------------------

pool_common_ptr pool(const std::string& database, const std::string& user) {
  auto result = std::make_shared<pool_common>();
  result->name = {"default", database, user};
  config::pool_settings settings;
  settings.mode = config::pool_mode::transaction;
  settings.host = "h1,h2";
  result->set_settings(std::make_shared<const config::pool_settings>(settings));
  return result;
}

caf::behavior share_played(caf::event_based_actor* self, share_snapshot answer, bool stuck) {
  return {[=](const take_snapshot&) -> caf::result<share_snapshot> {
    if (stuck) return self->make_response_promise<share_snapshot>();
    return answer;
  }};
}

steward_actor::behavior_type steward_played(std::vector<caf::actor> shares) {
  return {[](const join_pool&) {},      [](const share_report&) {},
          [](const client_left&) {},    [](const share_unused&) {},
          [](const reserve_wish&) {},   [](const settings_changed&) {},
          [](const end_clients&) {},    [](const control_pools&) {},
          [](const permits_shared&) {}, [=](const list_shares&) { return share_list{shares}; }};
}

tenant_actor::behavior_type tenant_played(std::vector<steward_actor> stewards) {
  return {[](const join_pool&) {},
          [](const pool_unused&) {},
          [](const pool_empty&) {},
          [](const settings_changed&) {},
          [](const end_clients&) {},
          [](const control_pools&) {},
          [=](const list_stewards&) { return steward_list{stewards}; }};
}

tenants_actor::behavior_type tenants_played(std::vector<tenant_actor> tenants) {
  return {[](const join_pool&) {},        [](const tenant_unused&) {},
          [](const settings_changed&) {}, [](const end_clients&) {},
          [](const control_pools&) {},    [=](const list_tenants&) { return tenant_list{tenants}; }};
}

struct fixture {
  caf::actor_system_config config;
  std::unique_ptr<caf::actor_system> system;
  node_context node;

  fixture() {
    config.set("scheduler.max-threads", std::size_t{2});
    config.set("scheduler.policy", caf::atom("sharing"));
    system = std::make_unique<caf::actor_system>(config);
    auto settings = std::make_shared<node_settings>();
    settings->values = std::make_shared<const config::settings>();
    node.set_settings(settings);
  }
  ~fixture() {
    for (const auto& one : {caf::actor_cast<caf::actor>(node.console), caf::actor_cast<caf::actor>(node.gatherer),
                            caf::actor_cast<caf::actor>(node.tenants)})
      if (one) caf::anon_send_exit(one, caf::exit_reason::user_shutdown);
    for (const auto& one : played)
      caf::anon_send_exit(one, caf::exit_reason::user_shutdown);
    node.console = nullptr;
    node.gatherer = nullptr;
    node.tenants = nullptr;
    played.clear();
    system.reset(); // waits for the actors, which use the node
  }

  void play(const std::vector<share_snapshot>& shares, bool with_a_stuck_one = false) {
    std::vector<caf::actor> handles;
    for (const share_snapshot& one : shares)
      handles.push_back(keep(system->spawn(share_played, one, false)));
    if (with_a_stuck_one) handles.push_back(keep(system->spawn(share_played, share_snapshot{}, true)));
    const auto steward = system->spawn(steward_played, handles);
    const auto tenant = system->spawn(tenant_played, std::vector{steward});
    keep(caf::actor_cast<caf::actor>(steward));
    keep(caf::actor_cast<caf::actor>(tenant));
    node.tenants = system->spawn(tenants_played, std::vector{tenant});
    node.console = spawn_console(*system, node);
    node.gatherer = spawn_gatherer(*system, node);
  }

  caf::actor keep(caf::actor one) {
    played.push_back(one);
    return one;
  }

  console_reply ask(const std::string& sql, bool admin = false,
                    protocol::console_wish wish = protocol::console_wish::simple) {
    caf::scoped_actor self{*system};
    self->send(node.console, console_query{caf::actor_cast<caf::actor>(self), {wish, sql, {}, 0}, "u", admin, {}});
    console_reply reply;
    self->receive([&](const console_reply& got) { reply = got; },
                  caf::after(10s) >> [] { BOOST_ERROR("the console does not answer"); });
    return reply;
  }

  std::vector<caf::actor> played;
};

/// The type bytes of whole messages.
std::string types(protocol::bytes_view messages) {
  std::string result;
  protocol::frame_header header;
  while (protocol::read_header(messages, header) == protocol::header_status::ok) {
    result.push_back(header.type);
    messages.remove_prefix(header.total());
  }
  return result;
}

/// The values of all rows.
std::vector<std::vector<std::string>> rows(protocol::bytes_view messages) {
  std::vector<std::vector<std::string>> result;
  protocol::frame_header header;
  while (protocol::read_header(messages, header) == protocol::header_status::ok) {
    if (header.type == 'D') {
      const auto row =
          protocol::decode<protocol::data_row>(messages.substr(protocol::frame_header_size, header.body()));
      result.emplace_back();
      for (const auto& value : row->values)
        result.back().emplace_back(value.value_or("NULL"));
    }
    messages.remove_prefix(header.total());
  }
  return result;
}

share_snapshot snapshot(const pool_common_ptr& of) {
  share_snapshot result;
  result.pool = of;
  result.permits = 2;
  result.cl_active = 3;
  result.cl_waiting = 1;
  result.sv_idle = 1;
  result.maxwait = 1500ms;
  result.counts.query_count = 10;
  return result;
}

} // namespace

BOOST_AUTO_TEST_SUITE(console_test)

// -- the ledger
// ---------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(totals_never_go_back_when_a_share_ends) {
  stats_ledger ledger(start);
  const caf::actor_id both[] = {1, 2}, second[] = {2};
  ledger.note({sample(1, "a", 10), sample(2, "a", 5)}, both, true);
  BOOST_TEST(ledger.lines(start)[a].total.query_count == 15u);
  ledger.note({sample(2, "a", 7)}, both, true); // the first has not answered
  BOOST_TEST(ledger.lines(start)[a].total.query_count == 17u);
  ledger.note({sample(2, "a", 8)}, second, true); // the first is gone
  BOOST_TEST(ledger.lines(start)[a].total.query_count == 18u);
  ledger.note({}, {}, false); // nobody could be asked: nothing is known to be gone
  ledger.note({sample(2, "a", 9)}, second, true);
  BOOST_TEST(ledger.lines(start)[a].total.query_count == 19u);
}

BOOST_AUTO_TEST_CASE(averages_are_since_the_start_and_then_over_the_last_period) {
  stats_ledger ledger(start);
  const caf::actor_id one[] = {1};
  ledger.note({sample(1, "a", 100, 5000)}, one, true);
  auto line = ledger.lines(start + 10s)[a];
  BOOST_TEST(line.average.query_count == 10u); // a second
  BOOST_TEST(line.average.query_time == 50u);  // a query
  ledger.tick(start + 10s);
  ledger.tick(start + 20s); // from now on the first ten seconds do not count
  ledger.note({sample(1, "a", 160, 5600)}, one, true);
  line = ledger.lines(start + 25s)[a];
  BOOST_TEST(line.total.query_count == 160u);
  BOOST_TEST(line.average.query_count == 4u); // 60 in 15 seconds
  BOOST_TEST(line.average.query_time == 10u);
  BOOST_TEST(ledger.sum(start + 25s).average.query_count == 4u);
}

BOOST_AUTO_TEST_CASE(large_counters_do_not_overflow_in_averages) {
  stats_ledger ledger(start);
  const caf::actor_id one[] = {1};
  auto huge = sample(1, "a", 1);
  huge.counts.received = std::uint64_t{1} << 60;
  ledger.note({huge}, one, true);
  BOOST_TEST(ledger.lines(start + 1s)[a].average.received == std::uint64_t{1} << 60);
}

// -- commands
// -----------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(every_row_of_the_table_can_be_found_and_is_in_the_help) {
  const std::string help = console_help();
  for (const console_command& command : console_commands()) {
    BOOST_TEST(!command.help.empty());
    const int ways = (command.rows != nullptr) + (command.act != console_act::none) + (command.run != nullptr);
    BOOST_TEST(ways == 1, command.words);
    if (command.run == nullptr) BOOST_TEST((command.rows != nullptr) == !command.columns.empty(), command.words);
    BOOST_TEST(help.find(command.help) != std::string::npos);
    if (command.rows == nullptr) continue;
    const auto script = protocol::read_console_script(command.words);
    BOOST_TEST((match(script.statements.at(0)).command == &command), command.words);
  }
}

BOOST_AUTO_TEST_CASE(rows_have_as_many_values_as_columns) {
  const stats_ledger ledger(start);
  console_view view;
  auto settings = std::make_shared<config::settings>();
  config::database database;
  database.name = "a";
  settings->default_tenant.databases["a"] = database;
  settings->default_tenant.users["u"].name = "u";
  view.settings = settings;
  view.stats = std::make_shared<stats_ledger>(ledger);
  view.shares = {snapshot(pool("a", "u"))};
  view.shares[0].clients.emplace_back();
  view.shares[0].servers.emplace_back();
  view.reactors.emplace_back();
  for (const console_command& command : console_commands())
    if (command.rows != nullptr)
      for (const auto& row : command.rows(view))
        BOOST_TEST(row.size() == command.columns.size(), command.words);
  BOOST_TEST(show_clients(view).size() == 1u);
  BOOST_TEST(show_databases(view).size() == 2u);
}

// -- the actor
// ------------------------------------------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(pools_are_summed_over_their_shares, fixture) {
  const auto shared = pool("a", "u");
  auto slower = snapshot(shared);
  slower.maxwait = 2250ms;
  play({snapshot(shared), slower, snapshot(pool("b", "u"))});
  const auto reply = ask("SHOW POOLS;");
  BOOST_TEST(types(reply.messages) == "TDDDCZ");
  BOOST_TEST(!reply.failed);
  const auto pools = rows(reply.messages);
  const std::vector<std::string> expected{"a",      "u",           "6",           "2",       "0", "0", "0",
                                          "0",      "0",           "2",           "0",       "0", "0", "2",
                                          "250000", "transaction", "round-robin", "default", "0", "2", "4"};
  BOOST_TEST(pools.at(0) == expected, boost::test_tools::per_element());
  BOOST_TEST(pools.at(1).at(0) == "b");
  BOOST_TEST(pools.at(2).at(0) == "pgbouncer");
}

BOOST_FIXTURE_TEST_CASE(a_stuck_share_costs_its_row_and_not_the_console, fixture) {
  play({snapshot(pool("a", "u"))}, true);
  const auto began = clock_type::now();
  const auto pools = rows(ask("SHOW POOLS").messages);
  BOOST_TEST(pools.size() == 2u);
  BOOST_TEST((clock_type::now() - began >= gatherer_patience));
  BOOST_TEST(types(ask("SHOW VERSION").messages) == "TDCZ");
}

BOOST_FIXTURE_TEST_CASE(without_a_tree_there_are_no_rows, fixture) {
  node.console = spawn_console(*system, node);
  node.gatherer = spawn_gatherer(*system, node);
  BOOST_TEST(rows(ask("SHOW STATS").messages).empty());
}

BOOST_FIXTURE_TEST_CASE(statements_run_in_order_up_to_an_error, fixture) {
  play({});
  BOOST_TEST(types(ask("SHOW VERSION; SHOW LISTS").messages).starts_with("TDCTD"));
  const auto reply = ask("SHOW VERSION; nonsense; SHOW VERSION");
  BOOST_TEST(types(reply.messages) == "TDCEZ");
  BOOST_TEST(reply.failed);
  BOOST_TEST(types(ask("").messages) == "IZ");
  BOOST_TEST(types(ask(" ; -- x").messages) == "IZ");
  BOOST_TEST(types(ask("SHOW HELP").messages) == "NCZ");
}

BOOST_FIXTURE_TEST_CASE(B156_what_changes_something_needs_an_admin, fixture) {
  play({});
  // Those whose words are nothing without arguments.
  const std::map<std::string_view, std::string> arguments{
      {"set", " query_timeout = 1"}, {"ban", " user somebody"}, {"unban", " user somebody"}, {"takeover", " somebody"}};
  for (const console_command& command : console_commands()) {
    if (!command.admin) continue;
    const auto with = arguments.find(command.words);
    const auto reply = ask(std::string(command.words) + (with == arguments.end() ? "" : with->second));
    BOOST_TEST(types(reply.messages) == "EZ");
    BOOST_TEST(protocol::error_field(reply.messages.substr(protocol::frame_header_size), 'C') == "42501");
  }
  BOOST_TEST(types(ask("RELOAD", true).messages) == "EZ"); // there is no node here
}

BOOST_FIXTURE_TEST_CASE(B153_described_without_being_run, fixture) {
  using protocol::console_wish;
  play({});
  BOOST_TEST(types(ask("SHOW POOLS", false, console_wish::describe).messages) == "T");
  BOOST_TEST(types(ask("SHUTDOWN", true, console_wish::describe).messages) == "n");
  BOOST_TEST(types(ask("SHOW timezone", false, console_wish::describe).messages) == "T");
  BOOST_TEST(types(ask("SHOW timezone", false, console_wish::execute).messages) == "DC");
  BOOST_TEST(types(ask("", false, console_wish::execute).messages) == "I");
  BOOST_TEST(ask("SHOW POOLS; SHOW POOLS", false, console_wish::describe).failed);
}

BOOST_FIXTURE_TEST_CASE(clients_of_the_console_are_known_until_they_end, fixture) {
  play({});
  const auto client = system->spawn([](caf::event_based_actor* self) -> caf::behavior {
    return {[](const take_snapshot&) {
              client_row row;
              row.id = 7;
              row.database = "pgbouncer";
              return row;
            },
            [self](const end_client&) { self->quit(); }};
  });
  caf::anon_send(node.console, console_joined{client});
  BOOST_TEST(rows(ask("SHOW CLIENTS").messages).size() == 1u);
  BOOST_TEST(rows(ask("SHOW POOLS").messages).at(0).at(2) == "1");
  caf::anon_send(node.console, end_clients{{}, false});
  for (int i = 0; i < 100 && rows(ask("SHOW CLIENTS").messages).size() == 1u; ++i)
    std::this_thread::sleep_for(20ms);
  BOOST_TEST(rows(ask("SHOW CLIENTS").messages).empty());
}

BOOST_AUTO_TEST_SUITE_END()
