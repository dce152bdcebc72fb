#include "actors/user_lookup.hpp"

#include "actors/control_stats.hpp"
#include "actors/log.hpp"
#include "actors/resolver.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <netdb.h>

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::lookup_result)

namespace pg_edge::actors {

namespace {

/// Users whose secrets are kept, and names that nobody has. A stranger can only fill the second table.
constexpr std::size_t max_known = 50'000;
constexpr std::size_t max_unknown = 10'000;
/// How long nobody is nobody: short, since a user may just be made.
constexpr std::chrono::seconds unknown_time{2};
/// Different users who may be looked up at the same time.
constexpr std::size_t max_pending = 10'000;
/// How long a login waits for a newer answer before it goes on with the one that is kept.
constexpr std::chrono::milliseconds patience{1000};
/// Pause before a server that is away is asked again.
constexpr std::chrono::milliseconds retry_pause{500};
/// For server_connect_timeout and client_login_timeout where they are off.
constexpr std::chrono::seconds no_limit{60};

using retry_atom = caf::atom_constant<caf::atom("retry")>;
using patience_atom = caf::atom_constant<caf::atom("patience")>;
using inner_lookup_actor =
    user_lookup_actor::extend<caf::reacts_to<lookup_result>, caf::reacts_to<retry_atom, std::uint64_t>,
                              caf::reacts_to<patience_atom, std::uint64_t>>;

} // namespace

// -- the cache
// --------------------------------------------------------------------------------------------------------------

namespace {

void wipe(std::string& secret) {
  OPENSSL_cleanse(secret.data(), secret.size());
}

} // namespace

lookup_cache::~lookup_cache() {
  for (auto& one : entries_)
    wipe(one.second.secret);
}

lookup_cache::entry* lookup_cache::find(const std::string& key) {
  const auto place = places_.find(key);
  if (place == places_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, place->second);
  return &entries_.front().second;
}

void lookup_cache::insert(const std::string& key, entry what) {
  if (entry* known = find(key)) {
    wipe(known->secret);
    *known = std::move(what);
    return;
  }
  if (capacity_ == 0) return;
  if (places_.size() >= capacity_) {
    const std::string oldest = entries_.back().first;
    erase(oldest);
  }
  entries_.emplace_front(key, std::move(what));
  places_.emplace(key, entries_.begin());
}

bool lookup_cache::erase(const std::string& key) {
  const auto place = places_.find(key);
  if (place == places_.end()) return false;
  wipe(place->second->second.secret);
  entries_.erase(place->second);
  places_.erase(place);
  return true;
}

// -- the actor
// --------------------------------------------------------------------------------------------------------------

namespace {

struct user_lookup_state {
  using clock = lookup_cache::clock;
  using promise = caf::typed_response_promise<found_user>;
  using self_pointer = inner_lookup_actor::stateful_pointer<user_lookup_state>;

  struct pending {
    std::string key;
    lookup_user wish; // of who came first
    lookup_source source;
    std::size_t next_host = 0;
    std::vector<std::string> names, addresses; // for libpq: a name for each address
    std::string no_address;                    // why a host has none
    std::vector<promise> waiters;
    clock::time_point deadline;
    bool logged = false; // that the server is away
  };

  explicit user_lookup_state(self_pointer owner) : self(owner) {}

  caf::result<found_user> look_up(lookup_user& wish);
  void doubt(const lookup_user& whom);
  void resolve(std::uint64_t id);
  void add_addresses(std::uint64_t id, const resolved_host& found);
  void submit(std::uint64_t id);
  void take(lookup_result& result);
  void away(std::uint64_t id, const std::string& why);
  void lose_patience(std::uint64_t id);
  void answer(pending& whom, const found_user& what);
  void finish(std::uint64_t id, const found_user& what);
  void report(const pending& whom, const std::string& why) const;
  std::optional<found_user> kept(const std::string& key, const lookup_user& wish);

  self_pointer self;
  node_context* node = nullptr;
  control_stats stats{actor_kind::user_lookup};
  lookup_cache known{max_known}, unknown{max_unknown};
  std::unordered_map<std::uint64_t, pending> under_way;
  std::unordered_map<std::string, std::uint64_t> ids; // of those under way, by key
  std::uint64_t next_id = 1;
  std::unique_ptr<lookup_thread> thread; // last: it ends before anything that it reports to
};

/// An answer that needs no question.
std::optional<found_user> user_lookup_state::kept(const std::string& key, const lookup_user& wish) {
  const auto now = clock::now();
  if (wish.fresh) return std::nullopt;
  if (const auto* entry = known.find(key); entry != nullptr && !entry->doubted)
    if (now - entry->asked < wish.settings->auth_cache_time)
      return found_user{lookup_outcome::found, entry->secret, true};
  if (const auto* entry = unknown.find(key); entry != nullptr && now - entry->asked < unknown_time)
    return found_user{lookup_outcome::unknown, {}, true};
  return std::nullopt;
}

caf::result<found_user> user_lookup_state::look_up(lookup_user& wish) {
  lookup_source source = find_source(wish);
  const std::string key = source.key();
  if (auto answer = kept(key, wish)) return *answer;
  promise reply = self->make_response_promise<promise>();
  if (const auto found = ids.find(key); found != ids.end()) {
    under_way.at(found->second).waiters.push_back(reply);
    return reply;
  }
  pending next{key, wish, std::move(source), 0, {}, {}, {}, {reply}, {}, false};
  if (under_way.size() >= max_pending) next.source.error = "too many look-ups are under way";
  if (!next.source.error.empty()) {
    report(next, next.source.error);
    answer(next, {});
    return reply;
  }
  const config::duration limit = wish.settings->client_login_timeout;
  next.deadline = clock::now() + (limit.count() > 0 ? limit : config::duration(no_limit));
  const std::uint64_t id = next_id++;
  next.source.job.id = id;
  ids[key] = id;
  under_way.emplace(id, std::move(next));
  if (known.find(key) != nullptr) self->delayed_send(self, patience, patience_atom::value, id);
  resolve(id);
  return reply;
}

void user_lookup_state::doubt(const lookup_user& whom) {
  if (auto* entry = known.find(find_source(whom).key())) entry->doubted = true;
}

// -- addresses
// --------------------------------------------------------------------------------------------------------------

/// libpq would wait for the name server, so it gets addresses.
void user_lookup_state::resolve(std::uint64_t id) {
  const auto place = under_way.find(id);
  if (place == under_way.end()) return;
  pending& whom = place->second;
  while (whom.next_host < whom.source.hosts.size()) {
    const std::string host = whom.source.hosts[whom.next_host++];
    if (literal_address(host, whom.source.port)) {
      whom.names.push_back(host);
      whom.addresses.push_back(host.starts_with('/') ? "" : host); // a folder is no address for libpq
      continue;
    }
    self->request(node->resolver, caf::infinite, resolve_host{host, whom.source.port})
        .then([this, id](const resolved_host& found) { add_addresses(id, found); },
              [this, id](caf::error&) {
                add_addresses(id, {{}, "the resolver failed"});
              });
    return;
  }
  submit(id);
}

void user_lookup_state::add_addresses(std::uint64_t id, const resolved_host& found) {
  const auto place = under_way.find(id);
  if (place == under_way.end()) return;
  pending& whom = place->second;
  if (!found.error.empty()) whom.no_address = found.error;
  for (const server_address& one : found.addresses) {
    char text[NI_MAXHOST];
    if (::getnameinfo(reinterpret_cast<const sockaddr*>(&one.address), one.length, text, sizeof text, nullptr, 0,
                      NI_NUMERICHOST) != 0)
      continue;
    whom.names.push_back(one.host);
    whom.addresses.emplace_back(text);
  }
  resolve(id);
}

void user_lookup_state::submit(std::uint64_t id) {
  pending& whom = under_way.at(id);
  if (whom.names.empty()) return away(id, whom.no_address);
  const auto joined = [](const std::vector<std::string>& list) {
    std::string text;
    for (std::size_t i = 0; i < list.size(); ++i)
      text.append(i == 0 ? "" : ",").append(list[i]);
    return text;
  };
  lookup_job job = whom.source.job;
  job.options.emplace_back("host", joined(whom.names));
  job.options.emplace_back("hostaddr", joined(whom.addresses));
  if (!thread)
    thread = std::make_unique<lookup_thread>([to = caf::actor_cast<caf::weak_actor_ptr>(self)](lookup_result result) {
      if (const auto here = caf::actor_cast<caf::actor>(to)) caf::anon_send(here, std::move(result));
    });
  thread->ask(std::move(job));
}

// -- answers
// ----------------------------------------------------------------------------------------------------------------

void user_lookup_state::take(lookup_result& result) {
  const auto place = under_way.find(result.id);
  if (place == under_way.end()) return;
  const pending& whom = place->second;
  switch (result.answer) {
  case lookup_answer::unreachable:
    return away(result.id, result.why);
  case lookup_answer::failed:
    report(whom, result.why);
    return finish(result.id, {});
  case lookup_answer::no_row:
    if (!result.why.empty()) report(whom, result.why);
    if (known.erase(whom.key)) node->credentials.forget(whom.wish.tenant, whom.wish.user);
    unknown.insert(whom.key, {{}, clock::now(), false});
    return finish(result.id, {lookup_outcome::unknown, {}, false});
  case lookup_answer::row:
    unknown.erase(whom.key);
    known.insert(whom.key, {result.secret, clock::now(), false});
    return finish(result.id, {lookup_outcome::found, result.secret, false});
  }
}

/// Postgres cannot be asked now. What is kept serves; without it the login waits like everything else does.
void user_lookup_state::away(std::uint64_t id, const std::string& why) {
  const auto place = under_way.find(id);
  pending& whom = place->second;
  if (!std::exchange(whom.logged, true)) report(whom, why);
  if (const auto* entry = known.find(whom.key)) return finish(id, {lookup_outcome::found, entry->secret, true});
  if (clock::now() + retry_pause >= whom.deadline) return finish(id, {});
  self->delayed_send(self, retry_pause, retry_atom::value, id);
}

/// The question goes on, for the next login.
void user_lookup_state::lose_patience(std::uint64_t id) {
  const auto place = under_way.find(id);
  if (place == under_way.end()) return;
  const auto* entry = known.find(place->second.key);
  if (entry != nullptr) answer(place->second, {lookup_outcome::found, entry->secret, true});
}

void user_lookup_state::answer(pending& whom, const found_user& what) {
  for (promise& one : whom.waiters)
    one.deliver(what);
  whom.waiters.clear();
}

void user_lookup_state::finish(std::uint64_t id, const found_user& what) {
  const auto place = under_way.find(id);
  answer(place->second, what);
  ids.erase(place->second.key);
  under_way.erase(place);
}

void user_lookup_state::report(const pending& whom, const std::string& why) const {
  log(level::warning, log_event::user_lookup_failed,
      {{"tenant", whom.wish.tenant},
       {"database", whom.wish.auth_dbname.empty() ? whom.wish.database : whom.wish.auth_dbname},
       {"user", whom.wish.user},
       {"auth_user", whom.wish.auth_user},
       {"reason", why}});
}

inner_lookup_actor::behavior_type user_lookup(user_lookup_state::self_pointer self, node_context* node) {
  self->state.node = node;
  return {
      [self](lookup_user& wish) {
        self->state.stats.note(self);
        return self->state.look_up(wish);
      },
      [self](const doubt_user& message) {
        self->state.stats.note(self);
        self->state.doubt(message.whom);
      },
      [self](lookup_result& result) {
        self->state.stats.note(self);
        self->state.take(result);
      },
      [self](retry_atom, std::uint64_t id) {
        self->state.stats.note(self);
        const auto place = self->state.under_way.find(id);
        if (place == self->state.under_way.end()) return;
        place->second.next_host = 0;
        place->second.names.clear();
        place->second.addresses.clear();
        self->state.resolve(id);
      },
      [self](patience_atom, std::uint64_t id) {
        self->state.stats.note(self);
        self->state.lose_patience(id);
      },
  };
}

} // namespace

user_lookup_actor spawn_user_lookup(caf::actor_system& system, node_context& node) {
  return caf::actor_cast<user_lookup_actor>(system.spawn(user_lookup, &node));
}

} // namespace pg_edge::actors
