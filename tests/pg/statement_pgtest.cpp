// Statement pooling (B076): a server goes back after every query, so a transaction that stays open is refused.
#include "tests/pg/pools_support.hpp"

using namespace pg_edge::test;

namespace {

struct node : pool_node {
  explicit node(const std::string& settings) : pool_node("pool_mode = \"statement\"\n" + settings) {}
};

} // namespace

BOOST_AUTO_TEST_SUITE(statement_pgtest)

BOOST_AUTO_TEST_CASE(B076_a_transaction_of_several_queries_is_refused_and_the_client_told) {
  node pool("default_pool_size = 1\n");
  table("b076");
  wire_client next = pool.client();
  const std::string begin = parse_bytes("", "begin") + bind_bytes("", "") + execute_bytes() + sync_bytes();
  const std::string insert = query_bytes("begin; insert into b076 values (1)");
  for (const std::string& opener : {query_bytes("begin"), begin, insert, query_bytes("start transaction"),
                                    query_bytes("begin; select 1/0"), query_bytes("commit; begin")}) {
    wire_client a = pool.client();
    a.send(opener);
    BOOST_TEST(a.closed_within(milliseconds(5000)));
    BOOST_TEST(error_field(a.last_message(), 'C') == "0A000"); // instead of ReadyForQuery, not behind it
    BOOST_TEST(error_field(a.last_message(), 'S') == "FATAL");
    BOOST_TEST(error_field(a.last_message(), 'M') == "transaction blocks not allowed in statement pooling mode");
    BOOST_TEST(error_field(a.last_message(), 'H').find("pool_mode") != std::string::npos);
    next.query("select pg_current_xact_id_if_assigned() is null, now() = statement_timestamp()", "T D(t,t) C Z(I)");
  }
  BOOST_TEST(count("b076") == "0");
}

BOOST_AUTO_TEST_CASE(B076_a_transaction_is_refused_though_its_end_is_on_its_way) {
  // All answers arrive at once: the end must not hide the beginning.
  node pool("default_pool_size = 1\n");
  for (int i = 0; i < 20; ++i) {
    wire_client a = pool.client();
    a.send(query_bytes("begin") + query_bytes("select 1") + query_bytes("commit"));
    BOOST_TEST(a.closed_within(milliseconds(5000)));
    BOOST_TEST(summary(a.last_message()) == "E(0A000)");
  }
  pool.client().query("select 'next'", "T D(next) C Z(I)");
}

BOOST_AUTO_TEST_CASE(B076_transactions_within_one_query_and_all_else_work) {
  node pool("default_pool_size = 1\n");
  table("b076");
  wire_client a = pool.client(), b = pool.client();
  a.query("begin; insert into b076 values (1); commit", "C(BEGIN) C C(COMMIT) Z(I)");
  a.query("insert into b076 values (2); select 1/0", "C T* E(22012) Z(I)");
  a.query("begin; insert into b076 values (3); rollback", "C C C(ROLLBACK) Z(I)");
  BOOST_TEST(count("b076") == "1");
  a.send(parse_bytes("s", "select $1::text") + describe_bytes('S', "s") + sync_bytes());
  a.expect("1 t T Z(I)");
  b.send(parse_bytes("s", "select 'of b'") + sync_bytes());
  b.expect("1 Z(I)");
  a.send(bind_bytes("", "s", {"of a"}) + execute_bytes() + sync_bytes());
  a.expect("2 D(of a) C Z(I)");
  a.query("set timezone to 'Asia/Tokyo'", "C S Z(I)");
  BOOST_TEST(a.value("show timezone") == "Asia/Tokyo");
  BOOST_TEST(b.value("show timezone") != "Asia/Tokyo");
  a.send(query_bytes("copy b076 from stdin") + copy_data_bytes("5\n") + copy_done_bytes());
  a.expect("G C(COPY 1) Z(I)");
  b.query("copy b076 to stdout", "H d d c C(COPY 2) Z(I)");
}

BOOST_AUTO_TEST_CASE(B076_one_server_serves_many_clients_statement_by_statement) {
  node pool("default_pool_size = 1\n");
  backend_watcher watcher(postgres::shared(), "trust_user");
  std::vector<wire_client> clients;
  for (int i = 0; i < 20; ++i)
    clients.push_back(pool.client());
  for (int round = 0; round < 10; ++round) {
    for (std::size_t i = 0; i < clients.size(); ++i)
      clients[i].send(query_bytes("select " + std::to_string(i * 100 + round)));
    for (std::size_t i = 0; i < clients.size(); ++i)
      clients[i].expect("T D(" + std::to_string(i * 100 + round) + ") C Z(I)");
  }
  BOOST_TEST(watcher.max() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
