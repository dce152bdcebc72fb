#include "actors/log.hpp"

#include "actors/cluster_log.hpp"

#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pg_edge::actors {

namespace {

constexpr bool rows_in_order() {
  for (std::size_t i = 0; i < log_events.size(); ++i)
    if (log_events[i].event != static_cast<log_event>(i)) return false;
  return log_events.size() == static_cast<std::size_t>(log_event::stats) + 1;
}
static_assert(rows_in_order(), "log_events is indexed by the enum");

// A pipe takes this much or nothing (PIPE_BUF), so that lines of several processes do not mix.
constexpr std::size_t max_line = 4096;
constexpr std::size_t max_value = 1024;
constexpr std::string_view cut_end = " cut=true\n";
constexpr std::string_view json_cut_end = ",\"cut\":true}\n";

std::atomic<level> minimum{level::info};
std::atomic<int> descriptor{STDERR_FILENO};
std::atomic<std::uint64_t> dropped{0};
std::uint64_t dropped_reported = 0; // guarded by write_mutex
std::mutex write_mutex;
std::atomic<log_layout> layout{log_layout::logfmt};
std::atomic<bool> priorities{false};
std::atomic<unsigned> rate_limit{0};

// syslog's numbers, in the order of `level`.
constexpr std::array<std::string_view, level_names.size()> priority_marks{"<7>", "<6>", "<4>", "<3>"};

// The present second of one event, and what it has left out and not told yet.
struct event_flow {
  std::atomic<std::int64_t> second{-1};
  std::atomic<std::uint32_t> lines{0};
  std::atomic<std::uint64_t> suppressed{0};
};
std::array<event_flow, log_events.size()> flows;

std::int64_t this_second() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec;
}

// Whether one more line of this event may be written in this second. Exact but for lines of the moment when a second
// begins.
bool admitted(event_flow& flow, unsigned limit) noexcept {
  const std::int64_t now = this_second();
  std::int64_t before = flow.second.load(std::memory_order_relaxed);
  if (before != now && flow.second.compare_exchange_strong(before, now, std::memory_order_relaxed))
    flow.lines.store(0, std::memory_order_relaxed);
  if (flow.lines.fetch_add(1, std::memory_order_relaxed) < limit) return true;
  flow.suppressed.fetch_add(1, std::memory_order_relaxed);
  return false;
}

// The length of the UTF-8 sequence of a character above ASCII at the start of `text`; 0 when it is not valid.
std::size_t utf8_length(std::string_view text) noexcept {
  auto lead = static_cast<unsigned char>(text[0]);
  std::size_t length = lead >= 0xc2 && lead < 0xe0   ? 2
                       : lead >= 0xe0 && lead < 0xf0 ? 3
                       : lead >= 0xf0 && lead < 0xf5 ? 4
                                                     : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 0;
  // U+0080 to U+009F are control characters, which a terminal may obey.
  if (lead == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0) return 0;
  return length;
}

bool plain(std::string_view text) noexcept {
  if (text.empty()) return false;
  for (char c : text)
    if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\') return false; // also what is above ASCII
  return true;
}

} // namespace

// A line under construction. What does not fit is left out and the line says so.
class log_line {
public:
  log_line(level severity, log_event event) noexcept : log_line(severity, to_string(event)) {}
  log_line(level severity, std::string_view event) noexcept
      : json_(layout.load(std::memory_order_relaxed) == log_layout::json) {
    if (priorities.load(std::memory_order_relaxed)) append(priority_marks[static_cast<std::size_t>(severity)]);
    append(json_ ? "{\"time\":\"" : "time=");
    append_time();
    append(json_ ? "\",\"level\":\"" : " level=");
    append(level_names[static_cast<std::size_t>(severity)]);
    append(json_ ? "\",\"event\":\"" : " event=");
    append(event);
    if (json_) append("\"");
  }

  // A field goes in whole or not at all.
  void add(const field& f) noexcept {
    if (cut_) return;
    std::size_t before = size_;
    append(json_ ? ",\"" : " ");
    append(f.key_);
    append(json_ ? "\":" : "=");
    std::visit([this](auto value) { append_value(value); }, f.value_);
    if (cut_) size_ = before;
  }

  std::string_view finish() noexcept {
    std::string_view end = json_ ? json_cut_end : cut_end;
    if (!cut_) end = json_ ? "}\n" : "\n";
    end.copy(buffer_ + size_, end.size());
    size_ += end.size();
    return {buffer_, size_};
  }

private:
  void append(std::string_view text) noexcept {
    if (cut_ || size_ + text.size() > max_line - json_cut_end.size()) {
      cut_ = true;
      return;
    }
    text.copy(buffer_ + size_, text.size());
    size_ += text.size();
  }

  void append_time() noexcept {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    tm utc{};
    gmtime_r(&now.tv_sec, &utc);
    char text[64];
    std::size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    int m = snprintf(text + n, sizeof text - n, ".%03ldZ", now.tv_nsec / 1'000'000);
    append({text, n + static_cast<std::size_t>(m)});
  }

  void append_value(bool yes) noexcept { append(yes ? "true" : "false"); }

  template <class number>
  void append_value(number n) noexcept {
    char text[32];
    append({text, static_cast<std::size_t>(std::to_chars(text, text + sizeof text, n).ptr - text)});
  }

  // JSON has no infinite numbers.
  void append_value(double n) noexcept {
    char text[32];
    const std::string_view number(text,
                                  static_cast<std::size_t>(std::to_chars(text, text + sizeof text, n).ptr - text));
    const bool quotes = json_ && !std::isfinite(n);
    if (quotes) append("\"");
    append(number);
    if (quotes) append("\"");
  }

  void append_value(std::string_view text) noexcept {
    bool shortened = text.size() > max_value;
    if (shortened) text = text.substr(0, max_value);
    if (!json_ && plain(text) && !shortened) {
      append(text);
      return;
    }
    append("\"");
    while (!text.empty()) {
      std::size_t length = static_cast<unsigned char>(text[0]) < 0x80 ? 1 : utf8_length(text);
      append_quoted(text.substr(0, std::max<std::size_t>(length, 1)), length > 0);
      text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    append(shortened ? "...\"" : "\"");
  }

  // One character as it stands between quotes.
  void append_quoted(std::string_view character, bool valid) noexcept {
    static constexpr char digits[] = "0123456789abcdef";
    auto c = static_cast<unsigned char>(character[0]);
    if (c == '"' || c == '\\') {
      append("\\");
      append(character);
    } else if (c == '\n') {
      append("\\n");
    } else if (c == '\r') {
      append("\\r");
    } else if (c == '\t') {
      append("\\t");
    } else if (c < ' ' || c == 0x7f || !valid) {
      // A byte that is no character is told as its number: in JSON behind two backslashes, since it knows characters
      // only.
      char escape[] = {'\\', 'x', digits[c >> 4], digits[c & 15]};
      char character_escape[] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
      if (json_ && valid)
        append({character_escape, sizeof character_escape});
      else if (json_)
        append("\\");
      if (!json_ || !valid) append({escape, sizeof escape});
    } else {
      append(character);
    }
  }

  char buffer_[max_line];
  std::size_t size_ = 0;
  const bool json_;
  bool cut_ = false;
};

namespace {

// One attempt, without waiting for the reader: a socket is told so, anything else is asked first whether it has room.
// Between the question and the write only another process could fill it.
bool write_now(int fd, std::string_view line) noexcept {
  ssize_t n = send(fd, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0 && errno == ENOTSOCK) {
    pollfd room{fd, POLLOUT, 0};
    if (poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0) return false;
    n = write(fd, line.data(), line.size());
  }
  return n == static_cast<ssize_t>(line.size());
}

} // namespace

namespace {

// The caller holds write_mutex.
void write_line(std::string_view text) noexcept {
  const int fd = descriptor.load(std::memory_order_relaxed);
  std::uint64_t lost = dropped.load(std::memory_order_relaxed);
  if (lost > dropped_reported) {
    log_line notice(level::warning, log_event::log_lines_dropped);
    notice.add({"lines", lost - dropped_reported});
    if (write_now(fd, notice.finish())) dropped_reported = lost;
  }
  if (!write_now(fd, text)) dropped.fetch_add(1, std::memory_order_relaxed);
}

// The caller holds write_mutex.
void tell_suppressed(log_event event) noexcept {
  event_flow& flow = flows[static_cast<std::size_t>(event)];
  const std::uint64_t lines = flow.suppressed.exchange(0, std::memory_order_relaxed);
  if (lines == 0) return;
  log_line notice(level::warning, log_event::log_lines_suppressed);
  notice.add({"of", to_string(event)});
  notice.add({"lines", lines});
  write_line(notice.finish());
}

} // namespace

void log(level severity, log_event event, std::initializer_list<field> fields) noexcept {
  if (!log_enabled(severity)) return;
  const unsigned limit = rate_limit.load(std::memory_order_relaxed);
  if (limit > 0 && !admitted(flows[static_cast<std::size_t>(event)], limit)) return;
  log_line line(severity, event);
  for (const field& f : fields)
    line.add(f);
  std::string_view text = line.finish();
  std::lock_guard guard(write_mutex);
  tell_suppressed(event);
  write_line(text);
}

void log(level severity, const cluster_event& event, std::initializer_list<field> fields) noexcept {
  if (!log_enabled(severity)) return;
  log_line line(severity, event.name);
  for (const field& f : fields)
    line.add(f);
  std::string_view text = line.finish();
  std::lock_guard guard(write_mutex);
  write_line(text);
}

void tell_suppressed_lines() noexcept {
  std::lock_guard guard(write_mutex);
  for (const log_event_row& row : log_events)
    tell_suppressed(row.event);
}

bool log_enabled(level severity) noexcept {
  return severity >= minimum.load(std::memory_order_relaxed);
}
void set_log_level(level new_minimum) noexcept {
  minimum.store(new_minimum, std::memory_order_relaxed);
}
void set_log_layout(log_layout now) noexcept {
  layout.store(now, std::memory_order_relaxed);
}
void set_log_rate_limit(unsigned lines) noexcept {
  rate_limit.store(lines, std::memory_order_relaxed);
}
void set_log_priorities(bool on) noexcept {
  priorities.store(on, std::memory_order_relaxed);
}
void set_log_descriptor(int fd) noexcept {
  std::lock_guard guard(write_mutex);
  descriptor.store(fd, std::memory_order_relaxed);
}
std::uint64_t log_lines_dropped() noexcept {
  return dropped.load(std::memory_order_relaxed);
}

std::optional<level> level_named(std::string_view name) noexcept {
  for (std::size_t i = 0; i < level_names.size(); ++i)
    if (level_names[i] == name) return static_cast<level>(i);
  return std::nullopt;
}

} // namespace pg_edge::actors
