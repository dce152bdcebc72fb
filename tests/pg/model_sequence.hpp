// Random protocol sequences of one client, legal and illegal: what model_pgtest sends to Postgres itself and through
// pg_edge. A sequence is a list of items that can be left out one by one, so that a failing one can be made short.
#pragma once

#include "tests/pg/model_illegal.hpp"

#include <initializer_list>
#include <random>
#include <string>
#include <vector>

namespace pg_edge::test::model {

/// What a pool's mode lets a client expect from one transaction to the next.
enum class mode { session, transaction, statement };

inline const char* name_of(mode which) {
  return which == mode::session ? "session" : which == mode::transaction ? "transaction" : "statement";
}

using sequence = std::vector<item>;

/// Makes up one client's sequence. `own` is the number of its table (m0, m1 ...) and of its channel.
class generator {
public:
  generator(std::uint64_t seed, mode which, int own)
      : random_(seed), mode_(which), table_("m" + std::to_string(own)), channel_("ch" + std::to_string(own)) {}

  sequence make() {
    for (std::uint64_t n = 3 + pick(14); n > 0; --n) {
      step();
      if (pick(3) == 0) wait();
    }
    if (pick(40) == 0) ending();
    return std::move(made_);
  }

  /// Parameters of the start-up packet beside user and database.
  start_parameters startup() {
    start_parameters all;
    if (pick(3) == 0) all.emplace_back("application_name", "app " + table_);
    if (pick(4) == 0) all.emplace_back("TimeZone", pick(2) == 0 ? "Asia/Tokyo" : "UTC");
    if (pick(5) == 0) all.emplace_back("DateStyle", "SQL, DMY");
    if (pick(5) == 0) all.emplace_back("options", "-c work_mem=" + std::to_string(100 + pick(3)));
    return all;
  }

private:
  std::uint64_t pick(std::uint64_t n) { return random_() % n; }
  bool session() const { return mode_ == mode::session; }
  bool statement_mode() const { return mode_ == mode::statement; }

  // -- items ----------------------------------------------------------------------------------------------------
  void add(std::string text, std::string bytes, int readies = 0) {
    made_.push_back({item::what::bytes, std::move(text), std::move(bytes), readies});
  }
  void add(item::what kind, std::string text) { made_.push_back({kind, std::move(text), {}, 0}); }
  void wait() { add(item::what::wait, "wait"); }

  void query(const std::string& sql) { add("Q " + sql, query_bytes(sql), 1); }
  void parse(const std::string& name, const std::string& sql, const std::vector<std::int32_t>& types = {}) {
    add("P " + name + ": " + sql, parse_bytes(name, sql, types));
  }
  void bind(const std::string& portal, const std::string& name, const bind_values& values = {},
            const std::vector<int>& in = {}, const std::vector<int>& out = {}) {
    add("B " + portal + " <- " + name + " with " + std::to_string(values.size()),
        bind_bytes(portal, name, values, in, out));
  }
  void describe(char kind, const std::string& name) {
    add(std::string("D ") + kind + name, describe_bytes(kind, name));
  }
  void execute(const std::string& portal, int limit = 0) {
    add("E " + portal + " limit " + std::to_string(limit), execute_bytes(portal, limit));
  }
  void close(char kind, const std::string& name) { add(std::string("C ") + kind + name, close_bytes(kind, name)); }
  void sync() { add("S", sync_bytes(), 1); }
  void flush() { add("H", flush_bytes()); }

  // -- words ----------------------------------------------------------------------------------------------------
  std::string tag() { return "'" + table_ + "_" + std::to_string(++tags_) + "'"; }
  std::string named() { return "s" + std::to_string(pick(4)); }
  std::string name() { return pick(3) == 0 ? "" : named(); }
  std::string portal() { return pick(3) == 0 ? "p" + std::to_string(pick(2)) : ""; }
  std::string number() { return std::to_string(pick(10)); }
  std::string one_of(std::initializer_list<const char*> list) { return list.begin()[pick(list.size())]; }

  /// A statement that leaves nothing behind but rows, with no parameters.
  std::string plain() {
    switch (pick(24)) {
    case 0:
      return "select 1";
    case 1:
      return "select n, w from " + table_ + " order by n, w";
    case 2:
      return "insert into " + table_ + " values (" + number() + ", " + tag() + ")";
    case 3:
      return "insert into " + table_ + " values (" + number() + ", " + tag() + ") returning n, w";
    case 4:
      return "update " + table_ + " set n = n + 1 where n < " + number();
    case 5:
      return "delete from " + table_ + " where n = " + number();
    case 6:
      return "select generate_series(1, " + number() + ") g, " + tag() + " t";
    case 7:
      return "select 1/0";
    case 8:
      return "select * from nowhere";
    case 9:
      return "selec 1";
    case 10:
      return "select no_such_column from " + table_;
    case 11:
      return "select 1/(3 - g) from generate_series(1, 5) g"; // fails behind its first rows
    case 12:
      return "show TimeZone";
    case 13:
      return "select repeat(" + tag() + ", " + std::to_string(pick(3000)) + ")";
    case 14:
      return "do $$ begin raise notice 'a notice of %', " + tag() + "; end $$";
    case 15:
      return "select 1; select 2"; // not in the extended protocol
    case 16:
      return "select null::int, ''::text, '\\x00ff'::bytea, 1.5::float8";
    case 17:
      return "values (1, 'a'), (2, 'b')";
    case 18:
      return "show application_name";
    case 19:
      return "show work_mem";
    case 20:
      return "copy (select g, " + tag() + " from generate_series(1, " + number() + ") g) to stdout";
    case 21:
      return "copy " + table_ + " to stdout" + one_of({"", " (format binary)", " csv header"});
    case 22:
      return "select";
    default:
      return "select " + tag();
    }
  }

  struct parametrised {
    const char* sql;
    std::size_t parameters;
  };
  static constexpr parametrised with_parameters[] = {
      {"select $1::int + 1", 1},  {"select $1::text, $2::int", 2},
      {"select $1", 1},           {"select generate_series(1, $1::int)", 1},
      {"select 10 / $1::int", 1}, {"select $1::text || $3::text", 3},
  };

  std::string any_sql() { return pick(3) == 0 ? with_parameters[pick(std::size(with_parameters))].sql : plain(); }

  bind_values values() {
    bind_values all;
    for (std::uint64_t n = pick(4) == 0 ? pick(4) : pick(2); n > 0; --n)
      all.push_back(pick(6) == 0   ? std::nullopt
                    : pick(8) == 0 ? std::optional<std::string>("no number")
                                   : std::optional<std::string>(number()));
    return all;
  }
  std::vector<int> formats() {
    switch (pick(10)) {
    case 0:
      return {1};
    case 1:
      return {0, 1};
    case 2:
      return {1, 1, 1};
    case 3:
      return {7};
    default:
      return {};
    }
  }

  /// SET and its kin, as far as the mode keeps what they do.
  std::string setting() {
    switch (pick(session() ? 16 : 11)) {
    case 0:
      return "set TimeZone to " + one_of({"'UTC'", "'Europe/Rome'", "'nowhere'", "default"});
    case 1:
      return "set application_name to " + tag();
    case 2:
      return "set DateStyle to " + one_of({"'ISO'", "'German'", "'wrong'"});
    case 3:
      return "reset TimeZone";
    case 4:
      return "reset all";
    case 5:
      return "set local TimeZone to 'Asia/Tokyo'";
    case 6:
      return "set local work_mem to '77kB'; show work_mem";
    case 7:
      return "set IntervalStyle to 'iso_8601'";
    case 8:
      return "select set_config('TimeZone', 'Africa/Cairo', " + one_of({"true", "false"}) + ")";
    case 9:
      return "set standard_conforming_strings to " + one_of({"on", "off"});
    case 10:
      return "discard all";
    case 11:
      return "set work_mem to '" + std::to_string(100 + pick(5)) + "kB'";
    case 12:
      return "set session my.own to " + tag();
    case 13:
      return "select coalesce(nullif(current_setting('my.own', true), ''), 'none'), current_setting('work_mem')";
    case 14:
      return "discard " + one_of({"plans", "temp", "sequences"});
    default:
      return "reset work_mem";
    }
  }

  std::string transaction_command() {
    switch (pick(14)) {
    case 0:
    case 1:
    case 2:
      return one_of({"begin", "start transaction read only", "begin isolation level serializable"});
    case 3:
    case 4:
      return "commit";
    case 5:
    case 6:
      return "rollback";
    case 7:
      return "savepoint a" + std::to_string(pick(2));
    case 8:
      return "rollback to a" + std::to_string(pick(2));
    case 9:
      return "release a" + std::to_string(pick(2));
    case 10:
      return one_of({"commit and chain", "rollback and chain", "abort", "end"});
    case 11:
      return "declare cur cursor for select g, " + tag() + " from generate_series(1, 5) g";
    case 12:
      return one_of({"fetch 2 from cur", "fetch all from cur", "move 1 in cur", "fetch backward 1 from cur"});
    default:
      return one_of({"close cur", "close all"});
    }
  }

  std::string about_names() {
    switch (pick(8)) {
    case 0:
    case 1:
      return "prepare " + named() + " as select " + (pick(2) == 0 ? tag() : "'shared by all'");
    case 2:
      return "prepare " + named() + "(int) as select $1 + 1";
    case 3:
      return "execute " + named();
    case 4:
      return "execute " + named() + "(" + number() + ")";
    case 5:
    case 6:
      return "deallocate " + named();
    default:
      return "deallocate all";
    }
  }

  std::string about_notifications() {
    switch (pick(5)) {
    case 0:
    case 1:
      return "listen " + channel_;
    case 2:
    case 3:
      return "notify " + channel_ + ", " + tag();
    default:
      return "unlisten *";
    }
  }

  // -- steps ----------------------------------------------------------------------------------------------------
  void step() {
    switch (pick(26)) {
    case 0:
    case 1:
    case 2:
      return query(plain());
    case 3:
      return query(setting());
    case 4:
    case 5:
      if (!statement_mode()) query(transaction_command());
      return;
    case 6:
      return several();
    case 7:
      return query(about_names());
    case 8:
      if (!statement_mode()) query(about_notifications());
      return;
    case 9:
      return copy_in();
    case 10:
      return copy_in_extended();
    case 11:
      return function_call();
    case 12:
      return query(one_of({"", ";", " ; ; ", "-- nothing", "/* none */"}));
    case 13:
      return cancelled();
    case 14:
      if (pick(3) == 0) illegal();
      return;
    case 15:
      return whole_batch(any_sql());
    case 16:
      if (session()) query(of_session());
      return;
    case 17:
      if (!statement_mode()) transaction();
      return;
    case 18:
      return batch_about_names();
    default:
      return batch();
    }
  }

  std::string of_session() {
    switch (pick(8)) {
    case 0:
      return "create temp table t_own as select " + tag() + " a";
    case 1:
      return "select * from t_own";
    case 2:
      return "drop table t_own";
    case 3:
      return "declare held cursor with hold for select generate_series(1, 4)";
    case 4:
      return "fetch 3 from held";
    case 5:
      return "close held";
    case 6:
      return "select name, statement from pg_prepared_statements order by 1";
    default:
      return "select name from pg_cursors order by 1";
    }
  }

  /// Several statements in one query string.
  void several() {
    if (statement_mode()) {
      return query(one_of({"begin; select 1; commit", "select 1; select 1/0; select 2", "select 1;; select 2",
                           "begin; commit; select 3"}));
    }
    std::string sql;
    for (std::uint64_t n = 2 + pick(4); n > 0; --n) {
      sql += pick(4) == 0 ? transaction_command() : pick(8) == 0 ? about_names() : pick(8) == 0 ? setting() : plain();
      sql += "; ";
    }
    query(sql);
  }

  void transaction() {
    query("begin");
    for (std::uint64_t n = 1 + pick(3); n > 0; --n)
      pick(2) == 0 ? query(pick(2) == 0 ? plain() : transaction_command()) : batch();
    query(pick(3) == 0 ? "rollback" : "commit");
  }

  void cancelled() {
    sync();
    wait();
    if (pick(4) == 0) return add(item::what::cancel_idle, "a cancel of nothing");
    query("do $$ begin raise notice 'asleep'; perform pg_sleep(8); end $$");
    add(item::what::cancel_running, "cancel");
    wait();
  }

  void function_call() {
    const bool binary = pick(2) == 0;
    const auto argument = [&](std::uint64_t value) {
      return binary ? int32_bytes(4) + int32_bytes(static_cast<std::int64_t>(value))
                    : int32_bytes(1) + std::to_string(value);
    };
    const int function = pick(5) == 0 ? 99 : pick(6) == 0 ? 154 : 177; // none, int4div, int4pl
    std::string body = int32_bytes(function);
    body += pick(3) == 0 ? int16_bytes(2) + int16_bytes(binary) + int16_bytes(binary)
                         : int16_bytes(1) + int16_bytes(binary);
    const std::uint64_t count = pick(8) == 0 ? 1 : 2;
    body += int16_bytes(static_cast<int>(count));
    for (std::uint64_t i = 0; i < count; ++i)
      body += pick(10) == 0 ? int32_bytes(-1) : argument(pick(3));
    body += int16_bytes(static_cast<int>(pick(2)));
    add("F " + std::to_string(function), message_bytes('F', body), 1);
  }

  // -- COPY -----------------------------------------------------------------------------------------------------
  void copy_data() {
    for (std::uint64_t n = pick(4); n > 0; --n) {
      const std::string row = pick(6) == 0 ? "no number\tx\n" : number() + "\tcopied " + number() + "\n";
      if (pick(5) == 0) {
        add("d half a row", copy_data_bytes(row.substr(0, 3)));
        add("d the rest", copy_data_bytes(row.substr(3)));
      } else {
        add("d " + row.substr(0, row.size() - 1), copy_data_bytes(row));
      }
      if (pick(8) == 0) flush();
      if (pick(40) == 0) illegal(true);
      if (pick(60) == 0) query("select 'in a copy'");
      if (pick(6) == 0) wait();
    }
    if (pick(4) == 0)
      add("f", copy_fail_bytes("the client's reason"));
    else
      add("c", copy_done_bytes());
    if (pick(12) == 0) add("c once more", copy_done_bytes());
    if (pick(12) == 0) add("d too late", copy_data_bytes("1\tlate\n"));
  }

  std::string copy_sql() {
    switch (pick(6)) {
    case 0:
      return "copy nowhere from stdin";
    case 1:
      return "copy " + table_ + " (n) from stdin";
    case 2:
      return "copy " + table_ + " from stdin (format binary)";
    default:
      return "copy " + table_ + " from stdin";
    }
  }

  void copy_in() {
    std::string sql = copy_sql();
    if (pick(6) == 0) sql += "; select 'behind the copy'";
    if (pick(12) == 0) sql = "select 1; " + sql + "; " + copy_sql();
    query(sql);
    if (pick(2) == 0) wait();
    copy_data();
    if (pick(12) == 0) copy_data();
  }

  void copy_in_extended() {
    parse("", copy_sql());
    bind("", "");
    if (pick(3) == 0) describe('P', "");
    execute("");
    if (pick(8) == 0) sync(); // as libpq: read in the COPY, and ignored
    if (pick(3) == 0) {
      flush();
      wait();
    }
    copy_data();
    if (pick(10) != 0) sync();
  }

  // -- batches --------------------------------------------------------------------------------------------------
  void whole_batch(const std::string& sql) {
    const std::string what = name();
    parse(what, sql);
    const std::string to = portal();
    bind(to, what, values(), formats(), formats());
    if (pick(2) == 0) describe('P', to);
    execute(to, static_cast<int>(pick(3)));
    if (pick(3) == 0) execute(to);
    sync();
  }

  /// A text that names statements: in the shared modes its names are those of when it is bound, so it is not kept.
  void batch_about_names() {
    const std::string sql = about_names();
    parse("", sql);
    bind("", "");
    execute("");
    close('S', "");
    sync();
  }

  void batch() {
    for (std::uint64_t n = pick(7); n > 0; --n)
      extended();
    if (pick(12) != 0) sync();
    if (pick(12) == 0) sync();
  }

  void extended() {
    switch (pick(19)) {
    case 0:
    case 1:
      return parse(name(), any_sql());
    case 2:
    case 3: {
      const parametrised& what = with_parameters[pick(std::size(with_parameters))];
      const std::string as = name(), to = portal();
      parse(as, what.sql,
            pick(6) == 0 ? std::vector<std::int32_t>{pick(2) == 0 ? 23 : 25} : std::vector<std::int32_t>{});
      bind_values given(what.parameters, number());
      bind(to, as, given, {}, formats());
      return execute(to, static_cast<int>(pick(3)));
    }
    case 4:
    case 5: {
      const std::string to = portal();
      bind(to, name(), values(), formats(), formats());
      return execute(to, static_cast<int>(pick(4)));
    }
    case 6:
      return bind(portal(), name(), values(), formats(), formats());
    case 7:
      return execute(portal(), static_cast<int>(pick(3)));
    case 8:
      return describe('S', name());
    case 9:
      return describe('P', portal());
    case 10:
      return close('S', name());
    case 11:
      return close('P', portal());
    case 12:
      flush();
      if (pick(2) == 0) wait();
      return;
    case 13: {
      const std::string what = named(), to = portal();
      close('S', what);
      parse(what, "select " + tag());
      bind(to, what);
      return execute(to);
    }
    case 14:
    case 15: {
      if (statement_mode()) return;
      parse("", transaction_command());
      bind("", "");
      return execute("");
    }
    case 16:
      if (pick(4) == 0) query(plain()); // in the midst of a batch
      return;
    case 17:
      if (pick(30) == 0) illegal();
      return;
    default: {
      const std::string what = named();
      parse(what, plain());
      bind("", what);
      return execute("");
    }
    }
  }

  // -- what Postgres refuses ----------------------------------------------------------------------------------------
  void illegal(bool in_copy = false) { made_.push_back(illegal_item(pick(in_copy ? illegal_in_copy : illegal_kinds))); }

  void ending() {
    wait();
    if (pick(2) == 0) return add(item::what::terminate, "X");
    const std::string whole = query_bytes("select 'never sent whole'");
    made_.push_back({item::what::cut_off, "a message cut off", whole.substr(0, 1 + pick(whole.size() - 1)), 0});
  }

  std::mt19937_64 random_;
  mode mode_;
  std::string table_, channel_;
  int tags_ = 0;
  sequence made_;
};

} // namespace pg_edge::test::model
