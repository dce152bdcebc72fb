#include "protocol/console_session.hpp"

#include "protocol/errors.hpp"
#include "protocol/messages.hpp"

namespace pg_edge::protocol {

bool console_session::room_for(std::size_t more) const {
  std::size_t used = more;
  for (const auto& [name, sql] : statements_)
    used += name.size() + sql.size();
  for (const auto& [name, bound] : portals_)
    used += name.size() + bound.sql.size() + bound.formats.size() * sizeof(std::int16_t);
  return used <= most_bytes && statements_.size() + portals_.size() < most_objects;
}

void console_session::refuse(step& out, bytes error) {
  out.reply = std::move(error);
  skipping_ = true;
}

console_session::step console_session::take(char type, bytes_view body) {
  step out;
  if (type == terminate::info.type) {
    out.terminate = true;
  } else if (type == sync::info.type) {
    skipping_ = false;
    portals_.clear(); // they live as long as the transaction, which Sync ends
    append(out.reply, ready_for_query{});
  } else if (skipping_) {
    // up to Sync
  } else if (type == query::info.type) {
    on_query(body, out);
  } else if (type == parse::info.type) {
    on_parse(body, out);
  } else if (type == bind::info.type) {
    on_bind(body, out);
  } else if (type == describe::info.type) {
    on_describe(body, out);
  } else if (type == execute::info.type) {
    on_execute(body, out);
  } else if (type == close::info.type) {
    on_close(body, out);
  } else if (type == function_call::info.type) {
    append(out.reply = make_error(error_code::console_unsupported, {"function calls"}), ready_for_query{});
  } else if (type != flush::info.type) { // like Postgres, it overlooks COPY messages outside a COPY
    out.unknown = std::string_view("dcf").find(type) == std::string_view::npos;
  }
  if (out.question) simple_ = out.question->wish == console_wish::simple;
  return out;
}

void console_session::on_query(bytes_view body, step& out) {
  const auto message = decode<query>(body);
  if (!message) {
    append(out.reply = make_error(error_code::invalid_message_format, {"Query"}), ready_for_query{});
    return;
  }
  statements_.erase(std::string());
  out.question = console_question{console_wish::simple, std::string(message->text), {}, 0};
}

void console_session::on_parse(bytes_view body, step& out) {
  const auto message = decode<parse>(body);
  if (!message) {
    refuse(out, make_error(error_code::invalid_message_format, {"Parse"}));
  } else if (!message->parameter_types.empty()) {
    refuse(out, make_error(error_code::console_unsupported, {"parameters in commands"}));
  } else if (!message->statement.empty() && statements_.contains(message->statement)) {
    refuse(out, make_error(error_code::statement_exists, {message->statement}));
  } else if (!room_for(message->statement.size() + message->text.size())) {
    refuse(out, make_error(error_code::console_unsupported, {"so many or so long prepared statements"}));
  } else {
    statements_.insert_or_assign(std::string(message->statement), std::string(message->text));
    append(out.reply, parse_complete{});
  }
}

void console_session::on_bind(bytes_view body, step& out) {
  const auto message = decode<bind>(body);
  if (!message) {
    return refuse(out, make_error(error_code::invalid_message_format, {"Bind"}));
  }
  const auto found = statements_.find(message->statement);
  if (found == statements_.end()) {
    refuse(out, message->statement.empty() ? make_error(error_code::no_unnamed_statement)
                                           : make_error(error_code::no_such_statement, {message->statement}));
  } else if (!message->parameters.empty()) {
    refuse(out, make_error(error_code::console_unsupported, {"parameters in commands"}));
  } else if (!room_for(message->portal.size() + found->second.size())) {
    refuse(out, make_error(error_code::console_unsupported, {"so many portals"}));
  } else {
    portals_.insert_or_assign(std::string(message->portal), portal{found->second, message->result_formats});
    append(out.reply, bind_complete{});
  }
}

void console_session::on_describe(bytes_view body, step& out) {
  const auto message = decode<describe>(body);
  if (!message) {
    refuse(out, make_error(error_code::invalid_message_format, {"Describe"}));
  } else if (message->kind == 'S') {
    const auto found = statements_.find(message->name);
    if (found == statements_.end()) return refuse(out, make_error(error_code::no_such_statement, {message->name}));
    append(out.reply, parameter_description{});
    out.question = console_question{console_wish::describe, found->second, {}, 0};
  } else {
    const auto found = portals_.find(message->name);
    if (found == portals_.end()) return refuse(out, make_error(error_code::no_such_statement, {message->name}));
    out.question = console_question{console_wish::describe, found->second.sql, found->second.formats, 0};
  }
}

void console_session::on_execute(bytes_view body, step& out) {
  const auto message = decode<execute>(body);
  if (!message) {
    return refuse(out, make_error(error_code::invalid_message_format, {"Execute"}));
  }
  const auto found = portals_.find(message->portal);
  if (found == portals_.end()) return refuse(out, make_error(error_code::no_such_statement, {message->portal}));
  out.question = console_question{console_wish::execute, found->second.sql, found->second.formats, message->max_rows};
}

void console_session::on_close(bytes_view body, step& out) {
  const auto message = decode<close>(body);
  if (!message) {
    return refuse(out, make_error(error_code::invalid_message_format, {"Close"}));
  }
  if (message->kind == 'S')
    statements_.erase(std::string(message->name));
  else
    portals_.erase(std::string(message->name));
  append(out.reply, close_complete{});
}

} // namespace pg_edge::protocol
