// What a reload changes: the difference of two settings in the words an operator reads, without secrets.
#pragma once

#include "config/settings.hpp"

namespace pg_edge::config {

/// Names that came, went, or stand for something else now. Outside the default tenant a name reads "tenant/name".
struct name_changes {
  std::vector<std::string> added;
  std::vector<std::string> removed;
  std::vector<std::string> changed;

  bool empty() const { return added.empty() && removed.empty() && changed.empty(); }
};

struct difference {
  std::vector<std::string> changed;       // "key: old -> new" of global settings that take effect now
  std::vector<std::string> needs_restart; // the same, of settings that only a new process reads
  name_changes databases;
  name_changes users;
  name_changes tenants; // changed: only its own overrides differ
  // Addresses and files of the sockets need a restart, so do listeners that came or went; the rest takes effect.
  name_changes listeners;

  bool empty() const;
};

difference diff(const settings& old_settings, const settings& new_settings);

/// A line each, as RELOAD tells them: what takes effect now, then what needs a restart.
std::vector<std::string> report(const difference& changes);

} // namespace pg_edge::config
