#include "actors/console_figures.hpp"

#include "actors/node_context.hpp"
#include "protocol/errors.hpp"

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>

#include <cmath>
#include <ctime>

namespace pg_edge::actors {

using protocol::console_cell;
using protocol::console_column;
using protocol::console_row;
using enum protocol::console_type;

namespace {

console_cell cell(std::integral auto number) {
  return std::to_string(number);
}

console_cell or_null(std::string text) {
  return text.empty() ? console_cell() : console_cell(std::move(text));
}

std::string time_text(std::chrono::system_clock::time_point when) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(when);
  std::tm parts{};
  char text[64];
  if (::gmtime_r(&seconds, &parts) == nullptr) return {};
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts)};
}

} // namespace

// -- SHOW THROUGHPUT
// -----------------------------------------------------------------------------------------------------

std::span<const console_column> throughput_result_columns() {
  static const std::vector<console_column> columns = [] {
    std::vector<console_column> result;
    for (const throughput_column& one : throughput_columns())
      result.push_back({one.name, one.text != nullptr ? text : int8});
    return result;
  }();
  return columns;
}

console_rows throughput_result_rows(std::span<const throughput_row> rows) {
  console_rows result;
  result.reserve(rows.size());
  for (const throughput_row& row : rows) {
    console_row& line = result.emplace_back();
    for (const throughput_column& one : throughput_columns()) {
      // Who is no client has no id; of a client only its queries' times are kept.
      const bool known = one.known == nullptr || one.known(row);
      line.push_back(!known ? console_cell() : one.text != nullptr ? or_null(one.text(row)) : cell(one.number(row)));
    }
  }
  return result;
}

// -- SHOW ERRORS
// ---------------------------------------------------------------------------------------------------------

std::span<const console_column> error_result_columns() {
  static constexpr console_column columns[] = {
      {"sqlstate"},  {"class"},  {"origin"},   {"total", int8}, {"last_minute", int8},
      {"last_time"}, {"tenant"}, {"database"}, {"user"}};
  return columns;
}

console_rows error_result_rows(std::span<const error_figures> rows) {
  console_rows result;
  for (const error_figures& row : rows) {
    const std::string sqlstate = row.key.sqlstate();
    result.push_back({sqlstate, or_null(std::string(sqlstate_class(sqlstate))),
                      std::string(protocol::to_string(row.key.origin())), cell(row.total), cell(row.last_minute),
                      time_text(row.last), or_null(row.name.tenant), or_null(row.name.database),
                      or_null(row.name.user)});
  }
  return result;
}

// -- SHOW REACTORS
// -------------------------------------------------------------------------------------------------------

std::span<const console_column> reactor_result_columns() {
  static constexpr console_column columns[] = {
      {"reactor", int4},  {"turns", int8},   {"events", int8},  {"resumes", int8},  {"messages", int8},
      {"wake_ups", int8}, {"busy_us", int8}, {"busy_1s", int4}, {"busy_10s", int4}, {"busy_60s", int4}};
  return columns;
}

console_rows reactor_result_rows(std::span<const reactor_figures> rows) {
  console_rows result;
  for (const reactor_figures& row : rows) {
    const reactor_counters& one = row.counters;
    console_row& line = result.emplace_back(
        console_row{cell(row.reactor), cell(one.turns), cell(one.events), cell(one.resumes), cell(one.messages),
                    cell(one.wake_ups), cell(std::chrono::duration_cast<std::chrono::microseconds>(one.busy).count())});
    for (const double busy : row.busy)
      line.push_back(cell(std::lround(busy * 100)));
  }
  return result;
}

// -- the commands
// ------------------------------------------------------------------------------------------------------------

namespace {

/// It waits for its reactors no longer than metrics_patience, twice if a reading was under way.
constexpr std::chrono::milliseconds figures_patience = 3 * metrics_patience;

console_outcome failed(protocol::error_code code, std::initializer_list<std::string_view> args) {
  console_outcome result;
  result.error = protocol::make_error(code, args);
  return result;
}

/// Asks the metrics actor; `rows` makes of its answer what is shown.
template <class Answer, class Question>
void ask(const console_task& task, Question question, console_rows (*rows)(const Answer&)) {
  const metrics_actor whom = find_metrics(task.node);
  const auto answer = task.answer;
  if (!whom) return answer(failed(protocol::error_code::console_failed, {"SHOW", "the node ends"}));
  caf::actor_cast<caf::strong_actor_ptr>(whom)->home_system->spawn([=](caf::event_based_actor* self) {
    self->request(whom, figures_patience, question)
        .then(
            [answer, rows](const Answer& got) {
              answer({{}, {}, rows(got)});
            },
            [answer](const caf::error&) {
              answer(failed(protocol::error_code::console_failed, {"SHOW", "the metrics actor does not answer"}));
            });
  });
}

void show_throughput(const console_view&, const console_task& task) {
  const throughput_request wish = read_throughput_question(task.arguments);
  if (!wish.fault.empty())
    return task.answer(failed(protocol::error_code::console_syntax, {"SHOW THROUGHPUT: " + wish.fault}));
  ask<throughput_answer>(
      task, ask_throughput{wish.question},
      +[](const throughput_answer& got) { return throughput_result_rows(got.rows); });
}

void show_errors(const console_view&, const console_task& task) {
  ask<figures_answer>(
      task, ask_figures{}, +[](const figures_answer& got) { return error_result_rows(got.errors); });
}

void show_reactors(const console_view&, const console_task& task) {
  ask<figures_answer>(
      task, ask_figures{}, +[](const figures_answer& got) { return reactor_result_rows(got.reactors); });
}

} // namespace

std::span<const console_command> console_figure_commands() {
  static const console_command commands[] = {
      {.words = "show throughput",
       .arguments = "[TENANT|DATABASE|USER|POOL|CLIENT] [OVER 1|10|60] [ORDER BY column [ASC|DESC]] [LIMIT n]",
       .columns = throughput_result_columns(),
       .help = "a second: queries, transactions, bytes, and how long they took",
       .takes = [](const console_words&) { return true; }, // what is wrong with them is said when it runs
       .run = show_throughput},
      {.words = "show errors",
       .columns = error_result_columns(),
       .help = "errors sent to clients by SQLSTATE, Postgres's and pg_edge's own",
       .run = show_errors},
      {.words = "show reactors",
       .columns = reactor_result_columns(),
       .help = "per reactor: what its loop has done, and how busy it was, in percent",
       .run = show_reactors},
  };
  return commands;
}

} // namespace pg_edge::actors
