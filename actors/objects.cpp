#include "actors/objects.hpp"

#include "actors/audit.hpp"
#include "actors/cluster_store.hpp"
#include "actors/control_stats.hpp"
#include "actors/log.hpp"
#include "actors/store_wait.hpp"
#include "config/load.hpp"
#include "config/timestamp.hpp"

#include <deque>
#include <functional>
#include <set>

namespace pg_edge::actors {

using cluster::store_answer;
using cluster::store_event;
using cluster::store_outcome;
using cluster::store_revision;
using cluster::store_write;
using config::object_id;
using config::stored_object;
using config::stored_objects;

namespace {

constexpr std::chrono::seconds retry_pause{1};     // while the store cannot be read
constexpr std::chrono::seconds probe_pause{5};     // while it cannot be written
constexpr std::chrono::seconds ban_look{30};       // for bans that have ended
constexpr std::chrono::seconds store_look{2};      // whether a cluster's store is there
constexpr std::chrono::seconds apply_patience{60}; // the node may read certificates
constexpr int most_tries = 5;                      // of a change that others outrun
constexpr std::size_t most_trimmed = 20;           // entries of the audit log in one commit
constexpr std::string_view audit_folder = "audit/";
constexpr std::string_view no_store_name = "there is no store_path";
constexpr std::string_view no_store_text =
    "there is no store: set store_path in [pg_edge], and restart, to change things while the node runs";

/// A function for the actor, from a thread of the store or from itself later.
struct run_here {
  std::function<void()> what;
};

} // namespace
} // namespace pg_edge::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::run_here)

namespace pg_edge::actors {

// -- reading
// --------------------------------------------------------------------------------------------------------------

namespace {

std::string key_of(const std::string& root, const object_id& id) {
  const auto& row = config::row_of(id.kind);
  if (row.of_tenant) return cluster::store_key(root, row.folder, {id.tenant, id.name});
  return cluster::store_key(root, row.folder, {id.name});
}

bool is_audit_key(const std::string& root, const std::string& key) {
  return key.compare(root.size(), audit_folder.size(), audit_folder) == 0;
}

/// Nothing on a node by itself.
std::string audit_suffix(const config::settings& settings) {
  return settings.cluster.joined ? "-" + cluster::key_part(settings.cluster.node) : std::string{};
}

std::optional<object_id> id_of(const std::string& root, const std::string& key) {
  for (const auto& row : config::object_kinds()) {
    const auto names = cluster::names_of_key(root, row.folder, key);
    if (!names || names->size() != (row.of_tenant ? 2U : 1U)) continue;
    return object_id{row.kind, row.of_tenant ? (*names)[0] : std::string{}, names->back()};
  }
  return std::nullopt;
}

} // namespace

store_content read_content(const store_answer& listed, const std::string& root) {
  store_content out;
  out.why = listed.why;
  if (!listed.ok()) return out;
  out.read = true;
  out.revision = listed.revision;
  auto objects = std::make_shared<stored_objects>();
  for (const auto& entry : listed.entries) {
    if (entry.key == cluster::succession_state_key(root)) {
      out.succession = entry;
    } else if (is_audit_key(root, entry.key)) {
      out.audit_keys.push_back(entry.key);
    } else if (const auto id = id_of(root, entry.key)) {
      auto object = config::parse_stored_object(entry.value);
      if (!object) object = stored_object{"not readable", 0, {}, {}}; // drift says so
      object->revision = entry.revision;
      objects->emplace(*id, std::move(*object));
    }
  }
  out.objects = std::move(objects);
  return out;
}

store_content read_store_now(cluster::store& from, const std::string& root) {
  return read_content(wait_for_store([&](auto then) { from.list({root, 0, false, {}}, then); }), root);
}

// -- the actor
// ------------------------------------------------------------------------------------------------------------

namespace {

using inner_objects = objects_actor::extend<caf::reacts_to<run_here>>;

class object_keeper {
public:
  object_keeper(inner_objects::pointer self, node_context& node, std::unique_ptr<cluster::store> store,
                store_content first);

  void note_message() { stats_.note(self_); }
  caf::typed_response_promise<object_changed> change(const change_object& wish);
  void note(const note_audit& what);
  caf::typed_response_promise<audit_page> read(const read_audit& what);
  store_state state() const;

private:
  struct waiting {
    change_object wish;
    caf::typed_response_promise<object_changed> answer;
    std::uint64_t present = 0; // its revision when it was looked at; 0: it was not there
    int tries = 0;
  };
  using waiting_ptr = std::shared_ptr<waiting>;

  // -- changes
  void next();
  void begin(const waiting_ptr& one);
  void written(const waiting_ptr& one, const config::planned_change& plan, const store_answer& answer);
  void finish(const waiting_ptr& one, object_changed result);
  std::vector<store_write> writes_of(const waiting& one, const config::planned_change& plan);
  void add_audit(std::vector<store_write>& to, const note_audit& what);
  void tell(const note_audit& what, std::string_view why) const;
  // -- what others change
  void read_anew(std::function<void()> then);
  void watch(cluster::store_revision after);
  void take_event(const store_event& event);
  /// The record of a take-over is this one now; it may say that this cluster's objects are another one's.
  void note_succession(const std::optional<cluster::store_entry>& now);
  void follow();
  std::string sealed() const { return cluster::why_sealed(followed_ ? followed_ : record_, cluster_); }
  /// Brings objects_ into force; `then` gets what that changed, if it is known.
  void apply(std::function<void(const reload_result&)> then);
  // -- how the store is
  void note_answer(const store_answer& answer);
  void failed(const std::string& why);
  void probe();
  void look_at_bans();
  void look_at_store();
  // -- help
  cluster::store_handler here(std::function<void(store_answer&)> then);
  void later(std::chrono::milliseconds pause, std::function<void()> what);

  control_stats stats_{actor_kind::objects};
  inner_objects::pointer self_;
  node_context& node_;
  std::string root_;
  const std::string cluster_;
  store_revision succession_ = 0; // of the record of a take-over, as it is known here; 0: there is none
  std::optional<cluster::succession_record> record_;
  std::optional<cluster::succession_record> followed_; // another cluster has taken over: its objects count here
  cluster::store_watch_id watch_ = 0;
  /// In a cluster: behind what tells entries of the audit log apart that two nodes write in one moment.
  const std::string audit_suffix_;
  stored_objects objects_;
  std::set<std::string> audit_keys_; // oldest first
  std::uint64_t audit_count_ = 0;
  store_revision watched_ = 0; // what others have done up to here is in objects_, and so is what this node has
  std::deque<waiting_ptr> queue_;
  bool busy_ = false; // the first of the queue is under way
  bool works_ = true, probing_ = false;
  std::string why_;
  std::unique_ptr<cluster::store> store_; // last: it goes first, with all that it may still call
};

object_keeper::object_keeper(inner_objects::pointer self, node_context& node, std::unique_ptr<cluster::store> store,
                             store_content first)
    : self_(self), node_(node), root_(store_root_of(*node.settings()->values)),
      cluster_(node.settings()->values->cluster.name), audit_suffix_(audit_suffix(*node.settings()->values)),
      store_(std::move(store)) {
  if (!store_) return;
  if (first.read) {
    watched_ = first.revision;
    objects_ = *first.objects;
    audit_keys_ = {first.audit_keys.begin(), first.audit_keys.end()};
    watch(first.revision);
    note_succession(first.succession);
  } else {
    failed(first.why);
    later(retry_pause, [this] { read_anew({}); });
  }
  later(ban_look, [this] { look_at_bans(); });
  if (!audit_suffix_.empty()) later(store_look, [this] { look_at_store(); });
}

// -- help
// ----------------------------------------------------------------------------------------------------------------

/// The handler is called on a thread of the store, which does nothing but pass on.
cluster::store_handler object_keeper::here(std::function<void(store_answer&)> then) {
  const auto self = caf::actor_cast<caf::actor>(self_);
  return [self, then = std::move(then)](store_answer answer) {
    auto kept = std::make_shared<store_answer>(std::move(answer));
    caf::anon_send(self, run_here{[then, kept] { then(*kept); }});
  };
}

void object_keeper::later(std::chrono::milliseconds pause, std::function<void()> what) {
  self_->delayed_send(self_, pause, run_here{std::move(what)});
}

store_state object_keeper::state() const {
  if (!store_) return {{}, false, std::string{no_store_text}};
  return {store_->name(), works_, works_ ? std::string{} : why_};
}

// -- changes
// -------------------------------------------------------------------------------------------------------------

caf::typed_response_promise<object_changed> object_keeper::change(const change_object& wish) {
  auto promise = self_->make_response_promise<object_changed>();
  queue_.push_back(std::make_shared<waiting>(waiting{wish, promise}));
  next();
  return promise;
}

void object_keeper::next() {
  if (busy_ || queue_.empty()) return;
  busy_ = true;
  begin(queue_.front());
}

void object_keeper::finish(const waiting_ptr& one, object_changed result) {
  one->answer.deliver(std::move(result));
  queue_.pop_front();
  busy_ = false;
  next();
}

void object_keeper::begin(const waiting_ptr& one) {
  object_changed result;
  const auto& wish = one->wish;
  const auto found = objects_.find(wish.what.id);
  const std::uint64_t present = found == objects_.end() ? 0 : found->second.revision;
  one->present = present;
  if (!store_) {
    result.outcome = change_outcome::no_store;
    result.why = no_store_text;
    return finish(one, std::move(result));
  }
  if (result.why = sealed(); !result.why.empty()) {
    result.outcome = change_outcome::taken_over;
    result.revision = present;
    return finish(one, std::move(result));
  }
  const auto file = node_.settings()->of_file;
  if (wish.if_match && *wish.if_match != present && (present != 0 || !config::place_in_file(*file, wish.what.id))) {
    result.outcome = change_outcome::lost;
    result.why = present == 0 ? "it is not there any more" : "somebody has changed it meanwhile";
    result.revision = present;
    return finish(one, std::move(result));
  }
  const auto plan = config::plan(*file, objects_, wish.what, config::real_outside());
  if (plan.fault.is != config::object_fault::kind::none) {
    result.outcome = change_outcome::refused;
    result.fault = plan.fault;
    result.revision = present;
    return finish(one, std::move(result));
  }
  if (present != 0 && plan.gone.empty() && plan.changed_fields.empty()) { // it is so already
    result.outcome = change_outcome::done;
    result.revision = present;
    return finish(one, std::move(result));
  }
  store_->commit(writes_of(*one, plan), here([this, one, plan](store_answer& answer) { written(one, plan, answer); }));
}

std::vector<store_write> object_keeper::writes_of(const waiting& one, const config::planned_change& plan) {
  std::vector<store_write> out;
  const object_id& id = one.wish.what.id;
  std::string what;
  if (plan.gone.empty()) {
    const auto found = objects_.find(id);
    const std::uint64_t present = found == objects_.end() ? 0 : found->second.revision;
    const stored_object now{plan.body, 0, one.wish.by.who, now_text()};
    out.push_back({key_of(root_, id), config::stored_text(now), present, 0, false});
    what = (present == 0 ? "create " : "change ") + config::to_string(id);
  } else {
    for (const object_id& gone : plan.gone)
      out.push_back({key_of(root_, gone), std::nullopt, objects_.at(gone).revision, 0, false});
    what = "remove " + config::to_string(id) +
           (plan.gone.size() > 1 ? " and " + std::to_string(plan.gone.size() - 1) + " in it" : "");
  }
  add_audit(out, {one.wish.by, what, std::string(audit_done), plan.changed_fields});
  if (!cluster_.empty()) out.push_back({cluster::succession_state_key(root_), std::nullopt, succession_, 0, true});
  return out;
}

void object_keeper::written(const waiting_ptr& one, const config::planned_change& plan, const store_answer& answer) {
  note_answer(answer);
  object_changed result;
  result.why = answer.why;
  const object_id& id = one->wish.what.id;
  switch (answer.outcome) {
  case store_outcome::ok:
    break;
  case store_outcome::conflict:
    result.outcome = change_outcome::lost;
    result.why = "somebody has changed it meanwhile";
    return read_anew([this, one, result, id]() mutable {
      // Who has not said what it must be is not refused because another node was quicker.
      if (!sealed().empty() || (!one->wish.if_match && ++one->tries < most_tries)) return begin(one);
      const auto found = objects_.find(id);
      result.revision = found == objects_.end() ? 0 : found->second.revision;
      finish(one, std::move(result));
    });
  case store_outcome::unavailable:
    result.outcome = change_outcome::unavailable;
    return finish(one, std::move(result));
  case store_outcome::unknown: // what is there now is what counts
    result.outcome = change_outcome::unknown;
    return read_anew([this, one, result]() mutable { finish(one, std::move(result)); });
  }
  result.outcome = change_outcome::done;
  result.revision = answer.revision;
  result.created = plan.gone.empty() && one->present == 0;
  if (answer.revision > watched_) { // else the watch was quicker, and may have told what came after it, too
    if (plan.gone.empty())
      objects_.insert_or_assign(id, stored_object{plan.body, answer.revision, one->wish.by.who, now_text()});
    for (const object_id& gone : plan.gone)
      objects_.erase(gone);
  }
  log(level::info, log_event::object_changed,
      {{"object", config::to_string(id)},
       {"what", !plan.gone.empty() ? "removed"
                : result.created   ? "created"
                                   : "changed"},
       {"revision", answer.revision},
       {"by", one->wish.by.who},
       {"from", one->wish.by.from}});
  apply([this, one, result](const reload_result& applied) mutable {
    result.lines = applied.lines;
    finish(one, std::move(result));
  });
}

void object_keeper::apply(std::function<void(const reload_result&)> then) {
  self_->request(node_.node, apply_patience, take_objects{std::make_shared<const stored_objects>(objects_)})
      .then([then](const reload_result& result) { then(result); },
            [then](const caf::error&) {
              reload_result late;
              late.lines.push_back("the node has not said yet what that changes");
              then(late);
            });
}

// -- the audit log
// -------------------------------------------------------------------------------------------------------

void object_keeper::add_audit(std::vector<store_write>& to, const note_audit& what) {
  const std::string key = root_ + std::string{audit_folder} + audit_key_part(audit_count_++) + audit_suffix_;
  to.push_back({key, audit_text({key, now_text(), what.by.who, what.by.from, what.what, what.fields, what.result}),
                std::nullopt, 0, false});
  audit_keys_.insert(key);
  for (std::size_t i = 0; i < most_trimmed && audit_keys_.size() > kept_audit_entries; ++i) {
    to.push_back({*audit_keys_.begin(), std::nullopt, std::nullopt, 0, false});
    audit_keys_.erase(audit_keys_.begin());
  }
}

void object_keeper::note(const note_audit& what) {
  if (!store_) return tell(what, no_store_name);
  std::vector<store_write> writes;
  add_audit(writes, what);
  store_->commit(std::move(writes), here([this, what](store_answer& answer) {
                   note_answer(answer);
                   if (!answer.ok()) tell(what, answer.why);
                 }));
}

/// The log has what the store cannot keep.
void object_keeper::tell(const note_audit& what, std::string_view why) const {
  log(level::info, log_event::audit_not_kept,
      {{"what", what.what}, {"result", what.result}, {"by", what.by.who}, {"from", what.by.from}, {"why", why}});
}

caf::typed_response_promise<audit_page> object_keeper::read(const read_audit& what) {
  auto promise = self_->make_response_promise<audit_page>();
  if (!store_) {
    promise.deliver(audit_page{true, {}, {}}); // nothing was ever changed
    return promise;
  }
  const std::string prefix = root_ + std::string{audit_folder};
  const std::string beyond = what.before.empty() ? std::string{} : prefix + what.before;
  store_->list({prefix, what.limit, true, beyond}, here([promise, prefix](store_answer& answer) mutable {
                 audit_page page{answer.ok(), answer.why, {}};
                 for (const auto& entry : answer.entries)
                   page.entries.push_back(parse_audit(entry.key.substr(prefix.size()), entry.value));
                 promise.deliver(std::move(page));
               }));
  return promise;
}

// -- what others change
// --------------------------------------------------------------------------------------------------

/// Until it works: everything else can wait, for what is in force stays so.
void object_keeper::read_anew(std::function<void()> then) {
  store_->list({root_, 0, false, {}}, here([this, then, root = root_](store_answer& answer) {
                 if (root != root_) return then ? then() : void(); // another list is under way by now
                 if (!answer.ok()) {
                   failed(answer.why);
                   later(retry_pause, [this] { read_anew({}); });
                   if (then) then();
                   return;
                 }
                 note_answer(answer);
                 const store_content content = read_content(answer, root_);
                 objects_ = *content.objects;
                 watched_ = content.revision;
                 audit_keys_ = {content.audit_keys.begin(), content.audit_keys.end()};
                 watch(content.revision);
                 note_succession(content.succession);
                 apply([then](const reload_result&) {
                   if (then) then();
                 });
               }));
}

/// One watch at a time: an older one that still speaks says nothing new, since revisions are compared.
void object_keeper::watch(cluster::store_revision after) {
  const caf::actor_addr weak = self_->address(); // the store must not keep the actor that owns it
  watch_ = store_->watch(root_, after, [this, weak](store_event event) {
    if (const auto self = caf::actor_cast<caf::actor>(weak)) {
      auto kept = std::make_shared<store_event>(std::move(event));
      caf::anon_send(self, run_here{[this, kept] { take_event(*kept); }});
    }
  });
}

void object_keeper::take_event(const store_event& event) {
  if (event.lost) return read_anew({});
  watched_ = std::max(watched_, event.revision);
  bool news = false;
  for (const auto& change : event.changes) {
    if (!change.key.starts_with(root_)) continue; // of the cluster whose objects counted before
    if (change.key == cluster::succession_state_key(root_)) {
      note_succession(change.value ? std::optional(cluster::store_entry{change.key, *change.value, event.revision, 0})
                                   : std::nullopt);
      continue;
    }
    if (is_audit_key(root_, change.key)) {
      if (change.value)
        audit_keys_.insert(change.key);
      else
        audit_keys_.erase(change.key);
      continue;
    }
    const auto id = id_of(root_, change.key);
    if (!id) continue;
    const auto found = objects_.find(*id);
    if (found != objects_.end() && found->second.revision >= event.revision) continue;
    if (!change.value) {
      news |= objects_.erase(*id) > 0;
      continue;
    }
    auto object = config::parse_stored_object(*change.value);
    if (!object) object = stored_object{"not readable", 0, {}, {}};
    object->revision = event.revision;
    objects_[*id] = std::move(*object);
    news = true;
  }
  if (news) apply([](const reload_result&) {});
}

// -- another cluster takes over
// ------------------------------------------------------------------------------------------

void object_keeper::note_succession(const std::optional<cluster::store_entry>& now) {
  succession_ = now ? now->revision : 0;
  record_ = now ? cluster::parse_succession_record(now->value) : std::nullopt;
  const bool moves = record_ && record_->step >= cluster::succession_step::moving;
  if (moves && !followed_ && record_->from == cluster_) follow();
  // The record comes behind the objects that were copied.
  if (moves && record_->to == cluster_ && !node_.succession.objects_known.load(std::memory_order_relaxed))
    apply([this](const reload_result&) { node_.succession.objects_known = true; });
}

/// From here on what is said of users and databases is said by the other cluster.
void object_keeper::follow() {
  followed_ = record_;
  root_ = cluster::store_root(followed_->to);
  store_->unwatch(watch_);
  read_anew({});
}

// -- how the store is
// ----------------------------------------------------------------------------------------------------

void object_keeper::note_answer(const store_answer& answer) {
  if (answer.outcome == store_outcome::unavailable || answer.outcome == store_outcome::unknown)
    return failed(answer.why);
  if (!std::exchange(works_, true)) log(level::info, log_event::store_works_again, {{"store", store_->name()}});
}

void object_keeper::failed(const std::string& why) {
  const bool news = std::exchange(works_, false) || why_ != why;
  why_ = why;
  if (news) log(level::error, log_event::store_failed, {{"store", store_->name()}, {"why", why}});
  if (std::exchange(probing_, true)) return;
  later(probe_pause, [this] { probe(); });
}

/// Writes something of no meaning, so that the node notices by itself when the disk has room again.
void object_keeper::probe() {
  probing_ = false;
  if (works_) return;
  store_->commit({{root_ + "probe", now_text(), std::nullopt, 0, false}},
                 here([this](store_answer& answer) { note_answer(answer); }));
}

/// Others write to a cluster's store, so this node would not notice by itself that it is away.
void object_keeper::look_at_store() {
  store_->get(root_ + "probe", here([this](store_answer& answer) {
                note_answer(answer);
                later(store_look, [this] { look_at_store(); });
              }));
}

/// Bans that have ended go, so that nobody wonders about them.
void object_keeper::look_at_bans() {
  for (const auto& [id, object] : objects_) {
    if (!ban_has_ended(id, object, std::chrono::system_clock::now())) continue;
    change_object wish{{config::object_verb::remove, id, {}, false}, object.revision, {"pg_edge", "the ban has ended"}};
    self_->request(objects_actor(self_), apply_patience, wish)
        .then([](const object_changed&) {}, [](const caf::error&) {});
  }
  later(ban_look, [this] { look_at_bans(); });
}

// -- the actor

struct keeper_holder {
  std::unique_ptr<object_keeper> inner;
  static inline const char* name = "objects";
};

inner_objects::behavior_type objects(inner_objects::stateful_pointer<keeper_holder> self, node_context* node,
                                     std::shared_ptr<std::unique_ptr<cluster::store>> store,
                                     std::shared_ptr<store_content> first) {
  self->state.inner = std::make_unique<object_keeper>(self, *node, std::move(*store), std::move(*first));
  object_keeper* keeper = self->state.inner.get();
  const auto counted = [keeper] { keeper->note_message(); };
  return {
      [keeper, counted](const change_object& message) {
        counted();
        return keeper->change(message);
      },
      [keeper, counted](const note_audit& message) {
        counted();
        keeper->note(message);
      },
      [keeper, counted](const read_audit& message) {
        counted();
        return keeper->read(message);
      },
      [keeper, counted](const ask_store&) {
        counted();
        return keeper->state();
      },
      [](run_here& message) { message.what(); },
  };
}

} // namespace

objects_actor spawn_objects(caf::actor_system& system, node_context& node, std::unique_ptr<cluster::store> store,
                            store_content first) {
  return system.spawn(objects, &node, std::make_shared<std::unique_ptr<cluster::store>>(std::move(store)),
                      std::make_shared<store_content>(std::move(first)));
}

} // namespace pg_edge::actors
