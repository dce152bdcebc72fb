// The server's side of the exchange as one object a call of from_server: what the files that implement it share.
// Private to them; everybody else uses exchange.hpp.
//   exchange_from_server.cpp  which reply is whose, and the questions that actors ask of the two halves
//   server_effects.cpp        what a completed command has changed: parameters, statements, dirt
//   server_errors.cpp         errors, and what they take back
//   server_ready.cpp          ReadyForQuery: second tries, start-up values behind a RESET, the end of a reply
#pragma once

#include "protocol/exchange.hpp"
#include "protocol/frame.hpp"
#include "protocol/messages.hpp"

#include <algorithm>

namespace pg_edge::protocol {

/// An ErrorResponse larger than this is passed on without a look at its fields.
inline constexpr std::size_t looked_at_error_limit = 64 * 1024;
/// CommandComplete and ParameterStatus are small; a server that says otherwise is not a Postgres server.
inline constexpr std::size_t small_reply_limit = 1024 * 1024;

inline bool is_local(reply_kind kind) {
  return kind == reply_kind::local_parse || kind == reply_kind::local_close;
}

/// Postgres has no SQLSTATE of its own for this; the function that raises it is the same in every language.
inline bool is_stale_plan(bytes_view error_body) {
  return error_field(error_body, 'C') == "0A000" && error_field(error_body, 'R') == "RevalidateCachedQuery";
}

class server_side {
public:
  server_side(server_session& server, client_session* client, bytes_view in, gather& to_client, gather& to_server)
      : s_(server), c_(client), in_(in), to_client_(to_client), to_server_(to_server) {}
  server_step run();

private:
  // -- moving bytes
  bool pass_rest();
  void pass_rows();
  void send_on(const frame_header& header, bool visible);
  void client_sees_batch();
  void broken(std::string why);
  void need_more() {
    stop_ = true;
    s_.begun_unasked = s_.owed.empty();
  }
  bool whole(const frame_header& header, bytes_view rest);
  static bytes_view body_of(const frame_header& header, bytes_view rest);

  // -- replies that are owed
  bool visible() { return s_.owed.empty() || !s_.owed.front().ours; }
  /// Whether the reply that is due is of one of the kinds; the connection is broken if not.
  bool expects(std::initializer_list<reply_kind> kinds, char type) {
    const auto due = s_.owed.empty() ? 0U : 1U << static_cast<unsigned>(s_.owed.front().kind);
    unsigned allowed = 0;
    for (const reply_kind kind : kinds)
      allowed |= 1U << static_cast<unsigned>(kind);
    if ((due & allowed) != 0) return true;
    unasked(type);
    return false;
  }
  void unasked(char type);
  void pop();
  void answer_local();

  // -- dispatch
  void message(const frame_header& header, bytes_view rest);
  void reply(const frame_header& header, std::initializer_list<reply_kind> kinds, bool done);
  void data(const frame_header& header);
  void row_description(const frame_header& header);
  void parameter_description(const frame_header& header, bytes_view rest);
  void no_data(const frame_header& header);
  void empty_query(const frame_header& header);

  // -- statements
  void note_validated(const owed_reply& reply);
  void parse_complete(const frame_header& header);
  void close_complete(const frame_header& header);
  void confirm(const owed_reply& reply);
  void bind_complete(const frame_header& header);

  // -- COPY
  void copy_in(const frame_header& header);
  void forget_ignored_syncs();
  void settle_stray_sync();

  // -- errors
  void error(const frame_header& header, bytes_view rest);
  void note_last_words(const frame_header& header, bytes_view rest);
  void count_error(bytes_view body, error_origin origin = error_origin::server);
  void error_in_batch(const frame_header& header, bytes_view body);
  void begin_second_try();
  static bool is_unnamed_parse(const owed_reply& reply);
  void forget_unnamed(std::uint64_t generation);
  void take_back(owed_reply& reply);
  void take_back_unnamed(const owed_reply& reply);

  // -- parameters
  void parameter_status(const frame_header& header, bytes_view rest);

  // -- CommandComplete
  void command_complete(const frame_header& header, bytes_view rest);
  static const text_effect* effect_of(const owed_reply& reply);
  void apply(tag_effect tag, const owed_reply& reply);
  bool nothing_behind();
  bool reported(std::string_view name) const { return s_.values && s_.values->find(name) != nullptr; }
  void apply_set(const text_effect* effect, bool ours);
  void apply_reset(const text_effect* effect, bool ours);
  void apply_prepare(const text_effect* effect, bool ours);
  void apply_deallocate(const text_effect* effect);
  void forget_statements(bool ours);

  // -- ReadyForQuery
  void ready_for_query(const frame_header& header, bytes_view rest);
  void refuse_transaction(const frame_header& header);
  void unexpected_ready(const frame_header& header, char status);
  void own_ready(const frame_header& header, bool query);
  void pop_nothing_and_pass(const frame_header& header);
  void offer();
  void pop_and_pass(const frame_header& header, bool visible);
  void count_reply();
  void finish_reply(const frame_header& header);
  void renew(const server_statements::entry& entry);
  void replay(const frame_header& header);
  bool restore_after_reset(const frame_header& header, char status);
  std::string startup_values_sql();
  server_session& s_;
  client_session* c_;
  bytes_view in_;
  gather& to_client_;
  gather& to_server_;
  server_step step_;
  bool stop_ = false;
};

} // namespace pg_edge::protocol
