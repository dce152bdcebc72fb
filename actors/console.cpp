#include "actors/console.hpp"

#include "actors/console_commands.hpp"
#include "actors/console_control.hpp"
#include "actors/control_stats.hpp"
#include "actors/gatherer.hpp"
#include "actors/log.hpp"
#include "protocol/errors.hpp"
#include "protocol/messages.hpp"

#include <cctype>
#include <functional>
#include <map>

namespace pg_edge::actors {

/// A command with a function of its own has an answer; perhaps another thread says so.
struct task_answered {
  std::function<void()> go_on;
};

} // namespace pg_edge::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::task_answered)

namespace pg_edge::actors {

namespace {

using protocol::console_wish;
using protocol::error_code;

using control_look_atom = caf::atom_constant<caf::atom("control")>;
using inner_console = console_actor::extend<caf::reacts_to<control_look_atom>, caf::reacts_to<task_answered>>;

/// How often somebody who waits for servers to close is looked after.
constexpr std::chrono::milliseconds control_look{20};

/// A reload may wait for certificates and lists of users on slow disks.
constexpr std::chrono::seconds reload_patience{60};

/// "WAIT_CLOSE": the tag of its answer, too.
std::string text_of(const console_command& command) {
  std::string text(command.words);
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

author author_of(const console_query& query) {
  return {"console " + query.user, query.from};
}

/// Behind "key =": words that were not quoted come apart at punctuation ("1", ".", "5") and are put together again.
std::string text_of_value(const console_words& arguments) {
  const auto letters = [](const std::string& word) {
    return !word.empty() && std::isalnum(static_cast<unsigned char>(word.back())) != 0;
  };
  std::string text;
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    if (i > 2 && letters(arguments[i - 1]) && letters(arguments[i])) text += ' ';
    text += arguments[i];
  }
  return text;
}

} // namespace

// A query is a run over its statements. It waits for answers, so it is kept alive by the functions that the answers
// call.
//
//   console_query -> next statement -> (gatherer) -> rows -> next ... -> console_reply
//                                  '-> an error: the statements behind it are left out

class console_state {
public:
  static inline const char* name = "console";

  console_state(inner_console::pointer self, node_context& node)
      : self_(self), node_(node), control_(node, [this](std::function<void()> then) {
          gather(console_need::counts, [this, then = std::move(then)](const console_view&) {
            then();
            look_later();
          });
        }) {}

  void note_message() { stats_.note(self_); }
  void add_client(const caf::actor& who);
  void remove_client(const caf::actor_addr& who) {
    clients_.erase(who);
    control_.client_gone(who);
  }
  void cancel(const caf::actor_addr& who) { control_.cancel(who); }
  void look();
  void end_clients_with(const end_clients& message);
  void begin(const console_query& query);
  console_client_list list_clients() const;
  caf::typed_response_promise<console_order_done> obey(const console_order& order);

private:
  struct run {
    console_query query;
    protocol::console_script script;
    std::size_t next = 0;
    protocol::bytes out;
  };
  using run_ptr = std::shared_ptr<run>;

  void go_on(const run_ptr& now);
  void fail(const run_ptr& now, const protocol::bytes& error);
  void finish(const run_ptr& now, bool failed);
  void complete(const run_ptr& now, std::string_view tag);
  void describe(const run_ptr& now, const console_match& what);
  void show(const run_ptr& now, const console_match& what);
  void put_rows(const run_ptr& now, const console_command& command, const console_rows& rows);
  void act(const run_ptr& now, const console_match& what);
  void run_own(const run_ptr& now, const console_match& what);
  void take_outcome(const run_ptr& now, const console_match& what, const console_outcome& outcome);
  template <class Message>
  void change_settings(const run_ptr& now, Message message, std::string_view name);
  void set(const run_ptr& now, const console_match& what);
  void shut_down(const run_ptr& now, const console_match& what);
  void control(const run_ptr& now, const console_match& what);
  void look_later();

  void gather(console_need need, std::function<void(const console_view&)> done);

  control_stats stats_{actor_kind::console};
  inner_console::pointer self_;
  node_context& node_;
  std::map<caf::actor_addr, caf::actor> clients_;
  console_control control_;
  bool looks_ = false; // control_look_atom is on its way
};

// -- clients of the console
// -------------------------------------------------------------------------------------------------

void console_state::add_client(const caf::actor& who) {
  clients_.emplace(who.address(), who);
  self_->monitor(who);
}

void console_state::end_clients_with(const end_clients& message) {
  for (const auto& [address, who] : clients_)
    caf::anon_send(who, end_client{message.error, message.at_transaction_end});
}

console_client_list console_state::list_clients() const {
  console_client_list result;
  for (const auto& [address, who] : clients_)
    result.clients.push_back(who);
  return result;
}

// -- a query
// ----------------------------------------------------------------------------------------------------------------

void console_state::begin(const console_query& query) {
  const auto now = std::make_shared<run>();
  now->query = query;
  now->script = protocol::read_console_script(query.question.sql);
  const bool simple = query.question.wish == console_wish::simple;
  if (!simple && now->script.statements.size() > 1)
    return fail(now,
                protocol::make_error(error_code::console_syntax, {"more than one command in a prepared statement"}));
  if (now->script.statements.empty() && now->script.fault.empty()) {
    if (query.question.wish == console_wish::describe)
      append(now->out, protocol::no_data{});
    else
      append(now->out, protocol::empty_query_response{});
  }
  go_on(now);
}

void console_state::go_on(const run_ptr& now) {
  if (now->next == now->script.statements.size()) {
    if (!now->script.fault.empty())
      return fail(now, protocol::make_error(error_code::console_syntax, {now->script.fault}));
    return finish(now, false);
  }
  const protocol::console_statement& statement = now->script.statements[now->next++];
  const console_match what = match(statement);
  if (what.command == nullptr) return fail(now, protocol::make_error(error_code::console_syntax, {statement.text}));
  if (now->query.question.wish == console_wish::describe) return describe(now, what);
  if (what.command->admin && !now->query.admin)
    return fail(now, protocol::make_error(error_code::console_permission, {now->query.user, text_of(*what.command)}));
  if (what.command->rows != nullptr)
    show(now, what);
  else if (what.command->run != nullptr)
    run_own(now, what);
  else
    act(now, what);
}

void console_state::fail(const run_ptr& now, const protocol::bytes& error) {
  now->out += error;
  finish(now, true);
}

void console_state::finish(const run_ptr& now, bool failed) {
  if (now->query.question.wish == console_wish::simple) append(now->out, protocol::ready_for_query{});
  caf::anon_send(now->query.client, console_reply{std::move(now->out), failed});
}

void console_state::complete(const run_ptr& now, std::string_view tag) {
  append(now->out, protocol::command_complete{tag});
  go_on(now);
}

void console_state::describe(const run_ptr& now, const console_match& what) {
  const auto columns = columns_of(what);
  const protocol::result_formats& formats = now->query.question.formats;
  if (const std::string fault = protocol::format_fault(columns.size(), formats); !fault.empty())
    return fail(now, protocol::make_error(error_code::console_unsupported, {fault}));
  if (columns.empty())
    append(now->out, protocol::no_data{});
  else
    append_description(now->out, columns, formats);
  go_on(now);
}

void console_state::show(const run_ptr& now, const console_match& what) {
  gather(what.command->need, [this, now, command = what.command](const console_view& view) {
    put_rows(now, *command, command->rows(view));
  });
}

void console_state::put_rows(const run_ptr& now, const console_command& command, const console_rows& rows) {
  const protocol::console_question& question = now->query.question;
  if (const std::string fault = protocol::format_fault(command.columns.size(), question.formats); !fault.empty())
    return fail(now, protocol::make_error(error_code::console_unsupported, {fault}));
  if (question.max_rows > 0 && rows.size() > static_cast<std::size_t>(question.max_rows))
    return fail(now, protocol::make_error(error_code::console_unsupported, {"a limit of rows below their number"}));
  if (question.wish == console_wish::simple) append_description(now->out, command.columns);
  for (const protocol::console_row& row : rows)
    append_row(now->out, command.columns, row, question.formats);
  complete(now, "SHOW");
}

void console_state::run_own(const run_ptr& now, const console_match& what) {
  gather(what.command->need, [this, now, what](const console_view& view) {
    const auto answer = [this, now, what, me = caf::actor_cast<caf::actor>(self_)](console_outcome outcome) {
      caf::anon_send(me, task_answered{[this, now, what, outcome] { take_outcome(now, what, outcome); }});
    };
    what.command->run(view, {node_, what.arguments, now->query.client, author_of(now->query), answer});
  });
}

void console_state::take_outcome(const run_ptr& now, const console_match& what, const console_outcome& outcome) {
  now->out += outcome.notices;
  if (!outcome.error.empty()) return fail(now, outcome.error);
  if (!what.command->columns.empty()) return put_rows(now, *what.command, outcome.rows);
  complete(now, text_of(*what.command));
}

void console_state::act(const run_ptr& now, const console_match& what) {
  switch (what.command->act) {
  case console_act::help:
    now->out += protocol::make_notice(console_help());
    return complete(now, "SHOW");
  case console_act::show_parameter: {
    const console_parameter& parameter = *find_parameter(what.arguments[0]);
    const std::span<const protocol::console_column> columns(&parameter.column, 1);
    if (now->query.question.wish == console_wish::simple) append_description(now->out, columns);
    append_row(now->out, columns, {std::string(parameter.value)}, now->query.question.formats);
    return complete(now, "SHOW");
  }
  case console_act::set_parameter:
    now->out += protocol::make_notice("SET ignored");
    return complete(now, "SET");
  case console_act::reload:
    return change_settings(now, reload_settings{author_of(now->query)}, "RELOAD");
  case console_act::set_setting:
    return set(now, what);
  case console_act::shut_down:
    return shut_down(now, what);
  case console_act::none:
    break;
  default:
    return control(now, what);
  }
  fail(now, protocol::make_error(error_code::console_unsupported, {what.command->words}));
}

// -- commands that change something
// ---------------------------------------------------------------------------------------------

template <class Message>
void console_state::change_settings(const run_ptr& now, Message message, std::string_view name) {
  self_->request(node_.node, reload_patience, std::move(message))
      .then(
          [this, now, name](const reload_result& result) {
            std::string lines;
            for (const std::string& line : result.lines)
              lines.append(lines.empty() ? "" : "\n").append(line);
            if (!result.applied) return fail(now, protocol::make_error(error_code::console_failed, {name, lines}));
            if (!lines.empty()) now->out += protocol::make_notice(lines);
            complete(now, name);
          },
          [this, now, name](const caf::error&) {
            fail(now, protocol::make_error(error_code::console_failed, {name, "the node does not answer"}));
          });
}

void console_state::set(const run_ptr& now, const console_match& what) {
  log(level::info, log_event::pools_controlled,
      {{"command", "SET"}, {"scope", what.arguments[0]}, {"by", author_of(now->query).who}});
  change_settings(now, set_setting{what.arguments[0], text_of_value(what.arguments), author_of(now->query)}, "SET");
}

void console_state::shut_down(const run_ptr& now, const console_match& what) {
  const bool at_once = what.arguments.empty();
  const bool servers = !at_once && protocol::same_word(what.arguments[0], "wait_for_servers");
  const auto mode = at_once   ? shutdown_mode::at_once
                    : servers ? shutdown_mode::wait_for_servers
                              : shutdown_mode::wait_for_clients;
  complete(now, "SHUTDOWN"); // first, or nobody may be left to tell
  self_->send(node_.node, actors::shut_down{mode, author_of(now->query)});
}

void console_state::control(const run_ptr& now, const console_match& what) {
  gather(what.command->need, [this, now, what](const console_view& view) {
    const console_control::command order{what.command->act, what.arguments, now->query.client, author_of(now->query)};
    control_.run(order, view, [this, now, tag = text_of(*what.command)](const protocol::bytes& error) {
      if (!error.empty()) return fail(now, error);
      complete(now, tag);
    });
    look_later();
  });
}

/// As control(), for the admin API. Who waits for the answer is taken for the client.
caf::typed_response_promise<console_order_done> console_state::obey(const console_order& order) {
  auto promise = self_->make_response_promise<console_order_done>();
  const console_control::command what{order.act, order.arguments, caf::actor_cast<caf::actor>(self_->current_sender()),
                                      order.by};
  const console_need need = order.act == console_act::kill_client ? console_need::clients : console_need::counts;
  gather(need, [this, what, promise](const console_view& view) mutable {
    control_.run(what, view,
                 [promise](const protocol::bytes& error) mutable { promise.deliver(console_order_done{error}); });
    look_later();
  });
  return promise;
}

void console_state::look() {
  looks_ = false;
  control_.look();
  look_later();
}

void console_state::look_later() {
  if (looks_ || !control_.anybody_waits()) return;
  looks_ = true;
  self_->delayed_send(self_, control_look, control_look_atom::value);
}

// -- views
// ------------------------------------------------------------------------------------------------------------------

void console_state::gather(console_need need, std::function<void(const console_view&)> done) {
  self_->request(node_.gatherer, view_patience, gather_view{need})
      .then([done](const gathered_view& got) { done(*got.view); },
            [this, done](const caf::error&) {
              console_view bare;
              look_at_node(bare, node_);
              bare.complete = false;
              bare.stats = std::make_shared<stats_ledger>(node_.started);
              done(bare);
            });
}

// -- the actor
// ------------------------------------------------------------------------------------------------------------------

namespace {

struct console_holder {
  std::unique_ptr<console_state> inner;
  static inline const char* name = "console";
};

inner_console::behavior_type console(inner_console::stateful_pointer<console_holder> self, node_context* node) {
  self->state.inner = std::make_unique<console_state>(self, *node);
  console_state* state = self->state.inner.get();
  self->set_down_handler([state](const caf::down_msg& message) { state->remove_client(message.source); });
  const auto counted = [state] { state->note_message(); };
  return {
      [state, counted](const console_joined& message) {
        counted();
        state->add_client(message.client);
      },
      [state, counted](const console_query& message) {
        counted();
        state->begin(message);
      },
      [state, counted](const end_clients& message) {
        counted();
        state->end_clients_with(message);
      },
      [state, counted](const console_cancelled& message) {
        counted();
        state->cancel(message.client.address());
      },
      [state, counted](const list_console_clients&) {
        counted();
        return state->list_clients();
      },
      [state, counted](const console_order& message) {
        counted();
        return state->obey(message);
      },
      [state](control_look_atom) { state->look(); },
      [](const task_answered& message) { message.go_on(); },
  };
}

} // namespace

console_actor spawn_console(caf::actor_system& system, node_context& node) {
  return system.spawn(console, &node);
}

} // namespace pg_edge::actors
