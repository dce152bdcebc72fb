#include "actors/log_setup.hpp"

#include "actors/log.hpp"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <mutex>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace pg_edge::actors {

namespace {

constexpr int file_mode = 0640; // names of users and addresses are nobody else's business

std::mutex file_mutex;
int file = -1; // where the log goes, if it is a file of ours

/// The new file is written to before the old one is closed, so no line is lost.
void write_to(int now) {
  const std::lock_guard guard(file_mutex);
  set_log_descriptor(now >= 0 ? now : STDERR_FILENO);
  const int before = std::exchange(file, now);
  if (before >= 0) ::close(before);
}

} // namespace

bool journal_reads_stderr() {
  const char* const stream = std::getenv("JOURNAL_STREAM"); // "device:inode"
  struct stat is {};
  if (stream == nullptr || ::fstat(STDERR_FILENO, &is) != 0) return false;
  return std::to_string(is.st_dev) + ":" + std::to_string(is.st_ino) == stream;
}

bool set_up_log(const config::settings& settings, std::string& error) {
  set_log_level(settings.verbose > 0 ? level::debug : level::info);
  set_log_layout(settings.log_format == config::log_format::json ? log_layout::json : log_layout::logfmt);
  set_log_rate_limit(static_cast<unsigned>(settings.log_rate_limit));
  set_log_priorities(settings.logfile.empty() && journal_reads_stderr());
  if (settings.logfile.empty()) {
    write_to(-1);
    return true;
  }
  const int now = ::open(settings.logfile.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, file_mode);
  if (now < 0) {
    error = "logfile: cannot open " + settings.logfile + ": " + std::generic_category().message(errno);
    return false;
  }
  write_to(now);
  return true;
}

} // namespace pg_edge::actors
