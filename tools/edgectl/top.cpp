// pg_edgectl top: who does how much, as htop shows it.
//
//   look ──> drawn ──> (a key | the interval) ──> look ...      q, Ctrl-C: end
#include "tools/edgectl/commands.hpp"
#include "tools/edgectl/top_rows.hpp"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <iostream>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

namespace pg_edge::edgectl {

namespace {

volatile std::sig_atomic_t interrupted = 0;

void interrupt(int) {
  interrupted = 1;
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
  constexpr double milliseconds = 1000;
  pollfd one{STDIN_FILENO, POLLIN, 0};
  char key = 0;
  if (::poll(&one, 1, static_cast<int>(seconds * milliseconds)) != 1) return 0;
  return ::read(STDIN_FILENO, &key, 1) == 1 ? key : 'q';
}

/// False: to end.
bool obey(char key, top::wish& how) {
  const std::size_t last = top::columns().size() - 1;
  if (key == 'q') return false;
  if (key == 'r') how.reversed = !how.reversed;
  if (key == 'b') how.by = (how.by + 1) % top::groupings().size();
  if (key == 'n') how.window = (how.window + 1) % top::windows.size();
  if (key == '<') how.sort = how.sort == 0 ? last : how.sort - 1;
  if (key == '>') how.sort = how.sort == last ? 0 : how.sort + 1;
  for (std::size_t i = 0; i <= last; ++i)
    if (top::columns()[i].key == key) how.sort = i;
  return true;
}

std::string keys_text() {
  std::string keys = "q end  r reverse  b by  n window  < > or sort:";
  for (const top::column_row& column : top::columns())
    keys.append(" ").append(1, column.key).append("=").append(column.name);
  return keys;
}

void show_live(api& node, top::wish how, double interval) {
  std::signal(SIGINT, interrupt);
  std::signal(SIGTERM, interrupt);
  const raw_terminal terminal;
  const std::string keys = keys_text();
  while (interrupted == 0) {
    const std::vector<top::line> lines = top::look(node, how);
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) size = {24, 80, 0, 0};
    const std::size_t height = size.ws_row > 4 ? size.ws_row - 3U : 1U;
    std::cout << "\x1b[H\x1b[J"
              << "pg_edge, by " << top::groupings()[how.by].name << ", " << lines.size() << " rows, the last "
              << top::windows[how.window] << " s\n"
              << top::drawn(lines, how, size.ws_col, height, true) << keys.substr(0, size.ws_col) << std::flush;
    const char key = key_within(interval);
    if (key != 0 && !obey(key, how)) return;
  }
}

/// The place of the row with this name; throws what people are told.
template <class Rows>
std::size_t place_of(const Rows& rows, const std::string& name, const std::string& otherwise) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const auto& one) { return one.name == name; });
  if (found == rows.end()) throw usage_error(otherwise);
  return static_cast<std::size_t>(found - rows.begin());
}

top::wish wish_of(const call& what) {
  top::wish how;
  const std::string sort = what.option("--sort", "xact_s");
  how.sort = place_of(top::columns(), sort, "--sort: there is no column " + sort);
  how.by =
      place_of(top::groupings(), what.option("--by", "pool"), "--by: one of pool, database, user, tenant and client");
  const std::string window = what.option("--window", "1");
  const auto found = std::find(top::windows.begin(), top::windows.end(), window);
  if (found == top::windows.end()) throw usage_error("--window: 1, 10 or 60 seconds");
  how.window = static_cast<std::size_t>(found - top::windows.begin());
  how.reversed = what.has("--reverse");
  return how;
}

double interval_of(const call& what) {
  const std::string text = what.option("--interval", "1");
  double interval = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), interval);
  constexpr double least = 0.1, most = 3600;
  if (error != std::errc() || end != text.data() + text.size() || interval < least || interval > most)
    throw usage_error("--interval: seconds from 0.1 to 3600");
  return interval;
}

} // namespace

int run_top(call& what) {
  const top::wish how = wish_of(what);
  const double interval = interval_of(what);
  if (!what.as_json && !what.has("--once") && ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1) {
    show_live(what.node, how, interval);
    return fine;
  }
  const std::vector<top::line> lines = top::look(what.node, how);
  std::cout << (what.as_json ? top::json_of(lines).dump(1) + "\n" : top::drawn(lines, how, 0, 0, false));
  return fine;
}

} // namespace pg_edge::edgectl
