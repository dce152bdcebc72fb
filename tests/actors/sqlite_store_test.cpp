// The SQLite engine: every promise of the store, and what is its own: full disks, files that cannot be used, privacy.
#include "actors/sqlite_store.hpp"
#include "store_conformance.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <future>
#include <sys/mount.h>
#include <sys/stat.h>

using namespace pg_edge::actors;
using namespace pg_edge::cluster;

namespace {

struct folder {
  folder() {
    char pattern[] = "/tmp/pg_edge_store_XXXXXX";
    path = ::mkdtemp(pattern);
  }
  ~folder() { std::filesystem::remove_all(path); }
  std::string file() const { return path + "/store.db"; }
  std::string path;
};

} // namespace

BOOST_AUTO_TEST_SUITE(sqlite_store_test)

BOOST_DATA_TEST_CASE(conforms, boost::unit_test::data::make(store_conformance())) {
  const folder place;
  const std::string file = place.file();
  sample.check({[&file] { return std::make_unique<sqlite_store>(file); }});
}

BOOST_AUTO_TEST_CASE(its_files_are_private) {
  const folder place;
  const std::string file = place.path + "/made/store.db";
  sqlite_store one(file);
  BOOST_TEST(set_now(one, "/a", "secret", 0).ok());
  for (const std::string& path : {file, file + "-wal", file + "-shm"}) {
    struct stat found {};
    BOOST_REQUIRE(::stat(path.c_str(), &found) == 0);
    BOOST_TEST((found.st_mode & 077) == 0U);
  }
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_used_is_an_answer_and_mended_it_works) {
  const folder place;
  sqlite_store one(place.path + "/none/of/these/store.db");
  auto answer = set_now(one, "/a", "1", 0);
  BOOST_TEST((answer.outcome == store_outcome::unavailable));
  BOOST_TEST(answer.why.find("cannot open") != std::string::npos, answer.why);
  std::filesystem::create_directories(place.path + "/none/of/these");
  BOOST_TEST(set_now(one, "/a", "1", 0).ok());

  std::ofstream(place.path + "/text") << std::string(10'000, 'x');
  sqlite_store other(place.path + "/text");
  answer = set_now(other, "/a", "1", 0);
  BOOST_TEST((answer.outcome == store_outcome::unavailable));
  BOOST_TEST(answer.why.find("/text") != std::string::npos, answer.why);
}

BOOST_AUTO_TEST_CASE(a_file_that_was_removed_takes_no_more_writes) {
  const folder place;
  sqlite_store one(place.file());
  BOOST_TEST(set_now(one, "/a", "1", 0).ok());
  for (const char* end : {"", "-wal", "-shm"})
    std::filesystem::remove(place.file() + end);
  const auto answer = set_now(one, "/b", "1", 0);
  BOOST_TEST((answer.outcome == store_outcome::unavailable));
  BOOST_TEST(answer.why.find("removed") != std::string::npos, answer.why);
  BOOST_TEST(set_now(one, "/b", "1", 0).ok()); // a new file from here on
}

/// A file system of a megabyte, which other files fill. Needs root; the tests run as root.
BOOST_AUTO_TEST_CASE(a_full_disk_is_an_answer_and_with_room_it_works_again) {
  const folder place;
  BOOST_REQUIRE_MESSAGE(::mount("tmpfs", place.path.c_str(), "tmpfs", 0, "size=1m") == 0,
                        "mounting a small file system needs root");
  {
    sqlite_store one(place.file());
    BOOST_TEST(set_now(one, "/first", "1", 0).ok());
    {
      std::ofstream fill(place.path + "/fill", std::ios::binary);
      while (fill.write(std::string(1024, 'x').data(), 1024).flush()) {
      }
    }
    store_answer answer;
    int written = 0;
    for (; written < 1000; ++written) {
      answer = set_now(one, "/n/" + std::to_string(written), std::string(1000, 'v'), 0);
      if (!answer.ok()) break;
    }
    BOOST_TEST((answer.outcome == store_outcome::unavailable));
    BOOST_TEST(answer.why.find("no space left") != std::string::npos, answer.why);
    BOOST_TEST(get_now(one, "/first").entries.size() == 1U); // reading goes on
    BOOST_TEST(list_now(one, {"/n/", 0, false, {}}).entries.size() == static_cast<std::size_t>(written));
    sqlite_store another(place.file()); // opened while it is full
    BOOST_TEST(get_now(another, "/first").entries.size() == 1U);
    std::filesystem::remove(place.path + "/fill");
    BOOST_TEST(set_now(one, "/last", "1", 0).ok());
  }
  ::umount(place.path.c_str());
}

/// Who watches from before what is kept is told that something is missing.
BOOST_AUTO_TEST_CASE(a_history_that_is_gone_ends_a_watch) {
  const folder place;
  std::promise<store_event> told; // outlives the store
  sqlite_store one(place.file());
  BOOST_TEST(set_now(one, "/first", "1", 0).ok());
  for (std::int64_t i = 0; i < kept_commits + 5; ++i)
    one.commit({{"/n", std::to_string(i), std::nullopt, 0, false}}, nullptr);
  BOOST_TEST(get_now(one, "/n").ok());
  one.watch("/first", 0, [&](store_event event) { told.set_value(std::move(event)); });
  const auto event = told.get_future().get();
  BOOST_TEST(event.lost);
  BOOST_TEST(!event.why.empty());
}

/// A watch of a quiet prefix is not lost by what happens elsewhere.
BOOST_AUTO_TEST_CASE(a_quiet_watch_lives_on) {
  const folder place;
  std::promise<store_event> told; // outlives the store
  sqlite_store one(place.file());
  one.watch("/quiet", 0, [&](store_event event) { told.set_value(std::move(event)); });
  for (std::int64_t i = 0; i < kept_commits + 5; ++i)
    BOOST_REQUIRE(set_now(one, "/n" + std::to_string(i), "1", 0).ok());
  BOOST_TEST(set_now(one, "/quiet", "1", 0).ok());
  BOOST_TEST(!told.get_future().get().lost);
}

BOOST_AUTO_TEST_SUITE_END()
