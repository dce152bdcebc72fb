// What a pooler has to know of the SQL that passes through it, found by a keyword scan and never by a full parser: what
// the scan does not know it calls "other" and lets through. The lexer follows the rules of Postgres for quotes, dollar
// quotes and nested comments, so that a word in a string is never taken for a statement.
#pragma once

#include "protocol/command_tag.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::protocol {

/// Postgres cuts identifiers to this many bytes (NAMEDATALEN - 1).
inline constexpr std::size_t max_identifier_bytes = 63;

enum class statement_kind {
  other,
  set,
  set_local, // SET LOCAL, SET TRANSACTION, SET CONSTRAINTS: ends with the transaction
  reset,
  reset_all,
  prepare,
  prepare_transaction, // two-phase commit, has nothing to do with prepared statements
  execute,             // also EXPLAIN ... EXECUTE and CREATE TABLE ... AS EXECUTE
  deallocate,
  deallocate_all,
  discard_all,
  discard,   // PLANS, SEQUENCES, TEMP
  begin,     // BEGIN, START TRANSACTION
  commit,    // COMMIT, END; not COMMIT PREPARED
  rollback,  // ROLLBACK, ABORT; not ROLLBACK PREPARED
  savepoint, // SAVEPOINT, RELEASE, ROLLBACK TO
  listen,
  unlisten,
  unlisten_all, // UNLISTEN *
  declare_cursor,
  load,
};

/// All views point into the text given to scan().
struct scanned_statement {
  statement_kind kind = statement_kind::other;
  /// From the first token to the last: without the ';' and without blanks and comments around it.
  std::string_view text;
  /// The name as written in PREPARE, EXECUTE, DEALLOCATE, SET, RESET, (UN)LISTEN, DECLARE; "TIME ZONE" in SET TIME
  /// ZONE.
  std::string_view name_token;
  /// The name as Postgres folds it. Parameters are lower case even when quoted, since Postgres ignores their case, and
  /// have the parameter's name for every syntax of their own (SET NAMES is client_encoding). Empty for
  /// SET SESSION CHARACTERISTICS, which may set several.
  std::string name;
  /// PREPARE: the text after AS. EXECUTE: the arguments as written, with parentheses. SET: the value as written.
  std::string_view body;
  /// PREPARE: the parameter types as written, without the parentheses.
  std::string_view types;
  /// SET x TO DEFAULT, = DEFAULT, SET TIME ZONE LOCAL, SET NAMES without a value.
  bool to_default = false;
  /// Mentions session state that no command tag shows: set_config, session advisory locks, temporary objects (unless ON
  /// COMMIT DROP), WITH HOLD, a DO block that speaks of such, SET SESSION CHARACTERISTICS, an identifier in U&""
  /// spelling. For PREPARE it is about the prepared text: every later EXECUTE of the name leaves the state.
  bool leaves_state = false;
};

struct scan_result {
  std::vector<scanned_statement> statements; // in order; empty statements left out
  bool complete = true;                      // false: the text was cut, or a quote or comment is open at its end
};

/// Splits `sql` into its statements and tells what each is. `truncated` says that the text was cut by the caller.
/// `standard_strings` is the server's standard_conforming_strings: when it is off, a backslash escapes in '...' too.
/// Never fails; what is not understood is `other`.
scan_result scan(std::string_view sql, bool truncated, bool standard_strings = true);

struct quick_look {
  /// False: one statement, whose kind is other, begin, commit, rollback or savepoint, and which leaves no state.
  bool interesting = true;
};

/// The cheap look that nearly every query ends with: whether a full scan is worth doing. Allocates nothing. It may say
/// "interesting" of a harmless text and never the reverse; of a text that was cut it speaks for the part it sees.
quick_look look(std::string_view sql);

struct name_replacement {
  std::string_view name_token; // out of a scan of the same text
  std::string identifier;      // plain; is quoted here
};

/// `sql` with each name token replaced by another identifier. The replacements must be in the order of the text; one
/// that does not lie in `sql` is left out.
std::string replace_names(std::string_view sql, std::span<const name_replacement> replacements);

/// An identifier as Postgres would understand it: lower case unless in quotes, "" undoubled, cut to 63 bytes.
std::string fold_identifier(std::string_view written);

} // namespace pg_edge::protocol
