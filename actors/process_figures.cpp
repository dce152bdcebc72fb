#include "actors/process_figures.hpp"

#include <array>
#include <cstdlib>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

namespace pg_edge::actors {

namespace {

/// Files of /proc have no size; what we read of them is short.
std::string whole(const char* path) {
  std::array<char, 4096> text;
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  const ssize_t size = ::read(fd, text.data(), text.size());
  ::close(fd);
  return {text.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

/// The fields of /proc/self/stat behind the name, which may hold anything: the first is the state.
std::vector<std::uint64_t> stat_fields() {
  const std::string text = whole("/proc/self/stat");
  std::vector<std::uint64_t> result;
  std::size_t at = text.rfind(')');
  while (at != std::string::npos && (at = text.find(' ', at)) != std::string::npos) {
    ++at;
    result.push_back(std::strtoull(text.c_str() + at, nullptr, 10));
  }
  return result;
}

std::uint64_t count_descriptors() {
  DIR* const folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  std::uint64_t count = 0;
  while (::readdir(folder) != nullptr)
    ++count;
  ::closedir(folder);
  constexpr std::uint64_t not_ours = 3; // ".", ".." and the folder itself
  return count > not_ours ? count - not_ours : 0;
}

} // namespace

process_figures read_process_figures() {
  // As proc(5) numbers them, from the third on: 14 utime, 15 stime, 20 num_threads, 22 starttime, 23 vsize, 24 rss.
  constexpr std::size_t first = 3, utime = 14, stime = 15, num_threads = 20, starttime = 22, vsize = 23, rss = 24;
  process_figures result;
  const double hertz = static_cast<double>(::sysconf(_SC_CLK_TCK));
  if (const auto fields = stat_fields(); fields.size() > rss - first && hertz > 0) {
    result.cpu_seconds = static_cast<double>(fields[utime - first] + fields[stime - first]) / hertz;
    result.threads = fields[num_threads - first];
    result.virtual_bytes = fields[vsize - first];
    result.resident_bytes = fields[rss - first] * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    timespec now{}, since_boot{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    ::clock_gettime(CLOCK_BOOTTIME, &since_boot);
    result.start_time =
        static_cast<double>(now.tv_sec - since_boot.tv_sec) + static_cast<double>(fields[starttime - first]) / hertz;
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) result.max_descriptors = limit.rlim_cur;
  result.open_descriptors = count_descriptors();
  return result;
}

} // namespace pg_edge::actors
