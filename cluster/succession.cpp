#include "cluster/succession.hpp"

#include "cluster/store_keys.hpp"

#include <algorithm>

namespace pg_edge::cluster {

namespace {

constexpr node_time retry_pause{200};
constexpr std::string_view before_key = "before"; // what `from` was the successor of, should this be given up
constexpr std::string_view nodes_part = "nodes/", leaving_part = "leaving/";

template <class Record>
std::optional<Record> decode_record(const std::string& raw) {
  const decoded_message read = decode(raw);
  const auto* record = read.what ? std::get_if<Record>(&*read.what) : nullptr;
  return record != nullptr ? std::optional<Record>(*record) : std::nullopt;
}

std::string listed(const std::vector<std::string>& names, std::size_t most = 10) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), most); ++i)
    text += (i == 0 ? "" : ", ") + names[i];
  return names.size() > most ? text + " and " + std::to_string(names.size() - most) + " more" : text;
}

} // namespace

succession::succession(succession_settings settings, node_time now)
    : settings_(std::move(settings)), own_(root(settings_.cluster) + std::string(succession_folder), questions_),
      waits_(!settings_.predecessor.empty()), changed_at_(now) {
  follow_other();
}

std::string succession::root(const std::string& cluster) const {
  return store_root(cluster);
}

succession::role succession::own_role() const {
  if (!record_) return role::alone;
  return record_->from == settings_.cluster ? role::from : role::to;
}

// -- what comes in ---------------------------------------------------------------------------------------------------

void succession::tick(node_time now) {
  look(now);
}

void succession::on_answer(node_time now, std::uint64_t question, const store_answer& answer) {
  for (store_mirror* one : {&own_, other_.get(), other_cluster_.get()})
    if (one != nullptr) one->on_answer(now, question, answer);
  if (open_ && open_->question == question) {
    const work what = open_->what;
    open_.reset();
    took(now, what, answer);
  }
  look(now);
}

void succession::on_event(node_time now, std::uint64_t watch, const store_event& event) {
  for (store_mirror* one : {&own_, other_.get(), other_cluster_.get()})
    if (one != nullptr) one->on_event(now, watch, event);
  look(now);
}

void succession::note_own(node_time now, std::uint64_t incarnation, held_servers held, bool closed) {
  incarnation_ = incarnation;
  closed_ = closed;
  held_ = std::move(held);
  if (incarnation_ > own_.as_of()) own_.renew(now);
  look(now);
}

/// Behind every event: what the store says now, and what follows from it.
void succession::look(node_time now) {
  own_.look(now);
  take_record(now);
  if (done_at_ && own_.as_of() >= done_at_->first) answer_command(true, std::exchange(done_at_, std::nullopt)->second);
  follow_other();
  if (other_) other_->look(now);
  if (other_cluster_) other_cluster_->look(now);
  const std::uint64_t changes =
      own_.changes() + (other_ ? other_->changes() : 0) + (other_cluster_ ? other_cluster_->changes() : 0);
  if (std::exchange(seen_changes_, changes) != changes) changed_at_ = now;
  if (open_ || now < retry_at_) return;
  if (own_role() == role::from) report(now);
  if (own_role() == role::to) drive(now);
}

void succession::take_record(node_time now) {
  if (!own_.known()) return;
  const store_mirror::entry* there = own_.find(std::string(succession_state));
  if (there != nullptr && there->revision == record_revision_) return;
  if (there == nullptr && !record_) {
    waits_ = !settings_.predecessor.empty();
    return;
  }
  record_ = there != nullptr ? parse_succession_record(there->value) : std::nullopt;
  if (record_ && record_->from != settings_.cluster && record_->to != settings_.cluster) record_.reset();
  record_revision_ = there != nullptr ? there->revision : 0;
  changed_at_ = now;
  if (!record_ || step() == succession_step::done) eager_ = false;
  waits_ = !settings_.predecessor.empty() && !record_;
}

void succession::follow_other() {
  const std::string name = own_role() == role::from ? record_->to
                           : own_role() == role::to ? record_->from
                                                    : settings_.predecessor;
  if (name == other_name_) return;
  other_name_ = name;
  other_.reset();
  other_cluster_.reset();
  if (name.empty()) return;
  other_ = std::make_unique<store_mirror>(root(name) + std::string(succession_folder), questions_);
  other_cluster_ = std::make_unique<store_mirror>(root(name) + "cluster/", questions_);
}

// -- the other cluster -----------------------------------------------------------------------------------------------

std::optional<view> succession::others_view() const {
  const store_mirror::entry* there = other_cluster_ ? other_cluster_->find("view") : nullptr;
  const auto record = there != nullptr ? decode_record<view_record>(there->value) : std::nullopt;
  return record ? std::optional(record->now) : std::nullopt;
}

std::vector<succession::life> succession::lives() const {
  std::vector<life> result;
  if (!other_cluster_) return result;
  for (const auto& [key, entry] : other_cluster_->entries())
    if (key.starts_with(nodes_part))
      if (const auto name = name_of_part(key.substr(nodes_part.size()))) result.push_back({*name, entry.revision});
  return result;
}

std::vector<succession::other_node> succession::other_nodes() const {
  std::vector<other_node> result;
  if (!other_cluster_) return result;
  for (const auto& [key, entry] : other_cluster_->entries()) {
    if (!key.starts_with(nodes_part)) continue;
    const std::string part = key.substr(nodes_part.size());
    const auto name = name_of_part(part);
    const auto record = decode_record<node_record>(entry.value);
    if (!name || !record || record->link.empty() || record->link_number == 0) continue;
    const bool leaving = other_cluster_->find(std::string(leaving_part) + part) != nullptr;
    result.push_back({*name, record->link, record->link_number, leaving});
  }
  return result;
}

/// Reports written before say nothing of this step: they may be of a take-over that was given up, or of one long done.
store_revision succession::reports_since() const {
  return step() >= succession_step::moving ? moved_at() : record_revision_;
}

/// Of that very life.
std::optional<held_report> succession::report_of(const std::string& name, std::uint64_t incarnation) const {
  const store_mirror::entry* there = other_ ? other_->find(std::string(succession_held) + key_part(name)) : nullptr;
  auto report = there != nullptr ? parse_held_report(there->value) : std::nullopt;
  if (report && (report->incarnation != incarnation || there->revision <= reports_since())) report.reset();
  return report;
}

store_revision succession::moved_at() const {
  return step() == succession_step::moving ? record_revision_ : record_ ? record_->moved : 0;
}

/// Nodes of `from` that have not said yet that they obey this step. Who has registered since moving began knew it
/// before it could open a server.
std::vector<std::string> succession::unheard(succession_step wanted) const {
  std::vector<std::string> result;
  for (const life& one : lives()) {
    if (wanted >= succession_step::moving && one.incarnation > moved_at()) continue;
    const auto said = report_of(one.name, one.incarnation);
    if (!said || said->step < wanted) result.push_back(one.name);
  }
  return result;
}

std::optional<held_servers> succession::withheld() const {
  if (waits_) return std::nullopt;
  if (own_role() != role::to) return held_servers{};
  const store_revision since = moved_at();
  if (step() < succession_step::moving || other_->as_of() < since || other_cluster_->as_of() < since)
    return std::nullopt;
  if (!unheard(succession_step::moving).empty()) return std::nullopt;
  held_servers sum;
  for (const life& one : lives())
    if (const auto said = report_of(one.name, one.incarnation))
      for (const auto& [name, count] : said->held)
        sum[name] += count;
  return sum;
}

std::vector<departed_member> succession::dead_lives() const {
  std::vector<departed_member> result;
  if (own_role() != role::to || step() < succession_step::moving) return result;
  const auto last = others_view();
  if (!last) return result;
  const auto living = lives();
  const auto add = [&](const std::string& name, std::uint64_t incarnation) {
    const bool lives_on = std::any_of(living.begin(), living.end(), [&](const life& one) {
      return one.name == name && one.incarnation == incarnation;
    });
    if (lives_on || incarnation == left_clean || incarnation > moved_at()) return;
    const auto said = report_of(name, incarnation);
    if (said && said->step >= succession_step::moving && said->held.empty()) return;
    result.push_back({0, other_name_ + "/" + name, incarnation});
  };
  for (const departed_member& one : last->departed)
    add(one.name, one.incarnation);
  for (const member& one : last->members)
    add(one.name, one.incarnation);
  return result;
}

std::optional<succession_record> succession::others_record() const {
  const store_mirror::entry* there = other_ ? other_->find(std::string(succession_state)) : nullptr;
  return there != nullptr ? parse_succession_record(there->value) : std::nullopt;
}

// -- as a node of the cluster that gives -----------------------------------------------------------------------------

/// Only for as long as the record is the one that it answers to.
void succession::report(node_time) {
  if (incarnation_ == 0 || (gives_away() && !closed_)) return;
  held_report now{step(), incarnation_, {}};
  if (gives_away()) now.held = held_;
  const std::string key = std::string(succession_held) + key_part(settings_.node), text = to_text(now);
  const store_mirror::entry* there = own_.find(key);
  if (there != nullptr && there->value == text && there->revision > reports_since()) return;
  commit(work::report, {{own_.prefix() + key, text, std::nullopt, 0, false},
                        {own_.prefix() + std::string(succession_state), std::nullopt, record_revision_, 0, true}});
}

// -- as a node of the cluster that takes over ------------------------------------------------------------------------

void succession::drive(node_time now) {
  if (step() == succession_step::done || !other_->known() || !other_cluster_->known()) return;
  if (!eager_ && now - changed_at_ < settings_.patience) return;
  switch (step()) {
  case succession_step::sealing:
    if (unheard(succession_step::sealing).empty()) ask_lists();
    break;
  case succession_step::copying:
    if (to_copy_.empty())
      ask_lists();
    else
      copy(now);
    break;
  case succession_step::moving: {
    const auto left = withheld();
    if (left && left->empty()) advance(succession_step::done);
    break;
  }
  default:
    break;
  }
}

void succession::ask_lists() {
  open_ = open_work{work::list_from, questions_.ask(ask_list{root(other_name_)})};
}

void succession::compare(node_time now) {
  if (step() == succession_step::sealing) return advance(succession_step::copying);
  if (to_copy_.empty()) return advance(succession_step::moving);
  copy(now);
}

/// Never after the record has changed: who was stopped in between writes nothing any more.
void succession::copy(node_time) {
  auto batch = take_batch(to_copy_, 1);
  copied_ += batch.size();
  batch.push_back({own_.prefix() + std::string(succession_state), std::nullopt, record_revision_, 0, true});
  commit(work::copy, std::move(batch));
}

void succession::advance(succession_step to) {
  succession_record next = *record_;
  next.step = to;
  if (to == succession_step::done) next.moved = record_revision_;
  const std::string text = to_text(next), state(succession_state);
  commit(work::advance, {{own_.prefix() + state, text, record_revision_, 0, false},
                         {other_->prefix() + state, text, record_revision_, 0, false}});
}

/// As it was before: nothing but the record has been written.
void succession::give_up(const std::string& why, const std::string& by) {
  const std::string state(succession_state), before(before_key);
  std::vector<store_write> writes{
      {own_.prefix() + state, std::nullopt, record_revision_, 0, false},
      {own_.prefix() + std::string(succession_last), "given up by " + by + ": " + why, std::nullopt, 0, false}};
  const store_mirror::entry* earlier = other_->find(before);
  writes.push_back({other_->prefix() + state, earlier != nullptr ? std::optional(earlier->value) : std::nullopt,
                    record_revision_, 0, false});
  if (earlier != nullptr) writes.push_back({other_->prefix() + before, std::nullopt, earlier->revision, 0, false});
  commit(work::abort, std::move(writes));
}

void succession::commit(work what, std::vector<store_write> writes) {
  open_ = open_work{what, questions_.ask(ask_commit{std::move(writes)})};
}

// -- a person's words ------------------------------------------------------------------------------------------------

void succession::answer_command(bool done, std::string text) {
  if (std::exchange(commanded_, false)) verdict_ = verdict{done, std::move(text)};
}

/// Why it cannot begin; empty: it can, or goes on.
std::string succession::objection(const std::string& from) {
  const std::string& own = settings_.cluster;
  if (commanded_) return "this node is at work on an earlier command; ask again in a moment";
  if (!own_.known() || (other_ && (!other_->known() || !other_cluster_->known())))
    return "this node has not read the store yet; ask again in a moment";
  if (own_role() == role::from)
    return "cluster " + own + " is itself being taken over by " + record_->to +
           "; what goes on from there is begun on a node of " + record_->to;
  if (own_role() == role::to && record_->from != from)
    return "cluster " + own + " has taken over " + record_->from + " and takes over no second one";
  if (own_role() == role::to) return {};
  if (settings_.predecessor != from)
    return "cluster " + own + " does not wait for " + from + ": " +
           (settings_.predecessor.empty() ? "it serves its pools itself" : "it waits for " + settings_.predecessor) +
           "; start its nodes with succeeds = \"" + from + "\" in [cluster]";
  if (!other_cluster_->find("view")) return "the store knows no cluster " + from + " with listen in [cluster]";
  const auto theirs = others_record();
  if (theirs && !(theirs->to == from && theirs->step == succession_step::done))
    return "cluster " + from + " takes part in the take-over of " + theirs->from + " by " + theirs->to + " (" +
           std::string(to_string(theirs->step)) + ")";
  std::vector<std::string> unlinked;
  const auto linked = other_nodes();
  for (const life& one : lives())
    if (std::none_of(linked.begin(), linked.end(), [&](const other_node& there) { return there.name == one.name; }))
      unlinked.push_back(one.name);
  if (!unlinked.empty())
    return "without link_listen in [cluster] on " + listed(unlinked) + " of " + from +
           " its clients could not be brought here";
  return {};
}

void succession::begin(node_time now, const std::string& from, const std::string& by) {
  if (std::string why = objection(from); !why.empty()) {
    verdict_ = verdict{false, std::move(why)};
    return;
  }
  if (own_role() == role::to) {
    eager_ = true;
    verdict_ = verdict{true, step() == succession_step::done ? "cluster " + from + " is taken over"
                                                             : "the take-over of " + from + " goes on"};
    return look(now);
  }
  if (open_) {
    verdict_ = verdict{false, "this node is at work on something else; ask again in a moment"};
    return;
  }
  by_ = by;
  commanded_ = true;
  const auto theirs = others_record();
  if (!theirs) return commit_begin();
  open_ = open_work{work::look_back, questions_.ask(ask_list{root(theirs->from) + "cluster/nodes/"})};
}

void succession::commit_begin() {
  const std::string state(succession_state);
  const std::string text = to_text({succession_step::sealing, other_name_, settings_.cluster, 0, by_});
  const store_mirror::entry* theirs = other_->find(state);
  std::vector<store_write> writes{{own_.prefix() + state, text, store_revision{0}, 0, false},
                                  {own_.prefix() + std::string(succession_last), std::nullopt, std::nullopt, 0, false},
                                  {other_->prefix() + state, text, theirs != nullptr ? theirs->revision : 0, 0, false}};
  if (theirs != nullptr)
    writes.push_back({other_->prefix() + std::string(before_key), theirs->value, std::nullopt, 0, false});
  commit(work::begin, std::move(writes));
}

void succession::abort(node_time, const std::string& by) {
  if (commanded_ || open_) {
    verdict_ = verdict{false, "this node is at work on an earlier step; ask again in a moment"};
  } else if (own_role() != role::to || step() == succession_step::done) {
    verdict_ = verdict{false, "cluster " + settings_.cluster + " is not taking over another one"};
  } else if (step() != succession_step::sealing) {
    verdict_ = verdict{false, "it is too late: the take-over of " + record_->from + " is at \"" +
                                  std::string(to_string(step())) + "\" and can only be completed"};
  } else {
    commanded_ = true;
    give_up("a person said so", by);
  }
}

// -- what came of it -------------------------------------------------------------------------------------------------

void succession::took(node_time now, work what, const store_answer& answer) {
  const bool heard = answer.ok() || answer.outcome == store_outcome::conflict;
  if (!answer.ok()) {
    retry_at_ = now + retry_pause;
    own_.renew(now);
    to_copy_.clear(); // nobody can say what is there by now
    if (answer.outcome == store_outcome::conflict)
      answer_command(false, "somebody else has changed it meanwhile; look at where it stands, and ask again");
    else
      answer_command(false, "the store does not answer (" + answer.why +
                                "), so whether it was done is unknown; look "
                                "at where it stands, and ask again");
    return;
  }
  switch (what) {
  case work::look_back:
    if (answer.entries.empty()) return commit_begin();
    return answer_command(false, "nodes of " + others_record().value_or(succession_record{}).from +
                                     " still bring clients to " + other_name_ + "; end them first");
  case work::begin:
    eager_ = true;
    own_.renew(now);
    if (commanded_) done_at_ = {answer.revision, "the take-over of " + other_name_ + " has begun"};
    return;
  case work::abort:
    eager_ = false;
    own_.renew(now);
    if (commanded_) done_at_ = {answer.revision, "the take-over was given up: both clusters are as they were"};
    return;
  case work::list_from:
    from_objects_ = answer.entries;
    open_ = open_work{work::list_to, questions_.ask(ask_list{root(settings_.cluster)})};
    return;
  case work::list_to: {
    object_copy found =
        compare_objects(std::exchange(from_objects_, {}), root(other_name_), answer.entries, root(settings_.cluster));
    if (own_role() != role::to) return;
    if (step() == succession_step::sealing && !found.conflicts.empty())
      return give_up(listed(found.conflicts) + " stand" + (found.conflicts.size() == 1 ? "s" : "") +
                         " in both clusters with other content; remove one of each",
                     settings_.node);
    to_copy_ = std::move(found.missing);
    if (step() <= succession_step::copying) compare(now);
    return;
  }
  case work::copy:
    if (to_copy_.empty() && step() == succession_step::copying) advance(succession_step::moving);
    return;
  case work::advance:
  case work::report:
    if (heard) own_.renew(now);
    return;
  }
}

// -- for people ------------------------------------------------------------------------------------------------------

succession::status succession::now() const {
  status result;
  result.other = other_name_;
  result.step = step();
  if (const store_mirror::entry* last = own_.find(std::string(succession_last))) result.last = last->value;
  if (!record_) {
    result.role = waits_ ? "to" : "none";
    if (waits_) result.detail = "waits to be told to take over " + other_name_;
    return result;
  }
  result.by = record_->by;
  result.role = own_role() == role::from ? "from" : "to";
  if (own_role() == role::to && step() != succession_step::done) {
    result.waits_for = unheard(std::min(step(), succession_step::moving));
    if (const auto left = withheld())
      for (const auto& [name, count] : *left)
        result.held += count;
  } else if (gives_away()) {
    for (const auto& [name, count] : held_)
      result.held += count;
  }
  result.detail = detail(result);
  return result;
}

std::string succession::detail(const status& so_far) const {
  const bool takes = own_role() == role::to;
  switch (step()) {
  case succession_step::sealing:
  case succession_step::copying:
    if (takes && !so_far.waits_for.empty()) return "waits for " + listed(so_far.waits_for) + " to hear of it";
    return step() == succession_step::sealing ? "objects are compared" : "objects are copied";
  case succession_step::moving:
    if (!so_far.waits_for.empty()) return "waits for " + listed(so_far.waits_for) + " to let go of its pools";
    if (so_far.held > 0)
      return std::to_string(so_far.held) + " connections of " + record_->from +
             " to Postgres are still in use by transactions or sessions";
    return "pools move";
  case succession_step::done:
    return record_->to + " has taken over " + record_->from;
  default:
    return {};
  }
}

} // namespace pg_edge::cluster
