// Parse, Bind, Describe, Execute and Close from a client: names of the client's on the way to names of the pool's.
#include "protocol/client_side.hpp"

namespace pg_edge::protocol {

// -- Parse
// -------------------------------------------------------------------------------------------------------------
client_verdict client_side::parse(const frame_header& header, bytes_view rest) {
  if (!sharing()) {
    c_.in_batch = true;
    owe(reply_kind::parse);
    return forward(header);
  }
  if (rest.size() == frame_header_size && header.body() > 0) return more();
  const bool named = header.body() > 0 && rest[frame_header_size] != '\0';
  return named ? parse_named(header, rest) : parse_unnamed(header, rest);
}

client_verdict client_side::parse_unnamed(const frame_header& header, bytes_view rest) {
  const bool whole = header.total() <= kept_unnamed_limit;
  if (whole && rest.size() < header.total()) return more();
  // What comes first in its batch is not skipped because of another, whatever becomes of the one before.
  const bool first = s_->owed.empty() || s_->owed.back().flushes();
  if (!first && unnamed_unsettled()) return wait();
  const bytes_view text =
      whole && header.body() > 0 ? rest.substr(frame_header_size + 1, header.body() - 1) : bytes_view{};
  const std::string_view sql = text.substr(0, text.find('\0'));
  const bool interesting = look(sql).interesting;
  const scan_result scanned = interesting ? scan(sql, false, standard_strings()) : scan_result{};
  const bool names = interesting && scanned.complete && names_statements(scanned) && sql.size() < text.size();
  if (names && !s_->owed.empty()) return wait();
  count(&exchange_counts::client_parses);
  count(&exchange_counts::server_parses);
  c_.in_batch = true;
  client_extras& extras = c_.more();
  std::unique_ptr<map_undo> undo = first ? nullptr : undo_unnamed(extras);
  extras.unnamed.clear();
  extras.unnamed_effects = nullptr;
  extras.unnamed_names = names;
  extras.unnamed_generation = next_parse_epoch();
  if (text.empty()) {
    owe_unnamed_parse(std::move(undo));
    return forward(header);
  }
  if (interesting) {
    if (names) {
      extras.unnamed.assign(text);
      write_rewritten_unnamed(sql, scanned);
      owe_unnamed_parse(std::move(undo));
      return swallow(header);
    }
    extras.unnamed_effects = effects_of(sql, false, standard_strings());
  }
  extras.unnamed.assign(text);
  owe_unnamed_parse(std::move(undo));
  return forward(header);
}

/// `sql` is the client's present unnamed text, or a copy of it.
void client_side::write_rewritten_unnamed(std::string_view sql, const scan_result& scanned) {
  client_extras& extras = *c_.extras;
  const rewritten_sql now = rewrite(sql, scanned);
  extras.unnamed_effects = now.effects;
  write_message(to_server_, 'P', {nul, now.sql, bytes_view(extras.unnamed).substr(extras.unnamed.find('\0'))});
}

/// Should the Parse be skipped because of an error before it, the statement before it lives on.
std::unique_ptr<map_undo> client_side::undo_unnamed(client_extras& extras) {
  auto undo = std::make_unique<map_undo>();
  undo->unnamed = std::move(extras.unnamed);
  undo->unnamed_generation = extras.unnamed_generation;
  undo->unnamed_names = extras.unnamed_names;
  undo->unnamed_effects = extras.unnamed_effects;
  undo->server_unnamed_client = s_->unnamed_client;
  undo->server_unnamed_generation = s_->unnamed_generation;
  return undo;
}

void client_side::owe_unnamed_parse(std::unique_ptr<map_undo> undo, bool ours) {
  owe_unnamed(reply_kind::parse, std::move(undo), ours);
}

void client_side::owe_unnamed(reply_kind kind, std::unique_ptr<map_undo> undo, bool ours) {
  owed_reply& reply = owe(kind, ours);
  reply.epoch = c_.extras->unnamed_generation;
  s_->owed.keep(reply, std::move(undo));
  s_->unnamed_client = c_.id;
  s_->unnamed_generation = reply.epoch;
  s_->unnamed_batch = s_->batch;
}

client_verdict client_side::parse_named(const frame_header& header, bytes_view rest) {
  if (header.total() > named_parse_limit)
    return refuse_on_server(header, {error_code::prepared_statement_too_large,
                                     {std::to_string(header.total()), std::to_string(named_parse_limit)}});
  if (too_large(header))
    return refuse_on_server(header, {error_code::statements_too_large,
                                     {std::to_string(c_.memory() + client_statements::overhead + header.total()),
                                      std::to_string(c_.rules->max_client_memory)}});
  if (rest.size() < header.total()) return more();
  reader body(rest.substr(frame_header_size, header.body()));
  const bytes_view name = body.cstring();
  const bytes_view text = body.rest();
  if (unsettled(name)) return wait();
  const std::shared_ptr<const bytes> written = written_names(text);
  if (written && !s_->owed.empty()) return wait();
  count(&exchange_counts::client_parses);
  c_.in_batch = true;
  if (!body.ok() || text.find('\0') == bytes_view::npos) {
    owe(reply_kind::parse);
    return forward(header); // malformed: the server says so
  }
  if (known(name) != nullptr) return parse_name_in_use(header, name);
  if (too_many_statements(name))
    return refuse_on_server(header,
                            {error_code::too_many_statements, {std::to_string(c_.rules->max_client_statements)}});
  const std::uint64_t epoch = next_parse_epoch();
  client_statement now{nullptr, epoch, c_.batch, written};
  if (written)
    look_up_names(now);
  else
    now.what = c_.rules->cache->intern(text);
  const statement_ptr what = now.what;
  auto undo = rename(name, std::move(now));
  server_statements::entry* entry = s_->statements.use(*what);
  // Only the server knows whether an earlier batch will have aborted the transaction, in which Parse is refused.
  const bool settled = s_->owed.empty() || s_->owed.front().batch == s_->batch;
  if (usable(entry) && what->verified && settled && s_->transaction_status != 'E') {
    answer_here(reply_kind::local_parse, std::move(undo));
    return swallow(header);
  }
  if (entry != nullptr || close_unsettled(what)) close_on_server(what);
  write_parse(*what);
  owed_reply& reply = owe_renaming(reply_kind::parse, std::move(undo));
  reply.subject = what;
  reply.serial = ++s_->parse_serial;
  reply.epoch = epoch;
  note_prepared(what, epoch);
  return swallow(header);
}

/// The server does not know the client's name, so it is given one to refuse: its own words and its own aborted
/// transaction are what the client must see.
client_verdict client_side::parse_name_in_use(const frame_header& header, bytes_view name) {
  std::string refused(name);
  if (name.starts_with(statement_prefix)) refused.push_back('?'); // not one of the pooler's own
  write_message(to_server_, 'P', {refused, nul, nul, no_types});
  owe(reply_kind::parse, true);
  if (s_->refused_name.empty()) { // of several in a batch the first is refused, and all behind it skipped
    s_->refused_name = refused;
    s_->refused_batch = s_->batch;
  }
  s_->dirt.prepared = true;
  owe(reply_kind::parse);
  return with_server_name(header, {}, refused, frame_header_size + name.size());
}

/// Otherwise the client's name would be known on this server when the client has none of that name any more.
void client_side::close_refused() {
  write_message(to_server_, 'C', {"S", s_->refused_name, nul});
  s_->refused_name.clear();
  owe(reply_kind::close, true);
}

/// Whether the client would have more statements than it may.
bool client_side::too_many_statements(std::string_view name) {
  return c_.extras && c_.extras->statements.size() >= c_.rules->max_client_statements && known(name) == nullptr;
}

/// Whether it would take more memory than it may. Asked before the message is kept.
bool client_side::too_large(const frame_header& header) const {
  return c_.memory() + client_statements::overhead + header.total() > c_.rules->max_client_memory;
}

/// For a message the session survives. The server is given a Parse to refuse, so that the error has its turn among the
/// answers and ends the transaction as any other; the client sees the pooler's own words.
void client_side::owe_refusal(const refusal& why) {
  write_message(to_server_, 'P', {statement_prefix, "refused", nul, "refused by pg_edge", nul, no_types});
  owe(reply_kind::refused).refusal = std::make_unique<bytes>(why.response());
}

client_verdict client_side::refuse_on_server(const frame_header& header, const refusal& why) {
  c_.in_batch = true;
  owe_refusal(why);
  return swallow(header);
}

/// A statement some server has accepted needs none to be known again. Drivers that prepare with a blocking call while
/// their other connections hold every server would otherwise wait for ever.
client_verdict client_side::parse_without_server(const frame_header& header, bytes_view rest) {
  if (header.body() == 0 || rest.size() == frame_header_size || rest[frame_header_size] == '\0' ||
      header.total() > named_parse_limit || too_large(header))
    return stop(client_verdict::need_server);
  if (rest.size() < header.total()) return more();
  reader body(rest.substr(frame_header_size, header.body()));
  const bytes_view name = body.cstring();
  const bytes_view text = body.rest();
  if (!body.ok() || known(name) != nullptr || too_many_statements(name)) return stop(client_verdict::need_server);
  const statement_ptr what = c_.rules->cache->find(text);
  if (!what || !what->verified || mentions_names(*what)) return stop(client_verdict::need_server);
  count(&exchange_counts::client_parses);
  c_.in_batch = true;
  rename(name, {what, next_parse_epoch(), c_.batch});
  answer_here(reply_kind::local_parse, nullptr);
  return swallow(header);
}

// -- Bind, Describe, Execute
// -------------------------------------------------------------------------------------------
client_verdict client_side::bind(const frame_header& header, bytes_view rest) {
  if (!sharing()) {
    count(&exchange_counts::binds);
    c_.in_batch = true;
    owe(reply_kind::bind);
    return forward(header);
  }
  const bytes_view body = rest.substr(frame_header_size, std::min(header.body(), rest.size() - frame_header_size));
  const std::size_t portal_end = body.find('\0');
  const std::size_t name_end = portal_end == bytes_view::npos ? portal_end : body.find('\0', portal_end + 1);
  if (name_end == bytes_view::npos && body.size() < header.body() && body.size() < name_limit) return more();
  // Forwarded as it is, a name that was not looked at could be one of the pooler's own, or another client's.
  if (name_end == bytes_view::npos ? body.size() >= name_limit : name_end >= name_limit)
    return refuse_on_server(header, {error_code::names_too_long, {std::to_string(name_limit)}});
  const bool look_at_name = name_end != bytes_view::npos;
  const bytes_view name = look_at_name ? body.substr(portal_end + 1, name_end - portal_end - 1) : bytes_view{};
  client_statement* named = look_at_name && !name.empty() ? known(name) : nullptr;
  if (look_at_name && (name.empty() ? unnamed_unsettled() : unsettled(name))) return wait();
  if (named != nullptr && named->written && !s_->owed.empty()) return wait();
  if (named != nullptr && doubtful(*named) && rest.size() < header.total() && header.total() <= retry_limit)
    return more(); // it may have to be kept
  count(&exchange_counts::binds);
  c_.in_batch = true;
  if (!look_at_name) { // malformed: the server says so
    owe(reply_kind::bind);
    return forward(header);
  }
  const bytes_view portal = body.substr(0, portal_end);
  if (name.empty()) {
    bring_unnamed();
    note_bound(portal, c_.extras ? c_.extras->unnamed_effects : nullptr);
    owe(reply_kind::bind);
    return forward(header);
  }
  if (named == nullptr)
    return with_unknown_name(header, reply_kind::bind, {body.substr(0, portal_end + 1), name},
                             frame_header_size + name_end);
  const text_effects_ptr effects = named->written ? look_up_names(*named) : named->what->effects;
  use_named(*named, header, rest, reply_kind::bind);
  note_bound(portal, effects);
  return with_server_name(header, body.substr(0, portal_end + 1), named->what->server_name,
                          frame_header_size + name_end);
}

/// Of several portals only the one bound last is remembered; without effects, the tag alone tells what was done.
void client_side::note_bound(bytes_view portal, const text_effects_ptr& effects) {
  if (effects && effects->leaves_state) s_->dirt.other = true;
  if (!c_.extras || (!effects && c_.extras->bound_portal != portal)) return;
  c_.extras->bound_effects = effects;
  c_.extras->bound_portal.assign(portal);
}

/// Brings the statement and owes the reply; begins to keep the batch when the server's plan may be stale.
void client_side::use_named(client_statement& named, const frame_header& header, bytes_view rest, reply_kind kind) {
  // A Parse that was answered here locked no table, as it would have done until Sync: between it and its first use in
  // the same batch a change may have come in, so it counts as made just now. Only where a second try is possible, or
  // every statement of a long batch would be prepared anew.
  if (named.parsed_in == c_.batch && can_keep_batch()) named.parsed_at = next_parse_epoch();
  named.parsed_in = 0;
  const bool keep = !named.written && header.total() <= retry_limit && doubtful(named);
  if (!keep) distrust(named);
  bring(named.what);
  owed_reply& reply = owe(kind);
  reply.subject = named.what;
  reply.epoch = present_parse_epoch();
  if (keep && rest.size() >= header.total()) start_recording(named.what, header, rest.substr(0, header.total()));
}

/// Sends the message with the shared name in place of the client's: `before` the name, and what stands behind it in
/// the message at `name_end`, which streams on.
client_verdict client_side::with_server_name(const frame_header& header, bytes_view before,
                                             std::string_view server_name, std::size_t name_end) {
  const std::size_t behind = header.total() - name_end;
  to_server_.write([&](bytes& own) {
    put_u8(own, static_cast<std::uint8_t>(header.type));
    put_u32(own, static_cast<std::uint32_t>(4 + before.size() + server_name.size() + behind));
    put_bytes(own, before);
    put_bytes(own, server_name);
  });
  at_ += name_end;
  c_.frame_left = static_cast<std::uint32_t>(behind);
  c_.frame_forward = true;
  pass_rest();
  return next();
}

/// The server says that it does not know the name, unless the name looks like one of the pooler's own, which it must
/// not reach.
client_verdict client_side::with_unknown_name(const frame_header& header, reply_kind kind,
                                              std::pair<bytes_view, bytes_view> parts, std::size_t name_end) {
  owe(kind);
  if (!parts.second.starts_with(statement_prefix)) return forward(header);
  return with_server_name(header, parts.first, std::string(parts.second) + "?", name_end);
}

/// The unnamed statement follows the client: its text is parsed again where another client's stands.
void client_side::bring_unnamed() {
  client_extras* extras = c_.extras.get();
  const std::uint64_t generation = extras == nullptr ? 0 : extras->unnamed_generation;
  if (generation != 0 && extras->unnamed_names && !unnamed_is_of_this_batch()) {
    count(&exchange_counts::server_parses);
    const bytes text = extras->unnamed;
    const std::string_view sql(text.c_str());
    write_rewritten_unnamed(sql, scan(sql, false, standard_strings()));
    return owe_unnamed_parse(nullptr, true);
  }
  if (generation != 0 && s_->unnamed_client == c_.id && s_->unnamed_generation == generation) return;
  if (generation != 0 && !extras->unnamed.empty()) {
    count(&exchange_counts::server_parses);
    write_message(to_server_, 'P', {nul, extras->unnamed});
    return owe_unnamed_parse(nullptr, true);
  }
  // The client has none: whosever the server has, it must not answer.
  write_message(to_server_, 'C', {"S", nul});
  owe(reply_kind::close, true);
  s_->unnamed_client = 0;
}

client_verdict client_side::describe(const frame_header& header, bytes_view rest) {
  if (rest.size() < header.total()) return more();
  const bytes_view body = rest.substr(frame_header_size, header.body());
  if (!sharing() || body.size() < 2 || body[0] != 'S') {
    c_.in_batch = true;
    owe(reply_kind::describe);
    return forward(header);
  }
  const std::size_t name_end = body.find('\0');
  const bytes_view name = body.substr(1, name_end == bytes_view::npos ? name_end : name_end - 1);
  if (name.empty() ? unnamed_unsettled() : unsettled(name)) return wait();
  client_statement* named = name.empty() ? nullptr : known(name);
  if (named != nullptr && named->written && !s_->owed.empty()) return wait();
  c_.in_batch = true;
  if (name.empty()) {
    bring_unnamed();
    owe(reply_kind::describe);
    return forward(header);
  }
  if (name_end == bytes_view::npos || named == nullptr)
    return with_unknown_name(header, reply_kind::describe, {body.substr(0, 1), name},
                             frame_header_size + 1 + name.size());
  if (named->written) look_up_names(*named);
  use_named(*named, header, rest, reply_kind::describe);
  return with_server_name(header, body.substr(0, 1), named->what->server_name, frame_header_size + name_end);
}

client_verdict client_side::execute(const frame_header& header, bytes_view rest) {
  const bool effects = c_.extras && c_.extras->bound_effects;
  if (effects && rest.size() < header.total()) return more();
  c_.in_batch = true;
  owed_reply& reply = owe(reply_kind::execute);
  const bytes_view body = rest.substr(frame_header_size);
  if (effects && body.substr(0, body.find('\0')) == c_.extras->bound_portal)
    note_effects(reply, c_.extras->bound_effects);
  return forward(header);
}

// -- Close
// -------------------------------------------------------------------------------------------------------------
client_verdict client_side::close(const frame_header& header, bytes_view rest) {
  if (rest.size() < header.total()) return more();
  const bytes_view body = rest.substr(frame_header_size, header.body());
  const bool named = sharing() && body.size() >= 2 && body[0] == 'S' && body.find('\0') == body.size() - 1;
  const bytes_view name = named ? body.substr(1, body.size() - 2) : bytes_view{};
  if (named && (name.empty() ? unnamed_unsettled() : unsettled(name))) return wait();
  c_.in_batch = true;
  if (named) {
    if (known(name) != nullptr) {
      answer_here(reply_kind::local_close, rename(name, {}));
      return swallow(header);
    }
    if (name.empty()) {
      close_unnamed();
      return forward(header);
    }
    if (name.starts_with(statement_prefix)) {
      answer_here(reply_kind::local_close, nullptr); // the pooler's own: not the client's to close
      return swallow(header);
    }
  }
  owe(reply_kind::close);
  return forward(header);
}

/// Like a Parse of a statement that is none: it may be skipped too.
void client_side::close_unnamed() {
  client_extras& extras = c_.more();
  const bool first = s_->owed.empty() || s_->owed.back().flushes();
  std::unique_ptr<map_undo> undo = first ? nullptr : undo_unnamed(extras);
  forget_unnamed();
  extras.unnamed_generation = next_parse_epoch();
  owe_unnamed(reply_kind::close, std::move(undo));
}

void client_side::forget_unnamed() {
  if (!c_.extras) return;
  c_.extras->unnamed.clear();
  c_.extras->unnamed_names = false;
  c_.extras->unnamed_effects = nullptr;
  c_.extras->unnamed_generation = 0;
}

/// Outside a transaction there is no portal, and statements are known by the client's list alone.
client_verdict client_side::close_without_server(const frame_header& header, bytes_view rest) {
  if (rest.size() < header.total()) return more();
  const bytes_view body = rest.substr(frame_header_size, header.body());
  const bool well_formed = body.size() >= 2 && (body[0] == 'S' || body[0] == 'P') && body.find('\0') == body.size() - 1;
  if (!well_formed) return stop(client_verdict::need_server);
  c_.in_batch = true;
  if (body[0] == 'S') {
    const bytes_view name = body.substr(1, body.size() - 2);
    if (name.empty())
      forget_unnamed();
    else
      rename(name, {});
  }
  answer_here(reply_kind::local_close, nullptr);
  return swallow(header);
}

} // namespace pg_edge::protocol
