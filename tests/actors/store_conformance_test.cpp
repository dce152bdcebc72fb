// The promises of cluster/store.hpp, one function each; an engine's own test file runs them.
#include "store_conformance.hpp"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <future>
#include <mutex>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace pg_edge::actors {

using namespace cluster;

namespace {

constexpr std::chrono::seconds patience{60}; // of tests on a busy machine

store_answer wait_for(const std::function<void(store_handler)>& ask) {
  auto got = std::make_shared<std::promise<store_answer>>();
  auto future = got->get_future();
  ask([got](store_answer answer) { got->set_value(std::move(answer)); });
  if (future.wait_for(patience) != std::future_status::ready) {
    BOOST_ERROR("the store does not answer");
    return {};
  }
  return future.get();
}

} // namespace

store_answer get_now(store& from, const std::string& key) {
  return wait_for([&](store_handler then) { from.get(key, std::move(then)); });
}
store_answer list_now(store& from, store_range range) {
  return wait_for([&](store_handler then) { from.list(std::move(range), std::move(then)); });
}
store_answer commit_now(store& to, std::vector<store_write> writes) {
  return wait_for([&](store_handler then) { to.commit(std::move(writes), std::move(then)); });
}
store_answer set_now(store& to, const std::string& key, const std::string& value, store_revision expected,
                     store_lease lease) {
  return wait_for([&](store_handler then) { to.compare_and_set(key, value, expected, std::move(then), lease); });
}
store_answer remove_now(store& from, const std::string& key, store_revision expected) {
  return wait_for([&](store_handler then) { from.remove(key, expected, std::move(then)); });
}

namespace {

store_answer put_now(store& to, const std::string& key, const std::string& value, store_lease lease = 0) {
  return commit_now(to, {store_write{key, value, std::nullopt, lease, false}});
}

void check_ok(const store_answer& answer) {
  BOOST_TEST((answer.outcome == store_outcome::ok), to_string(answer.outcome) << ": " << answer.why);
}
void check_conflict(const store_answer& answer) {
  BOOST_TEST((answer.outcome == store_outcome::conflict), to_string(answer.outcome) << ": " << answer.why);
}

/// Collects what a watch tells. It must outlive the store, which may tell it until it closes.
class witness {
public:
  store_watcher watcher() {
    return [this](store_event event) {
      const std::lock_guard<std::mutex> hold(mutex_);
      events_.push_back(std::move(event));
      more_.notify_all();
    };
  }
  /// Waits until so many have come, or fails.
  std::vector<store_event> wait_for(std::size_t count) {
    std::unique_lock<std::mutex> hold(mutex_);
    BOOST_TEST(more_.wait_for(hold, patience, [&] { return events_.size() >= count; }));
    return events_;
  }
  std::size_t count() {
    const std::lock_guard<std::mutex> hold(mutex_);
    return events_.size();
  }

private:
  std::mutex mutex_;
  std::condition_variable more_;
  std::vector<store_event> events_;
};

// -- keys
// -------------------------------------------------------------------------------------------------------------------

void creates_reads_replaces_removes(const store_under_test& engine) {
  const auto one = engine.open();
  BOOST_TEST(!one->name().empty());
  const auto nothing = get_now(*one, "/a");
  check_ok(nothing);
  BOOST_TEST(nothing.entries.empty());

  const std::string value("any \0 bytes \xff", 13);
  const auto made = set_now(*one, "/a", value, 0);
  check_ok(made);
  BOOST_TEST(made.revision > 0U);
  const auto found = get_now(*one, "/a");
  BOOST_REQUIRE(found.entries.size() == 1U);
  BOOST_TEST((found.entries[0] == store_entry{"/a", value, made.revision, 0}));

  const auto again = set_now(*one, "/a", "other", 0);
  check_conflict(again);
  BOOST_REQUIRE(again.entries.size() == 1U);
  BOOST_TEST(again.entries[0].value == value); // as it stands

  const auto replaced = set_now(*one, "/a", "", made.revision); // an empty value is a value
  check_ok(replaced);
  BOOST_TEST(replaced.revision > made.revision);
  check_conflict(set_now(*one, "/a", "late", made.revision));
  BOOST_TEST(get_now(*one, "/a").entries.at(0).value.empty());

  check_conflict(remove_now(*one, "/a", made.revision));
  const auto removed = remove_now(*one, "/a", replaced.revision);
  check_ok(removed);
  BOOST_TEST(removed.revision > replaced.revision);
  BOOST_TEST(get_now(*one, "/a").entries.empty());
  check_conflict(remove_now(*one, "/a", replaced.revision)); // it has gone
  const auto back = set_now(*one, "/a", "back", 0);
  check_ok(back);
  BOOST_TEST(back.revision > removed.revision); // the same number never comes again
}

void a_commit_is_everything_or_nothing(const store_under_test& engine) {
  const auto one = engine.open();
  const auto first = set_now(*one, "/x", "1", 0);
  check_conflict(commit_now(*one, {{"/x", "2", first.revision, 0, false}, {"/y", "2", first.revision, 0, false}}));
  BOOST_TEST(get_now(*one, "/x").entries.at(0).value == "1");
  BOOST_TEST(get_now(*one, "/y").entries.empty());
  // A key that is only looked at.
  check_conflict(commit_now(*one, {{"/y", "3", 0, 0, false}, {"/x", std::nullopt, 0, 0, true}}));
  const auto both = commit_now(
      *one,
      {{"/y", "3", 0, 0, false}, {"/x", std::nullopt, first.revision, 0, true}, {"/z", "3", std::nullopt, 0, false}});
  check_ok(both);
  const auto all = list_now(*one, {"/", 0, false, {}});
  BOOST_REQUIRE(all.entries.size() == 3U);
  BOOST_TEST(all.entries[0].revision == first.revision);
  BOOST_TEST(all.entries[1].revision == both.revision); // all of a commit have its number
  BOOST_TEST(all.entries[2].revision == both.revision);
  BOOST_TEST(all.revision == both.revision);
  // What changes nothing is fine, and no commit.
  const auto idle = commit_now(*one, {{"/none", std::nullopt, std::nullopt, 0, false}});
  check_ok(idle);
  BOOST_TEST(get_now(*one, "/x").revision == both.revision);
}

void a_commit_that_no_engine_takes_is_refused(const store_under_test& engine) {
  const auto one = engine.open();
  const auto refused = [&](std::vector<store_write> writes) {
    const auto answer = commit_now(*one, std::move(writes));
    BOOST_TEST((answer.outcome == store_outcome::unavailable));
    BOOST_TEST(!answer.why.empty());
  };
  refused({{"/a", "1", std::nullopt, 0, false}, {"/a", "2", std::nullopt, 0, false}});
  refused({{"", "1", std::nullopt, 0, false}});
  refused({{std::string(longest_store_key + 1, 'k'), "1", std::nullopt, 0, false}});
  refused({{"/a", std::string(longest_store_value + 1, 'v'), std::nullopt, 0, false}});
  std::vector<store_write> many;
  for (std::size_t i = 0; i <= most_store_writes; ++i)
    many.push_back({"/m" + std::to_string(i), "1", std::nullopt, 0, false});
  refused(many);
  many.pop_back();
  check_ok(commit_now(*one, many)); // the limit itself is fine
  check_ok(put_now(*one, std::string(longest_store_key, 'k'), std::string(longest_store_value, 'v')));
}

void lists_by_prefix_in_pages(const store_under_test& engine) {
  const auto one = engine.open();
  for (const char* key : {"/b/1", "/b/3", "/a/1", "/b/2", "/c", "/b", "/b0", "/b/\xff"})
    check_ok(put_now(*one, key, key));
  const auto keys = [&](store_range range) {
    std::vector<std::string> out;
    for (const auto& entry : list_now(*one, std::move(range)).entries)
      out.push_back(entry.key);
    return out;
  };
  using names = std::vector<std::string>;
  const auto same = [](const names& a, const names& b) { BOOST_TEST(a == b, boost::test_tools::per_element()); };
  same(keys({"/b/", 0, false, {}}), {"/b/1", "/b/2", "/b/3", "/b/\xff"});
  same(keys({"/b/", 2, false, {}}), {"/b/1", "/b/2"});
  same(keys({"/b/", 2, false, "/b/2"}), {"/b/3", "/b/\xff"});
  same(keys({"/b/", 2, true, {}}), {"/b/\xff", "/b/3"});
  same(keys({"/b/", 0, true, "/b/3"}), {"/b/2", "/b/1"});
  same(keys({"/none/", 0, false, {}}), {});
  BOOST_TEST(keys({"", 0, false, {}}).size() == 8U);
}

void of_many_who_write_one_wins(const store_under_test& engine) {
  constexpr int threads = 8, rounds = 25;
  const auto first = engine.open(), second = engine.open();
  check_ok(set_now(*first, "/counter", "0", 0));
  std::atomic<int> failures{0};
  std::vector<std::thread> all;
  for (int i = 0; i < threads; ++i)
    all.emplace_back([&, i] {
      store& mine = i % 2 == 0 ? *first : *second;
      for (int done = 0; done < rounds;) {
        const auto now = get_now(mine, "/counter");
        if (now.entries.size() != 1) {
          ++failures;
          return;
        }
        const auto set =
            set_now(mine, "/counter", std::to_string(std::stoi(now.entries[0].value) + 1), now.entries[0].revision);
        if (set.ok())
          ++done;
        else if (set.outcome != store_outcome::conflict) {
          ++failures;
          return;
        }
      }
    });
  for (auto& thread : all)
    thread.join();
  BOOST_TEST(failures == 0);
  BOOST_TEST(get_now(*second, "/counter").entries.at(0).value == std::to_string(threads * rounds));
}

void what_is_acknowledged_is_seen_from_anywhere(const store_under_test& engine) {
  const auto first = engine.open(), second = engine.open();
  for (int i = 0; i < 50; ++i) {
    const std::string value = std::to_string(i);
    check_ok(put_now(i % 2 == 0 ? *first : *second, "/seen", value));
    BOOST_TEST(get_now(i % 2 == 0 ? *second : *first, "/seen").entries.at(0).value == value);
  }
}

// -- watches
// ----------------------------------------------------------------------------------------------------------------

/// Two writers, several watchers that begin at different moments: each tells every commit, once and in order.
void a_watch_misses_and_repeats_nothing(const store_under_test& engine) {
  constexpr int count = 150;
  witness early, late;
  const auto one = engine.open(), other = engine.open();
  check_ok(put_now(*one, "/w/before", "0"));
  const auto start = list_now(*one, {"/w/", 0, false, {}}).revision;
  one->watch("/w/", start, early.watcher());
  const auto write = [&](store& to, const std::string& name) {
    for (int i = 0; i < count; ++i) {
      put_now(to, "/w/" + name, std::to_string(i));
      if (i % 10 == 0) put_now(to, "/not_watched/" + name, std::to_string(i));
    }
  };
  std::thread first([&] { write(*one, "a"); });
  std::thread second([&] { write(*other, "b"); });
  early.wait_for(20);
  const auto id = other->watch("/w/", start, late.watcher()); // the past, and then the present, without a seam
  first.join();
  second.join();
  check_ok(commit_now(*one, {{"/w/a", std::nullopt, std::nullopt, 0, false}, {"/w/c", "end", 0, 0, false}}));
  for (witness* who : {&early, &late}) {
    const auto events = who->wait_for(2 * count + 1);
    BOOST_REQUIRE(events.size() == 2U * count + 1);
    int a = 0, b = 0;
    store_revision last = start;
    for (std::size_t i = 0; i + 1 < events.size(); ++i) {
      BOOST_REQUIRE(!events[i].lost);
      BOOST_TEST(events[i].revision > last);
      last = events[i].revision;
      BOOST_REQUIRE(events[i].changes.size() == 1U);
      int& next = events[i].changes[0].key == "/w/a" ? a : b;
      BOOST_TEST(events[i].changes[0].value.value_or("") == std::to_string(next));
      ++next;
    }
    const std::vector<store_change> end{{"/w/a", std::nullopt, 0}, {"/w/c", "end", 0}}; // a whole commit at once
    BOOST_TEST((events.back().changes == end));
  }
  other->unwatch(id);
  const auto seen = late.count();
  check_ok(put_now(*other, "/w/a", "after"));
  early.wait_for(2 * count + 2);
  check_ok(get_now(*other, "/w/a"));
  BOOST_TEST(late.count() == seen);
}

/// A history has an end; who is behind it must be told, not left without news.
void a_watch_from_too_long_ago_says_so(const store_under_test& engine) {
  witness who, beginning;
  const auto one = engine.open();
  check_ok(put_now(*one, "/old", "1"));
  const auto start = get_now(*one, "/old").revision;
  one->watch("/old", start, who.watcher());
  check_ok(put_now(*one, "/old", "2"));
  const auto events = who.wait_for(1);
  BOOST_TEST(events.at(0).changes.at(0).value.value_or("") == "2");
  // Something from before the store's own first revision that it keeps is either told or `lost`; never silence.
  one->watch("/old", 0, beginning.watcher());
  BOOST_TEST(!beginning.wait_for(1).empty());
}

// -- leases
// -----------------------------------------------------------------------------------------------------------------

void a_lease_that_runs_out_takes_its_keys(const store_under_test& engine) {
  witness who;
  const auto one = engine.open();
  const auto grant = [&](std::chrono::milliseconds span) {
    const auto got = wait_for([&](store_handler then) { one->grant(span, std::move(then)); });
    check_ok(got);
    BOOST_TEST(got.lease != 0);
    return got.lease;
  };
  const auto short_lease = grant(std::chrono::seconds(2)), long_lease = grant(std::chrono::hours(1));
  BOOST_TEST(short_lease != long_lease);
  check_ok(set_now(*one, "/l/short", "1", 0, short_lease));
  check_ok(set_now(*one, "/l/both", "1", 0, short_lease));
  check_ok(set_now(*one, "/l/long", "1", 0, long_lease));
  const auto both = get_now(*one, "/l/both");
  BOOST_TEST(both.entries.at(0).lease == short_lease);
  check_ok(set_now(*one, "/l/both", "2", both.entries.at(0).revision, long_lease)); // it belongs to another one now
  one->watch("/l/", get_now(*one, "/l/both").revision, who.watcher());
  const auto events = who.wait_for(1);
  BOOST_REQUIRE(events.at(0).changes.size() == 1U);
  BOOST_TEST(events[0].changes[0].key == "/l/short");
  BOOST_TEST(!events[0].changes[0].value.has_value());
  BOOST_TEST(list_now(*one, {"/l/", 0, false, {}}).entries.size() == 2U);
  check_conflict(wait_for([&](store_handler then) { one->keep_alive(short_lease, std::move(then)); }));
  check_conflict(set_now(*one, "/l/late", "1", 0, short_lease)); // nobody would ever take it away
  check_ok(wait_for([&](store_handler then) { one->revoke(long_lease, std::move(then)); }));
  BOOST_TEST(list_now(*one, {"/l/", 0, false, {}}).entries.empty());
  check_conflict(wait_for([&](store_handler then) { one->revoke(long_lease, std::move(then)); }));
}

/// Kept alive by one, it does not run out for another one either.
void a_lease_that_is_kept_alive_stays(const store_under_test& engine) {
  witness who;
  const auto one = engine.open(), other = engine.open();
  other->watch("/k", 0, who.watcher());
  const auto got = wait_for([&](store_handler then) { one->grant(std::chrono::seconds(2), std::move(then)); });
  check_ok(set_now(*one, "/k", "1", 0, got.lease));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (std::chrono::steady_clock::now() < end) {
    const auto kept = wait_for([&](store_handler then) { one->keep_alive(got.lease, std::move(then)); });
    BOOST_REQUIRE(kept.ok());
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  BOOST_TEST(get_now(*other, "/k").entries.size() == 1U);
  BOOST_TEST(who.wait_for(2).at(1).changes.at(0).key == "/k"); // nobody cares for it now
  BOOST_TEST(get_now(*other, "/k").entries.empty());
}

// -- ends
// -------------------------------------------------------------------------------------------------------------------

/// A process writes numbers and says so after each acknowledgement; it is killed in the midst of it.
void nothing_acknowledged_is_lost_by_kill_9(const store_under_test& engine) {
  long last_acknowledged = -1;
  for (int round = 0; round < 3; ++round) {
    int pipe_ends[2];
    BOOST_REQUIRE(::pipe(pipe_ends) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const auto mine = engine.open();
      for (long number = last_acknowledged + 1;; ++number) {
        std::promise<bool> done;
        mine->commit({{"/n/" + std::to_string(number), std::to_string(number), std::nullopt, 0, false},
                      {"/last", std::to_string(number), std::nullopt, 0, false}},
                     [&done](const store_answer& answer) { done.set_value(answer.ok()); });
        if (!done.get_future().get() || ::write(pipe_ends[1], &number, sizeof number) != sizeof number) ::_exit(1);
      }
    }
    ::close(pipe_ends[1]);
    const long wanted = last_acknowledged + 20;
    for (long number = 0; ::read(pipe_ends[0], &number, sizeof number) == sizeof number;) {
      last_acknowledged = number;
      if (number == wanted) ::kill(child, SIGKILL);
    }
    ::close(pipe_ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    BOOST_TEST(WIFSIGNALED(status));
    const auto after = engine.open();
    const auto found = get_now(*after, "/last");
    BOOST_REQUIRE(found.entries.size() == 1U);
    const long last = std::stol(found.entries[0].value);
    BOOST_TEST(last >= last_acknowledged);
    BOOST_TEST(last <= last_acknowledged + 1); // the one that was under way
    for (long number = 0; number <= last; ++number)
      if (get_now(*after, "/n/" + std::to_string(number)).entries.size() != 1U)
        BOOST_ERROR("number " << number << " is lost");
    last_acknowledged = last;
  }
}

void revisions_go_on_after_a_restart(const store_under_test& engine) {
  store_revision last = 0;
  for (int round = 0; round < 3; ++round) {
    const auto one = engine.open();
    const auto before = get_now(*one, "/r");
    BOOST_TEST(before.revision >= last);
    const auto put = put_now(*one, "/r", std::to_string(round));
    BOOST_TEST(put.revision > last);
    last = put.revision;
  }
  const auto one = engine.open();
  BOOST_TEST(get_now(*one, "/r").entries.at(0).value == "2");
  check_ok(remove_now(*one, "/r", last));
}

void every_question_is_answered_when_it_closes(const store_under_test& engine) {
  constexpr int count = 200;
  std::atomic<int> answers{0}, written{0};
  {
    const auto one = engine.open();
    for (int i = 0; i < count; ++i)
      one->compare_and_set("/q/" + std::to_string(i), "1", 0, [&](const store_answer& answer) {
        ++answers;
        if (answer.ok()) ++written;
      });
  }
  BOOST_TEST(answers == count);
  const auto one = engine.open();
  const auto found = list_now(*one, {"/q/", 0, false, {}}).entries.size();
  BOOST_TEST(found >= static_cast<std::size_t>(written.load())); // `unknown` may be there
}

} // namespace

const std::vector<conformance_case>& store_conformance() {
  static const std::vector<conformance_case> all{
      {"creates_reads_replaces_removes", creates_reads_replaces_removes},
      {"a_commit_is_everything_or_nothing", a_commit_is_everything_or_nothing},
      {"a_commit_that_no_engine_takes_is_refused", a_commit_that_no_engine_takes_is_refused},
      {"lists_by_prefix_in_pages", lists_by_prefix_in_pages},
      {"of_many_who_write_one_wins", of_many_who_write_one_wins},
      {"what_is_acknowledged_is_seen_from_anywhere", what_is_acknowledged_is_seen_from_anywhere},
      {"a_watch_misses_and_repeats_nothing", a_watch_misses_and_repeats_nothing},
      {"a_watch_from_too_long_ago_says_so", a_watch_from_too_long_ago_says_so},
      {"a_lease_that_runs_out_takes_its_keys", a_lease_that_runs_out_takes_its_keys},
      {"a_lease_that_is_kept_alive_stays", a_lease_that_is_kept_alive_stays},
      {"nothing_acknowledged_is_lost_by_kill_9", nothing_acknowledged_is_lost_by_kill_9},
      {"revisions_go_on_after_a_restart", revisions_go_on_after_a_restart},
      {"every_question_is_answered_when_it_closes", every_question_is_answered_when_it_closes},
  };
  return all;
}

} // namespace pg_edge::actors
