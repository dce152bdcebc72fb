#include "actors/cluster_state.hpp"

#include <algorithm>

namespace pg_edge::actors {

namespace {

using clock = cluster_state::clock;
using cluster::node_core;

constexpr std::size_t prompt_roster = 200;
/// Between two looks into Postgres for what a dead node has left.
constexpr std::chrono::milliseconds search_pause{250};
/// How often the log is told that such permits are still awaited.
constexpr std::chrono::seconds awaited_pause{10};

} // namespace

cluster::roster_entry aged(const cluster_state::own_backend& one) {
  cluster::roster_entry entry = one.first;
  entry.age_ms = static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - one.second).count());
  return entry;
}

void cluster_state::note_backend(const backend_noted& what) {
  if (what.there)
    own_backends[what.server] = {{what.pool, what.pid, 0}, clock::now()};
  else
    own_backends.erase(what.server);
  roster_changed = true;
  // What is in no roster when this node stops can only be waited for.
  const bool at_once = what.there && own_backends.size() <= prompt_roster;
  if (at_once || clock::now() - roster_sent >= roster_pause) send_roster();
}

void cluster_state::send_roster() {
  const cluster::member* own = core->members().self();
  roster_sent = clock::now();
  if (own == nullptr) return;
  roster_changed = false;
  cluster::roster word{own->id, own->incarnation, {}};
  for (const auto& [server, one] : own_backends)
    word.backends.push_back(aged(one));
  for (const auto& [address, whom] : peers)
    if (whom.state == way::connected) send_raw(whom.handle, word, own->incarnation);
}

void cluster_state::search_for_lost() {
  const auto wanted = core->to_clear();
  std::erase_if(searches, [&](const auto& one) {
    return !one.second.under_way && std::find(wanted.begin(), wanted.end(), one.first) == wanted.end();
  });
  const auto now = clock::now();
  for (const auto& what : wanted) {
    search& one = searches[what];
    if (one.began == clock::time_point{}) one.began = now;
    if (one.under_way || now < one.next) continue;
    one.under_way = true;
    search_backends(self, *node, question_about(what));
  }
}

backend_question cluster_state::question_about(const node_core::clearing& what) {
  const auto now = clock::now();
  const auto ms = [](clock::duration span) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
  };
  backend_question question;
  question.what = what;
  if (const auto seen = departed_seen.find(what.life); seen != departed_seen.end())
    question.departed_ms = ms(now - seen->second);
  for (const auto& [id, roster] : rosters) {
    const bool dead = id == what.life.id && roster.incarnation == what.life.incarnation;
    if (dead) question.roster_age_ms = ms(now - roster.heard);
    for (const cluster::roster_entry& entry : roster.backends) {
      if (entry.pool != what.pool) continue;
      if (dead)
        question.roster.emplace_back(entry.pid, static_cast<std::int64_t>(entry.age_ms) + ms(now - roster.heard));
      else
        question.of_others.push_back(entry.pid);
    }
  }
  for (const auto& [server, one] : own_backends)
    if (one.first.pool == what.pool) question.of_others.push_back(one.first.pid);
  return question;
}

void cluster_state::searched(const backends_searched& result) {
  search& one = searches[result.what];
  const auto now = clock::now();
  one.under_way = false;
  one.next = now + search_pause;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - one.began).count();
  if (result.gone) {
    core->cleared(now_ms(), result.what);
    log(level::info, cluster_events::recovered,
        {{"node", result.what.life.name},
         {"tenant", result.what.pool.tenant},
         {"database", result.what.pool.database},
         {"user", result.what.pool.user},
         {"seconds", seconds}});
    searches.erase(result.what);
    return;
  }
  if (now - one.said < awaited_pause) return;
  one.said = now;
  log(result.error.empty() ? level::info : level::warning, cluster_events::awaited,
      {{"node", result.what.life.name},
       {"tenant", result.what.pool.tenant},
       {"database", result.what.pool.database},
       {"user", result.what.pool.user},
       {"ended", result.ended},
       {"unknown", result.waiting_for},
       {"reason", result.error}});
}

} // namespace pg_edge::actors
