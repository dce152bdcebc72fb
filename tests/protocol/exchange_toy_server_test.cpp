// The toy Postgres of toy_server.hpp, and the tests that it answers as Postgres 15 does.
#include "protocol/messages.hpp"
#include "tests/protocol/exchange_rig.hpp"
#include "tests/protocol/toy_server.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cctype>

namespace pg_edge::test {

namespace {

struct toy_error {
  std::string code;
  std::string text;
  std::string routine = "toy";
};

constexpr std::uint32_t int4_oid = 23;
constexpr std::uint32_t text_oid = 25;

std::string trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  return std::string(text);
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

/// At each `separator` outside of quotes; empty parts are left out.
std::vector<std::string> split(std::string_view sql, char separator) {
  std::vector<std::string> parts(1);
  char quote = 0;
  for (const char c : sql) {
    if (quote == 0 && c == separator) {
      parts.emplace_back();
      continue;
    }
    if (quote == 0 && (c == '\'' || c == '"'))
      quote = c;
    else if (c == quote)
      quote = 0;
    parts.back().push_back(c);
  }
  for (std::string& part : parts)
    part = trimmed(part);
  std::erase(parts, "");
  return parts;
}

/// Words, quoted ones without their quotes; '(' begins a word that goes on to the end.
std::vector<std::string> words_of(const std::string& sql) {
  std::vector<std::string> words;
  std::size_t at = 0;
  while (at < sql.size()) {
    if (std::isspace(static_cast<unsigned char>(sql[at])) || sql[at] == '=') {
      ++at;
      continue;
    }
    if (sql[at] == '\'' || sql[at] == '"') {
      const std::size_t end = sql.find(sql[at], at + 1);
      words.push_back(sql.substr(at + 1, end - at - 1));
      at = end == std::string::npos ? sql.size() : end + 1;
    } else if (sql[at] == '(') {
      words.push_back(sql.substr(at));
      break;
    } else {
      const std::size_t end = std::min(sql.find_first_of(" \t\n=('\"", at), sql.size());
      words.push_back(lower(sql.substr(at, end - at)));
      at = end;
    }
  }
  return words;
}

/// A statement that ends too early is answered as Postgres does.
const std::string& word(const std::vector<std::string>& words, std::size_t number) {
  if (number >= words.size()) throw toy_error{"42601", "syntax error at end of input"};
  return words[number];
}

std::string unquoted(std::string text) {
  text = trimmed(text);
  if (text.size() >= 2 && text.front() == '\'' && text.back() == '\'') return text.substr(1, text.size() - 2);
  return text;
}

int parameter_count(const std::string& sql) {
  int count = 0;
  for (std::size_t at = sql.find('$'); at != std::string::npos; at = sql.find('$', at + 1))
    count = std::max(count, std::atoi(sql.c_str() + at + 1));
  return count;
}

bool exits_transaction(const std::string& sql) {
  const std::vector<std::string> words = words_of(sql);
  return !words.empty() && (words[0] == "commit" || words[0] == "rollback" || words[0] == "end");
}

/// The spelling in which Postgres reports a parameter.
std::string setting_name(const std::string& name) {
  for (const std::string& reported : toy_reported)
    if (lower(reported) == lower(name)) return reported;
  return lower(name);
}

} // namespace

bool toy_returns_rows(const std::string& sql) {
  const std::vector<std::string> words = words_of(sql);
  return !words.empty() && (words[0] == "select" || words[0] == "show");
}

toy_server::toy_server(toy_database& database, toy_settings startup)
    : database_(database), startup_{{"application_name", ""},
                                    {"DateStyle", "ISO, MDY"},
                                    {"TimeZone", "Etc/UTC"},
                                    {"standard_conforming_strings", "on"}} {
  for (const auto& [name, value] : startup)
    startup_[setting_name(name)] = value;
  state_.settings = startup_;
  last_reported_ = reported();
}

toy_settings toy_server::reported() const {
  toy_settings result;
  for (const auto& [name, value] : state_.settings)
    if (toy_reported.count(name) != 0) result[name] = value;
  return result;
}

std::string toy_server::take() {
  std::string result;
  result.swap(sent_);
  return result;
}

void toy_server::notify(const std::string& channel) {
  if (state_.listens.count(channel) == 0) return;
  pending_notifications_ += protocol::encode(protocol::notification_response{7, channel, ""});
  if (status_ == 'I' && !in_implicit_) {
    out_ += pending_notifications_;
    pending_notifications_.clear();
    flush();
  }
}

// -- messages ---------------------------------------------------------------------------------------------------

void toy_server::feed(std::string_view in) {
  in_.append(in);
  while (!closed_ && in_.size() >= 5) {
    const std::size_t total = 1 + std::size_t{protocol::load_u32(in_.data() + 1)};
    if (in_.size() < total) return;
    const std::string whole = in_.substr(0, total);
    in_.erase(0, total);
    message(whole[0], std::string_view(whole).substr(5));
  }
}

void toy_server::message(char type, std::string_view body) {
  if (copying_) return copy_message(type, body);
  if (type == 'Q' || type == 'F' || type == 'S') in_extended_ = false;
  if (std::string_view("PBDECH").find(type) != std::string_view::npos) in_extended_ = true;
  if (type == 'S') ignore_till_sync_ = false;
  if (type == 'X') {
    closed_ = true;
    return;
  }
  if (ignore_till_sync_) return;
  try {
    switch (type) {
    case 'Q':
      unnamed_ = nullptr;
      query_ = {split(body.substr(0, body.find('\0')), ';'), 0};
      for (const std::string& sql : query_.statements)
        if (word(words_of(sql), 0) == "selec") throw toy_error{"42601", "syntax error"};
      if (query_.statements.empty()) send('I', "");
      return run_simple();
    case 'S':
      if (status_ == 'I') commit();
      return ready();
    case 'H':
      return flush();
    case 'F': // a transaction's end, where none was begun
      if (status_ == 'E') throw toy_error{"25P02", "current transaction is aborted"};
      send('V', std::string_view("\0\0\0\1v", 5));
      if (status_ == 'I') commit();
      return ready();
    case 'd':
    case 'c':
    case 'f':
      return;
    default:
      return extended(type, body);
    }
  } catch (const toy_error& error) {
    send_error(error.code, error.text, error.routine);
    roll_back();
    if (in_extended_)
      ignore_till_sync_ = true;
    else
      ready();
  }
}

void toy_server::extended(char type, std::string_view body) {
  switch (type) {
  case 'P':
    return parse(body);
  case 'B':
    return bind(body);
  case 'D':
    return describe(body);
  case 'E':
    return execute(body);
  case 'C':
    return close(body);
  default:
    send_error("08P01", "invalid frontend message type", "SocketBackend", "FATAL");
    closed_ = true;
  }
}

void toy_server::copy_message(char type, std::string_view body) {
  try {
    switch (type) {
    case 'd':
      if (body == "bad") throw toy_error{"22P02", "invalid input syntax"};
      ++copied_;
      return;
    case 'S':
    case 'H':
      return;
    case 'f':
      throw toy_error{"57014", "COPY from stdin failed: " + std::string(body.substr(0, body.find('\0')))};
    case 'c': {
      copying_ = false;
      const std::string tag = "COPY " + std::to_string(copied_);
      send('C', tag + '\0');
      if (!copy_extended_) run_simple();
      return;
    }
    default:
      send_error("08P01", "unexpected message type during COPY", "CopyGetData");
      send_error("08P01", "protocol synchronization was lost", "PostgresMain", "FATAL");
      closed_ = true;
    }
  } catch (const toy_error& error) {
    copying_ = false;
    send_error(error.code, error.text, error.routine);
    roll_back();
    if (copy_extended_)
      ignore_till_sync_ = true;
    else
      ready();
  }
}

// -- simple query -----------------------------------------------------------------------------------------------

void toy_server::run_simple() {
  const bool multi = query_.statements.size() > 1;
  while (query_.next < query_.statements.size()) {
    const std::string sql = query_.statements[query_.next++];
    check_aborted(sql);
    start_transaction();
    const auto what = analyze(sql);
    if (toy_returns_rows(sql)) send_row_description(*what);
    std::vector<std::string> rows;
    copy_extended_ = false;
    const std::optional<std::string> tag = run(sql, {}, rows, multi);
    if (!tag) {
      if (copy_fails_early_) {
        copying_ = false;
        throw toy_error{"P0001", "a trigger refuses"};
      }
      return;
    }
    send_rows(rows);
    send('C', *tag + '\0');
  }
  end_simple();
}

void toy_server::end_simple() {
  if (status_ == 'I') commit();
  ready();
}

// -- extended query ---------------------------------------------------------------------------------------------

void toy_server::parse(std::string_view body) {
  protocol::reader in(body);
  const std::string name(in.cstring());
  const std::string sql = trimmed(in.cstring());
  const std::uint16_t count = in.u16();
  std::vector<std::uint32_t> types;
  for (int i = 0; i < count; ++i)
    types.push_back(in.u32());
  if (!in.ok() || !in.at_end()) throw toy_error{"08P01", "invalid message format"};
  start_transaction();
  if (name.empty()) unnamed_ = nullptr;
  if (sql.starts_with("SELEC ") || sql == "refused by pg_edge") throw toy_error{"42601", "syntax error"};
  if (split(sql, ';').size() > 1) throw toy_error{"42601", "cannot insert multiple commands into a prepared statement"};
  check_aborted(sql);
  auto what = analyze(sql);
  for (std::size_t i = 0; i < types.size() && i < what->types.size(); ++i)
    if (types[i] != 0) what->types[i] = types[i];
  if (name.empty())
    unnamed_ = what;
  else if (!statements_.emplace(name, what).second)
    throw toy_error{"42P05", "prepared statement \"" + name + "\" already exists"};
  send('1', "");
}

void toy_server::bind(std::string_view body) {
  protocol::reader in(body);
  const std::string portal(in.cstring());
  const std::string name(in.cstring());
  if (!in.ok()) throw toy_error{"08P01", "invalid message format"};
  start_transaction();
  const auto what = find(name);
  const std::uint16_t formats = in.u16();
  in.take(std::size_t{2} * formats);
  const std::uint16_t count = in.u16();
  std::vector<std::string> parameters;
  for (int i = 0; i < count; ++i) {
    const std::uint32_t size = in.u32();
    parameters.emplace_back(in.take(size));
  }
  const std::uint16_t results = in.u16();
  in.take(std::size_t{2} * results);
  if (!in.ok() || !in.at_end()) throw toy_error{"08P01", "insufficient data left in message"};
  if (parameters.size() != what->types.size()) throw toy_error{"08P01", "wrong number of parameters"};
  if (status_ == 'E' && (!exits_transaction(what->sql) || count > 0))
    throw toy_error{"25P02", "current transaction is aborted"};
  if (!portal.empty() && portals_.count(portal) != 0) throw toy_error{"42P03", "cursor already exists"};
  portals_.erase(portal);
  revalidate(*what);
  const std::vector<std::string> words = words_of(what->sql);
  const auto inner = words.size() > 1 && words[0] == "execute" ? statements_.find(words[1]) : statements_.end();
  portals_[portal] = {what, inner == statements_.end() ? nullptr : inner->second, parameters, std::nullopt, 0, false};
  send('2', "");
}

void toy_server::describe(std::string_view body) {
  if (body.size() < 2 || body.find('\0') != body.size() - 1) throw toy_error{"08P01", "invalid message format"};
  const std::string name(body.substr(1, body.size() - 2));
  start_transaction();
  if (body[0] == 'S') {
    const auto what = find(name);
    if (!database_.describes_when_aborted) check_aborted(what->sql);
    if (status_ == 'E' && toy_returns_rows(what->sql)) throw toy_error{"25P02", "current transaction is aborted"};
    std::string types;
    protocol::put_u16(types, static_cast<std::uint16_t>(what->types.size()));
    for (const std::uint32_t type : what->types)
      protocol::put_u32(types, type);
    send('t', types);
    if (!toy_returns_rows(what->sql)) return send('n', "");
    revalidate(*what);
    return send_row_description(*what);
  }
  if (body[0] != 'P') throw toy_error{"08P01", "invalid DESCRIBE message subtype"};
  const auto found = portals_.find(name);
  if (found == portals_.end()) throw toy_error{"34000", "portal \"" + name + "\" does not exist"};
  const std::vector<std::string> words = words_of(found->second.what->sql);
  if (words.size() > 1 && words[0] == "execute") {
    const std::shared_ptr<toy_prepared>& inner = found->second.executes;
    if (!inner || !toy_returns_rows(inner->sql)) return send('n', "");
    return send_row_description(*inner);
  }
  if (!toy_returns_rows(found->second.what->sql)) return send('n', "");
  send_row_description(*found->second.what);
}

void toy_server::execute(std::string_view body) {
  protocol::reader in(body);
  const std::string name(in.cstring());
  const std::uint32_t limit = in.u32();
  if (!in.ok() || !in.at_end()) throw toy_error{"08P01", "invalid message format"};
  start_transaction();
  const auto found = portals_.find(name);
  if (found == portals_.end()) throw toy_error{"34000", "portal \"" + name + "\" does not exist"};
  toy_portal& portal = found->second;
  const std::string sql = portal.what->sql;
  if (sql.empty()) return send('I', "");
  check_aborted(sql);
  if (portal.done) throw toy_error{"55000", "portal \"" + name + "\" cannot be run"};
  if (!portal.rows) {
    std::vector<std::string> rows;
    copy_extended_ = true;
    const bool select = word(words_of(sql), 0) == "select";
    const std::optional<std::string> tag = run(sql, portal.parameters, rows, false);
    if (!tag) { // COPY FROM STDIN
      if (portals_.count(name) != 0) portals_[name].done = true;
      if (!copy_fails_early_) return;
      copying_ = false;
      throw toy_error{"P0001", "a trigger refuses"};
    }
    if (!select) {
      send_rows(rows);
      send('C', *tag + '\0');
      if (const auto still = portals_.find(name); still != portals_.end()) still->second.done = true;
      return;
    }
    portal.rows = rows;
  }
  const std::size_t left = portal.rows->size() - portal.at;
  const std::size_t now = limit == 0 ? left : std::min<std::size_t>(left, limit);
  send_rows({portal.rows->begin() + static_cast<std::ptrdiff_t>(portal.at),
             portal.rows->begin() + static_cast<std::ptrdiff_t>(portal.at + now)});
  portal.at += now;
  // Postgres finds the end only by asking for a row more than there is.
  if (limit != 0 && now == limit) return send('s', "");
  send('C', "SELECT " + std::to_string(now) + '\0');
}

void toy_server::close(std::string_view body) {
  if (body.size() < 2 || body.find('\0') != body.size() - 1) throw toy_error{"08P01", "invalid message format"};
  const std::string name(body.substr(1, body.size() - 2));
  if (body[0] == 'S' && name.empty()) unnamed_ = nullptr;
  if (body[0] == 'S') statements_.erase(name);
  if (body[0] == 'P') portals_.erase(name);
  send('3', "");
}

// -- statements -------------------------------------------------------------------------------------------------

std::shared_ptr<toy_prepared> toy_server::find(const std::string& name) {
  if (name.empty() && unnamed_) return unnamed_;
  if (name.empty()) throw toy_error{"26000", "unnamed prepared statement does not exist"};
  const auto found = statements_.find(name);
  if (found == statements_.end()) throw toy_error{"26000", "prepared statement \"" + name + "\" does not exist"};
  return found->second;
}

std::shared_ptr<toy_prepared> toy_server::analyze(const std::string& sql) {
  auto what = std::make_shared<toy_prepared>();
  what->sql = sql;
  const std::vector<std::string> words = words_of(sql);
  // PREPARE is looked at only when it is run.
  if (words.empty() || words[0] != "prepare")
    what->types.assign(static_cast<std::size_t>(parameter_count(sql)), text_oid);
  if (words.size() == 4 && words[0] == "select" && words[2] == "from") {
    const auto found = database_.tables.find(words[3]);
    if (found == database_.tables.end()) throw toy_error{"42P01", "relation \"" + words[3] + "\" does not exist"};
    what->version = found->second;
  }
  return what;
}

void toy_server::revalidate(const toy_prepared& what) const {
  if (what.version == 0) return;
  const auto found = database_.tables.find(words_of(what.sql)[3]);
  if (found == database_.tables.end()) throw toy_error{"42P01", "relation does not exist"};
  if (found->second != what.version)
    throw toy_error{"0A000", "cached plan must not change result type", "RevalidateCachedQuery"};
}

void toy_server::check_aborted(const std::string& sql) const {
  if (status_ == 'E' && !exits_transaction(sql)) throw toy_error{"25P02", "current transaction is aborted"};
}

std::optional<std::string> toy_server::run(const std::string& sql, const std::vector<std::string>& parameters,
                                           std::vector<std::string>& rows, bool multi) {
  executed.push_back(sql);
  const std::vector<std::string> words = words_of(sql);
  const std::string& verb = word(words, 0);
  if (verb == "begin" || verb == "commit" || verb == "rollback") return run_transaction_command(verb);
  if (verb == "set" || verb == "reset") return run_setting(words);
  if (verb == "prepare" || verb == "execute" || verb == "deallocate")
    return run_prepared_statement_command(sql, words, rows);
  if (verb == "fail") throw toy_error{"22012", "division by zero"};
  if (verb == "show") {
    const auto found = state_.settings.find(setting_name(word(words, 1)));
    rows.push_back(found == state_.settings.end() ? "" : found->second);
    return "SHOW";
  }
  if (verb == "discard") {
    if (multi || status_ != 'I') throw toy_error{"25001", "DISCARD ALL cannot run inside a transaction block"};
    discard_all();
    return "DISCARD ALL";
  }
  if (verb == "listen") {
    state_.listens.insert(word(words, 1));
    return "LISTEN";
  }
  if (verb == "unlisten") {
    if (word(words, 1) == "*")
      state_.listens.clear();
    else
      state_.listens.erase(word(words, 1));
    return "UNLISTEN";
  }
  if (verb == "create" && word(words, 1) == "temp") {
    temporary_.insert(word(words, 3));
    return "CREATE TABLE";
  }
  if (verb == "create" || verb == "alter" || verb == "drop") {
    if (verb == "drop")
      database_.tables.erase(word(words, 2));
    else
      ++database_.tables[word(words, 2)];
    return verb == "create" ? "CREATE TABLE" : verb == "alter" ? "ALTER TABLE" : "DROP TABLE";
  }
  if (verb == "insert") return "INSERT 0 1";
  if (verb == "copy" && words.size() < 3) throw toy_error{"42601", "syntax error at end of input"};
  if (verb == "copy" && word(words, 2) == "to") {
    send('H', std::string_view("\0\0\1\0\0", 5));
    send('d', "row 1");
    send('d', "row 2");
    send('c', "");
    return "COPY 2";
  }
  if (verb == "copy") {
    if (database_.tables.count(word(words, 1)) == 0) throw toy_error{"42P01", "relation does not exist"};
    copy_fails_early_ = word(words, 1) == "refusing";
    copied_ = 0;
    copying_ = true;
    send('G', std::string_view("\0\0\1\0\0", 5));
    flush();
    return std::nullopt;
  }
  if (verb != "select") throw toy_error{"42601", "syntax error"};
  if (words.size() == 4 && words[2] == "from")
    rows.push_back(words[3]);
  else if (words.size() == 3 && words[1] == "generate_series")
    for (int i = 1; i <= std::atoi(words[2].c_str() + 1); ++i)
      rows.push_back(std::to_string(i));
  else if (words.size() == 3 && words[1].ends_with("set_config")) {
    const std::vector<std::string> arguments = split(words[2].substr(1, words[2].size() - 2), ',');
    state_.settings[setting_name(unquoted(word(arguments, 0)))] = unquoted(word(arguments, 1));
    rows.push_back(unquoted(word(arguments, 1)));
  } else {
    std::string value = words.size() > 1 ? words[1] : "";
    for (const std::string& parameter : parameters)
      value += "|" + parameter;
    rows.push_back(value);
  }
  return "SELECT " + std::to_string(rows.size());
}

std::optional<std::string> toy_server::run_prepared_statement_command(const std::string& sql,
                                                                      const std::vector<std::string>& words,
                                                                      std::vector<std::string>& rows) {
  if (words[0] == "deallocate") {
    if (word(words, 1) == "all") {
      statements_.clear();
      return "DEALLOCATE ALL";
    }
    find(word(words, 1));
    statements_.erase(word(words, 1));
    return "DEALLOCATE";
  }
  if (words[0] == "prepare") {
    const std::size_t as = lower(sql).find(" as ");
    if (as == std::string::npos) throw toy_error{"42601", "syntax error at end of input"};
    auto what = analyze(trimmed(sql.substr(as + 4)));
    for (std::size_t i = 0; sql.substr(0, as).find("int") != std::string::npos && i < what->types.size(); ++i)
      what->types[i] = int4_oid;
    if (!statements_.emplace(word(words, 1), what).second)
      throw toy_error{"42P05", "prepared statement \"" + word(words, 1) + "\" already exists"};
    return "PREPARE";
  }
  const auto what = find(word(words, 1));
  revalidate(*what);
  std::vector<std::string> parameters;
  if (words.size() > 2)
    for (const std::string& argument : split(words[2].substr(1, words[2].size() - 2), ','))
      parameters.push_back(unquoted(argument));
  if (parameters.size() != what->types.size()) throw toy_error{"42601", "wrong number of parameters"};
  if (!in_extended_ && toy_returns_rows(what->sql)) send_row_description(*what);
  const std::string tag = run(what->sql, parameters, rows, false).value();
  for (const std::uint32_t type : what->types)
    if (type == int4_oid) rows.push_back("int");
  return tag;
}

// -- transactions and parameters --------------------------------------------------------------------------------

void toy_server::start_transaction() {
  if (before_) return;
  before_ = state_;
  in_implicit_ = status_ == 'I';
}

void toy_server::commit() {
  for (const auto& [name, value] : state_.after_transaction)
    state_.settings[name] = value;
  state_.after_transaction.clear();
  before_.reset();
  in_implicit_ = false;
  portals_.clear();
}

void toy_server::roll_back() {
  if (before_) state_ = *before_;
  state_.after_transaction.clear();
  portals_.clear();
  if (status_ == 'I') {
    before_.reset();
    in_implicit_ = false;
  } else {
    status_ = 'E';
  }
}

std::string toy_server::run_transaction_command(const std::string& verb) {
  if (verb == "begin") {
    status_ = 'T';
    in_implicit_ = false;
    return "BEGIN";
  }
  const bool failed = status_ == 'E';
  if (verb == "commit" && !failed) {
    commit();
  } else {
    if (before_) state_ = *before_;
    state_.after_transaction.clear();
    before_.reset();
    portals_.clear();
  }
  in_implicit_ = false;
  status_ = 'I';
  return verb == "commit" && !failed ? "COMMIT" : "ROLLBACK";
}

std::string toy_server::run_setting(const std::vector<std::string>& words) {
  const auto reset = [&](const std::string& name) {
    const auto found = startup_.find(name);
    if (found == startup_.end())
      state_.settings.erase(name);
    else
      state_.settings[name] = found->second;
  };
  if (words[0] == "reset") { // of the session, even behind a SET LOCAL
    if (word(words, 1) == "all") {
      state_.settings = startup_;
      state_.after_transaction.clear();
    } else {
      reset(setting_name(words[1]));
      state_.after_transaction.erase(setting_name(words[1]));
    }
    return "RESET";
  }
  if (word(words, 1) == "session") { // SESSION AUTHORIZATION DEFAULT
    reset("role");
    return "SET";
  }
  const bool local = word(words, 1) == "local";
  const std::string name = setting_name(word(words, local ? 2 : 1));
  const std::string value = words.back();
  if (value == "invalid") throw toy_error{"22023", "invalid value for parameter"};
  if (local) {
    if (state_.after_transaction.count(name) == 0) state_.after_transaction[name] = state_.settings[name];
  } else {
    state_.after_transaction.erase(name);
  }
  if (value == "default")
    reset(name);
  else
    state_.settings[name] = value;
  return "SET";
}

void toy_server::discard_all() {
  portals_.clear();
  state_.settings = startup_;
  statements_.clear();
  state_.listens.clear();
  temporary_.clear();
}

void toy_server::ready() {
  report_settings();
  if (status_ == 'I') {
    out_ += pending_notifications_;
    pending_notifications_.clear();
  }
  send('Z', std::string(1, status_));
  flush();
}

void toy_server::report_settings() {
  for (const auto& [name, value] : reported()) {
    if (last_reported_[name] == value) continue;
    last_reported_[name] = value;
    out_ += protocol::encode(protocol::parameter_status{name, value});
  }
}

// -- output -----------------------------------------------------------------------------------------------------

void toy_server::send(char type, std::string_view body) {
  protocol::put_u8(out_, static_cast<std::uint8_t>(type));
  protocol::put_u32(out_, static_cast<std::uint32_t>(4 + body.size()));
  out_.append(body);
}

void toy_server::send_error(const std::string& code, const std::string& text, const std::string& routine,
                            const char* severity) {
  protocol::error_response error;
  error.fields = {{'S', severity}, {'V', severity}, {'C', code}, {'M', text}, {'R', routine}};
  protocol::append(out_, error);
  flush();
}

void toy_server::send_rows(const std::vector<std::string>& rows) {
  for (const std::string& row : rows) {
    protocol::data_row one;
    one.values.push_back(row);
    protocol::append(out_, one);
  }
}

void toy_server::send_row_description(const toy_prepared& what) {
  protocol::row_description fields;
  for (int i = 0; i < std::max(what.version, 1); ++i)
    fields.fields.push_back({"c", 0, 0, text_oid, -1, -1, 0});
  protocol::append(out_, fields);
}

void toy_server::flush() {
  sent_ += out_;
  out_.clear();
}

} // namespace pg_edge::test

// -- the toy itself ---------------------------------------------------------------------------------------------

namespace pg_edge::test {

BOOST_AUTO_TEST_SUITE(exchange_toy_server_test)

BOOST_AUTO_TEST_CASE(it_answers_as_postgres_15_did) {
  const std::string stale = "E 0A000 cached plan must not change result type; Z I";
  const std::string no_unnamed = "E 26000 unnamed prepared statement does not exist; Z I";
  struct row {
    std::string sent;
    std::string expected;
  };
  // Each was sent to a Postgres 15.20 and answered like this.
  const row table[] = {
      {p("s", "SELECT * FROM t") + s() + q("ALTER TABLE t") + ds("s") + s(), "1; Z I; C ALTER TABLE; Z I; t; " + stale},
      {b("s") + e() + s(), stale},
      {p("x", "SELECT generate_series(5)") + b("x") + cs("x") + e("", 2) + e("", 2) + s(),
       "1; 2; 3; D 1; D 2; s; D 3; D 4; s; Z I"},
      {p("", "SELECT 1") + b("") + e() + e() + s(), "1; 2; D 1; C SELECT 1; C SELECT 0; Z I"},
      {p("", "SET work_mem TO '1'") + b("") + e() + e() + s(), "1; 2; C SET; E 55000 portal \"\" cannot be run; Z I"},
      {p("", "SELECT 1") + s() + p("", "SELECT * FROM no") + s() + b("") + s(),
       "1; Z I; E 42P01 relation \"no\" does not exist; Z I; " + no_unnamed},
      {p("", "SELECT 11") + s() + b("no") + p("", "SELECT 22") + s() + b("") + e() + s(),
       "1; Z I; E 26000 prepared statement \"no\" does not exist; Z I; 2; D 11; C SELECT 1; Z I"},
      {p("", "SELECT 11") + s() + q("SELECT 5") + b("") + s(), "1; Z I; T 1; D 5; C SELECT 1; Z I; " + no_unnamed},
      {p("", "SELEC 1") + q("SELECT 5") + s(), "E 42601 syntax error; Z I"},
      {q("BEGIN") + q("SELEC") + b("no") + s() + q("COMMIT"),
       "C BEGIN; Z T; E 42601 syntax error; Z E; E 26000 prepared statement \"no\" does not exist; Z E; C ROLLBACK; Z "
       "I"},
      {exec_params("COPY t FROM STDIN") + copy_data("1") + copy_done() + s(), "1; 2; n; G; C COPY 1; Z I"},
      {exec_params("COPY t FROM STDIN") + copy_data("bad") + copy_done() + s(),
       "1; 2; n; G; E 22P02 invalid input syntax; Z I"},
      {q("COPY t FROM STDIN") + s() + copy_data("1") + h() + copy_done(), "G; C COPY 1; Z I"},
      {q("") + q("SELECT 1;;SELECT 2"), "I; Z I; T 1; D 1; C SELECT 1; T 1; D 2; C SELECT 1; Z I"},
      {p("", "") + b("") + dp() + e() + s(), "1; 2; n; I; Z I"},
      {q("COPY t FROM STDIN") + q("SELECT 1"),
       "G; E 08P01 unexpected message type during COPY; E 08P01 protocol synchronization was lost"},
  };
  toy_database database;
  toy_server toy(database);
  for (const row& one : table) {
    toy.feed(one.sent);
    BOOST_TEST(joined(lines_of(toy.take())) == one.expected);
  }
  BOOST_TEST(toy.closed());
}

BOOST_AUTO_TEST_CASE(it_keeps_back_what_is_not_flushed) {
  toy_database database;
  toy_server toy(database);
  toy.feed(p("", "SELECT 1") + b(""));
  BOOST_TEST(toy.take() == "");
  toy.feed(h());
  BOOST_TEST(joined(lines_of(toy.take())) == "1; 2");
  BOOST_TEST(!toy.idle());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace pg_edge::test
