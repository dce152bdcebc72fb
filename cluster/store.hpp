// Where a node, or a cluster of them, keeps what must survive it and must never diverge: objects made at run time,
// bans, the audit log, who leads what. One narrow interface; a single node has an engine in SQLite
// (actors/sqlite_store), a cluster one in etcd. Every engine passes tests/actors/store_conformance.hpp. store_keys.hpp
// says which keys there are.
//
//   commit() ──> ok          it is on disk, and in every later answer and watch
//            ├─> conflict    a condition did not hold: nothing was written
//            ├─> unavailable nothing was written, and why
//            └─> unknown     it may or may not have been written: read, then decide
//
// What engines promise
// - A revision counts the commits of the whole store: each commit that writes something has a number of its own,
// greater
//   than all before, also after a restart. All keys of one commit carry it.
// - All of a commit is written or nothing. `ok` survives kill -9 and power failure.
// - Reads are linearizable: who has heard `ok` finds what was written, from anywhere.
// - A watch tells every change of its keys after the revision it began behind, in order, each once, whole commits at a
//   time. If it cannot (the history is gone, the connection was lost for too long) it says `lost` once, and nothing
//   more: list again and watch from there.
// - A lease that nobody has kept alive for its time to live removes its keys, as a commit that watches see. After a
//   restart of the engine every lease has its whole time again, so it may last longer, never shorter.
// - Every request is answered once, in a bounded time (store_timeout), on a thread of the engine, and never from inside
//   the call itself. Handlers only pass on (they send a message); they must not wait, nor destroy the store. The
//   destructor answers what is still open with `unavailable`, or `unknown` if it was under way; then nothing is called
//   any more.
// - Nothing is thrown. A disk that is full or a cluster without a majority is an answer, and the next request tries
// anew.
// - Calls may come from any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::cluster {

/// Counts commits; 0 is before the first one, and of keys that do not exist.
using store_revision = std::uint64_t;
/// Names a lease; 0: none.
using store_lease = std::int64_t;

/// No request is under way for longer.
inline constexpr std::chrono::seconds store_timeout{5};
/// Limits that every engine has (etcd's, rounded down); what is beyond them is answered `unavailable`.
inline constexpr std::size_t most_store_writes = 100;         // in one commit
inline constexpr std::size_t longest_store_key = 1024;        // bytes
inline constexpr std::size_t longest_store_value = 512 << 10; // bytes

enum class store_outcome : std::uint8_t { ok, conflict, unavailable, unknown };

/// One key as it stands. `revision`: of the commit that wrote it last.
struct store_entry {
  std::string key, value;
  store_revision revision = 0;
  store_lease lease = 0;
  bool operator==(const store_entry&) const = default;
};

/// One key of a commit; no two writes of a commit have the same key.
struct store_write {
  std::string key;
  std::optional<std::string> value; // nullopt: the key goes; if there is none, nothing happens
  /// The revision the key must have for the commit to happen; 0: it must not exist; nullopt: whatever it is.
  std::optional<store_revision> expected;
  store_lease lease = 0; // the key belongs to it from now on; 0: to none
  /// Writes nothing: only `expected` is looked at.
  bool only_check = false;
};

/// The answer to every request.
struct store_answer {
  store_outcome outcome = store_outcome::unavailable;
  std::string why;             // of unavailable and unknown, for people
  store_revision revision = 0; // ok: of the commit, or that at which was read
  /// get, list: what was found, by key. A conflict: those keys whose condition failed, as they stand; a key that does
  /// not exist is not among them.
  std::vector<store_entry> entries;
  store_lease lease = 0; // of grant

  bool ok() const { return outcome == store_outcome::ok; }
};
using store_handler = std::function<void(store_answer)>;

/// Which keys to list.
struct store_range {
  std::string prefix;
  std::size_t limit = 0;  // 0: all
  bool backwards = false; // the greatest keys first; keys are ordered by their bytes
  std::string beyond;     // only keys after (backwards: before) this one, for the next page; empty: all
};

struct store_change {
  std::string key;
  std::optional<std::string> value; // nullopt: removed
  store_lease lease = 0;
  bool operator==(const store_change&) const = default;
};

/// What a watch tells: the changes of one commit to keys with its prefix, by key.
struct store_event {
  store_revision revision = 0;
  std::vector<store_change> changes;
  bool lost = false; // the end of this watch; `why` for the log
  std::string why;
};
using store_watcher = std::function<void(store_event)>;
using store_watch_id = std::uint64_t;

class store {
public:
  store() = default;
  store(const store&) = delete;
  store& operator=(const store&) = delete;
  virtual ~store() = default;

  /// "sqlite /var/lib/pg_edge/store.db": for SHOW and messages.
  virtual std::string name() const = 0;

  virtual void get(std::string key, store_handler then) = 0;
  virtual void list(store_range range, store_handler then) = 0;

  /// Everything or nothing. Without a write that changes anything it is ok at the present revision.
  virtual void commit(std::vector<store_write> writes, store_handler then) = 0;

  /// Changes of keys with this prefix, of commits after `after`: what list() answered as its revision, so that nothing
  /// is missed between the two.
  virtual store_watch_id watch(std::string prefix, store_revision after, store_watcher then) = 0;
  /// The watcher is not called any more once this returns (unless it is called by the watcher itself).
  virtual void unwatch(store_watch_id which) = 0;

  /// A lease of this time to live (at least a second). Keys are attached by a write that names it.
  virtual void grant(std::chrono::milliseconds time_to_live, store_handler then) = 0;
  /// Its whole time begins anew. conflict: it is no more, and its keys have gone.
  virtual void keep_alive(store_lease which, store_handler then) = 0;
  /// It ends now, and its keys go. conflict: it was no more.
  virtual void revoke(store_lease which, store_handler then) = 0;

  // -- what most callers want of commit()
  // ------------------------------------------------------------------------------------------

  /// `expected` 0: the key must not exist yet.
  void compare_and_set(std::string key, std::string value, store_revision expected, store_handler then,
                       store_lease lease = 0) {
    commit({store_write{std::move(key), std::move(value), expected, lease, false}}, std::move(then));
  }
  void remove(std::string key, store_revision expected, store_handler then) {
    commit({store_write{std::move(key), std::nullopt, expected, 0, false}}, std::move(then));
  }
};

std::string_view to_string(store_outcome outcome);

} // namespace pg_edge::cluster
