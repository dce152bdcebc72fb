// PAM's threads: which questions are asked, how many may wait, and that a module that hangs does not hang the node.
#include "actors/pam.hpp"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

using namespace pg_edge::actors;

namespace {

namespace fs = std::filesystem;

/// Services in a folder of their own. "slow" lets everybody in after a while; while the file "held" is there, it waits.
struct services {
  services() {
    folder = fs::temp_directory_path() / ("pam_test_" + std::to_string(::getpid()));
    fs::create_directories(folder);
    write("permit", "auth required pam_permit.so\naccount required pam_permit.so\n");
    write("deny", "auth required pam_deny.so\naccount required pam_permit.so\n");
    write("denied_account", "auth required pam_permit.so\naccount required pam_deny.so\n");
    write("wait", "#!/bin/sh\nwhile [ -e '" + (folder / "held").string() + "' ]; do /bin/sleep 0.05; done\n");
    fs::permissions(folder / "wait", fs::perms::owner_all);
    write("slow",
          "auth required pam_exec.so quiet " + (folder / "wait").string() + "\naccount required pam_permit.so\n");
  }
  ~services() { fs::remove_all(folder); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(folder / name) << text; }
  void hold() const { write("held", ""); }
  void let_go() const { fs::remove(folder / "held"); }
  std::shared_ptr<const pam_question> question(const std::string& service) const {
    auto out = std::make_shared<pam_question>();
    out->service = (folder / service).string();
    out->user = "somebody";
    out->password = "x";
    return out;
  }
  fs::path folder;
};

bool comes_true(const std::function<bool()>& what) {
  for (int i = 0; i < 2000; ++i) {
    if (what()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(pam_test, services)

BOOST_AUTO_TEST_CASE(the_service_decides) {
  BOOST_TEST(check_with_pam(*question("permit")).right);
  const pam_answer wrong = check_with_pam(*question("deny"));
  BOOST_TEST(!wrong.right);
  BOOST_TEST(wrong.why.starts_with("PAM: pam_authenticate: "), wrong.why);
  const pam_answer closed = check_with_pam(*question("denied_account"));
  BOOST_TEST(!closed.right);
  BOOST_TEST(closed.why.starts_with("PAM: pam_acct_mgmt: "), closed.why);
  BOOST_TEST(!check_with_pam(*question("not_there")).right);
}

BOOST_AUTO_TEST_CASE(who_has_left_is_not_asked_about_and_does_not_wait) {
  hold();
  std::atomic<int> answers = 0, late = 0;
  pam_threads pool;
  std::vector<std::shared_ptr<const pam_question>> asked, waiting;
  for (std::size_t i = 0; i < pam_threads::max_threads; ++i) {
    asked.push_back(question("slow"));
    BOOST_TEST(pool.ask(asked.back(), [&](const pam_answer& answer) { answers += answer.right ? 1 : 0; }));
  }
  // Each is with a thread once two hold it.
  BOOST_TEST_REQUIRE(comes_true(
      [&] { return std::all_of(asked.begin(), asked.end(), [](const auto& one) { return one.use_count() == 2; }); }));
  for (std::size_t i = 0; i < pam_threads::max_waiting; ++i) {
    waiting.push_back(question("permit"));
    BOOST_TEST(pool.ask(waiting.back(), [&](const pam_answer&) { ++late; }));
  }
  BOOST_TEST(!pool.ask(question("permit"), [](const pam_answer&) {}));
  waiting.resize(1); // the others leave
  const auto one_more = question("permit");
  BOOST_TEST(pool.ask(one_more, [&](const pam_answer&) { ++late; }));
  let_go();
  BOOST_TEST(comes_true([&] { return answers == static_cast<int>(pam_threads::max_threads) && late == 2; }));
}

BOOST_AUTO_TEST_CASE(after_the_end_nothing_comes) {
  hold();
  std::atomic<int> answers = 0;
  const auto asked = question("slow");
  {
    pam_threads pool;
    BOOST_TEST(pool.ask(asked, [&](const pam_answer&) { ++answers; }));
    BOOST_TEST_REQUIRE(comes_true([&] { return asked.use_count() == 2; }));
  } // the module hangs, and this comes back nevertheless
  let_go();
  BOOST_TEST(comes_true([&] { return asked.use_count() == 1; }));
  BOOST_TEST(answers == 0);
}

BOOST_AUTO_TEST_SUITE_END()
