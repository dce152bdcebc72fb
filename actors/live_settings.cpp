#include "actors/live_settings.hpp"

#include "actors/log.hpp"
#include "actors/log_setup.hpp"
#include "actors/warm_pools.hpp"
#include "config/change.hpp"
#include "config/difference.hpp"
#include "config/load.hpp"

namespace pg_edge::actors {

namespace {

void log_changes(const config::difference& changes) {
  const auto count = [](const config::name_changes& names) {
    return names.added.size() + names.removed.size() + names.changed.size();
  };
  log(level::info, log_event::settings_reloaded,
      {{"changed", changes.changed.size()},
       {"needs_restart", changes.needs_restart.size()},
       {"databases_changed", count(changes.databases)},
       {"users_changed", count(changes.users)},
       {"tenants_changed", count(changes.tenants)}});
}

/// Said once for each object, not at every reload.
void log_left_out(const std::vector<config::drift>& before, const std::vector<config::drift>& now) {
  for (const config::drift& one : now) {
    const auto same = [&](const config::drift& old) { return old.id == one.id && old.why == one.why; };
    if (std::none_of(before.begin(), before.end(), same))
      log(level::warning, log_event::object_left_out, {{"object", config::to_string(one.id)}, {"why", one.why}});
  }
}

} // namespace

std::shared_ptr<node_settings> merge_settings(std::shared_ptr<const config::load_result> file,
                                              std::shared_ptr<const config::stored_objects> objects,
                                              std::string& error) {
  config::merged_settings merged = config::merge(*file, *objects, config::real_outside());
  const auto made = make_node_settings(std::move(merged.values), error);
  if (!made) return nullptr;
  auto out = std::make_shared<node_settings>(*made);
  out->of_file = std::move(file);
  out->objects = std::move(objects);
  out->bans = std::move(merged.bans);
  out->left_out = std::move(merged.left_out);
  return out;
}

reload_result live_settings::reload() {
  auto loaded = std::make_shared<config::load_result>(config::load_file(file_));
  if (loaded->value) return apply(std::move(loaded), node_.settings()->objects);
  reload_result result;
  for (const config::problem& problem : loaded->problems)
    result.lines.push_back(config::to_string(problem));
  return refuse(std::move(result));
}

reload_result live_settings::set(const std::string& key, const std::string& value) {
  const auto before = node_.settings();
  const config::changed_settings changed = config::with_setting(*before->of_file->value, key, value);
  if (!changed.value) {
    reload_result result;
    result.lines.push_back(changed.why);
    return result;
  }
  auto file = std::make_shared<config::load_result>(*before->of_file);
  file->value = changed.value;
  file->problems.clear(); // they were told when it was read
  return apply(std::move(file), before->objects);
}

reload_result live_settings::take(std::shared_ptr<const config::stored_objects> objects) {
  return apply(node_.settings()->of_file, std::move(objects));
}

reload_result live_settings::refuse(reload_result result) {
  for (const std::string& line : result.lines)
    log(level::error, log_event::settings_refused, {{"problem", line}});
  return result;
}

reload_result live_settings::apply(std::shared_ptr<const config::load_result> file,
                                   std::shared_ptr<const config::stored_objects> objects) {
  reload_result result;
  const auto before = node_.settings();
  if (file != before->of_file) // its warnings were told when it was read
    for (const config::problem& problem : file->problems)
      result.lines.push_back(config::to_string(problem));
  std::string error;
  const std::shared_ptr<const node_settings> now = merge_settings(std::move(file), std::move(objects), error);
  if (!now) {
    result.lines.push_back(error);
    return refuse(std::move(result));
  }
  result.changes = config::diff(*before->values, *now->values);
  result.left_out = now->left_out;
  for (std::string& line : config::report(result.changes))
    result.lines.push_back(std::move(line));
  for (const config::drift& one : now->left_out)
    result.lines.push_back(config::to_string(one.id) + " of the store does not count: " + one.why);
  node_.set_settings(now);
  node_.credentials.settings_changed(*before->values, *now->values);
  caf::anon_send(node_.tenants, settings_changed{now->values});
  warm_pools(node_.tenants, *now->values);
  result.applied = true;
  if (std::string fault; !set_up_log(*now->values, fault)) {
    log(level::error, log_event::logfile_failed, {{"file", now->values->logfile}, {"reason", fault}});
    result.lines.push_back(fault);
  }
  log_changes(result.changes);
  log_left_out(before->left_out, now->left_out);
  return result;
}

} // namespace pg_edge::actors
