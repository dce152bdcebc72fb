// The bytes of every message between nodes, as this release writes them. They change only by fields added at the end:
// a node of this release must be understood by the next one, and understand it.
#include "cluster/messages.hpp"

#include <boost/test/unit_test.hpp>

#include <map>
#include <set>

using namespace pg_edge::cluster;

namespace {

std::string hex(const std::string& raw) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const char c : raw) {
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

const pool_key pool{"t", "d", "u"};
const view some_view{7, {{1, "a", "h:1", 5}}, {{2, "b", 4}}};

/// One of each, every field set.
std::vector<node_message> samples() {
  permit_report report{{2049, 9}, 3, 2, 1, true, {}};
  permit_order order{{2049, 9}, 4, 3, 2, true, true, {}};
  return {
      node_hello{"c", "n", "h:1", "0.1", true, 500},
      node_refusal{"no"},
      node_alive{},
      pool_ask{pool, 7},
      pool_state{pool, 7, 2, 5, 11, {{{2049, 9}, 4, 3, 2, 1, 0, 6, true, false}}},
      pool_report{pool, 7, 2, report},
      pool_order{pool, 7, order},
      pool_reserve{pool, 7, 2, 1},
      pool_known{pool, 7, 11},
      roster{2, 5, {{pool, 4711, 250}}},
      cancel_forward{123456, "secret"},
      node_drain{"token ops", "10.0.0.9", 5},
      node_record{"h:1", 1, "h:2", 9},
      view_record{some_view},
  };
}

const std::map<std::uint16_t, std::string> golden{
#include "messages_golden.inc"
};

} // namespace

BOOST_AUTO_TEST_SUITE(cluster_messages_test)

BOOST_AUTO_TEST_CASE(every_message_keeps_its_bytes) {
  const auto all = samples();
  BOOST_REQUIRE(all.size() == std::variant_size_v<node_message>);
  std::set<std::size_t> kinds;
  for (const node_message& one : all) {
    kinds.insert(one.index());
    const std::uint16_t number = std::visit([](const auto& value) { return value.number; }, one);
    const std::string raw = encode(one);
    const auto kept = golden.find(number);
    BOOST_CHECK_MESSAGE(kept != golden.end(), "{" << number << ", \"" << hex(raw) << "\"},");
    if (kept == golden.end()) continue;
    BOOST_TEST(hex(raw) == kept->second, "message " << number);
    const auto read = decode(raw);
    BOOST_TEST(read.version == message_version);
    BOOST_REQUIRE(read.what.has_value());
    BOOST_TEST(read.what->index() == one.index());
    BOOST_TEST(encode(*read.what) == raw);
  }
  BOOST_TEST(kinds.size() == all.size());
  BOOST_TEST(golden.size() == all.size());
}

BOOST_AUTO_TEST_CASE(what_ends_early_is_malformed_or_older_and_never_a_crash) {
  for (const node_message& one : samples()) {
    const std::string raw = encode(one);
    for (std::size_t length = 0; length < raw.size(); ++length) {
      const auto read = decode(std::string_view(raw).substr(0, length));
      BOOST_TEST((read.malformed || read.what.has_value()));
    }
  }
}

BOOST_AUTO_TEST_CASE(what_an_earlier_release_wrote_is_read_with_defaults) {
  const std::string before("\x00\x01\x00\x28\x00\x00\x00\x03h:1\x00\x00\x00\x01", 15); // a node_record without links
  const auto read = decode(before);
  BOOST_REQUIRE(read.what.has_value());
  BOOST_TEST((std::get<node_record>(*read.what) == node_record{"h:1", 1, "", 0}));
  const auto hello = decode(std::string("\x00\x01\x00\x01\x00\x00\x00\x01"
                                        "c\x00\x00\x00\x01n\x00\x00\x00\x03h:1\x00\x00\x00\x03"
                                        "0.1\x01",
                                        29)); // by one that does not say that it is alive
  BOOST_REQUIRE(hello.what.has_value());
  BOOST_TEST(std::get<node_hello>(*hello.what).answer);
  BOOST_TEST(std::get<node_hello>(*hello.what).alive_every_ms == 0);
}

BOOST_AUTO_TEST_CASE(fields_of_a_later_release_are_passed_over) {
  for (const node_message& one : samples()) {
    const auto read = decode(encode(one) + "more");
    BOOST_REQUIRE(read.what.has_value());
    BOOST_TEST(encode(*read.what) == encode(one));
  }
}

BOOST_AUTO_TEST_CASE(a_message_of_a_later_release_is_nothing_but_not_malformed) {
  const auto read = decode(std::string("\x00\x02\xff\xfe", 4));
  BOOST_TEST(read.version == 2);
  BOOST_TEST(!read.what.has_value());
  BOOST_TEST(!read.malformed);
}

BOOST_AUTO_TEST_CASE(a_list_longer_than_its_bytes_is_malformed) {
  std::string raw = encode(roster{2, 5, {}});
  raw.replace(raw.size() - 4, 4, "\xff\xff\xff\xff");
  BOOST_TEST(decode(raw).malformed);
}

BOOST_AUTO_TEST_CASE(nodes_that_do_not_belong_together_are_told_why) {
  const node_hello ours{"c", "a", "h:1", "0.1", false, 500};
  node_hello theirs{"c", "b", "i:1", "0.1", false, 500};
  BOOST_TEST(mismatch(ours, theirs, message_version).empty());
  BOOST_TEST(mismatch(ours, theirs, message_version + 1).empty()); // it decides whether it understands us
  BOOST_TEST(mismatch(ours, theirs, 0).find("upgrade") != std::string::npos);
  theirs.cluster = "other";
  BOOST_TEST(mismatch(ours, theirs, message_version).find("cluster \"other\"") != std::string::npos);
  theirs = ours;
  BOOST_TEST(mismatch(ours, theirs, message_version).find("both nodes are called") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_pool_changes_its_place_only_with_the_member_it_was_on) {
  view all{1, {}, {}};
  for (node_id id = 1; id <= 5; ++id)
    all.members.push_back({id, "n" + std::to_string(id), "", 1});
  view fewer = all;
  fewer.members.erase(fewer.members.begin() + 2);
  std::map<std::string, int> pools;
  for (int i = 0; i < 1000; ++i) {
    const pool_key key{"t", "db" + std::to_string(i), "u"};
    const std::string before = steward_of(all, key)->name, after = steward_of(fewer, key)->name;
    ++pools[before];
    BOOST_TEST((before == after || before == "n3"));
  }
  for (const auto& [name, count] : pools)
    BOOST_TEST((count > 120 && count < 280), name << " has " << count);
  BOOST_TEST(steward_of(view{}, pool) == nullptr);
}

BOOST_AUTO_TEST_SUITE_END()
