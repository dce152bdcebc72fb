// What tests/preload/counter.cpp counts in a process, as it lies in the file that process and test share.
#pragma once

#include <atomic>
#include <cstdint>

namespace pg_edge::test {

struct process_counts {
  std::atomic<std::uint64_t> allocations{0};
  std::atomic<std::uint64_t> system_calls{0}; // reads, writes, epoll_ctl
  std::atomic<std::uint64_t> waits{0};        // epoll_wait
};

} // namespace pg_edge::test
