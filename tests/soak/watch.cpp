#include "tests/soak/watch.hpp"

#include "tests/support/pq.hpp"

namespace pg_edge::soak {

namespace {

constexpr milliseconds sample_interval{4};
/// By then Postgres has missed a peer that vanished, see postgres_settings.
constexpr milliseconds missed_after{20000};
constexpr std::size_t name_prefix = 5; // "soak_"

} // namespace

pool_watch::pool_watch(run& all) : all_(all), thread_([this] { watch(); }) {}

pool_watch::~pool_watch() {
  stopping_ = true;
  thread_.join();
}

void pool_watch::watch() {
  while (!stopping_) {
    try {
      pq connection = all_.in.server.admin("postgres");
      while (!stopping_) {
        look(connection);
        std::this_thread::sleep_for(sample_interval);
      }
    } catch (const test_failure&) { // Postgres is away
      std::this_thread::sleep_for(milliseconds(50));
    }
  }
}

void pool_watch::look(pq& connection) {
  const fault_proxy& proxy = all_.in.behind;
  const auto unknowing = [&] { return proxy.orphans() + proxy.vanished_within(missed_after); };
  const int cut_off_before = unknowing();
  const pq_result counts = connection.exec("select usename, count(*) from pg_stat_activity where usename like 'soak_%' "
                                           "and backend_type = 'client backend' group by 1");
  const int cut_off = std::max(cut_off_before, unknowing());
  ++samples_;
  for (int row = 0; row < counts.rows(); ++row) {
    for (std::size_t i = 0; i < std::size(pools); ++i) {
      if (counts.value(row, 0).substr(name_prefix) != pools[i].name) continue;
      const int now = std::stoi(counts.value(row, 1));
      const int known = pools[i].by_proxy ? now - cut_off : now;
      if (known > most_[i]) most_[i] = known;
      if (known > pools[i].size)
        all_.fail("pool " + std::string(pools[i].name) + " has " + std::to_string(now) + " backends, " +
                  std::to_string(now - known) + " of them cut off; its size is " + std::to_string(pools[i].size));
    }
  }
}

holdings settled(run& all, milliseconds limit) {
  holdings now;
  wait_for(
      [&] {
        now.actors = connection_actors(*all.in.node);
        return now.actors == 0;
      },
      limit);
  now.descriptors = descriptors(all.in.node->pid());
  now.kilobytes = resident_kilobytes(all.in.node->pid());
  return now;
}

} // namespace pg_edge::soak
