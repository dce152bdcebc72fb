// Names and values of parameters that clients and servers say, on their way into SQL: whatever they are, the SQL is
// ASCII without a zero byte, means the same with either standard_conforming_strings, and holds the statements that
// were meant and no others. The input is lines: name, tab, value; an empty line ends what the server has.
#include "protocol/session_parameters.hpp"
#include "protocol/sql_scan.hpp"

#include <cstdint>
#include <cstdlib>
#include <string_view>

using namespace pg_edge::protocol;

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

/// Only what the pooler itself may say to a server.
void check_sql(const std::string& sql, std::size_t statements_at_most) {
  must(sql.find('\0') == std::string::npos);
  for (const bool standard : {true, false}) {
    const auto read = scan(sql, false, standard);
    must(read.complete && read.statements.size() <= statements_at_most);
    for (const auto& one : read.statements)
      must(one.kind == statement_kind::set || one.kind == statement_kind::reset || one.kind == statement_kind::other);
  }
}

void check_quoting(std::string_view text) {
  const std::string literal = "select " + quote_literal(text), identifier = "select " + quote_identifier(text);
  for (const bool standard : {true, false}) {
    must(scan(literal, false, standard).statements.size() == 1);
    must(scan(identifier, false, standard).statements.size() == 1);
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view in(reinterpret_cast<const char*>(data), size);
  auto have = std::make_shared<parameter_values>(), want = std::make_shared<parameter_values>();
  std::vector<parameter> settings;
  bool second = false;
  while (!in.empty()) {
    const std::string_view line = in.substr(0, in.find('\n'));
    in.remove_prefix(std::min(line.size() + 1, in.size()));
    if (line.empty()) second = true;
    const std::string_view name = line.substr(0, line.find('\t'));
    const std::string_view value = line.substr(std::min(line.size(), name.size() + 1));
    classify_startup_parameter(name);
    follows_client(name);
    must(canonical_parameter_name(canonical_parameter_name(name)) == canonical_parameter_name(name));
    must(canonical_application_name(canonical_application_name(value, 140000), 140000) ==
         canonical_application_name(value, 140000));
    must(canonical_application_name(value, 160000).size() <= 4 * 63); // each byte as \xHH
    server_version_number(value);
    in_list(value, name);
    if (value.find('\0') == std::string_view::npos) check_quoting(value);
    if (name.empty() || line.find('\0') != std::string_view::npos) continue;
    (second ? want : have)->set(name, value);
    must((second ? want : have)->get(name) == value);
    settings.emplace_back(name, value);
  }
  const startup_profile profile = make_startup_profile(settings), none;
  const std::size_t at_most = have->size() + want->size() + 2 * settings.size() + 4;
  check_sql(restore_sql(have.get(), &none, want.get(), &profile), at_most);
  check_sql(restore_sql(have.get(), &profile, want.get(), &none), at_most);
  check_sql(restore_sql(nullptr, nullptr, want.get(), nullptr), at_most);
  must(restore_sql(want.get(), &profile, want.get(), &profile).empty());
  parameter_interner known;
  must(known.intern(have) == known.intern(std::make_shared<parameter_values>(*have)));
  return 0;
}
