// What the system says about this process, under the names that Prometheus's clients in all languages use.
#pragma once

#include <cstdint>

namespace pg_edge::actors {

struct process_figures {
  double cpu_seconds = 0;
  double start_time = 0; // seconds since 1970
  std::uint64_t resident_bytes = 0, virtual_bytes = 0;
  std::uint64_t open_descriptors = 0, max_descriptors = 0;
  std::uint64_t threads = 0;
};

/// Reads /proc: for a thread that may wait. What it does not find stays 0.
process_figures read_process_figures();

} // namespace pg_edge::actors
