// Loaded into a pg_edge process by LD_PRELOAD: counts its allocations and those system calls that the data path makes,
// in a file named by PG_EDGE_COUNTS that the test maps too. It exists so that tests can say what a transaction costs in
// figures that no busy machine changes.
#include "tests/preload/counts.hpp"

#include <cstdarg>
#include <cstdlib>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

using pg_edge::test::process_counts;

extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* what, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
}

namespace {

process_counts before_mapped;
process_counts* counts = &before_mapped;

__attribute__((constructor)) void map_counts() {
  const char* const path = std::getenv("PG_EDGE_COUNTS");
  const int fd = path == nullptr ? -1 : ::open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void* const mapped = ::mmap(nullptr, sizeof(process_counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (mapped != MAP_FAILED) counts = static_cast<process_counts*>(mapped);
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

} // namespace

extern "C" {

void* malloc(std::size_t size) {
  ++counts->allocations;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  ++counts->allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* what, std::size_t size) {
  ++counts->allocations;
  return __libc_realloc(what, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  ++counts->allocations;
  return __libc_memalign(alignment, size);
}

long syscall(long number, ...) {
  static const auto real = next<long (*)(long, ...)>("syscall");
  ++counts->system_calls;
  std::va_list list;
  va_start(list, number);
  long rest[6];
  for (long& one : rest)
    one = va_arg(list, long);
  va_end(list);
  return real(number, rest[0], rest[1], rest[2], rest[3], rest[4], rest[5]);
}
ssize_t recv(int fd, void* out, std::size_t size, int flags) {
  static const auto real = next<ssize_t (*)(int, void*, std::size_t, int)>("recv");
  ++counts->system_calls;
  return real(fd, out, size, flags);
}
ssize_t send(int fd, const void* what, std::size_t size, int flags) {
  static const auto real = next<ssize_t (*)(int, const void*, std::size_t, int)>("send");
  ++counts->system_calls;
  return real(fd, what, size, flags);
}
ssize_t sendmsg(int fd, const msghdr* what, int flags) {
  static const auto real = next<ssize_t (*)(int, const msghdr*, int)>("sendmsg");
  ++counts->system_calls;
  return real(fd, what, flags);
}
ssize_t write(int fd, const void* what, std::size_t size) {
  static const auto real = next<ssize_t (*)(int, const void*, std::size_t)>("write");
  ++counts->system_calls;
  return real(fd, what, size);
}
int epoll_wait(int epoll, epoll_event* events, int most, int timeout) {
  static const auto real = next<int (*)(int, epoll_event*, int, int)>("epoll_wait");
  ++counts->waits;
  return real(epoll, events, most, timeout);
}
int epoll_ctl(int epoll, int what, int fd, epoll_event* event) {
  static const auto real = next<int (*)(int, int, int, epoll_event*)>("epoll_ctl");
  ++counts->system_calls;
  return real(epoll, what, fd, event);
}
}
