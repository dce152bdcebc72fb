#include "config/load.hpp"

#include "config/auth_file.hpp"
#include "config/check.hpp"
#include "config/cluster_check.hpp"
#include "config/hba.hpp"
#include "config/postgres_url.hpp"
#include "config/setting_table.hpp"
#include "config/toml_tree.hpp"
#include "config/value_reader.hpp"
#include "config/value_text.hpp"

#include <algorithm>
#include <set>

namespace pg_edge::config {

namespace {

constexpr std::string_view section_names[] = {"pg_edge",   "databases", "users",  "tenants",
                                              "listeners", "admin",     "cluster"};

/// "[pg_edge], [tenants.T]": where a row may stand.
std::string sections_text(unsigned sections) {
  std::string out;
  const auto add = [&](section bit, const char* text) {
    if ((sections & bit) != 0) out += (out.empty() ? "" : ", ") + std::string{text};
  };
  add(in_global, "[pg_edge]");
  add(in_tenant, "[tenants.NAME]");
  add(in_database, "[databases.NAME]");
  add(in_user, "[users.NAME]");
  add(in_listener, "[listeners.NAME]");
  add(in_admin, "[admin]");
  add(in_token, "[admin.tokens.NAME]");
  add(in_cluster, "[cluster]");
  return out;
}

/// One load: walks the sections and hands every value to its row.
class loader {
public:
  loader(const outside& world, problem_list& problems) : world_{world}, problems_{problems}, reader_{world, problems} {}

  void read_root(const toml_node::table& root);

  settings out;
  setting_lines lines;

private:
  const toml_node::table* table_of(const toml_entry& entry);
  void read_globals(const toml_node::table& table);
  void read_databases(const toml_entry& entry, tenant& owner);
  void read_users(const toml_entry& entry, tenant& owner);
  void read_tenants(const toml_node::table& table);
  void read_tenant(const toml_node::table& table, tenant& into);
  void read_listeners(const toml_node::table& table);
  void read_admin(const toml_entry& entry, const toml_node::table& table);
  void read_tokens(const toml_entry& entry);
  void read_cluster(const toml_entry& entry, const toml_node::table& table);
  database read_database(const toml_entry& entry, const toml_node::table& table);
  user read_user(const toml_entry& entry, const toml_node::table& table);
  void read_url(const toml_entry& entry, database& into, std::set<std::string>& given);
  void url_parameter(const toml_entry& entry, const std::string& name, const std::string& value, database& into,
                     std::set<std::string>& given);
  bool read_secret(const toml_entry& entry, const setting_row& row, std::string& into);
  bool good_name(const toml_entry& entry, std::string_view what);
  const setting_row* row_for(const toml_entry& entry, section where);
  void unknown_section(const toml_entry& entry);

  /// Fills the member of `object` that the variant points to.
  template <class Object, class Variant>
  void assign(const toml_entry& entry, const setting_row& row, const Variant& member, Object& object) {
    std::visit(
        [&](auto pointer) {
          if constexpr (!std::is_same_v<decltype(pointer), std::monostate>) reader_.read(entry, row, object.*pointer);
        },
        member);
  }

  const outside& world_;
  problem_list& problems_;
  value_reader reader_;
};

// -- sections ---------------------------------------------------------------------------------------------------------

const toml_node::table* loader::table_of(const toml_entry& entry) {
  const auto* table = std::get_if<toml_node::table>(&entry.node.value);
  if (table == nullptr)
    problems_.error(entry.line, entry.key + ": expected a section, not " + std::string{entry.node.type_name()});
  return table;
}

void loader::read_root(const toml_node::table& root) {
  for (const auto& entry : root) {
    if (std::find(std::begin(section_names), std::end(section_names), entry.key) == std::end(section_names)) {
      unknown_section(entry);
      continue;
    }
    const auto* table = table_of(entry);
    if (table == nullptr) continue;
    if (entry.key == "pg_edge")
      read_globals(*table);
    else if (entry.key == "databases")
      read_databases(entry, out.default_tenant);
    else if (entry.key == "users")
      read_users(entry, out.default_tenant);
    else if (entry.key == "tenants")
      read_tenants(*table);
    else if (entry.key == "listeners")
      read_listeners(*table);
    else if (entry.key == "admin")
      read_admin(entry, *table);
    else
      read_cluster(entry, *table);
  }
}

void loader::unknown_section(const toml_entry& entry) {
  if (find_row(entry.key, in_global) != nullptr) {
    problems_.error(entry.line, entry.key + ": stands outside a section; it belongs in [pg_edge]");
  } else if (entry.key == "pgbouncer") {
    problems_.error(entry.line,
                    "[pgbouncer]: the section is called [pg_edge] (import-pgbouncer converts a whole file)");
  } else if (entry.key == "peers") {
    problems_.error(entry.line, "[peers]: peers are not supported yet");
  } else {
    const auto best = nearest(entry.key, section_names);
    problems_.error(entry.line,
                    entry.key + ": unknown section" +
                        (best.empty() ? ", expected pg_edge, databases, users, tenants, listeners, admin or cluster"
                                      : ", did you mean " + std::string{best} + "?"));
  }
}

const setting_row* loader::row_for(const toml_entry& entry, section where) {
  if (const auto* row = find_row(entry.key, where)) return row;
  if (const auto* absent = find_absent(entry.key, where)) {
    problems_.error(entry.line, entry.key + ": not supported: " + std::string{absent->reason});
    return nullptr;
  }
  unsigned elsewhere = 0;
  std::vector<std::string_view> names;
  for (const auto& row : setting_rows()) {
    if (row.name == entry.key) elsewhere |= row.sections;
    if ((row.sections & where) != 0) names.push_back(row.name);
  }
  const auto best = nearest(entry.key, names);
  if (elsewhere != 0)
    problems_.error(entry.line, entry.key + ": cannot stand in this section, only in " + sections_text(elsewhere));
  else
    problems_.error(entry.line, entry.key + ": unknown setting" +
                                    (best.empty() ? "" : ", did you mean " + std::string{best} + "?"));
  return nullptr;
}

void loader::read_globals(const toml_node::table& table) {
  for (const auto& entry : table)
    if (const auto* row = row_for(entry, in_global)) {
      lines[std::string{row->name}] = entry.line;
      assign(entry, *row, row->global, out);
    }
}

bool loader::good_name(const toml_entry& entry, std::string_view what) {
  const auto complain = [&](const std::string& why) {
    problems_.error(entry.line, "the name of a " + std::string{what} + " " + why);
    return false;
  };
  if (entry.key.empty()) return complain("must not be empty");
  if (entry.key.find('\0') != std::string::npos) return complain("must not hold a zero byte");
  if (what == "tenant" && entry.key == default_tenant_name)
    return complain("cannot be \"default\": its databases and users stand in [databases] and [users]");
  if (what == "tenant" && entry.key.find('/') != std::string::npos) return complain("must not hold a /");
  if (what == "database" && is_console_name(entry.key))
    return complain("cannot be \"" + entry.key + "\": that is the admin console");
  return true;
}

void loader::read_databases(const toml_entry& section, tenant& owner) {
  if (const auto* all = table_of(section))
    for (const auto& entry : *all)
      if (const auto* table = table_of(entry); table != nullptr && good_name(entry, "database"))
        owner.databases.insert_or_assign(entry.key, read_database(entry, *table));
}

void loader::read_users(const toml_entry& section, tenant& owner) {
  if (const auto* all = table_of(section))
    for (const auto& entry : *all)
      if (const auto* table = table_of(entry); table != nullptr && good_name(entry, "user"))
        owner.users.insert_or_assign(entry.key, read_user(entry, *table));
}

void loader::read_tenants(const toml_node::table& all) {
  for (const auto& entry : all)
    if (const auto* table = table_of(entry); table != nullptr && good_name(entry, "tenant")) {
      tenant one;
      one.name = entry.key;
      one.line = entry.line;
      read_tenant(*table, one);
      out.tenants.insert_or_assign(entry.key, std::move(one));
    }
}

void loader::read_tenant(const toml_node::table& table, tenant& into) {
  for (const auto& entry : table)
    if (entry.key == "databases")
      read_databases(entry, into);
    else if (entry.key == "users")
      read_users(entry, into);
    else if (const auto* row = row_for(entry, in_tenant)) {
      if (row->of_tenant.index() != 0)
        assign(entry, *row, row->of_tenant, into);
      else
        assign(entry, *row, row->override_, static_cast<overrides&>(into));
    }
}

void loader::read_listeners(const toml_node::table& all) {
  for (const auto& entry : all) {
    const auto* table = table_of(entry);
    if (table == nullptr || !good_name(entry, "listener")) continue;
    listener one;
    one.name = entry.key;
    one.line = entry.line;
    for (const auto& item : *table)
      if (const auto* row = row_for(item, in_listener)) assign(item, *row, row->of_listener, one);
    out.listeners.insert_or_assign(entry.key, std::move(one));
  }
}

void loader::read_admin(const toml_entry& section, const toml_node::table& table) {
  out.admin.served = true;
  out.admin.line = section.line;
  for (const auto& entry : table)
    if (entry.key == "tokens")
      read_tokens(entry);
    else if (const auto* row = row_for(entry, in_admin))
      assign(entry, *row, row->of_admin, out.admin);
}

void loader::read_tokens(const toml_entry& section) {
  const auto* all = table_of(section);
  if (all == nullptr) return;
  for (const auto& entry : *all) {
    const auto* table = table_of(entry);
    if (table == nullptr || !good_name(entry, "token")) continue;
    admin_token one;
    one.name = entry.key;
    one.line = entry.line;
    for (const auto& item : *table)
      if (const auto* row = row_for(item, in_token)) {
        if (row->rule == value_rule::secret || row->rule == value_rule::secret_file)
          read_secret(item, *row, one.token);
        else
          assign(item, *row, row->of_token, one);
      }
    out.admin.tokens.insert_or_assign(entry.key, std::move(one));
  }
}

void loader::read_cluster(const toml_entry& section, const toml_node::table& table) {
  out.cluster.joined = true;
  out.cluster.line = section.line;
  for (const auto& entry : table)
    if (entry.key == "seeds") {
      problems_.error(entry.line, "seeds: nodes find each other through the store: list etcd's addresses as store");
    } else if (const auto* row = row_for(entry, in_cluster)) {
      lines["cluster." + entry.key] = entry.line;
      assign(entry, *row, row->of_cluster, out.cluster);
    }
  if (out.cluster.node.empty() && world_.host_name) out.cluster.node = world_.host_name();
}

// -- databases and users ----------------------------------------------------------------------------------------------

bool loader::read_secret(const toml_entry& entry, const setting_row& row, std::string& into) {
  if (!into.empty()) {
    problems_.error(entry.line, entry.key + ": the password is given twice");
    return false;
  }
  if (row.rule == value_rule::secret_file) return reader_.read_secret_file(entry, row, into);
  if (!reader_.read_text(entry, into)) return false;
  if (into.empty()) problems_.error(entry.line, entry.key + ": is empty; leave it out where there is no password");
  return !into.empty();
}

database loader::read_database(const toml_entry& section, const toml_node::table& table) {
  database into;
  into.name = section.key;
  into.line = section.line;
  std::set<std::string> given; // by the url
  for (const auto& entry : table)
    if (entry.key == "url") read_url(entry, into, given);
  for (const auto& entry : table) {
    const auto* row = row_for(entry, in_database);
    if (row == nullptr || row->rule == value_rule::url) continue;
    if (given.count(entry.key) != 0)
      problems_.error(entry.line, entry.key + ": stands in the url already");
    else if (row->rule == value_rule::secret || row->rule == value_rule::secret_file)
      read_secret(entry, *row, into.password);
    else if (row->of_database.index() != 0)
      assign(entry, *row, row->of_database, into);
    else
      assign(entry, *row, row->override_, static_cast<overrides&>(into));
  }
  return into;
}

user loader::read_user(const toml_entry& section, const toml_node::table& table) {
  user into;
  into.name = section.key;
  into.line = section.line;
  for (const auto& entry : table)
    if (const auto* row = row_for(entry, in_user)) {
      if (row->rule == value_rule::secret || row->rule == value_rule::secret_file)
        read_secret(entry, *row, into.secret);
      else if (row->rule == value_rule::secrets)
        reader_.read(entry, *row, into.old_passwords);
      else
        assign(entry, *row, row->override_, static_cast<overrides&>(into));
    }
  return into;
}

// -- url --------------------------------------------------------------------------------------------------------------

/// libpq's names that have another name here.
struct url_name {
  std::string_view libpq;
  std::string_view ours;
};
constexpr url_name url_names[] = {
    {"sslmode", "server_tls_sslmode"},
    {"sslrootcert", "server_tls_ca_file"},
    {"sslcert", "server_tls_cert_file"},
    {"sslkey", "server_tls_key_file"},
    {"host", "host"},
    {"port", "port"},
    {"dbname", "dbname"},
    {"user", "user"},
    {"password", "password"},
    {"application_name", "application_name"},
    {"client_encoding", "client_encoding"},
    {"connect_timeout", "server_connect_timeout"},
    {"load_balance_hosts", "load_balance_hosts"},
};

/// A text that substitution leaves alone: what came out of a url is not looked at twice.
std::string literal_text(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at)
    out += text.compare(at, 2, "${") == 0 ? "$$" : std::string(1, text[at]);
  return out;
}

void loader::read_url(const toml_entry& entry, database& into, std::set<std::string>& given) {
  std::string text;
  if (!reader_.read_text(entry, text)) return;
  const auto url = parse_postgres_url(text);
  if (!url.error.empty()) {
    problems_.error(entry.line, "url: " + std::string(url.error));
    return;
  }
  const auto part = [&](const char* name, const std::string& value) {
    if (!value.empty()) url_parameter(entry, name, value, into, given);
  };
  part("host", url.host);
  part("port", url.port);
  part("dbname", url.dbname);
  part("user", url.user);
  part("password", url.password);
  for (const auto& [name, value] : url.parameters)
    url_parameter(entry, name, value, into, given);
}

void loader::url_parameter(const toml_entry& url, const std::string& name, const std::string& value, database& into,
                           std::set<std::string>& given) {
  const auto found =
      std::find_if(std::begin(url_names), std::end(url_names), [&](const url_name& row) { return row.libpq == name; });
  if (found == std::end(url_names)) {
    problems_.error(url.line, "url: the parameter " + name + " is not supported");
    return;
  }
  const auto* row = find_row(found->ours, in_database);
  if (row == nullptr || !given.insert(std::string{found->ours}).second) {
    problems_.error(url.line, "url: " + name + " is given twice");
    return;
  }
  if (row->rule == value_rule::secret) {
    into.password = value;
    return;
  }
  // The value goes the way of a key of its own, so that the same checks hold; numbers become numbers.
  toml_entry entry{"url: " + name, url.line, {}};
  entry.node.line = url.line;
  if (name == "port" && parse_integer(value).has_value())
    entry.node.value = *parse_integer(value);
  else
    entry.node.value = literal_text(value);
  if (row->of_database.index() != 0)
    assign(entry, *row, row->of_database, into);
  else
    assign(entry, *row, row->override_, static_cast<overrides&>(into));
}

// -- rules ------------------------------------------------------------------------------------------------------------

std::shared_ptr<const hba_rules> read_rules(const std::string& file, const std::string& ident_file,
                                            const outside& world, problem_list& problems) {
  std::vector<problem> found;
  auto out = read_hba(file, ident_file, world, found);
  for (auto& one : found)
    problems.add(std::move(one));
  return out;
}

/// Rules are part of the settings, so that a reload with a bad rule changes nothing at all.
void read_all_rules(settings& all, const outside& world, problem_list& problems) {
  if (!all.auth_hba_file.empty()) all.hba = read_rules(all.auth_hba_file, all.auth_ident_file, world, problems);
  for (auto& [name, owner] : all.tenants)
    if (!owner.auth_hba_file.empty())
      owner.hba =
          read_rules(owner.auth_hba_file, owner.auth_ident_file.empty() ? all.auth_ident_file : owner.auth_ident_file,
                     world, problems);
}

} // namespace

// -- the door ---------------------------------------------------------------------------------------------------------

std::string to_string(const problem& what) {
  return what.file + (what.line > 0 ? ":" + std::to_string(what.line) : "") +
         (what.warning ? ": warning: " : ": error: ") + what.text;
}

load_result load_text(std::string_view toml, std::string file_name, const outside& world) {
  problem_list problems{file_name};
  const auto parsed = parse_toml(toml);
  if (!parsed.error.empty()) {
    problems.error(parsed.error_line, parsed.error);
    return {nullptr, problems.take()};
  }
  loader all{world, problems};
  all.out.file = std::move(file_name);
  all.read_root(std::get<toml_node::table>(parsed.root.value));
  read_auth_file(all.out, all.lines["auth_file"], world, problems);
  read_all_rules(all.out, world, problems);
  check_settings(all.out, all.lines, problems);
  check_cluster(all.out.cluster, all.lines, problems);
  if (problems.has_errors()) return {nullptr, problems.take()};
  return {std::make_shared<const settings>(std::move(all.out)), problems.take(), std::move(all.lines)};
}

settings read_sections(const toml_node& root, const outside& world, problem_list& problems) {
  loader all{world, problems};
  if (const auto* table = std::get_if<toml_node::table>(&root.value)) all.read_root(*table);
  read_all_rules(all.out, world, problems);
  return std::move(all.out);
}

} // namespace pg_edge::config
