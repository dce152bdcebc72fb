#include "actors/log.hpp"

#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
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
  return log_events.size() == static_cast<std::size_t>(log_event::log_lines_dropped) + 1;
}
static_assert(rows_in_order(), "log_events is indexed by the enum");

// A pipe takes this much or nothing (PIPE_BUF), so that lines of several processes do not mix.
constexpr std::size_t max_line = 4096;
constexpr std::size_t max_value = 1024;
constexpr std::string_view cut_mark = " cut=true\n";

std::atomic<level> minimum{level::info};
std::atomic<int> descriptor{STDERR_FILENO};
std::atomic<std::uint64_t> dropped{0};
std::uint64_t dropped_reported = 0; // guarded by write_mutex
std::mutex write_mutex;

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
  log_line(level severity, log_event event) noexcept {
    append("time=");
    append_time();
    append(" level=");
    append(level_names[static_cast<std::size_t>(severity)]);
    append(" event=");
    append(to_string(event));
  }

  // A field goes in whole or not at all.
  void add(const field& f) noexcept {
    if (cut_) return;
    std::size_t before = size_;
    append(" ");
    append(f.key_);
    append("=");
    std::visit([this](auto value) { append_value(value); }, f.value_);
    if (cut_) size_ = before;
  }

  std::string_view finish() noexcept {
    std::string_view end = cut_ ? cut_mark : cut_mark.substr(cut_mark.size() - 1);
    end.copy(buffer_ + size_, end.size());
    size_ += end.size();
    return {buffer_, size_};
  }

private:
  void append(std::string_view text) noexcept {
    if (cut_ || size_ + text.size() > max_line - cut_mark.size()) {
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

  void append_value(std::string_view text) noexcept {
    bool shortened = text.size() > max_value;
    if (shortened) text = text.substr(0, max_value);
    if (plain(text) && !shortened) {
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
      char escape[] = {'\\', 'x', digits[c >> 4], digits[c & 15]};
      append({escape, sizeof escape});
    } else {
      append(character);
    }
  }

  char buffer_[max_line];
  std::size_t size_ = 0;
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

void log(level severity, log_event event, std::initializer_list<field> fields) noexcept {
  if (!log_enabled(severity)) return;
  log_line line(severity, event);
  for (const field& f : fields)
    line.add(f);
  std::string_view text = line.finish();
  int fd = descriptor.load(std::memory_order_relaxed);
  std::lock_guard guard(write_mutex);
  std::uint64_t lost = dropped.load(std::memory_order_relaxed);
  if (lost > dropped_reported) {
    log_line notice(level::warning, log_event::log_lines_dropped);
    notice.add({"lines", lost - dropped_reported});
    if (write_now(fd, notice.finish())) dropped_reported = lost;
  }
  if (!write_now(fd, text)) dropped.fetch_add(1, std::memory_order_relaxed);
}

bool log_enabled(level severity) noexcept {
  return severity >= minimum.load(std::memory_order_relaxed);
}
void set_log_level(level new_minimum) noexcept {
  minimum.store(new_minimum, std::memory_order_relaxed);
}
void set_log_descriptor(int fd) noexcept {
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
