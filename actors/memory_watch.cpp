#include "actors/memory_watch.hpp"

#include "actors/client.hpp"
#include "actors/control_stats.hpp"
#include "actors/log.hpp"
#include "actors/node_context.hpp"
#include "actors/pinned_actor.hpp"
#include "actors/relay.hpp"

#include <caf/stateful_actor.hpp>

#include <charconv>
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

namespace pg_edge::actors {

namespace {

using cluster::memory_state;

constexpr std::chrono::milliseconds look_pause{100};
/// Without a limit only the allocator's own holdings are looked at.
constexpr std::chrono::milliseconds quiet_pause{1000};
/// Free bytes at the end of a thread's arena that stay there.
constexpr int kept_by_arena = 2 * 1024 * 1024;
/// Asking the allocator what it holds walks through its lists, and trimming gives pages back that may be wanted again.
constexpr std::chrono::seconds trim_pause{5};
constexpr std::chrono::seconds urgent_trim_pause{1};
/// A reactor that does not say in time who lives there is not waited for.
constexpr std::chrono::milliseconds survey_patience{1000};

using look_atom = caf::atom_constant<caf::atom("memlook")>;

// -- measuring
// -------------------------------------------------------------------------------------------------------------

/// Bytes of the process that are in memory; 0: the system does not say.
std::uint64_t resident_bytes(int statm) {
  char text[128];
  const ssize_t size = ::pread(statm, text, sizeof text, 0);
  if (size <= 0) return 0;
  const char* const end = text + size;
  std::uint64_t all = 0, resident = 0;
  const auto first = std::from_chars(text, end, all);
  if (first.ec != std::errc() || first.ptr == end) return 0;
  std::from_chars(first.ptr + 1, end, resident);
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t allocated_bytes() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

// -- on each reactor
// -------------------------------------------------------------------------------------------------------

/// Says who lives on its reactor, and who of them holds more than a little.
class memory_surveyor final : public pinned_actor {
public:
  memory_surveyor(caf::actor_config& config, reactor& home) : pinned_actor(config, home) {}
  const char* name() const override { return "memory_surveyor"; }

  caf::behavior make_behavior() override {
    return {[this](const survey_memory&) { return survey(); },
            [this](const list_residents& what) { return residents(static_cast<actor_kind>(what.kind)); },
            [this](const end_relayed_clients& word) { end_relayed(word.own); },
            [this](const places_changed&) { places_have_changed(); }};
  }

private:
  memory_survey survey() {
    memory_survey result;
    home().each_resident([&](pinned_actor& one) {
      if (one.kind() != actor_kind::client) return;
      auto& who = static_cast<client&>(one);
      const cluster::memory_holder held = who.memory_held();
      if (held.bytes < cluster::memory_guard::least_held) return;
      result.holders.push_back(held);
      result.clients.push_back(caf::actor_cast<caf::actor>(&one));
    });
    return result;
  }

  void end_relayed(bool own) {
    const end_client word{protocol::make_error(protocol::error_code::shutting_down), true};
    home().each_resident([&](pinned_actor& one) {
      if (one.kind() != actor_kind::client) return;
      const auto& who = static_cast<const client&>(one);
      if (who.comes_by_link() || (own && who.step() == client_step::relayed))
        caf::anon_send(caf::actor_cast<caf::actor>(&one), word);
    });
  }

  void places_have_changed() {
    home().each_resident([&](pinned_actor& one) {
      const bool relayed =
          one.kind() == actor_kind::client && static_cast<const client&>(one).step() == client_step::relayed;
      if (relayed || one.kind() == actor_kind::share)
        caf::anon_send(caf::actor_cast<caf::actor>(&one), places_changed{});
    });
  }

  resident_list residents(actor_kind kind) {
    resident_list result;
    home().each_resident([&](pinned_actor& one) {
      if (one.kind() != kind) return;
      result.residents.push_back({one.id(), home().index(), one.handled(), one.waiting(), one.describe()});
    });
    return result;
  }
};

// -- the one that decides
// --------------------------------------------------------------------------------------------------

struct watch_state {
  control_stats stats{actor_kind::other};
  node_context* node = nullptr;
  cluster::memory_guard guard;
  int statm = -1;
  std::uint64_t used = 0;
  std::chrono::steady_clock::time_point trimmed_at = std::chrono::steady_clock::now();
  bool was_short = false;  // since it was last trimmed
  std::size_t awaited = 0; // answers to the present survey
  memory_survey survey;

  ~watch_state() {
    if (statm >= 0) ::close(statm);
  }
};

using watch_self = caf::stateful_actor<watch_state>*;

void note_state(watch_state& state) {
  const memory_state now = state.guard.state();
  state.node->memory.state.store(now, std::memory_order_relaxed);
  log(now == memory_state::calm ? level::info : level::warning, log_event::memory_changed,
      {{"state", to_string(now)}, {"used", state.used}, {"memory_limit", state.guard.limit()}});
}

void trim(watch_state& state) {
  const auto now = std::chrono::steady_clock::now();
  const bool is_short = state.guard.state() != memory_state::calm;
  const bool urgent = is_short || state.was_short; // what was freed last is given back too
  if (now - state.trimmed_at < (urgent ? urgent_trim_pause : trim_pause)) return;
  state.trimmed_at = now;
  state.was_short = is_short;
  if (urgent || cluster::memory_guard::trim_due(state.used, allocated_bytes())) ::malloc_trim(0);
}

/// All answers are there, or as many as came in time.
void shed(watch_self self) {
  watch_state& state = self->state;
  for (const std::size_t i : state.guard.choose(state.survey.holders)) {
    log(level::warning, log_event::client_shed,
        {{"client", state.survey.holders[i].client},
         {"bytes", state.survey.holders[i].bytes},
         {"used", state.used},
         {"memory_limit", state.guard.limit()}});
    caf::anon_send(state.survey.clients[i], shed_client{state.guard.limit()});
  }
  state.survey = {};
}

void begin_survey(watch_self self) {
  watch_state& state = self->state;
  if (state.awaited > 0) return;
  state.awaited = state.node->surveyors.size();
  const auto answered = [self] {
    if (--self->state.awaited == 0) shed(self);
  };
  for (const caf::actor& one : state.node->surveyors)
    self->request(one, survey_patience, survey_memory{})
        .then(
            [self, answered](const memory_survey& part) {
              memory_survey& all = self->state.survey;
              all.holders.insert(all.holders.end(), part.holders.begin(), part.holders.end());
              all.clients.insert(all.clients.end(), part.clients.begin(), part.clients.end());
              answered();
            },
            [answered](const caf::error&) { answered(); });
}

void look(watch_self self) {
  watch_state& state = self->state;
  state.guard.configure(state.node->settings()->values->memory_limit.bytes);
  state.used = resident_bytes(state.statm);
  state.node->memory.used.store(state.used, std::memory_order_relaxed);
  if (state.guard.sample(state.used)) note_state(state);
  if (state.guard.state() == memory_state::shedding) begin_survey(self);
  trim(state);
  self->delayed_send(self, state.guard.limit() > 0 ? look_pause : quiet_pause, look_atom::value);
}

caf::behavior memory_watch(watch_self self, node_context* node) {
  self->state.node = node;
  self->state.statm = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  self->send(self, look_atom::value);
  return {[self](look_atom) {
    self->state.stats.note(self);
    look(self);
  }};
}

} // namespace

caf::actor spawn_memory_watch(caf::actor_system& system, node_context& node) {
  // Left alone, the allocator raises this to twice the largest block it has ever freed, and malloc_trim does not touch
  // the free end of a thread's arena: tens of megabytes would stay with each reactor.
  ::mallopt(M_TRIM_THRESHOLD, kept_by_arena);
  for (const auto& one : node.reactors)
    node.surveyors.push_back(spawn_pinned<memory_surveyor>(*one));
  return system.spawn(memory_watch, &node);
}

} // namespace pg_edge::actors
