#include "actors/store_asking.hpp"

#include "actors/cluster_words.hpp"

#include <caf/all.hpp>

namespace pg_edge::actors {

void put_to_store(cluster::store& store, store_watches& watches, const cluster::store_question& asked,
                  const caf::actor& whom) {
  const auto number = asked.number;
  const auto then = [whom, number](cluster::store_answer answer) {
    caf::anon_send<caf::message_priority::high>(whom, store_answered{number, std::move(answer)});
  };
  if (const auto* list = std::get_if<cluster::ask_list>(&asked.what))
    store.list({list->prefix, 0, false, {}}, then);
  else if (const auto* commit = std::get_if<cluster::ask_commit>(&asked.what))
    store.commit(commit->writes, then);
  else if (const auto* grant = std::get_if<cluster::ask_grant>(&asked.what))
    store.grant(grant->time_to_live, then);
  else if (const auto* alive = std::get_if<cluster::ask_keep_alive>(&asked.what))
    store.keep_alive(alive->lease, then);
  else if (const auto* revoke = std::get_if<cluster::ask_revoke>(&asked.what))
    store.revoke(revoke->lease, then);
  else if (const auto* watch = std::get_if<cluster::ask_watch>(&asked.what))
    watches[number] = store.watch(watch->prefix, watch->after, [whom, number](cluster::store_event event) {
      caf::anon_send<caf::message_priority::high>(whom, store_told{number, std::move(event)});
    });
  else if (const auto* over = std::get_if<cluster::ask_unwatch>(&asked.what))
    if (const auto found = watches.find(over->watch); found != watches.end()) {
      store.unwatch(found->second);
      watches.erase(found);
    }
}

} // namespace pg_edge::actors
