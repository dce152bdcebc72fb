// What a completed command has changed on the server and for its client.
#include "protocol/server_side.hpp"

namespace pg_edge::protocol {

// -- parameters
// --------------------------------------------------------------------------------------------------------
void server_side::parameter_status(const frame_header& header, bytes_view rest) {
  if (!whole(header, rest)) return;
  const auto status = decode<protocol::parameter_status>(body_of(header, rest));
  if (!status) return broken("a ParameterStatus that is not one");
  s_.values = with(s_.values, status->name, status->value);
  const bool tell = c_ != nullptr && (visible() || s_.owed.front().release_ready);
  if (tell) c_->values = s_.values;
  s_.frame_left = static_cast<std::uint32_t>(header.total());
  s_.frame_forward = tell;
  pass_rest();
}

// -- CommandComplete
// ---------------------------------------------------------------------------------------------------
void server_side::command_complete(const frame_header& header, bytes_view rest) {
  if (!whole(header, rest) || !expects({reply_kind::query, reply_kind::execute}, header.type)) return;
  owed_reply& reply = s_.owed.front();
  const bytes_view body = body_of(header, rest);
  const tag_effect tag = classify_tag(body.substr(0, body.find('\0')));
  if (tag != tag_effect::none) apply(tag, reply);
  s_.stray = stray_sync::none; // a COPY that succeeds has read all that was sent before its end
  ++reply.statement_index;
  if (reply.kind == reply_kind::execute && reply.ours && reply.subject) confirm(reply);
  s_.copy_both = false;
  s_.pop_after_frame = reply.kind == reply_kind::execute;
  send_on(header, visible());
}

/// What the text says about the statement that has just completed; null where the text was not looked at.
const text_effect* server_side::effect_of(const owed_reply& reply) {
  if (!reply.effects || !reply.effects->complete || reply.statement_index >= reply.effects->list.size()) return nullptr;
  return &reply.effects->list[reply.statement_index];
}

void server_side::apply(tag_effect tag, const owed_reply& reply) {
  const text_effect* effect = effect_of(reply);
  switch (tag) {
  case tag_effect::set:
    return apply_set(effect, reply.ours);
  case tag_effect::reset:
    return apply_reset(effect, reply.ours);
  case tag_effect::prepare:
    return apply_prepare(effect, reply.ours);
  case tag_effect::deallocate:
    return apply_deallocate(effect);
  case tag_effect::deallocate_all:
    return forget_statements(reply.ours);
  case tag_effect::discard_all:
    forget_statements(reply.ours);
    s_.profile = nullptr;
    if (!reply.ours) {
      if (nothing_behind()) s_.dirt = {.library = s_.dirt.library};
      s_.reset_all_pending = true;
    }
    return;
  case tag_effect::listen:
    s_.dirt.listening = true;
    s_.unlistened = false;
    return;
  case tag_effect::unlisten:
    if (effect != nullptr && effect->kind == statement_kind::unlisten_all) s_.unlistened = true;
    return;
  case tag_effect::rollback:
    s_.unlistened = false;
    return;
  case tag_effect::declare_cursor:
    if (effect == nullptr || reply.effects->leaves_state) s_.dirt.other = true;
    return;
  case tag_effect::load:
    s_.dirt.library = true;
    return;
  default:
    return;
  }
}

/// What is noted when a message is sent, and not when it is done, must not be taken for something before it.
bool server_side::nothing_behind() {
  return s_.owed.size() == 1 || (s_.owed.size() == 2 && s_.owed.at(1).kind == reply_kind::sync);
}

void server_side::apply_set(const text_effect* effect, bool ours) {
  if (ours) return;
  if (effect != nullptr && effect->kind == statement_kind::set_local) return; // ends with the transaction
  const bool mirrored = effect != nullptr && effect->kind == statement_kind::set && reported(effect->name) &&
                        follows_client(effect->name);
  if (!mirrored) s_.dirt.settings = true;
  if (effect != nullptr && effect->to_default) s_.reset_pending.push_back(effect->name);
}

void server_side::apply_reset(const text_effect* effect, bool ours) {
  if (ours) {
    if (s_.own_resets_all) s_.profile = nullptr;
    return;
  }
  if (effect != nullptr && effect->kind == statement_kind::reset)
    s_.reset_pending.push_back(effect->name);
  else
    s_.reset_all_pending = true;
  s_.dirt.settings |= effect == nullptr;
}

void server_side::apply_prepare(const text_effect* effect, bool ours) {
  if (ours) return;
  if (effect == nullptr || !effect->subject) {
    s_.dirt.prepared = true;
    return;
  }
  const statement_ptr what = std::const_pointer_cast<statement>(effect->subject);
  what->verified = !what->has_sql_types;
  const std::uint64_t epoch = next_parse_epoch();
  s_.statements.erase(*what);
  s_.statements.add(what).validated_at = epoch;
  if (c_ != nullptr) c_->more().statements.set(effect->name, {what, epoch});
}

void server_side::apply_deallocate(const text_effect* effect) {
  const bool foreign = effect != nullptr && effect->name.starts_with(statement_prefix);
  if (effect == nullptr || (!effect->subject && foreign)) s_.statements.distrust_all();
  if (effect == nullptr || !effect->subject) return;
  s_.statements.erase(*effect->subject);
  if (c_ != nullptr) c_->more().statements.erase(effect->name);
}

void server_side::forget_statements(bool ours) {
  s_.statements.clear();
  if (!ours) {
    s_.dirt.prepared = false;
    if (c_ != nullptr && c_->extras) c_->extras->statements.clear();
  }
}

} // namespace pg_edge::protocol
