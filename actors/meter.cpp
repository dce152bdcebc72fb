#include "actors/meter.hpp"

#include "actors/node_context.hpp"
#include "actors/share.hpp"

#include <new>
#include <utility>

namespace pg_edge::actors {

// -- what shares count into
// ----------------------------------------------------------------------------------------------

/// Without memory the duration is not counted; a client does not fail for that.
bool share_times::make_buckets() noexcept {
  buckets_.reset(new (std::nothrow) std::array<duration_histogram, timed_count>{});
  return buckets_ != nullptr;
}

void share_times::drain(timed_histograms& into) {
  if (!buckets_) return;
  bool quiet = true;
  for (std::size_t i = 0; i < timed_count; ++i) {
    quiet = !(*buckets_)[i].drain(into[i]) && quiet;
    into[i].add_sum(sums_[i] - std::exchange(drained_[i], sums_[i]));
  }
  quiet_ = quiet ? quiet_ + 1 : 0;
  if (quiet_ < quiet_readings) return;
  buckets_.reset();
  quiet_ = 0;
}

// -- a reading
// -----------------------------------------------------------------------------------------------------------

void reactor_meter::remove(owned_link<share>& one) noexcept {
  if (!one.linked()) return;
  one.unlink();
  try {
    pool_growth last;
    if (one.owner.read_growth(last)) ended_.push_back(std::move(last));
  } catch (const std::bad_alloc&) { // what it counted last is lost
  }
}

void reactor_meter::client_left(std::uint64_t id) noexcept {
  try {
    gone_.push_back(id);
  } catch (const std::bad_alloc&) { // it is listed until it has been idle for a minute
  }
}

meter_reading reactor_meter::read(const read_meter& what) {
  meter_reading result;
  result.round = what.round;
  result.has_states = what.states;
  result.pools = std::move(ended_);
  ended_.clear();
  result.gone = std::move(gone_);
  gone_.clear();
  errors_.drain([&](const protocol::error_count& one) { result.errors.push_back(one); });
  for (list_link* link = shares_.next(); link != &shares_; link = link->next()) {
    share& one = static_cast<owned_link<share>*>(link)->owner;
    pool_growth grown;
    if (one.read_growth(grown)) {
      result.pools.push_back(std::move(grown));
      one.read_clients(what.round, result.clients);
    }
    if (what.states) result.states.push_back(one.state());
  }
  return result;
}

reactor_meter& this_meter() {
  static thread_local reactor_meter meter;
  return meter;
}

// -- the actor
// -----------------------------------------------------------------------------------------------------------

namespace {

class meter_actor final : public pinned_actor {
public:
  meter_actor(caf::actor_config& config, reactor& home) : pinned_actor(config, home) {}
  const char* name() const override { return "meter"; }

  caf::behavior make_behavior() override {
    return {[this](const read_meter& what) {
      meter_reading result = this_meter().read(what);
      result.reactor = home().index();
      result.counters = home().read_counters();
      caf::anon_send(what.to, std::move(result));
    }};
  }
};

} // namespace

std::vector<caf::actor> spawn_meters(node_context& node) {
  std::vector<caf::actor> result;
  for (const auto& one : node.reactors)
    result.push_back(spawn_pinned<meter_actor>(*one));
  return result;
}

} // namespace pg_edge::actors
