#include "cluster/moved_session.hpp"

#include "protocol/sql_scan.hpp"

#include <algorithm>

namespace pg_edge::cluster {

namespace {

std::optional<moved_values> list_of(const protocol::parameter_values_ptr& values) {
  if (!values) return std::nullopt;
  moved_values result;
  for (const auto& [name, value] : *values)
    result.emplace_back(name, value);
  return result;
}

protocol::parameter_values_ptr values_of(const std::optional<moved_values>& list) {
  if (!list) return nullptr;
  auto result = std::make_shared<protocol::parameter_values>();
  for (const auto& [name, value] : *list)
    result->set(name, value);
  return result;
}

moved_statement record_of(const std::string& name, const protocol::client_statement& named) {
  moved_statement result;
  result.name = name;
  // A text that names other statements has names of this process in it; how the client wrote it is what travels.
  result.text = named.written ? *named.written : named.what->text;
  result.sql_types = named.what->sql_types;
  result.has_sql_types = named.what->has_sql_types;
  result.verified = named.what->verified;
  if (named.written) result.written = *named.written;
  return result;
}

} // namespace

bool can_move(const protocol::client_session& session) {
  if (session.frame_left != 0 || session.in_batch || session.skip_until_sync) return false;
  if (!session.extras) return true;
  for (const auto& [name, named] : session.extras->statements)
    if (!named.what) return false;
  return true;
}

moved_session record_of(protocol::client_session& session) {
  moved_session result;
  result.id = session.id;
  result.values = list_of(session.values);
  result.startup_values = list_of(session.startup_values);
  if (session.profile) result.profile = moved_values(session.profile->gucs.begin(), session.profile->gucs.end());
  result.custom_startup = session.custom_startup;
  if (!session.extras) return result;
  for (const auto& [name, named] : session.extras->statements)
    result.statements.push_back(record_of(name, named));
  std::sort(result.statements.begin(), result.statements.end(),
            [](const moved_statement& a, const moved_statement& b) { return a.name < b.name; });
  result.unnamed = session.extras->unnamed;
  result.unnamed_names = session.extras->unnamed_names;
  return result;
}

void restore(const moved_session& record, protocol::statement_cache& cache, protocol::client_session& into) {
  into.id = record.id;
  into.values = values_of(record.values);
  into.startup_values = record.startup_values == record.values ? into.values : values_of(record.startup_values);
  if (record.profile) {
    auto profile = std::make_shared<protocol::startup_profile>();
    for (const auto& [name, value] : *record.profile)
      profile->gucs.emplace_back(name, value);
    into.profile = std::move(profile);
  }
  into.custom_startup = record.custom_startup;
  if (record.statements.empty() && record.unnamed.empty()) return;
  protocol::client_extras& extras = into.more();
  for (const moved_statement& one : record.statements) {
    protocol::client_statement named;
    named.what = cache.intern(one.text, one.sql_types, one.has_sql_types);
    if (one.verified && !one.written) named.what->verified = true;
    named.parsed_at = protocol::next_parse_epoch();
    if (one.written) named.written = std::make_shared<const bytes>(*one.written);
    extras.statements.set(one.name, std::move(named));
  }
  extras.unnamed = record.unnamed;
  if (record.unnamed.empty()) return;
  extras.unnamed_generation = protocol::next_parse_epoch();
  extras.unnamed_names = record.unnamed_names;
  const std::string* strings = into.values ? into.values->find("standard_conforming_strings") : nullptr;
  if (!record.unnamed_names)
    extras.unnamed_effects =
        protocol::effects_of(std::string_view(extras.unnamed.c_str()), false, strings == nullptr || *strings == "on");
}

} // namespace pg_edge::cluster
