#include "tests/soak/disturbances.hpp"

#include <thread>

namespace pg_edge::soak {

namespace {

/// `near`: the side of the proxy on which pg_edge is.
std::string begin_fault(fault_proxy& proxy, side near, std::mt19937& random) {
  const auto one_heading = static_cast<heading>(random() % 3);
  const auto how = static_cast<ending>(random() % 2);
  switch (random() % 11) {
  case 0:
    proxy.set(one_heading, {.delay = milliseconds(5 + random() % 100)});
    return "delay";
  case 1:
    proxy.set(one_heading, {.bytes_per_second = 20'000 + random() % 500'000});
    return "bandwidth";
  case 2:
    proxy.set(one_heading, {.in = pieces::single_bytes});
    return "single bytes";
  case 3:
    proxy.set(one_heading, {.in = pieces::random_sizes});
    return "random pieces";
  case 4:
    proxy.set(one_heading, {.in = pieces::merged});
    return "merged";
  case 5:
    proxy.end_all(how, near);
    return how == ending::fin ? "cut" : "reset";
  case 6:
    proxy.set(one_heading, {.end_after = 1 + random() % 5000, .how = how, .whose = near});
    return "ended after some bytes";
  case 7:
    proxy.refuse(true);
    return "refused";
  case 8:
    proxy.set(one_heading, {.stopped = true});
    return "stopped";
  case 9:
    proxy.ignore_new(true);
    return "new connections ignored";
  default:
    proxy.end_all(ending::vanish, near);
    return "vanished";
  }
}

void restart(run& all, std::mt19937& random) {
  postgres& server = all.in.server;
  const unsigned kind = random() % 4;
  constexpr const char* names[] = {"Postgres: fast restart", "Postgres: immediate restart", "Postgres: kill -9",
                                   "Postgres: frozen"};
  all.count(names[kind]);
  if (kind == 3) {
    server.freeze();
    all.pause(milliseconds(500 + random() % 3000));
    return server.thaw();
  }
  all.in.postgres_away = true;
  if (kind == 2)
    server.kill();
  else
    server.stop(kind == 0 ? postgres::shutdown::fast : postgres::shutdown::immediate);
  all.pause(milliseconds(random() % 4000));
  server.start();
  all.in.postgres_away = false;
}

} // namespace

void disturb_networks(run& all) {
  std::mt19937 random = all.random(1);
  while (!all.stopping) {
    all.pause(milliseconds(200 + random() % 3000));
    const bool behind = random() % 2 == 0;
    fault_proxy& proxy = behind ? all.in.behind : *all.in.before;
    const std::string name = begin_fault(proxy, behind ? side::origin : side::target, random);
    all.count("faults " + std::string(behind ? "before Postgres: " : "before the node: ") + name);
    all.pause(milliseconds(200 + random() % 3000));
    proxy.clear();
  }
}

void disturb_postgres(run& all) {
  std::mt19937 random = all.random(2);
  while (!all.stopping) {
    all.pause(milliseconds(12000 + random() % 15000));
    if (all.stopping) return;
    try {
      restart(all, random);
    } catch (const std::exception& problem) {
      all.fail(std::string("Postgres cannot be restarted: ") + problem.what());
    }
  }
}

void disturb_settings(run& all) {
  std::mt19937 random = all.random(3);
  for (bool small = true; !all.stopping; small = !small) {
    all.pause(milliseconds(2000 + random() % 4000));
    all.in.reload(small);
    all.count("reloads");
  }
  all.in.reload(false);
}

} // namespace pg_edge::soak
