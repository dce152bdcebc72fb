// Everything at once for a while: loads, faults, restarts and reloads on one pg_edge or on a cluster of them, and then
// the promises. tools/soak starts it.
//   soak --minutes N [--nodes N] [--seed S] [--reports FOLDER] [--logs FOLDER]
// Reports of sanitizers in FOLDER count as failures. The last line is "N passed, M failed".
#include "tests/soak/soaks.hpp"

#include <cstdlib>
#include <exception>
#include <iostream>

namespace pg_edge::soak {

namespace {

constexpr std::size_t least_nodes = 3, most_nodes = 9;

bool read_options(int count, char** words, options& out) {
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string name = words[i], value = words[i + 1];
    if (name == "--minutes")
      out.minutes = std::atof(value.c_str());
    else if (name == "--nodes")
      out.nodes = std::strtoul(value.c_str(), nullptr, 10);
    else if (name == "--seed")
      out.seed = static_cast<unsigned>(std::strtoul(value.c_str(), nullptr, 10));
    else if (name == "--reports")
      out.reports = value;
    else if (name == "--logs")
      out.logs = value;
    else
      return false;
    if (name == "--nodes" && (out.nodes < least_nodes || out.nodes > most_nodes)) return false;
  }
  return count % 2 == 1 && out.minutes > 0;
}

} // namespace

} // namespace pg_edge::soak

int main(int count, char** words) {
  pg_edge::soak::options wanted;
  if (!pg_edge::soak::read_options(count, words, wanted)) {
    std::cerr << "usage: soak --minutes N [--nodes 3..9] [--seed S] [--reports FOLDER] [--logs FOLDER]\n";
    return 2;
  }
  try {
    return wanted.nodes == 0 ? pg_edge::soak::soak_node(wanted) : pg_edge::soak::soak_cluster(wanted);
  } catch (const std::exception& problem) {
    std::cout << "soak: " << problem.what() << "\n0 passed, 1 failed" << std::endl;
    return 1;
  }
}
