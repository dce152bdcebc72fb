#include "tests/support/node_watch.hpp"

#include "tests/support/pq.hpp"

#include <filesystem>
#include <fstream>

namespace pg_edge::test {

int descriptors(pid_t process) {
  std::error_code gone;
  int count = 0;
  for ([[maybe_unused]] const auto& one :
       std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/fd", gone))
    ++count;
  return count;
}

long resident_kilobytes(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmRSS:", 0) == 0) return std::stol(line.substr(6));
  return -1;
}

std::map<std::string, long> actors(const pg_edge_process& node, const std::string& admin) {
  pq console(node.conninfo(admin, "pgbouncer"));
  const pq_result table = console.exec("SHOW ACTORS");
  std::map<std::string, long> counts;
  for (int i = 0; i < table.rows(); ++i)
    if (!table.is_null(i, 1)) counts[table.value(i, 0)] += std::stol(table.value(i, 1)); // NULL: nobody counts them
  return counts;
}

long connection_actors(const pg_edge_process& node, const std::string& admin) {
  long sum = -1;
  for (const auto& [kind, count] : actors(node, admin))
    if (kind == "client" || kind == "server" || kind == "canceller") sum += count;
  return sum;
}

} // namespace pg_edge::test
