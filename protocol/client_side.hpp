// The client's side of the exchange as one object a call of from_client: what the files that implement it share.
// Private to them; everybody else uses exchange.hpp.
//   exchange_from_client.cpp  which message is which, simple queries, Sync and COPY
//   client_prepare.cpp        Parse, Bind, Describe, Execute, Close
//   client_statements.cpp     what the server knows of the client's statements; batches kept for a second try
//   client_sql_names.cpp      SQL that names prepared statements
#pragma once

#include "protocol/exchange.hpp"
#include "protocol/frame.hpp"

#include <algorithm>

namespace pg_edge::protocol {

inline constexpr bytes_view ready_idle_bytes{"Z\0\0\0\5I", 6};

/// The messages that may stand between two Syncs and are answered only in a batch.
inline bool is_extended(char type) {
  return type == 'P' || type == 'B' || type == 'D' || type == 'E' || type == 'C';
}

/// Writes a message of `type` whose body is the parts, one behind the other.
inline void write_message(gather& out, char type, std::initializer_list<bytes_view> parts) {
  out.write([&](bytes& own) {
    std::size_t size = 4;
    for (const bytes_view part : parts)
      size += part.size();
    put_u8(own, static_cast<std::uint8_t>(type));
    put_u32(own, static_cast<std::uint32_t>(size));
    for (const bytes_view part : parts)
      put_bytes(own, part);
  });
}

/// A text that changes what names of prepared statements mean.
inline bool changes_names(const text_effects& effects) {
  return std::any_of(effects.list.begin(), effects.list.end(), [](const text_effect& one) {
    return one.kind == statement_kind::prepare || one.kind == statement_kind::deallocate ||
           one.kind == statement_kind::deallocate_all || one.kind == statement_kind::discard_all;
  });
}

/// A text that is sent with the shared names in place of the client's own.
inline bool mentions_names(const statement& what) {
  return what.effects && std::any_of(what.effects->list.begin(), what.effects->list.end(), [](const text_effect& one) {
           return one.kind == statement_kind::prepare || one.kind == statement_kind::execute ||
                  one.kind == statement_kind::deallocate;
         });
}

/// A text behind which the client's start-up values have to be set again.
inline bool resets_parameters(const text_effects& effects) {
  return std::any_of(effects.list.begin(), effects.list.end(), [](const text_effect& one) {
    return one.kind == statement_kind::reset || one.kind == statement_kind::reset_all ||
           one.kind == statement_kind::discard_all || one.to_default;
  });
}

inline constexpr bytes_view nul{"\0", 1};
inline constexpr bytes_view no_types{"\0\0", 2};

class client_side {
public:
  client_side(client_session& client, server_session* server, bytes_view in, gather& to_server, gather& to_client)
      : c_(client), s_(server), in_(in), to_server_(to_server), to_client_(to_client) {}
  client_step run();

private:
  // -- results of a message: the next one, or one of the reasons to stop
  client_verdict next() { return client_verdict::more; }
  client_verdict stop(client_verdict why);
  client_verdict more() { return stop(client_verdict::more); }
  client_verdict wait();
  client_verdict broken(refusal why);
  void end_copy_or_pass();

  // -- moving bytes
  void pass_rest();
  client_verdict forward(const frame_header& header);
  client_verdict swallow(const frame_header& header);
  owed_reply& owe(reply_kind kind, bool ours = false);
  bool sharing() const { return c_.rules->share_statements; }
  void count(std::uint64_t exchange_counts::*what) {
    if constexpr (counting) ++(c_.rules->counts->*what);
  }

  // -- dispatch
  client_verdict message(const frame_header& header, bytes_view rest);
  client_verdict skipped(const frame_header& header);
  client_verdict without_server(const frame_header& header, bytes_view rest);
  client_verdict with_server(const frame_header& header, bytes_view rest);
  bool too_far_ahead() const;
  bool right_header(const frame_header& header, header_status status) const;
  client_verdict wrong_header(const frame_header& header, header_status status);

  // -- keeping a doubtful batch
  client_verdict recorded(const frame_header& header, bytes_view rest);
  void record(const frame_header& header, bytes_view message);
  void start_recording(const statement_ptr& subject, const frame_header& header, bytes_view message);
  bool can_keep_batch() const;
  bool doubtful(const client_statement& named);

  // -- statements on the server
  void write_parse(const statement& what);
  void close_on_server(const statement_ptr& what);
  bool close_unsettled(const statement_ptr& what) const;
  void note_prepared(const statement_ptr& what, std::uint64_t epoch);
  bool usable(const server_statements::entry* entry) const;
  bool bring(const statement_ptr& what);
  void distrust(const client_statement& named);
  bool bring_name(const statement_ptr& what);
  void prepare_by_sql(const statement_ptr& what);
  client_statement* known(std::string_view name);
  bool unsettled(std::string_view name);
  bool unnamed_is_of_this_batch() const;
  bool unnamed_unsettled() const;
  bool reset_unsettled();
  void note_effects(owed_reply& reply, text_effects_ptr effects);
  bool standard_strings() const { return !s_->values || s_->values->get("standard_conforming_strings") != "off"; }
  std::unique_ptr<map_undo> rename(std::string_view name, client_statement now);
  void answer_here(reply_kind kind, std::unique_ptr<map_undo> undo);
  owed_reply& owe_renaming(reply_kind kind, std::unique_ptr<map_undo> undo);

  // -- SQL that names prepared statements
  struct rewritten_sql {
    std::string sql;
    text_effects_ptr effects;
    bool injected = false;
  };
  static bool names_statements(const scan_result& scanned);
  rewritten_sql rewrite(std::string_view sql, const scan_result& scanned);
  std::shared_ptr<const bytes> written_names(bytes_view text) const;
  text_effects_ptr look_up_names(client_statement& named);
  static bool is_foreign(const scanned_statement& one);
  /// What the statements of one query string have done to names before the next of them; null: deallocated.
  using renamed_names = std::unordered_map<std::string, statement_ptr>;
  statement_ptr meant_statement(const scanned_statement& one, text_effect& effect, renamed_names& inside,
                                bool& injected);

  // -- simple query
  client_verdict query(const frame_header& header, bytes_view rest);
  static std::string_view text_of(bytes_view message);
  void begin_query(text_effects_ptr effects);
  client_verdict query_with_names(const frame_header& header, std::string_view sql, const scan_result& scanned);

  // -- Parse
  client_verdict parse(const frame_header& header, bytes_view rest);
  client_verdict parse_unnamed(const frame_header& header, bytes_view rest);
  void write_rewritten_unnamed(std::string_view sql, const scan_result& scanned);
  std::unique_ptr<map_undo> undo_unnamed(client_extras& extras);
  void owe_unnamed_parse(std::unique_ptr<map_undo> undo, bool ours = false);
  void owe_unnamed(reply_kind kind, std::unique_ptr<map_undo> undo, bool ours = false);
  client_verdict parse_named(const frame_header& header, bytes_view rest);
  client_verdict parse_name_in_use(const frame_header& header, bytes_view name);
  void close_refused();
  bool too_many_statements(std::string_view name);
  bool too_large(const frame_header& header) const;
  void owe_refusal(const refusal& why);
  client_verdict refuse_on_server(const frame_header& header, const refusal& why);
  client_verdict parse_without_server(const frame_header& header, bytes_view rest);

  // -- Bind, Describe, Execute
  client_verdict bind(const frame_header& header, bytes_view rest);
  void note_bound(bytes_view portal, const text_effects_ptr& effects);
  void use_named(client_statement& named, const frame_header& header, bytes_view rest, reply_kind kind);
  client_verdict with_server_name(const frame_header& header, bytes_view before, std::string_view server_name,
                                  std::size_t name_end);
  client_verdict with_unknown_name(const frame_header& header, reply_kind kind, std::pair<bytes_view, bytes_view> parts,
                                   std::size_t name_end);
  void bring_unnamed();
  client_verdict describe(const frame_header& header, bytes_view rest);
  client_verdict execute(const frame_header& header, bytes_view rest);

  // -- Close
  client_verdict close(const frame_header& header, bytes_view rest);
  void close_unnamed();
  void forget_unnamed();
  client_verdict close_without_server(const frame_header& header, bytes_view rest);

  // -- Sync and COPY
  client_verdict sync(const frame_header& header);
  owed_reply* last_command();
  client_verdict copy(const frame_header& header);
  client_session& c_;
  server_session* s_;
  bytes_view in_;
  gather& to_server_;
  gather& to_client_;
  std::size_t at_ = 0;
  bool stop_ = false;
  refusal why_;
};

} // namespace pg_edge::protocol
