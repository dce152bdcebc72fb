#include "actors/document.hpp"

#include "actors/cluster_log.hpp"
#include "actors/console_commands.hpp"
#include "actors/log.hpp"

namespace pg_edge::actors {

namespace {

constexpr std::string_view console_head = R"(# The admin console

Written by `PG_EDGE_WRITE_DOCUMENTS=1 actors_test --run_test=documents_test` from the tables of commands.

`psql -p 6432 pgbouncer` (or database `pg_edge`): everything that pgbouncer's console has, under the same names, with
the same columns in the same order and types; what pg_edge adds stands behind them. Who is in `admin_users` may do
everything, who is in `stats_users` may look. Simple and extended queries both work, so psql's `\watch` and every driver
do. `SELECT x` means `SHOW x`. A command that fails changes nothing.

`[db] [TENANT name]` names what a command acts on: nothing is everything, a name a database of the default tenant,
`TENANT name` all of a tenant.

## Commands

| Command | Who | What it does |
|---|---|---|
)";

constexpr std::string_view console_columns_head = R"(
## Columns

Types: `n` is int4, `b` is int8, `d` is numeric, `x` is bytea, all others are text. Times are in microseconds where the
name or the help says so, `maxwait` and `wait` are whole seconds with the rest in `_us`.

)";

constexpr std::string_view log_head = R"(# The log

Written by `PG_EDGE_WRITE_DOCUMENTS=1 actors_test --run_test=documents_test` from the table of events.

A line an event, on standard error or appended to `logfile`:

```
time=2026-11-28T18:00:00.000Z level=info event=client_connected client=12 user=app database=app tenant=default ...
{"time":"2026-11-28T18:00:00.000Z","level":"info","event":"client_connected","client":12,"user":"app", ...}
```

- `log_format` is `logfmt` (the first) or `json` (the second). Names of events and fields do not change.
- `verbose = 1` adds lines of the level `debug`. `log_connections`, `log_disconnections` and `log_pooler_errors` switch
  `client_connected`, `client_disconnected` and `client_login_failed`; `log_stats` the line `stats` once a period.
  All of them change by RELOAD or `SET` while the node runs.
- No more than `log_rate_limit` lines of one event are written a second; the rest is counted and told by
  `log_lines_suppressed`. A line that standard error does not take at once is dropped and told by `log_lines_dropped`:
  the node never waits for its log. A `logfile` on a disk that hangs would be waited for; leave such to the journal.
- Under systemd each line begins with its priority (`<6>`), which the journal takes off; `journalctl -p warning` works.
- `logfile` is opened anew by every RELOAD and SIGHUP, so `logrotate` needs `postrotate kill -HUP`.
- Passwords, verifiers, cancel keys and tokens are in no field. Texts of queries are neither; the reason of a failed
  look-up or login may repeat what Postgres said.
- A value longer than 1,024 bytes ends in `...`; a line longer than 4,096 has `cut=true` and lacks its last fields.

Levels: `debug`, `info`, `warning` (somebody may want to look), `error` (somebody should).

## Events

| Event | What happened | Fields |
|---|---|---|
)";

std::string upper(std::string_view text) {
  std::string out;
  for (const char c : text)
    out.push_back(c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
  return out;
}

std::string without_bars(std::string_view text) {
  std::string out;
  for (const char c : text)
    out.append(c == '|' ? "\\|" : std::string(1, c));
  return out;
}

std::string_view type_letter(protocol::console_type type) {
  switch (type) {
  case protocol::console_type::int4:
    return " n";
  case protocol::console_type::int8:
    return " b";
  case protocol::console_type::numeric:
    return " d";
  case protocol::console_type::bytea:
    return " x";
  case protocol::console_type::text:
    break;
  }
  return "";
}

std::string columns_of(const console_command& command) {
  std::string out;
  for (const protocol::console_column& column : command.columns)
    out.append(out.empty() ? "" : ", ").append(column.name).append(type_letter(column.type));
  return out;
}

} // namespace

std::string console_page() {
  std::string out{console_head};
  for (const console_command& command : console_commands()) {
    out.append("| `").append(upper(command.words));
    if (!command.arguments.empty()) out.append(" ").append(without_bars(command.arguments));
    out.append("` | ").append(command.admin ? "admins" : "all").append(" | ").append(command.help).append(" |\n");
  }
  out += console_columns_head;
  for (const console_command& command : console_commands())
    if (!command.columns.empty())
      out.append("- **").append(upper(command.words)).append("**: ").append(columns_of(command)).append("\n");
  return out;
}

std::string log_page() {
  std::string out{log_head};
  for (const log_event_row& row : log_events)
    out.append("| `").append(row.name).append("` | ").append(row.help).append(" | ").append(row.fields).append(" |\n");
  for (const cluster_event* row : cluster_events::all)
    out.append("| `")
        .append(row->name)
        .append("` | ")
        .append(row->help)
        .append(" | ")
        .append(row->fields)
        .append(" |\n");
  return out;
}

} // namespace pg_edge::actors
