// Prepared statements of the extended protocol: one shared description for all clients of a pool that prepare the same
// text, what each client calls it, and which of them a server knows. It exists so that a client may Parse on one server
// and Bind on another.
#pragma once

#include "protocol/bytes.hpp"
#include "protocol/sql_scan.hpp"

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pg_edge::protocol {

/// What one top-level SQL statement will have done once its CommandComplete arrives.
struct text_effect {
  statement_kind kind = statement_kind::other;
  std::string name;                                // the folded name in the text, empty if it has none
  bool to_default = false;                         // SET x TO DEFAULT
  std::shared_ptr<const struct statement> subject; // PREPARE, EXECUTE, DEALLOCATE: the statement meant
};

/// The effects of a query string, one entry a statement, in order. Absent for the many texts that have none.
struct text_effects {
  std::vector<text_effect> list;
  bool leaves_state = false; // mentions set_config, session advisory locks, temporary tables: no tag will tell
  bool complete = true;      // false: the text was longer than what was looked at
};
using text_effects_ptr = std::shared_ptr<const text_effects>;

/// The effects of a text, or null if it is of the common kind that leaves nothing behind. `standard_strings` is the
/// server's standard_conforming_strings.
text_effects_ptr effects_of(std::string_view sql, bool truncated, bool standard_strings = true);

/// A statement as every client that prepared the same text with the same parameter types shares it.
struct statement {
  std::uint64_t id = 0;
  std::string server_name; // the name on every server: ours, so no client's name can meet it
  bytes text;              // the Parse message behind the name: query, NUL, parameter types; or ...
  std::string sql_types;   // ... for SQL's PREPARE name (types) AS: those types as written; `text` then has none
  bool has_sql_types = false;
  text_effects_ptr effects;          // null for the common kind
  std::atomic<bool> verified{};      // some server has accepted it
  std::atomic<std::uint64_t> uses{}; // on servers that do not know it any more; the rest are in their entries

  /// The query string.
  std::string_view query() const { return std::string_view(text.c_str()); }
};
using statement_ptr = std::shared_ptr<statement>;

/// Names that start so are the pooler's own on servers.
inline constexpr std::string_view statement_prefix = "pg_edge_";

/// All statements of a pool by their text. Shared by the pool's shares, hence the lock; used once a Parse.
class statement_cache {
public:
  /// The statement for this text (query, NUL, types), made if it is new.
  statement_ptr intern(bytes_view text, std::string_view sql_types = {}, bool has_sql_types = false);
  /// The statement that takes the place of `old` from now on, made if `old` still is the one for its text.
  statement_ptr renew(const statement_ptr& old);
  /// The statement for this text if it is there.
  statement_ptr find(bytes_view text);
  std::size_t size() const;

private:
  /// Texts that nobody uses any more may amount to this before they are looked for.
  static constexpr std::size_t sweep_bytes = 1024 * 1024;

  statement_ptr add(std::string key, bytes_view text, std::string_view sql_types, bool has_sql_types);
  void sweep();

  mutable std::mutex mutex_;
  std::unordered_map<std::string, statement_ptr> by_text_;
  std::size_t sweep_at_ = 64;
  std::size_t text_bytes_ = 0; // of all keys
  std::size_t sweep_at_bytes_ = sweep_bytes;
};

/// A moment in the pool's life: rises with every Parse of any client, so that "parsed after" has a meaning.
std::uint64_t next_parse_epoch();
std::uint64_t present_parse_epoch();

/// What one client calls its statements.
struct client_statement {
  statement_ptr what;
  std::uint64_t parsed_at = 0;
  std::uint64_t parsed_in = 0; // the client's batch; 0: of none that could still be going on
  /// Its text names prepared statements, and this is how the client wrote it, with the parameter types: `what` is the
  /// text with the names that these had when it was used last. Null for the common kind.
  std::shared_ptr<const bytes> written{};
  std::size_t cost = 0; // what it counts for in client_statements::bytes()
};

/// All of a client's, by name, and what they take: texts are counted as if nobody else used them.
class client_statements {
public:
  using map = std::unordered_map<std::string, client_statement>;

  /// What a statement takes beside its name and text.
  static constexpr std::size_t overhead = 160;
  static std::size_t cost_of(std::string_view name, std::size_t text) { return overhead + name.size() + text; }

  /// Null: there is none of that name.
  client_statement* find(std::string_view name);
  void set(const std::string& name, client_statement what);
  void erase(const std::string& name);
  void clear();
  map::iterator begin() { return by_name_.begin(); }
  map::iterator end() { return by_name_.end(); }
  std::size_t size() const { return by_name_.size(); }
  std::size_t bytes() const { return bytes_; }

private:
  map by_name_;
  std::size_t bytes_ = 0;
};

/// Which statements one server knows, the least recently used last.
class server_statements {
public:
  server_statements() = default;
  server_statements(server_statements&&) = default;
  server_statements& operator=(server_statements&&) = default;
  ~server_statements() { clear(); }

  struct entry {
    statement_ptr what;
    std::uint64_t validated_at =
        0;                    // no client that parsed before this moment can be shown a stale plan's error wrongly
    std::uint64_t serial = 0; // of the Parse that was sent for it
    std::uint64_t batch = 0;  // sent in this batch and not yet confirmed; 0: confirmed
    bool stale = false;       // its plan's result type has changed: close before use
    std::uint64_t uses = 0;   // how often a client's Bind or Describe found it here
  };

  /// The entry, now the most recently used, or null.
  entry* use(const statement& what);
  entry* find(const statement& what);
  entry& add(statement_ptr what);
  void erase(const statement& what);
  /// Takes the least recently used out and returns it; null if there are at most `most`.
  statement_ptr evict(std::size_t most);
  /// Something was deallocated, and it is not known what: each is closed before it is prepared and used again.
  void distrust_all();
  void clear();
  std::size_t size() const { return by_id_.size(); }
  const std::list<entry>& entries() const { return order_; }

private:
  static void forget(const entry& what);

  std::list<entry> order_; // most recently used first
  std::unordered_map<std::uint64_t, std::list<entry>::iterator> by_id_;
};

} // namespace pg_edge::protocol
