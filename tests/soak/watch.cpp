#include "tests/soak/watch.hpp"

#include "tests/soak/evidence.hpp"
#include "tests/support/node_watch.hpp"
#include "tests/support/pq.hpp"

#include <algorithm>

namespace pg_edge::soak {

namespace {

constexpr milliseconds sample_interval{4};
constexpr std::size_t name_prefix = 5; // "soak_"
constexpr long samples_enough = 500;

// Memory that a warm process may still gain: allocators keep what they had at the peak.
constexpr long memory_slack_kilobytes = 48 * 1024;

// Postgres looks at one backend after the other, so who has come after the look began may stand beside one that had
// gone by then; all others were there when it began. Without what the nodes of a cluster ask Postgres with about a dead
// one: control connections do not count in a pool.
constexpr const char* question = "select usename, count(*) from pg_stat_activity where usename like 'soak_%' and "
                                 "backend_type = 'client backend' and backend_start <= now() and "
                                 "application_name <> 'pg_edge cluster' group by 1";

} // namespace

pool_watch::pool_watch(tally& all, const postgres& server, std::span<const pool_row> pools,
                       std::function<int()> cut_off)
    : all_(all), server_(server), pools_(pools), cut_off_(std::move(cut_off)), most_(pools.size()),
      thread_([this] { watch(); }) {}

pool_watch::~pool_watch() {
  stopping_ = true;
  thread_.join();
}

void pool_watch::watch() {
  while (!stopping_) {
    try {
      pq connection = server_.admin("postgres");
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
  const int cut_off_before = cut_off_();
  const pq_result counts = connection.exec(question);
  const int cut_off = std::max(cut_off_before, cut_off_());
  ++samples_;
  for (int row = 0; row < counts.rows(); ++row)
    for (std::size_t i = 0; i < pools_.size(); ++i)
      if (counts.value(row, 0).substr(name_prefix) == pools_[i].name)
        note(i, std::stoi(counts.value(row, 1)), pools_[i].by_proxy ? cut_off : 0);
}

void pool_watch::note(std::size_t pool, int backends, int cut_off) {
  const int known = backends - cut_off;
  if (known > most_[pool]) most_[pool] = known;
  if (known <= pools_[pool].size) return;
  all_.fail("pool " + std::string(pools_[pool].name) + " has " + std::to_string(backends) + " backends, " +
            std::to_string(cut_off) + " of them cut off; its size is " + std::to_string(pools_[pool].size));
}

void pool_watch::judge(verdict& result) const {
  result.check("pools were watched", samples_ > samples_enough, std::to_string(samples_) + " samples");
  for (std::size_t i = 0; i < pools_.size(); ++i)
    result.check("pool " + std::string(pools_[i].name) + " kept its size", most_[i] <= pools_[i].size,
                 "at most " + std::to_string(most_[i]) + " of " + std::to_string(pools_[i].size));
}

holdings settled(const pg_edge_process& node, milliseconds limit) {
  holdings now;
  wait_for(
      [&] {
        now.actors = connection_actors(node);
        return now.actors == 0;
      },
      limit);
  now.descriptors = descriptors(node.pid());
  now.kilobytes = resident_kilobytes(node.pid());
  return now;
}

void judge(verdict& result, const holdings& before, const holdings& after, int spare) {
  result.check("actors of connections return to none", after.actors == 0, change(before.actors, after.actors));
  result.check("descriptors return", after.descriptors <= before.descriptors + spare,
               change(before.descriptors, after.descriptors));
  result.check("memory returns near to it", after.kilobytes <= before.kilobytes * 5 / 4 + memory_slack_kilobytes,
               change(before.kilobytes, after.kilobytes) + ", in kB");
}

} // namespace pg_edge::soak
