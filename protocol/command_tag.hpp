// What the tag of a CommandComplete tells of the session that ran the command: the half of session tracking that cannot
// be fooled by the spelling of the SQL.
#pragma once

#include <string_view>

namespace pg_edge::protocol {

/// What a CommandComplete tag says about the session that ran the command.
enum class tag_effect {
  none, // SELECT, INSERT, UPDATE, DELETE, MERGE, COPY, FETCH and all that changes only data
  set,
  reset,
  listen,
  unlisten,
  prepare,
  deallocate,
  deallocate_all,
  discard_all,
  discard,
  declare_cursor,
  close_cursor,
  load,
  begin,
  commit,
  rollback, // also of ROLLBACK TO and of a COMMIT that failed: ReadyForQuery tells whether the transaction ended
  savepoint,
  prepare_transaction,
  procedural, // DO, CALL: may have done anything
  ddl,        // CREATE, ALTER, DROP: what was prepared before may have to be planned anew
};

/// Of a tag as in CommandComplete, without the zero byte ("INSERT 0 1"). Unknown tags are `none`.
tag_effect classify_tag(std::string_view command_tag);

} // namespace pg_edge::protocol
