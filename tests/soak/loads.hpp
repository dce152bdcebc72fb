// The loads of a soak beside its crowds: one function each, run on threads of their own until the run stops. A lost
// connection is counted; a wrong answer is a failure.
#pragma once

#include "tests/soak/run.hpp"

#include <random>

namespace pg_edge::soak {

/// `number`: of the thread, for what must differ between threads.
using load = void (*)(run& all, unsigned number);

void run_pgbench(run& all, unsigned number);       // load_pgbench.cpp
void churn_prepared(run& all, unsigned number);    // load_prepared.cpp
void change_tables(run& all, unsigned number);     // load_prepared.cpp
void storm(run& all, unsigned number);             // load_storms.cpp: connect, query, disconnect
void vanish_in_queries(run& all, unsigned number); // load_storms.cpp
void cancel_queries(run& all, unsigned number);    // load_cancels.cpp
void attack(run& all, unsigned number);            // load_hostile.cpp

struct load_row {
  const char* name;
  load what;
  unsigned threads;
};

inline constexpr load_row loads[] = {
    {"pgbench", run_pgbench, 3},    {"prepared statements", churn_prepared, 4},  {"DDL", change_tables, 1},
    {"storms", storm, 3},           {"vanishing clients", vanish_in_queries, 2}, {"cancels", cancel_queries, 3},
    {"hostile clients", attack, 2},
};

} // namespace pg_edge::soak
