// The two halves of a relayed conversation: what belongs to a client and travels with it from server to server, and
// what belongs to a server connection, above all the list of replies it still owes. It exists apart from the rules that
// change them (exchange.hpp), so that the actors can hold the halves separately.
#pragma once

#include "protocol/bytes.hpp"
#include "protocol/counting.hpp"
#include "protocol/error_tally.hpp"
#include "protocol/session_parameters.hpp"
#include "protocol/statements.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace pg_edge::protocol {

/// Counters of what passed, kept by the owner of the rules.
struct exchange_counts {
  std::uint64_t client_bytes = 0;  // from clients
  std::uint64_t server_bytes = 0;  // from servers
  std::uint64_t queries = 0;       // ReadyForQuery to a client
  std::uint64_t transactions = 0;  // ... outside a transaction
  std::uint64_t client_parses = 0; // Parse from clients
  std::uint64_t server_parses = 0; // ... and to servers
  std::uint64_t binds = 0;
  error_tally errors; // sent to clients since they were last read
};

/// What a pool's settings mean for the exchange.
struct exchange_rules {
  bool share_statements = true; // transaction and statement mode: names are ours on servers
  std::size_t max_server_statements = 200;
  std::size_t max_message = std::numeric_limits<std::size_t>::max(); // bytes, of either side
  // Of one client, where they are kept here; beyond them a Parse is refused.
  std::size_t max_client_statements = std::numeric_limits<std::size_t>::max();
  std::size_t max_client_memory = std::numeric_limits<std::size_t>::max(); // bytes
  statement_cache* cache = nullptr;                                        // the pool's; set when share_statements is
  exchange_counts* counts = nullptr;                                       // never null once in use
};

/// A simple query is looked at whole up to this size; a longer one is relayed as it comes and its tags must do.
inline constexpr std::size_t whole_query_limit = 64 * 1024;
/// An unnamed Parse up to this size can be repeated on another server.
inline constexpr std::size_t kept_unnamed_limit = 256 * 1024;
/// A named Parse is kept whole, so it has a limit of its own.
inline constexpr std::size_t named_parse_limit = 16 * 1024 * 1024;
/// Portal and statement names of a Bind together; the other messages with names are limited by their length.
inline constexpr std::size_t name_limit = 64 * 1024;
/// The bytes of a batch kept so that it can be sent again after a stale plan's error.
inline constexpr std::size_t retry_limit = 64 * 1024;
/// A client that sends ahead further than this waits until its server has answered: replies are remembered one by one.
inline constexpr std::size_t owed_limit = 16 * 1024;
/// ... or until less than this has to be kept, in names and texts of statements that an error would bring back ...
inline constexpr std::size_t owed_bytes_limit = 4 * 1024 * 1024;
/// ... and likewise when one read of it makes the pooler say more than this on its own, in texts prepared anew.
inline constexpr std::size_t own_bytes_limit = 1024 * 1024;

// -- the client's half
// -------------------------------------------------------------------------------------------------

/// What a client said that the next server may have to be told again.
struct client_extras {
  client_statements statements;
  bytes unnamed; // body of the last unnamed Parse behind the name; empty: none
  std::uint64_t unnamed_generation = 0;
  bool unnamed_names = false; // its text names prepared statements: what they mean is looked up when it is bound
  text_effects_ptr unnamed_effects;
  text_effects_ptr bound_effects; // of the statement bound last that has some ...
  std::string bound_portal;       // ... and the portal it is bound to
};

struct client_session {
  std::uint64_t id = 0; // unique in the process, for as long as it lives
  const exchange_rules* rules = nullptr;
  parameter_values_ptr values;         // what ParameterStatus last told the client
  parameter_values_ptr startup_values; // ... and said at login: what RESET goes back to
  startup_profile_ptr profile;         // start-up settings that Postgres does not report
  bool custom_startup = false;         // the client's start-up values differ from the server's own
  std::unique_ptr<client_extras> extras;

  std::uint32_t frame_left = 0; // bytes of the present frame still to come ...
  bool frame_forward = false;   // ... and whether they go to the server
  std::uint64_t batch = 1;      // rises with every Sync of the client
  bool in_batch = false;        // extended messages since the last Sync
  bool skip_until_sync = false; // an error was answered here, without a server
  bool statements_only = false; // statement mode: no transaction may stay open

  std::uint64_t queries = 0, transactions = 0; // answered, as in exchange_counts

  client_extras& more() {
    if (!extras) extras = std::make_unique<client_extras>();
    return *extras;
  }
  /// Bytes that its statements and what it has bound take.
  std::size_t memory() const {
    return extras ? sizeof *extras + extras->statements.bytes() + extras->unnamed.capacity() : 0;
  }
};

// -- the server's half
// -------------------------------------------------------------------------------------------------

enum class reply_kind : std::uint8_t {
  query,
  function_call,
  parse,
  bind,
  describe,
  execute,
  close,
  sync,
  local_parse, // answered by the pooler when its turn comes
  local_close,
  refused, // an error of the server's in whose place `refusal` goes to the client
};

/// What those answers are.
inline constexpr bytes_view parse_complete_bytes{"1\0\0\0\4", 5};
inline constexpr bytes_view close_complete_bytes{"3\0\0\0\4", 5};

/// How to take back what was noted when a message was sent, should the server skip it.
struct map_undo {
  std::string name;        // empty: the unnamed statement
  client_statement before; // `what` null: the name was unknown
  bytes unnamed;
  std::uint64_t unnamed_generation = 0;
  bool unnamed_names = false;
  text_effects_ptr unnamed_effects;
  std::uint64_t server_unnamed_client = 0; // what the server holds if it skips the Parse
  std::uint64_t server_unnamed_generation = 0;

  std::size_t size() const { return name.size() + unnamed.size(); }
};

struct owed_reply {
  reply_kind kind = reply_kind::query;
  bool ours = false;                 // asked by the pooler: the client does not see the answer
  bool release_ready = false;        // ours, behind a RESET: its ReadyForQuery goes to the client
  bool after_copy_end = false;       // a Sync sent behind CopyDone or CopyFail
  bool after_stray_sync = false;     // sent behind a Sync within a COPY: read only if that Sync was, too
  bool renames = false;              // until it is answered, it is open what the client's names mean
  std::uint32_t statement_index = 0; // which statement of a query string is next to complete
  std::uint32_t copy_ends = 0;       // CopyDone or CopyFail sent for it before the server asked
  std::uint64_t epoch = 0;           // of a Parse without a name: its generation
  std::uint64_t batch = 0;           // the server's batch in which it was sent
  std::uint64_t serial = 0;          // of a Parse with a subject
  statement_ptr subject;
  text_effects_ptr effects;
  std::unique_ptr<map_undo> undo;
  std::unique_ptr<bytes> refusal; // a whole ErrorResponse

  /// It has something to let go of; else it may stay where it is until its queue is empty.
  bool holds_anything() const { return subject || effects || undo || refusal; }
  /// The server answers without a Flush.
  bool flushes() const {
    return kind == reply_kind::sync || kind == reply_kind::query || kind == reply_kind::function_call;
  }
};

/// A queue that keeps its storage: no allocation once it has grown.
class owed_queue {
public:
  bool empty() const { return head_ == items_.size(); }
  std::size_t size() const { return items_.size() - head_; }
  owed_reply& front() { return items_[head_]; }
  owed_reply& back() { return items_.back(); }
  owed_reply& at(std::size_t i) { return items_[head_ + i]; }
  owed_reply& push(reply_kind kind, bool ours = false) {
    owed_reply& made = items_.emplace_back();
    made.kind = kind;
    made.ours = ours;
    return made;
  }
  /// Gives a reply of this queue what takes it back.
  void keep(owed_reply& reply, std::unique_ptr<map_undo> undo) {
    kept_bytes_ += undo ? undo->size() : 0;
    reply.undo = std::move(undo);
  }
  /// At most what keep() was given for the replies that are in the queue and before them since it was last empty.
  std::size_t kept_bytes() const { return kept_bytes_; }
  void mark_renames(owed_reply& reply) {
    renaming_ += reply.renames ? 0 : 1;
    reply.renames = true;
  }
  /// How many replies are marked so: nearly always none, which saves the search for them.
  std::size_t renaming() const { return renaming_; }
  void pop() {
    if (head_ + 1 == items_.size()) return clear();
    renaming_ -= items_[head_].renames ? 1 : 0;
    forget_kept(items_[head_]);
    if (items_[head_].holds_anything()) items_[head_] = owed_reply{};
    if (++head_ >= 256 && head_ * 2 >= items_.size()) compact();
  }
  /// In front of all others.
  owed_reply& push_front(reply_kind kind) {
    owed_reply& made = *items_.emplace(items_.begin() + static_cast<std::ptrdiff_t>(head_));
    made.kind = kind;
    return made;
  }
  void erase(std::size_t i) {
    renaming_ -= at(i).renames ? 1 : 0;
    forget_kept(at(i));
    items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(head_ + i));
  }
  void clear() {
    items_.clear();
    head_ = 0;
    renaming_ = 0;
    kept_bytes_ = 0;
  }

private:
  // What was taken back already counts no more, so the sum may be too high until the queue is empty.
  void forget_kept(const owed_reply& reply) {
    if (reply.undo) kept_bytes_ -= std::min(kept_bytes_, reply.undo->size());
  }

  // A pipeline that never runs dry must not grow the storage for ever.
  void compact() {
    items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }

  std::vector<owed_reply> items_;
  std::size_t head_ = 0;
  std::size_t renaming_ = 0;
  std::size_t kept_bytes_ = 0;
};

/// What has been done to a server that the next client must not see.
struct server_dirt {
  bool settings = false; // SET that is not mirrored
  bool prepared = false; // SQL PREPARE under a client's own name
  bool listening = false;
  bool other = false;   // cursors WITH HOLD, temporary tables, session locks
  bool library = false; // LOAD: nothing takes that back
  bool any() const { return settings || prepared || listening || other || library; }
};

/// A batch that may meet a stale plan although its client prepared after the change: kept until that is settled.
struct batch_retry {
  enum class stage : std::uint8_t { off, recording, complete, failed };
  stage now = stage::off;
  bytes batch;     // the client's own bytes, from the first doubtful message to Sync
  bytes replaying; // ... while they are on their way a second time
  bytes held;      // a ParameterDescription, which Postgres sends before it finds that the plan is stale
  statement_ptr subject;
};

/// A Sync that the server may have read during a COPY, and ignored, or after the COPY had failed, and will answer.
enum class stray_sync : std::uint8_t { none, possible, probed };

struct server_session {
  const exchange_rules* rules = nullptr;
  parameter_values_ptr values; // what the server last reported
  startup_profile_ptr profile; // which client's start-up settings it carries
  server_statements statements;
  owed_queue owed;
  server_dirt dirt;
  batch_retry retry;

  char transaction_status = 'I';
  bool skipping = false;  // after an error in a batch: the server ignores all up to Sync
  bool copy_in = false;   // the server takes CopyData
  bool copy_both = false; // replication
  stray_sync stray = stray_sync::none;
  bool stray_behind_data = false; // no CopyData was sent behind it: if the COPY fails, it has failed before
  std::uint64_t batch = 1;        // rises with every Sync or simple query sent
  std::uint64_t used_batch = 0;   // of what was sent last: in it something may have been done already
  std::uint64_t parse_serial = 0;
  std::uint64_t unnamed_client = 0; // whose unnamed statement the server holds; 0: none, or it is not known whose
  std::uint64_t unnamed_generation = 0;
  std::uint64_t unnamed_batch = 0; // sent in this batch and not yet confirmed; 0: confirmed
  bytes refused_name;              // of a client: prepared to be refused a second time, and to be closed again ...
  std::uint64_t refused_batch = 0; // ... behind this batch
  bool unlistened = false;         // UNLISTEN * was done, in a transaction that may still be rolled back
  bool reset_all_pending = false;  // a RESET was done: the client's start-up values are due
  std::vector<std::string> reset_pending;
  bytes own_error;              // body of the ErrorResponse to the pooler's own query
  bool fatal_seen = false;      // the server announced its end in its own words
  bytes last_words;             // of a notice in which it did so, as Postgres does when it is stopped at once
  bool own_resets_all = false;  // that query contains RESET ALL
  bool pop_after_frame = false; // the reply is complete when the present frame is
  std::uint32_t frame_left = 0; // of the present frame to the client
  bool frame_forward = false;
  bool begun_unasked = false; // a message that answers nothing is not here to its end

  /// No reply is owed and none can come for what was sent.
  bool settled() const { return owed.empty() && !skipping && !copy_in && !copy_both && frame_left == 0; }
  /// What comes next was said for whom it is handed to now.
  bool at_rest() const { return settled() && !begun_unasked; }
  /// LISTEN binds its client to this server: notifications must reach it.
  bool pinned() const { return dirt.listening; }
};

} // namespace pg_edge::protocol
