// pg_edgectl top: who does how much, as htop shows it. Rates are what counters grew by between two looks.
//
//   look ──> rows ──> drawn ──> (a key | the interval) ──> look ...      q, Ctrl-C: end
#include "tools/edgectl/commands.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <thread>
#include <unistd.h>

namespace pg_edge::edgectl {

namespace {

using std::chrono::steady_clock;

/// What is added up over the pools of a row.
struct figures {
  double cl_active = 0, cl_waiting = 0, sv_active = 0, sv_idle = 0, maxwait_us = 0;
  double xacts = 0, queries = 0, received = 0, sent = 0, xact_us = 0, query_us = 0, wait_us = 0;
};

struct field_row {
  std::string_view name; // of the API
  double figures::*member;
  bool longest = false; // the greatest counts, not the sum
};
constexpr field_row fields[] = {
    {"cl_active", &figures::cl_active},
    {"cl_waiting", &figures::cl_waiting},
    {"sv_active", &figures::sv_active},
    {"sv_idle", &figures::sv_idle},
    {"maxwait_us", &figures::maxwait_us, true},
    {"xact_count", &figures::xacts},
    {"query_count", &figures::queries},
    {"received", &figures::received},
    {"sent", &figures::sent},
    {"xact_time_us", &figures::xact_us},
    {"query_time_us", &figures::query_us},
    {"wait_time_us", &figures::wait_us},
};

struct line {
  std::string name;
  figures now;   // counts
  figures grown; // since the look before
  double seconds = 1;
};

/// A column: heading, key that sorts by it, what it shows.
struct column_row {
  std::string_view name; // in --sort and --json
  std::string_view heading;
  char key;
  double (*value)(const line&);
  int digits;
};
double ratio(double a, double b) {
  return b > 0 ? a / b : 0;
}
constexpr double thousand = 1000;
constexpr double megabyte = 1e6;
constexpr column_row columns[] = {
    {"xact_s", "XACT/S", 'x', [](const line& l) { return l.grown.xacts / l.seconds; }, 0},
    {"query_s", "QUERY/S", 'y', [](const line& l) { return l.grown.queries / l.seconds; }, 0},
    {"in_mb_s", "IN MB/S", 'i', [](const line& l) { return l.grown.received / l.seconds / megabyte; }, 2},
    {"out_mb_s", "OUT MB/S", 'o', [](const line& l) { return l.grown.sent / l.seconds / megabyte; }, 2},
    {"xact_ms", "XACT MS", 't', [](const line& l) { return ratio(l.grown.xact_us, l.grown.xacts) / thousand; }, 2},
    {"query_ms", "QUERY MS", 'm', [](const line& l) { return ratio(l.grown.query_us, l.grown.queries) / thousand; }, 2},
    {"wait_ms_s", "WAIT MS/S", 'w', [](const line& l) { return l.grown.wait_us / l.seconds / thousand; }, 1},
    {"maxwait_ms", "MAXWAIT", 'a', [](const line& l) { return l.now.maxwait_us / thousand; }, 0},
    {"clients", "CLIENTS", 'c', [](const line& l) { return l.now.cl_active + l.now.cl_waiting; }, 0},
    {"waiting", "WAITING", 'g', [](const line& l) { return l.now.cl_waiting; }, 0},
    {"servers", "BUSY", 's', [](const line& l) { return l.now.sv_active; }, 0},
    {"idle", "IDLE", 'd', [](const line& l) { return l.now.sv_idle; }, 0},
};

constexpr std::string_view groupings[] = {"pool", "database", "user", "tenant"};

volatile std::sig_atomic_t interrupted = 0;

void interrupt(int) {
  interrupted = 1;
}

using sums = std::map<std::string, figures>;

std::string group_name(const json& pool, std::string_view by) {
  const auto part = [&](const char* name) { return pool.value(name, std::string()); };
  if (by == "tenant") return part("tenant");
  if (by == "database") return part("tenant") + "/" + part("database");
  if (by == "user") return part("tenant") + "/" + part("user");
  return part("tenant") + "/" + part("database") + "/" + part("user");
}

sums look(api& node, std::string_view by) {
  sums out;
  for (const json& pool : node.list("/v1/pools")) {
    figures& into = out[group_name(pool, by)];
    for (const field_row& row : fields) {
      const double value = pool.value(std::string(row.name), 0.0);
      into.*row.member = row.longest ? std::max(into.*row.member, value) : into.*row.member + value;
    }
  }
  return out;
}

/// A pool that has gone and come back counts from zero again.
std::vector<line> lines_of(const sums& before, const sums& now, double seconds) {
  std::vector<line> out;
  for (const auto& [name, figure] : now) {
    line one{name, figure, {}, std::max(seconds, 0.001)};
    const auto found = before.find(name);
    for (const field_row& row : fields) {
      const double then = found == before.end() ? figure.*row.member : found->second.*row.member;
      one.grown.*row.member = std::max(0.0, figure.*row.member - then);
    }
    out.push_back(std::move(one));
  }
  return out;
}

struct display {
  std::size_t sort = 0;
  bool reversed = false;
  std::size_t by = 0;
  double interval = 1;
};

void sort_lines(std::vector<line>& lines, const display& how) {
  const column_row& column = columns[how.sort];
  std::stable_sort(lines.begin(), lines.end(), [&](const line& a, const line& b) {
    return how.reversed ? column.value(a) < column.value(b) : column.value(a) > column.value(b);
  });
}

json json_of(const std::vector<line>& lines) {
  json out = json::array();
  for (const line& one : lines) {
    json row{{"name", one.name}};
    for (const column_row& column : columns)
      row[std::string(column.name)] = column.value(one);
    out.push_back(std::move(row));
  }
  return out;
}

std::string number_text(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

/// As wide and as high as fits; 0: no limit.
std::string drawn(const std::vector<line>& lines, const display& how, std::size_t width, std::size_t height,
                  bool colours) {
  constexpr std::size_t cell = 10, least_name = 12;
  std::size_t name_width = least_name;
  for (const line& one : lines)
    name_width = std::max(name_width, one.name.size());
  std::size_t shown = std::size(columns);
  if (width > 0) {
    name_width = std::min(name_width, std::max(least_name, width / 3));
    shown = std::min(shown, (width - std::min(width, name_width)) / cell);
  }
  const auto padded = [&](std::string_view text) {
    std::string out(text.substr(0, name_width));
    return out + std::string(name_width - out.size(), ' ');
  };
  std::string out = padded("NAME");
  for (std::size_t i = 0; i < shown; ++i) {
    const std::string heading = (i == how.sort ? "*" : "") + std::string(columns[i].heading);
    out += std::string(heading.size() < cell ? cell - heading.size() : 1, ' ') + heading;
  }
  if (colours) out = "\x1b[7m" + out + "\x1b[0m";
  out += "\n";
  for (std::size_t i = 0; i < lines.size() && (height == 0 || i < height); ++i) {
    out += padded(lines[i].name);
    for (std::size_t j = 0; j < shown; ++j) {
      const std::string text = number_text(columns[j].value(lines[i]), columns[j].digits);
      out += std::string(text.size() < cell ? cell - text.size() : 1, ' ') + text;
    }
    out += "\n";
  }
  return out;
}

/// Keys one by one, without echo, as long as it lives.
class raw_terminal {
public:
  raw_terminal() {
    ::tcgetattr(STDIN_FILENO, &before_);
    termios now = before_;
    now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &now);
    std::cout << "\x1b[?1049h\x1b[?25l" << std::flush;
  }
  ~raw_terminal() {
    std::cout << "\x1b[?25h\x1b[?1049l" << std::flush;
    ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  raw_terminal(const raw_terminal&) = delete;
  raw_terminal& operator=(const raw_terminal&) = delete;

private:
  termios before_{};
};

/// The next key within the time; 0: none.
char key_within(double seconds) {
  pollfd one{STDIN_FILENO, POLLIN, 0};
  char key = 0;
  if (::poll(&one, 1, static_cast<int>(seconds * thousand)) != 1) return 0;
  return ::read(STDIN_FILENO, &key, 1) == 1 ? key : 'q';
}

/// False: to end.
bool obey(char key, display& how) {
  if (key == 'q') return false;
  if (key == 'r') how.reversed = !how.reversed;
  if (key == 'b') how.by = (how.by + 1) % std::size(groupings);
  for (std::size_t i = 0; i < std::size(columns); ++i)
    if (columns[i].key == key) how.sort = i;
  return true;
}

void show_live(api& node, display how) {
  std::signal(SIGINT, interrupt);
  std::signal(SIGTERM, interrupt);
  const raw_terminal terminal;
  sums before = look(node, groupings[how.by]);
  auto since = steady_clock::now();
  std::string keys = "q end  r reverse  b " + std::string("by pool/database/user/tenant  sort:");
  for (const column_row& column : columns)
    keys.append(" ").append(1, column.key).append("=").append(column.name);
  while (interrupted == 0) {
    const std::size_t by = how.by;
    const char key = key_within(how.interval);
    if (key != 0 && !obey(key, how)) return;
    if (how.by != by) before = {};
    const sums now = look(node, groupings[how.by]);
    const double seconds = std::chrono::duration<double>(steady_clock::now() - since).count();
    std::vector<line> lines = lines_of(before.empty() ? now : before, now, seconds);
    sort_lines(lines, how);
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) size = {24, 80, 0, 0};
    const std::size_t height = size.ws_row > 4 ? size.ws_row - 3U : 1U;
    std::cout << "\x1b[H\x1b[J"
              << "pg_edge, by " << groupings[how.by] << ", " << lines.size() << " rows, " << number_text(seconds, 1)
              << " s\n"
              << drawn(lines, how, size.ws_col, height, true) << keys.substr(0, size.ws_col) << std::flush;
    if (key != 0 && how.by == by) continue; // only another order: the interval goes on
    before = now;
    since = steady_clock::now();
  }
}

display display_of(const call& what) {
  display how;
  const std::string sort = what.option("--sort", "xact_s");
  const auto column =
      std::find_if(std::begin(columns), std::end(columns), [&](const column_row& one) { return one.name == sort; });
  if (column == std::end(columns)) throw usage_error("--sort: there is no column " + sort);
  how.sort = static_cast<std::size_t>(column - std::begin(columns));
  const std::string by = what.option("--by", "pool");
  const auto grouping = std::find(std::begin(groupings), std::end(groupings), by);
  if (grouping == std::end(groupings)) throw usage_error("--by: one of pool, database, user and tenant");
  how.by = static_cast<std::size_t>(grouping - std::begin(groupings));
  const std::string interval = what.option("--interval", "1");
  const auto [end, error] = std::from_chars(interval.data(), interval.data() + interval.size(), how.interval);
  constexpr double least = 0.1, most = 3600;
  if (error != std::errc() || end != interval.data() + interval.size() || how.interval < least || how.interval > most)
    throw usage_error("--interval: seconds from 0.1 to 3600");
  how.reversed = what.has("--reverse");
  return how;
}

} // namespace

int run_top(call& what) {
  const display how = display_of(what);
  if (!what.as_json && !what.has("--once") && ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1) {
    show_live(what.node, how);
    return fine;
  }
  const sums before = look(what.node, groupings[how.by]);
  const auto since = steady_clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(how.interval));
  const sums now = look(what.node, groupings[how.by]);
  std::vector<line> lines = lines_of(before, now, std::chrono::duration<double>(steady_clock::now() - since).count());
  sort_lines(lines, how);
  std::cout << (what.as_json ? json_of(lines).dump(1) + "\n" : drawn(lines, how, 0, 0, false));
  return fine;
}

} // namespace pg_edge::edgectl
