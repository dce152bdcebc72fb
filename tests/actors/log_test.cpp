// Log lines as their readers see them.
#include "actors/log.hpp"

#include <boost/test/unit_test.hpp>

#include <fcntl.h>
#include <limits>
#include <regex>
#include <set>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace pg_edge::actors;

namespace {

// A pipe in place of stderr.
struct captured {
  int ends[2];
  captured() {
    BOOST_TEST_REQUIRE((pipe(ends) == 0));
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    set_log_descriptor(ends[1]);
    log(level::info, log_event::node_started); // also reports what earlier tests had dropped
    text();
  }
  ~captured() {
    set_log_descriptor(STDERR_FILENO);
    set_log_level(level::info);
    set_log_layout(log_layout::logfmt);
    set_log_rate_limit(0);
    set_log_priorities(false);
    close(ends[0]);
    close(ends[1]);
  }
  std::string text() {
    std::string all;
    char buffer[65536];
    for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;)
      all.append(buffer, static_cast<std::size_t>(n));
    return all;
  }
};

// What follows "event=client_login_failed" when `value` is the value of the key "v".
std::string written(field f) {
  captured out;
  log(level::info, log_event::client_login_failed, {f});
  std::string line = out.text();
  std::string start = "event=client_login_failed ";
  return line.substr(line.find(start) + start.size());
}

} // namespace

BOOST_AUTO_TEST_SUITE(log_test)

BOOST_AUTO_TEST_CASE(a_line_has_time_level_event_and_fields) {
  captured out;
  log(level::warning, log_event::listening, {{"address", "127.0.0.1:6432"}, {"reactors", 4u}, {"tls", true}});
  std::regex expected(R"(time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=warning event=listening )"
                      R"(address=127\.0\.0\.1:6432 reactors=4 tls=true\n)");
  std::string line = out.text();
  BOOST_TEST(std::regex_match(line, expected), line);
}

BOOST_AUTO_TEST_CASE(values_are_quoted_when_they_must_be) {
  BOOST_TEST((written({"v", "plain-value_1"}) == "v=plain-value_1\n"));
  BOOST_TEST((written({"v", ""}) == "v=\"\"\n"));
  BOOST_TEST((written({"v", "two words"}) == "v=\"two words\"\n"));
  BOOST_TEST((written({"v", "a=b"}) == "v=\"a=b\"\n"));
  BOOST_TEST((written({"v", "say \"hi\"\\"}) == "v=\"say \\\"hi\\\"\\\\\"\n"));
  BOOST_TEST((written({"v", "line\nlevel=error\r\t"}) == "v=\"line\\nlevel=error\\r\\t\"\n"));
  BOOST_TEST((written({"v", std::string_view("\0\x1b[31m\x7f", 7)}) == "v=\"\\x00\\x1b[31m\\x7f\"\n"));
  BOOST_TEST((written({"v", "k\xc3\xa4se \xf0\x9f\x90\x98"}) == "v=\"k\xc3\xa4se \xf0\x9f\x90\x98\"\n"));
  BOOST_TEST((written({"v", "\xff\xc3 \xc2\x9b"}) == "v=\"\\xff\\xc3 \\xc2\\x9b\"\n"));
  BOOST_TEST((written({"v", std::string(1025, 'x')}) == "v=\"" + std::string(1024, 'x') + "...\"\n"));
}

BOOST_AUTO_TEST_CASE(numbers) {
  BOOST_TEST((written({"v", std::numeric_limits<std::uint64_t>::max()}) == "v=18446744073709551615\n"));
  BOOST_TEST((written({"v", std::numeric_limits<std::int64_t>::min()}) == "v=-9223372036854775808\n"));
  BOOST_TEST((written({"v", 1.5}) == "v=1.5\n"));
  BOOST_TEST((written({"v", false}) == "v=false\n"));
  BOOST_TEST((written({"v", std::uint8_t{65}}) == "v=65\n"));
}

BOOST_AUTO_TEST_CASE(a_line_never_outgrows_a_pipe_write_and_says_when_it_was_cut) {
  captured out;
  std::string big(1000, '\x01'); // four times as long between quotes
  log(level::info, log_event::listening, {{"first", 1}, {"big", big}, {"last", 2}});
  std::string line = out.text();
  BOOST_TEST((line.size() <= 4096u));
  BOOST_TEST(line.ends_with("first=1 cut=true\n") == (line.find("big=") == std::string::npos));
  log(level::info, log_event::listening, {{"a", big}, {"b", big}});
  line = out.text();
  BOOST_TEST((line.size() <= 4096u));
  BOOST_TEST(line.ends_with(" cut=true\n"));
}

BOOST_AUTO_TEST_CASE(lines_below_the_minimum_are_not_written) {
  captured out;
  set_log_level(level::warning);
  log(level::info, log_event::listening);
  BOOST_TEST(out.text().empty());
  BOOST_TEST(!log_enabled(level::info));
  log(level::error, log_event::listening);
  BOOST_TEST(!out.text().empty());
  BOOST_TEST((level_named("warning") == level::warning));
  BOOST_TEST((level_named("loud") == std::nullopt));
}

BOOST_AUTO_TEST_CASE(a_stuck_reader_costs_lines_not_time) {
  captured out;
  auto before = log_lines_dropped();
  std::string big(900, 'x');
  for (int i = 0; i < 200; ++i)
    log(level::info, log_event::listening, {{"i", i}, {"big", big}});
  auto lost = log_lines_dropped() - before;
  BOOST_TEST((lost > 100u));
  BOOST_TEST((lost < 200u));
  out.text();
  log(level::info, log_event::listening, {{"i", 999}});
  std::string text = out.text();
  BOOST_TEST((text.find("event=log_lines_dropped lines=" + std::to_string(lost) + "\n") != std::string::npos), text);
  BOOST_TEST(text.ends_with("i=999\n"));
  log(level::info, log_event::listening);
  BOOST_TEST((out.text().find("log_lines_dropped") == std::string::npos));
}

BOOST_AUTO_TEST_CASE(a_stuck_socket_is_not_waited_for_either) {
  int ends[2];
  BOOST_TEST_REQUIRE((socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0));
  set_log_descriptor(ends[1]);
  auto before = log_lines_dropped();
  std::string big(1000, 'x');
  for (int i = 0; i < 2000; ++i)
    log(level::info, log_event::listening, {{"big", big}});
  BOOST_TEST((log_lines_dropped() > before));
  close(ends[0]);
  log(level::info, log_event::listening); // no SIGPIPE
  set_log_descriptor(STDERR_FILENO);
  close(ends[1]);
}

BOOST_AUTO_TEST_CASE(lines_of_several_threads_do_not_mix) {
  captured out;
  std::string all;
  std::vector<std::thread> writers;
  for (int w = 0; w < 4; ++w)
    writers.emplace_back([w] {
      for (int i = 0; i < 100; ++i)
        log(level::info, log_event::listening, {{"w", w}, {"i", i}});
    });
  for (auto& writer : writers)
    writer.join();
  all = out.text();
  std::set<std::string> lines;
  std::regex shape(R"(time=\S+ level=info event=listening (w=\d i=\d+))");
  for (std::size_t at = 0, end; (end = all.find('\n', at)) != std::string::npos; at = end + 1) {
    std::string line = all.substr(at, end - at);
    std::smatch match;
    BOOST_TEST_REQUIRE(std::regex_match(line, match, shape), line);
    lines.insert(match[1]);
  }
  BOOST_TEST((lines.size() == 400u));
}

BOOST_AUTO_TEST_CASE(event_names_are_unique_and_searchable) {
  std::set<std::string_view> names;
  for (auto& row : log_events) {
    BOOST_TEST(names.insert(row.name).second, row.name);
    BOOST_TEST((row.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string_view::npos), row.name);
    BOOST_TEST(!row.help.empty());
  }
}

// -- other ways to write a line
// ---------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(json_lines_are_objects) {
  captured out;
  set_log_layout(log_layout::json);
  log(level::warning, log_event::listening,
      {{"address", "a\"b\\c\nd"},
       {"reactors", 4u},
       {"tls", true},
       {"load", 0.5},
       {"below", -3},
       {"name", "k\xc3\xa4se"}});
  const std::string line = out.text();
  const std::string fields = "\"level\":\"warning\",\"event\":\"listening\",\"address\":\"a\\\"b\\\\c\\nd\","
                             "\"reactors\":4,\"tls\":true,\"load\":0.5,\"below\":-3,\"name\":\"k\xc3\xa4se\"}\n";
  BOOST_TEST(line.starts_with("{\"time\":\"20"), line);
  BOOST_TEST(line.ends_with(fields), line);
}

BOOST_AUTO_TEST_CASE(json_has_no_bytes_that_are_no_characters_and_no_infinite_numbers) {
  captured out;
  set_log_layout(log_layout::json);
  log(level::info, log_event::listening,
      {{"a", "\xff\x01"}, {"b", std::numeric_limits<double>::infinity()}, {"c", std::string(2000, 'x')}});
  const std::string line = out.text();
  BOOST_TEST(line.find("\"a\":\"\\\\xff\\u0001\"") != std::string::npos, line);
  BOOST_TEST(line.find("\"b\":\"inf\"") != std::string::npos, line);
  BOOST_TEST(line.find("...\"}\n") != std::string::npos, line);
}

BOOST_AUTO_TEST_CASE(a_json_line_that_is_too_long_is_an_object_too) {
  captured out;
  set_log_layout(log_layout::json);
  const std::string text(1000, 'y');
  log(level::info, log_event::listening,
      {{"a", text}, {"b", text}, {"c", text}, {"d", text}, {"e", text}, {"f", text}});
  const std::string line = out.text();
  BOOST_TEST(line.ends_with(",\"cut\":true}\n"), line);
  BOOST_TEST(line.size() <= 4096u);
}

BOOST_AUTO_TEST_CASE(the_journal_gets_priorities) {
  captured out;
  set_log_priorities(true);
  log(level::error, log_event::listening);
  log(level::info, log_event::listening);
  const std::string text = out.text();
  BOOST_TEST(text.starts_with("<3>time="), text);
  BOOST_TEST(text.find("\n<6>time=") != std::string::npos, text);
}

BOOST_AUTO_TEST_CASE(an_event_that_floods_the_log_is_cut_and_counted) {
  captured out;
  set_log_rate_limit(3);
  for (int i = 0; i < 100; ++i)
    log(level::info, log_event::client_connected, {{"n", i}});
  log(level::info, log_event::client_disconnected); // another event has its own limit
  tell_suppressed_lines();
  const std::string text = out.text();
  const auto count = [&](const std::string& what) {
    std::size_t found = 0;
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
      ++found;
    return found;
  };
  const std::size_t written = count("event=client_connected");
  BOOST_TEST(written >= 3u);
  BOOST_TEST(written < 100u);
  BOOST_TEST(count("event=client_disconnected") == 1u);
  BOOST_TEST_REQUIRE(count("event=log_lines_suppressed of=client_connected lines=") >= 1u);
  std::size_t told = 0;
  const std::string mark = "of=client_connected lines=";
  for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1))
    told += std::stoul(text.substr(at + mark.size()));
  BOOST_TEST(written + told == 100u); // none is lost without a word
  tell_suppressed_lines();
  BOOST_TEST(out.text().empty());
}

BOOST_AUTO_TEST_SUITE_END()
