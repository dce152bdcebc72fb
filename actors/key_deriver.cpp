#include "actors/key_deriver.hpp"

#include "actors/control_stats.hpp"
#include "protocol/scram.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

namespace pg_edge::actors {

namespace {

void wipe(protocol::bytes& secret) {
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

} // namespace

// -- workers
// -----------------------------------------------------------------------------------------------------------

struct derive_job {
  protocol::bytes password, salt;
  int iterations = 0;
};

struct derive_result {
  protocol::bytes salted_password;
};

} // namespace pg_edge::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::derive_job)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::derive_result)

namespace pg_edge::actors {

namespace {

using derive_worker_actor = caf::typed_actor<caf::replies_to<derive_job>::with<derive_result>>;

derive_worker_actor::behavior_type derive_worker() {
  return {[](derive_job& job) {
    derive_result result{protocol::salted_password(job.password, job.salt, job.iterations)};
    wipe(job.password);
    return result;
  }};
}

} // namespace

// -- cache
// -------------------------------------------------------------------------------------------------------------

std::size_t derivation_id_hash::operator()(const derivation_id& id) const noexcept {
  std::size_t hash = 0; // the id is random already
  std::memcpy(&hash, id.data(), sizeof hash);
  return hash;
}

derivation_cache::~derivation_cache() {
  for (auto& entry : entries_)
    wipe(entry.second);
}

const protocol::bytes* derivation_cache::find(const derivation_id& id) {
  const auto place = places_.find(id);
  if (place == places_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, place->second);
  return &entries_.front().second;
}

void derivation_cache::insert(const derivation_id& id, protocol::bytes result) {
  if (capacity_ == 0 || find(id) != nullptr) return;
  if (places_.size() >= capacity_) {
    places_.erase(entries_.back().first);
    wipe(entries_.back().second);
    entries_.pop_back();
  }
  entries_.emplace_front(id, std::move(result));
  places_.emplace(id, entries_.begin());
}

// -- the deriver
// -------------------------------------------------------------------------------------------------------
//
//   request -> cached? answer at once
//           -> the same derivation is under way? wait for its result
//           -> a worker idle? give it the job : queue it
//   result  -> answer all who wait, keep it, give the worker the next job

struct key_deriver_state {
  control_stats stats{actor_kind::key_deriver};
  using promise = caf::typed_response_promise<derived_key>;

  struct waiter {
    std::uint64_t token;
    promise answer;
  };

  struct derivation {
    derive_job job;
    std::vector<waiter> waiters;
  };

  using self_pointer = key_deriver_actor::stateful_pointer<key_deriver_state>;

  explicit key_deriver_state(self_pointer owner) : self(owner) {}

  ~key_deriver_state() {
    OPENSSL_cleanse(process_key.data(), process_key.size());
    for (auto& [id, under_way] : derivations)
      wipe(under_way.job.password);
  }

  bool start(const key_deriver_options& chosen);
  promise derive(derive_request& request);
  void dispatch();
  void finish(const derivation_id& id, const protocol::bytes& salted_password);
  std::optional<derivation_id> identify(const derive_request& request) const;

  self_pointer self;
  key_deriver_options options;
  std::array<unsigned char, 32> process_key{};
  std::optional<derivation_cache> cache;
  std::unordered_map<derivation_id, derivation, derivation_id_hash> derivations; // waiting and running
  std::deque<derivation_id> waiting;
  std::vector<derive_worker_actor> idle_workers;

  static inline const char* name = "key_deriver";
};

bool key_deriver_state::start(const key_deriver_options& chosen) {
  if (RAND_bytes(process_key.data(), static_cast<int>(process_key.size())) != 1) return false;
  options = chosen;
  cache.emplace(options.cache_capacity);
  // One scheduler thread stays free, so that logins never hold up the control actors.
  const auto threads = self->system().scheduler().num_workers();
  const auto count = options.workers > 0 ? options.workers : std::max<std::size_t>(threads, 2) - 1;
  for (std::size_t i = 0; i < count; ++i)
    idle_workers.push_back(self->spawn(derive_worker));
  return true;
}

std::optional<derivation_id> key_deriver_state::identify(const derive_request& request) const {
  protocol::bytes text;
  protocol::put_i32(text, request.iterations);
  protocol::put_u32(text, static_cast<std::uint32_t>(request.salt.size()));
  text.append(request.salt).append(request.password);
  derivation_id id{};
  unsigned int size = 0;
  const bool done = HMAC(EVP_sha256(), process_key.data(), static_cast<int>(process_key.size()),
                         reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                         reinterpret_cast<unsigned char*>(id.data()), &size) != nullptr;
  wipe(text);
  return done ? std::optional(id) : std::nullopt;
}

key_deriver_state::promise key_deriver_state::derive(derive_request& request) {
  auto answer = self->make_response_promise<promise>();
  const auto id = identify(request);
  const bool refused =
      !id || request.salt.empty() || request.iterations < 1 || request.iterations > protocol::scram_max_iterations;
  const auto* known = refused ? nullptr : cache->find(*id);
  const auto under_way = refused ? derivations.end() : derivations.find(*id);
  if (refused) {
    answer.deliver(derived_key{request.token, derive_outcome::refused, {}});
  } else if (known != nullptr) {
    answer.deliver(derived_key{request.token, derive_outcome::ok, *known});
  } else if (under_way != derivations.end()) {
    under_way->second.waiters.push_back({request.token, answer});
  } else if (waiting.size() >= options.max_waiting) {
    answer.deliver(derived_key{request.token, derive_outcome::busy, {}});
  } else {
    derivation fresh;
    fresh.job = {request.password, std::move(request.salt), request.iterations};
    fresh.waiters.push_back({request.token, answer});
    derivations.emplace(*id, std::move(fresh));
    waiting.push_back(*id);
    dispatch();
  }
  wipe(request.password);
  return answer;
}

void key_deriver_state::dispatch() {
  while (!waiting.empty() && !idle_workers.empty()) {
    const auto id = waiting.front();
    waiting.pop_front();
    auto worker = std::move(idle_workers.back());
    idle_workers.pop_back();
    auto& job = derivations.at(id).job;
    derive_job sent = job;
    wipe(job.password);
    self->request(worker, caf::infinite, std::move(sent))
        .then(
            [this, id, worker](derive_result& result) {
              idle_workers.push_back(worker);
              if (options.computed) ++*options.computed;
              finish(id, result.salted_password);
              wipe(result.salted_password);
              dispatch();
            },
            [this, id](const caf::error&) {
              // Only a worker that ran out of memory ends up here; it is gone.
              idle_workers.push_back(self->spawn(derive_worker));
              finish(id, {});
              dispatch();
            });
  }
}

void key_deriver_state::finish(const derivation_id& id, const protocol::bytes& salted_password) {
  auto node = derivations.extract(id);
  const auto outcome = salted_password.empty() ? derive_outcome::refused : derive_outcome::ok;
  for (auto& waiter : node.mapped().waiters)
    waiter.answer.deliver(derived_key{waiter.token, outcome, salted_password});
  if (outcome == derive_outcome::ok) cache->insert(id, salted_password);
}

key_deriver_actor::behavior_type key_deriver(key_deriver_actor::stateful_pointer<key_deriver_state> self,
                                             key_deriver_options options) {
  // Without randomness the node cannot make nonces either; its supervisor must hear of it.
  if (!self->state.start(options)) self->quit(caf::make_error(caf::sec::runtime_error, "no random bytes from OpenSSL"));
  return {[self](derive_request& request) {
    self->state.stats.note(self);
    return self->state.derive(request);
  }};
}

key_deriver_actor spawn_key_deriver(caf::actor_system& system, key_deriver_options options) {
  return system.spawn(key_deriver, options);
}

} // namespace pg_edge::actors
