// What clients leave behind on servers, what the pooler asks on its own, and what it takes back.
#include "tests/protocol/exchange_rig.hpp"

#include <boost/test/unit_test.hpp>

namespace pg_edge::test {

namespace {

/// Sends it in a new client's name and returns what that got.
std::string once(rig& all, const std::string& sent, toy_settings startup = {}) {
  rig_client& client = all.client(std::move(startup));
  all.send(client, sent);
  return all.got(client);
}

} // namespace

BOOST_AUTO_TEST_SUITE(exchange_state_test)

// -- parameters -------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B051_reported_parameters_follow_the_client) {
  rig all({.servers = 2, .spread = true});
  rig_client& one = all.client();
  rig_client& two = all.client();
  all.send(one, q("SET TimeZone TO 'Asia/Tokyo'"));
  BOOST_TEST(all.got(one) == "C SET; S TimeZone=Asia/Tokyo; Z I");
  BOOST_TEST(!all.server(0).session.dirt.any());
  for (int i = 0; i < 3; ++i) {
    all.send(two, q("SHOW TimeZone"));
    BOOST_TEST(all.got(two) == "T 1; D Etc/UTC; C SHOW; Z I");
    all.send(one, q("SHOW TimeZone"));
    BOOST_TEST(all.got(one) == "T 1; D Asia/Tokyo; C SHOW; Z I");
  }
  BOOST_TEST(all.problems() == "");
}

BOOST_AUTO_TEST_CASE(B050_a_setting_of_a_transaction_ends_with_it) {
  rig all({.servers = 2, .spread = true});
  rig_client& client = all.client();
  for (const char* sql : {"BEGIN", "SET TimeZone TO 'Asia/Tokyo'", "ROLLBACK", "SHOW TimeZone"})
    all.send(client, q(sql));
  BOOST_TEST(all.got(client) ==
             "C BEGIN; Z T; C SET; S TimeZone=Asia/Tokyo; Z T; C ROLLBACK; S TimeZone=Etc/UTC; Z I; T 1; "
             "D Etc/UTC; C SHOW; Z I");
  for (const char* sql : {"BEGIN", "SET LOCAL TimeZone TO 'Asia/Tokyo'", "COMMIT", "SHOW TimeZone"})
    all.send(client, q(sql));
  BOOST_TEST(all.got(client).ends_with("T 1; D Etc/UTC; C SHOW; Z I"));
  BOOST_TEST(all.problems() == "");
}

BOOST_AUTO_TEST_CASE(B052_other_settings_never_reach_another_client) {
  const std::string attempts[] = {
      q("SET work_mem TO 'mine'"),
      exec_params("SET work_mem TO 'mine'"),
      p("s", "SET work_mem TO 'mine'") + s() + b("s") + e() + s(),
      q("SELECT 1; SET TimeZone TO 'x'; SET work_mem TO 'mine'"),
      q("SELECT set_config('work_mem','mine',false)"),
      exec_params("SELECT set_config('work_mem','mine',false)"),
      q("PREPARE s AS SELECT set_config('work_mem','mine',false)") + q("EXECUTE s"),
      // Two portals: the one bound last is not the one that is executed.
      p("a", "SET work_mem TO 'mine'") + p("b", "SET TimeZone TO 'x'") + b("a", {}, "pa") + b("b", {}, "pb") + e("pa") +
          s(),
      p("a", "SELECT set_config('work_mem','mine',false)") + p("b", "SELECT 1") + b("a", {}, "pa") + b("b", {}, "pb") +
          e("pa") + s(),
      q("DISCARD ALL") + q("SELECT set_config('work_mem','mine',false)"),
      q("BEGIN") + q("SET work_mem TO 'mine'") + q("COMMIT"),
      q("SET application_name TO 'x'; SET work_mem TO 'mine'"),
      q("SET role TO mine"),
      q("/* " + std::string(70'000, 'x') + " */ SET work_mem TO 'mine'"),
  };
  for (const std::string& attempt : attempts)
    for (const auto in : {delivery::order::eager, delivery::order::lazy}) {
      rig all({}, {.in = in});
      once(all, attempt);
      BOOST_TEST(once(all, q("SHOW work_mem")) == "T 1; D ; C SHOW; Z I");
      BOOST_TEST(once(all, q("SHOW role")) == "T 1; D ; C SHOW; Z I");
      BOOST_TEST(all.problems() == "", attempt << all.problems());
    }
}

BOOST_AUTO_TEST_CASE(B055_reset_goes_back_to_the_clients_own_values) {
  const toy_settings startup{{"application_name", "mine"}, {"TimeZone", "Asia/Tokyo"}, {"search_path", "tenant"}};
  for (const std::string& reset :
       {q("RESET ALL"), q("DISCARD ALL"), exec_params("RESET ALL"), exec_params("DISCARD ALL"),
        q("RESET search_path") + q("RESET TimeZone") + q("RESET application_name"),
        q("SET TimeZone TO DEFAULT; SET search_path TO DEFAULT; SET application_name TO DEFAULT"),
        p("", "SET TimeZone TO DEFAULT") + b("") + e() + p("", "RESET search_path") + b("") + e() +
            p("", "RESET application_name") + b("") + e() + s()})
    for (const auto in : {delivery::order::eager, delivery::order::lazy})
      for (const std::size_t piece : {0, 1, 5})
        for (const bool together : {false, true}) {
          rig all({.servers = 2, .spread = true}, {.in = in, .piece = piece});
          rig_client& client = all.client(startup);
          const std::string sent[] = {q("SET TimeZone TO 'x'") + q("SET application_name TO 'y'"), reset,
                                      q("SHOW TimeZone"), q("SHOW search_path"), q("SHOW application_name")};
          for (const std::string& one : sent)
            together ? all.queue(client, one) : all.send(client, one);
          all.run();
          toy_database database;
          const std::string expected = straight(sent[0] + sent[1] + sent[2] + sent[3] + sent[4], startup);
          BOOST_TEST(comparable(client.output, toy_server(database, startup).reported()) == expected);
          BOOST_TEST(all.problems() == "");
        }
}

BOOST_AUTO_TEST_CASE(B055_reset_in_a_transaction) {
  const toy_settings startup{{"application_name", "mine"}};
  for (const char* end : {"COMMIT", "ROLLBACK"}) {
    rig all({.servers = 2, .spread = true});
    rig_client& client = all.client(startup);
    std::string sent;
    for (const char* sql :
         {"SET application_name TO 'y'", "BEGIN", "RESET ALL", "SHOW application_name", end, "SHOW application_name",
          "BEGIN", "RESET ALL", "FAIL", "ROLLBACK", "SHOW application_name"}) {
      all.send(client, q(sql));
      sent += q(sql);
    }
    toy_database database;
    BOOST_TEST(comparable(client.output, toy_server(database, startup).reported()) == straight(sent, startup));
    BOOST_TEST(all.problems() == "");
  }
}

BOOST_AUTO_TEST_CASE(B055_reset_behind_which_a_transaction_fails) {
  const toy_settings startup{{"application_name", "mine"}, {"search_path", "tenant"}};
  rig all({}, {.in = delivery::order::lazy});
  rig_client& client = all.client(startup);
  all.send(client, q("RESET ALL") + q("BEGIN") + q("FAIL") + q("ROLLBACK"));
  all.got(client);
  all.send(client, q("SHOW application_name") + q("SHOW search_path"));
  BOOST_TEST(all.got(client) == "T 1; D mine; C SHOW; Z I; T 1; D tenant; C SHOW; Z I");
  BOOST_TEST(once(all, q("SHOW search_path")) == "T 1; D ; C SHOW; Z I");
  BOOST_TEST(all.problems() == "");
}

BOOST_AUTO_TEST_CASE(B011_start_up_values_come_and_go_with_their_client) {
  rig all;
  rig_client& one = all.client({{"application_name", "one"}, {"statement_timeout", "5s"}});
  rig_client& two = all.client({{"application_name", "two"}, {"search_path", "two"}});
  for (int i = 0; i < 2; ++i) {
    all.send(one, q("SHOW application_name") + q("SHOW statement_timeout") + q("SHOW search_path"));
    BOOST_TEST(all.got(one) == "T 1; D one; C SHOW; Z I; T 1; D 5s; C SHOW; Z I; T 1; D ; C SHOW; Z I");
    all.send(two, q("SHOW application_name") + q("SHOW statement_timeout") + q("SHOW search_path"));
    BOOST_TEST(all.got(two) == "T 1; D two; C SHOW; Z I; T 1; D ; C SHOW; Z I; T 1; D two; C SHOW; Z I");
    BOOST_TEST(once(all, q("SHOW application_name") + q("SHOW statement_timeout") + q("SHOW search_path")) ==
               "T 1; D ; C SHOW; Z I; T 1; D ; C SHOW; Z I; T 1; D ; C SHOW; Z I");
  }
  BOOST_TEST(all.problems() == "");
}

BOOST_AUTO_TEST_CASE(B056_no_needless_reset) {
  rig all;
  once(all, q("SELECT 'x'") + exec_params("SELECT 'y'") + p("s", "SELECT 'z'") + b("s") + e() + s() + q("BEGIN") +
                q("SET LOCAL work_mem TO 'x'") + q("COMMIT") + q("PREPARE n AS SELECT 1") + q("EXECUTE n") +
                q("SET TimeZone TO 'Asia/Tokyo'"));
  BOOST_TEST(all.requests(all.server(0)).find("RESET") == std::string::npos);
  BOOST_TEST(all.requests(all.server(0)).find("DISCARD") == std::string::npos);
  BOOST_TEST(all.problems() == "");
}

// -- what is left behind ----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B070_temporary_tables_are_not_seen_by_the_next) {
  const std::string attempts[] = {
      q("CREATE TEMP TABLE x"),
      exec_params("CREATE TEMP TABLE x"),
      q("DISCARD ALL") + q("CREATE TEMP TABLE x"),
      exec_params("DISCARD ALL") + p("s", "CREATE TEMP TABLE x") + b("s") + e() + s(),
      p("s", "CREATE TEMP TABLE x") + s() + b("s") + e() + s(),
  };
  for (const std::string& attempt : attempts)
    for (const auto in : {delivery::order::eager, delivery::order::lazy}) {
      rig all({}, {.in = in});
      once(all, attempt);
      once(all, q("SELECT 1"));
      BOOST_TEST(all.server(0).toy->temporary().empty());
      BOOST_TEST(all.problems() == "");
    }
}

BOOST_AUTO_TEST_CASE(B066_listen_pins_its_client) {
  rig all({.servers = 2, .spread = true});
  rig_client& client = all.client();
  all.send(client, q("LISTEN news"));
  BOOST_TEST((client.server != nullptr));
  rig_server* pinned = client.server;
  all.got(client);
  pinned->toy->notify("news");
  pinned->from_toy += pinned->toy->take();
  all.run();
  BOOST_TEST(all.got(client) == "A news");
  // A transaction that takes the UNLISTEN back leaves it pinned.
  for (const char* sql : {"BEGIN", "UNLISTEN *", "ROLLBACK"})
    all.send(client, q(sql));
  BOOST_TEST((client.server == pinned));
  all.send(client, q("BEGIN; UNLISTEN *; FAIL"));
  all.send(client, q("ROLLBACK"));
  BOOST_TEST((client.server == pinned));
  all.send(client, q("UNLISTEN *; FAIL"));
  BOOST_TEST((client.server == pinned));
  all.send(client, p("", "UNLISTEN *") + b("") + e() + b("nothing") + s());
  BOOST_TEST((client.server == pinned));
  all.send(client, q("UNLISTEN *; LISTEN other"));
  BOOST_TEST((client.server == pinned));
  all.send(client, q("UNLISTEN other"));
  BOOST_TEST((client.server == pinned));
  all.send(client, q("BEGIN") + q("UNLISTEN *") + q("COMMIT"));
  BOOST_TEST((client.server == nullptr));
  all.send(client, q("LISTEN news") + q("DISCARD ALL"));
  BOOST_TEST((client.server == nullptr));
  BOOST_TEST(all.problems() == "");
}

BOOST_AUTO_TEST_CASE(what_to_do_about_dirt) {
  protocol::server_session server;
  const auto sql = [&](std::string_view reset, bool always) {
    const auto result = protocol::resetting_sql(server, reset, always);
    return result ? *result : "close";
  };
  BOOST_TEST(sql("DISCARD ALL", false) == "");
  BOOST_TEST(sql("DISCARD ALL", true) == "DISCARD ALL");
  BOOST_TEST(sql("", true) == "");
  server.dirt.settings = true;
  BOOST_TEST(sql("DISCARD ALL", false) == "SET SESSION AUTHORIZATION DEFAULT;RESET ALL");
  BOOST_TEST(sql("DISCARD ALL", true) == "DISCARD ALL");
  BOOST_TEST(sql("RESET ALL", false) == "RESET ALL");
  BOOST_TEST(sql("", false) == "close");
  server.dirt.prepared = true;
  BOOST_TEST(sql("DISCARD ALL", false) == "DISCARD ALL");
  protocol::note_reset(server);
  BOOST_TEST(sql("DISCARD ALL", false) == "");
  server.dirt.library = true;
  BOOST_TEST(sql("DISCARD ALL", true) == "close");
}

BOOST_AUTO_TEST_CASE(B052_a_reset_of_settings_keeps_the_prepared_statements) {
  rig all;
  rig_client& client = all.client();
  all.send(client, p("s", "SELECT 'x'") + s() + q("SET work_mem TO 'x'"));
  const auto parses = all.counts().server_parses;
  all.got(client);
  all.send(client, b("s") + e() + s());
  BOOST_TEST(all.got(client) == "2; D x; C SELECT 1; Z I");
  BOOST_TEST(all.counts().server_parses == parses);
}

// -- the pooler's own queries -----------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(an_own_query_and_its_error) {
  toy_database database;
  toy_server toy(database);
  protocol::exchange_counts counts;
  const protocol::exchange_rules rules{.counts = &counts};
  protocol::server_session server;
  server.rules = &rules;
  for (const char* sql : {"FAIL", "SELECT 'x'"})
    for (std::size_t piece = 1; piece < 40; ++piece) {
      protocol::gather out;
      protocol::ask(server, sql, out);
      BOOST_TEST(!server.settled());
      for (std::size_t i = 0; i < out.pieces(); ++i)
        toy.feed(out.at(i));
      std::string wire = toy.take();
      std::string input;
      bool done = false;
      while (!wire.empty()) {
        input.append(wire, 0, piece);
        wire.erase(0, piece);
        protocol::gather to_client;
        protocol::gather to_server;
        const protocol::server_step step = protocol::from_server(server, nullptr, input, to_client, to_server);
        input.erase(0, step.consumed);
        BOOST_TEST(!step.broken);
        BOOST_TEST(to_client.empty());
        BOOST_TEST(to_server.empty());
        done |= step.own_done;
      }
      BOOST_TEST(done);
      BOOST_TEST(server.settled());
      BOOST_TEST(server.own_error.empty() == (std::string_view(sql) != "FAIL"));
    }
  BOOST_TEST(counts.queries == 0u);
}

BOOST_AUTO_TEST_CASE(what_restoring_takes) {
  protocol::server_session server;
  protocol::client_session client;
  auto values = std::make_shared<protocol::parameter_values>();
  values->set("TimeZone", "UTC");
  server.values = client.values = values;
  BOOST_TEST(protocol::restoring_sql(server, client) == "");
  client.values = std::make_shared<protocol::parameter_values>(*values);
  BOOST_TEST(protocol::restoring_sql(server, client) == "");
  BOOST_TEST((server.values == client.values));
  client.values = protocol::with(values, "TimeZone", "Asia/Tokyo");
  BOOST_TEST(protocol::restoring_sql(server, client) == "SET \"TimeZone\" TO 'Asia/Tokyo';");
  server.values = protocol::with(values, "TimeZone", "Asia/Tokyo");
  protocol::note_restored(server, client);
  BOOST_TEST((server.values == client.values));
}

BOOST_AUTO_TEST_CASE(an_asynchronous_parameter_reaches_the_client_and_the_server_alike) {
  rig all;
  rig_client& client = all.client();
  all.send(client, q("BEGIN"));
  all.got(client);
  all.server(0).from_toy = raw('S', std::string("in_hot_standby\0on\0", 18));
  all.run();
  BOOST_TEST(all.got(client) == "S in_hot_standby=on");
  BOOST_TEST((client.session.values == all.server(0).session.values));
}

// -- counters and limits ----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B097_counters) {
  rig all;
  rig_client& client = all.client();
  all.send(client, q("SELECT 1") + q("BEGIN") + exec_params("SELECT 2") + q("COMMIT") + p("s", "SELECT 3") + b("s") +
                       e() + s() + b("s") + e() + s());
  const protocol::exchange_counts& counts = all.counts();
  BOOST_TEST(counts.queries == 6u);
  BOOST_TEST(counts.transactions == 4u);
  BOOST_TEST(counts.client_parses == 2u);
  BOOST_TEST(counts.server_parses == 2u);
  BOOST_TEST(counts.binds == 3u);
}

BOOST_AUTO_TEST_CASE(a_client_that_sends_ahead_without_end_waits) {
  rig all({}, {.in = delivery::order::lazy});
  rig_client& client = all.client();
  all.send(client, p("s", "SELECT 'x'") + s());
  all.got(client);
  std::string batch = q("SELECT 'first'");
  std::string expected = "T 1; D first; C SELECT 1; Z I";
  for (std::size_t i = 0; i < protocol::owed_limit * 2; ++i) {
    batch += cs("s") + p("s", "SELECT 'x'");
    expected += "; 3; 1";
  }
  all.send(client, batch + s());
  BOOST_TEST((all.got(client) == expected + "; Z I"));
  BOOST_TEST(all.problems() == "");
}

BOOST_AUTO_TEST_CASE(a_client_cannot_make_the_pooler_write_without_end) {
  protocol::statement_cache cache;
  protocol::exchange_counts counts;
  const protocol::exchange_rules rules{.max_server_statements = 1, .cache = &cache, .counts = &counts};
  protocol::client_session client;
  client.rules = &rules;
  protocol::server_session server;
  server.rules = &rules;
  const std::string text = "SELECT '" + std::string(500'000, 'x') + "'";
  std::string sent = p("a", text + "1") + p("b", text + "2");
  for (int i = 0; i < 1'000; ++i)
    sent += b("a") + b("b");
  std::string_view rest = sent;
  for (bool waits = false; !waits;) {
    protocol::gather to_server;
    protocol::gather to_client;
    const protocol::client_step step = protocol::from_client(client, &server, rest, to_server, to_client);
    rest.remove_prefix(step.consumed);
    BOOST_TEST(to_server.size() < sent.size() + 3 * protocol::own_bytes_limit);
    waits = step.verdict == protocol::client_verdict::wait;
    BOOST_TEST((waits || step.verdict == protocol::client_verdict::more));
    if (!waits) break;
  }
  BOOST_TEST(rest.size() > 10'000u);
}

// -- hostile and broken -----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B195_what_is_no_message) {
  for (const std::string& sent :
       {raw('Z', "I"), raw('!', ""), std::string("Q\0\0\0\1", 5), std::string("Q\x7f\0\0\0", 5),
        raw('D', "S" + std::string(70'000, 'x')), raw('p', "password")})
    for (const bool active : {false, true}) {
      rig all;
      rig_client& client = all.client();
      if (active) all.send(client, q("BEGIN"));
      all.send(client, sent);
      if (client.broken.empty()) all.send(client, sent); // Describe wants a server first
      BOOST_TEST(client.broken != "");
    }
}

BOOST_AUTO_TEST_CASE(a_server_that_says_what_nothing_asked_for_is_broken) {
  for (const char* type : {"1", "2", "3", "Z", "T", "D", "C", "G", "H", "W", "I", "s", "t", "n", "V", "K", "R", "x"}) {
    protocol::server_session server;
    protocol::client_session client;
    protocol::gather to_client;
    protocol::gather to_server;
    const protocol::server_step step =
        protocol::from_server(server, &client, raw(*type, *type == 'Z' ? "I" : "\0\0"), to_client, to_server);
    BOOST_TEST(step.broken, type);
    BOOST_TEST(to_client.empty(), type);
  }
}

/// Found by server_machine_fuzz: the end of such a message would be told to the client that the server is handed to.
BOOST_AUTO_TEST_CASE(a_server_is_not_at_rest_while_a_message_of_its_own_is_under_way) {
  for (const std::string& message : {raw('E', std::string("SFATAL\0VFATAL\0C57P01\0Mbye\0\0", 27)),
                                     raw('N', std::string("SNOTICE\0C00000\0Mhm\0\0", 21)),
                                     raw('S', std::string("TimeZone\0UTC\0", 13)), raw('A', "1234a\0b\0")}) {
    protocol::server_session server;
    std::string input;
    for (std::size_t at = 0; at < message.size(); ++at) {
      input += message[at];
      protocol::gather to_client;
      protocol::gather to_server;
      input.erase(0, protocol::from_server(server, nullptr, input, to_client, to_server).consumed);
      if (at + 1 < message.size()) BOOST_TEST(!server.at_rest(), message[0] << " after " << at);
    }
    BOOST_TEST(server.at_rest(), message[0]);
  }
}

BOOST_AUTO_TEST_CASE(the_last_words_of_a_server_reach_the_client) {
  rig all;
  rig_client& client = all.client();
  all.send(client, q("BEGIN"));
  all.got(client);
  all.server(0).from_toy = raw('E', std::string("SFATAL\0VFATAL\0C57P01\0Mbye\0\0", 27));
  all.run();
  BOOST_TEST(all.got(client) == "E 57P01 bye");
}

// -- session mode -----------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B075_in_session_mode_names_pass_through) {
  const std::string sent[] = {p("s1", "SELECT 'a'") + s(),
                              b("s1") + e() + s(),
                              q("PREPARE s2 AS SELECT 'b'"),
                              q("EXECUTE s2"),
                              ds("s1") + s(),
                              q("DEALLOCATE s1"),
                              b("s1") + e() + s(),
                              cs("s2") + s(),
                              p("", "SELECT 'c'") + s(),
                              b("") + e() + s(),
                              q("COPY t FROM STDIN"),
                              copy_data("bad") + copy_done(),
                              exec_params("COPY t FROM STDIN"),
                              copy_done() + s(),
                              q("SELECT 'on'")};
  std::string everything;
  for (const std::string& one : sent)
    everything += one;
  for (const auto in : {delivery::order::eager, delivery::order::lazy})
    for (const std::size_t piece : {0, 1, 2, 7})
      for (const bool together : {false, true}) {
        rig all({.sharing = false}, {.in = in, .piece = piece});
        rig_client& client = all.client();
        for (const std::string& one : sent)
          together ? all.queue(client, one) : all.send(client, one);
        all.run();
        toy_database database;
        BOOST_TEST(comparable(client.output, toy_server(database).reported()) == straight(everything));
        BOOST_TEST(all.problems() == "");
        if (!together) BOOST_TEST(all.server(0).toy->statements().count("s1") == 0u);
      }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace pg_edge::test
