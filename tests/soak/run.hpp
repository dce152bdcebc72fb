// A run of the soak of one node: its tally, and the world it runs on.
#pragma once

#include "tests/soak/tally.hpp"
#include "tests/soak/world.hpp"

namespace pg_edge::soak {

class run : public tally {
public:
  run(world& where, unsigned seed) : tally(seed), in(where) {}

  world& in;
};

} // namespace pg_edge::soak
