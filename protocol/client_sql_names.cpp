// PREPARE, EXECUTE and DEALLOCATE in the text of a query: the client's names become the pool's.
#include "protocol/client_side.hpp"

namespace pg_edge::protocol {

// -- SQL that names prepared statements
// --------------------------------------------------------------------------------
bool client_side::names_statements(const scan_result& scanned) {
  return std::any_of(scanned.statements.begin(), scanned.statements.end(), [](const scanned_statement& one) {
    return one.kind == statement_kind::prepare || one.kind == statement_kind::execute ||
           one.kind == statement_kind::deallocate;
  });
}

/// A copy of the text of a named Parse if it names prepared statements, otherwise null.
std::shared_ptr<const bytes> client_side::written_names(bytes_view text) const {
  const std::string_view sql = text.substr(0, text.find('\0'));
  if (sql.size() == text.size() || !look(sql).interesting) return nullptr;
  const scan_result scanned = scan(sql, false, standard_strings());
  return scanned.complete && names_statements(scanned) ? std::make_shared<const bytes>(text) : nullptr;
}

/// Makes `named` mean what the names in its text mean now. The text with the shared names is the same for every client
/// that means the same by it, so it is shared like any other. Nothing may be owed.
text_effects_ptr client_side::look_up_names(client_statement& named) {
  const bytes& written = *named.written;
  const std::string_view sql(written.c_str());
  const rewritten_sql now = rewrite(sql, scan(sql, false, standard_strings()));
  named.what = c_.rules->cache->intern(now.sql + written.substr(sql.size()));
  // What an EXECUTE returns was noted when it was parsed, and the statement it names may have been prepared anew since.
  if (server_statements::entry* entry = s_->statements.find(*named.what)) entry->stale |= entry->batch != s_->batch;
  return now.effects;
}

/// Replaces the names the client gave its statements by the shared ones, and brings those to the server.
client_side::rewritten_sql client_side::rewrite(std::string_view sql, const scan_result& scanned) {
  rewritten_sql result;
  auto effects = std::make_shared<text_effects>();
  effects->complete = scanned.complete;
  std::size_t done = 0;
  renamed_names inside;
  for (const scanned_statement& one : scanned.statements) {
    text_effect effect{one.kind, one.name, one.to_default, nullptr};
    effects->leaves_state |= one.leaves_state;
    if (const statement_ptr meant = meant_statement(one, effect, inside, result.injected)) {
      const auto from = static_cast<std::size_t>(one.name_token.data() - sql.data());
      result.sql.append(sql.substr(done, from - done));
      result.sql.append(meant->server_name);
      done = from + one.name_token.size();
    } else if (is_foreign(one)) {
      const auto from = static_cast<std::size_t>(one.name_token.data() - sql.data());
      result.sql.append(sql.substr(done, from - done));
      result.sql.append(quote_identifier(one.name + "?"));
      done = from + one.name_token.size();
    }
    effects->list.push_back(std::move(effect));
  }
  result.sql.append(sql.substr(done));
  result.effects = std::move(effects);
  return result;
}

/// A name of the pooler's own that the client did not give to anything: it must not reach the statement.
bool client_side::is_foreign(const scanned_statement& one) {
  return (one.kind == statement_kind::execute || one.kind == statement_kind::deallocate) &&
         one.name.starts_with(statement_prefix);
}

/// Which shared statement a PREPARE, EXECUTE or DEALLOCATE means; null: none of the client's, leave the text alone.
statement_ptr client_side::meant_statement(const scanned_statement& one, text_effect& effect, renamed_names& inside,
                                           bool& injected) {
  if (one.name.empty()) return nullptr; // no such statement, as Postgres will say
  const auto renamed = inside.find(one.name);
  if (renamed != inside.end() && renamed->second) {
    statement_ptr meant = renamed->second;
    if (one.kind == statement_kind::deallocate) {
      effect.subject = meant;
      renamed->second = nullptr;
    }
    return meant;
  }
  client_statement* named = renamed == inside.end() ? known(one.name) : nullptr;
  if (one.kind == statement_kind::deallocate && named != nullptr) inside[one.name] = nullptr;
  if (one.kind == statement_kind::execute || one.kind == statement_kind::deallocate) {
    if (named == nullptr) return nullptr;
    if (one.kind == statement_kind::deallocate) {
      injected |= bring_name(named->what);
    } else {
      distrust(*named);
      injected |= bring(named->what);
    }
    if (named->what->effects && named->what->effects->leaves_state) s_->dirt.other = true;
    effect.subject = one.kind == statement_kind::deallocate ? named->what : nullptr;
    return named->what;
  }
  if (one.kind != statement_kind::prepare) return nullptr;
  if (named != nullptr) { // the server must find the name in use, as it would be without a pooler
    injected |= bring(named->what);
    return named->what;
  }
  bytes text(one.body);
  text.append(nul).append(no_types);
  statement_ptr made = c_.rules->cache->intern(text, one.types, !one.types.empty());
  if (s_->statements.find(*made) != nullptr) {
    close_on_server(made);
    injected = true;
  }
  effect.subject = made;
  inside[one.name] = made;
  return made;
}

} // namespace pg_edge::protocol
