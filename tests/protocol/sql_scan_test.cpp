#include "protocol/sql_scan.hpp"

#include <boost/test/unit_test.hpp>

#include <random>

using namespace pg_edge::protocol;
using kind = statement_kind;

namespace {

scanned_statement only(std::string_view sql, bool standard_strings = true) {
  const auto result = scan(sql, false, standard_strings);
  BOOST_TEST_REQUIRE((result.statements.size() == 1), sql);
  BOOST_TEST(result.complete, sql);
  return result.statements.front();
}

std::vector<std::string> texts(std::string_view sql, bool standard_strings = true) {
  std::vector<std::string> found;
  for (const auto& statement : scan(sql, false, standard_strings).statements)
    found.emplace_back(statement.text);
  return found;
}

using list = std::vector<std::string>;

// What scan() can tell that look() has to announce.
bool worth_a_scan(const scan_result& result) {
  const auto plain = [](const scanned_statement& statement) {
    return statement.kind == kind::other || statement.kind == kind::begin || statement.kind == kind::commit ||
           statement.kind == kind::rollback || statement.kind == kind::savepoint;
  };
  for (const auto& statement : result.statements)
    if (!plain(statement) || statement.leaves_state) return true;
  return result.statements.size() > 1;
}

} // namespace

BOOST_AUTO_TEST_SUITE(sql_scan)

// -- splitting
// ---------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(splits_at_semicolons_and_leaves_empty_statements_out) {
  BOOST_TEST((texts("select 1; select 2") == list{"select 1", "select 2"}));
  BOOST_TEST((texts(" ;; select 1 ;\n; /* x */ ; -- y") == list{"select 1"}));
  BOOST_TEST((texts("") == list{}));
  BOOST_TEST((texts(" -- only a comment") == list{}));
}

BOOST_AUTO_TEST_CASE(a_text_stands_without_the_blanks_and_comments_around_it) {
  BOOST_TEST((texts("/* a */ select /* b */ 1 -- c\n ; \t") == list{"select /* b */ 1"}));
}

BOOST_AUTO_TEST_CASE(semicolons_in_quotes_and_comments_do_not_split) {
  for (const std::string sql :
       {"select ';'", "select 'it''s;'", "select \";\" from \"a\"\";b\"", "select $$;$$", "select $a$ ; $b$ ; $$ ; $a$",
        "select $a$;$$a$", "select /* ; /* ; */ ; */ 1", "select 1 --;\n+1", "select 1 --;\r+1", "select e'\\';'",
        "create rule r as on insert to t do also (delete from t; select 1)"})
    BOOST_TEST((texts(sql) == list{sql}), sql);
  BOOST_TEST((texts("select E'\\\\';x") == list{"select E'\\\\'", "x"}));
}

BOOST_AUTO_TEST_CASE(a_backslash_escapes_where_the_server_says_so) {
  const std::string_view sql = "select 'a\\'; set x to 1; select '";
  BOOST_TEST((texts(sql, false) == list{std::string{sql}}));
  BOOST_TEST((texts("select 'a\\'; set x to 1") == list{"select 'a\\'", "set x to 1"}));
  // Not in U&'' and $$ strings, whatever the setting.
  BOOST_TEST((texts("select U&'a\\'; set x to 1", false) == list{"select U&'a\\'", "set x to 1"}));
  BOOST_TEST((texts("select $$a\\$$; set x to 1", false) == list{"select $$a\\$$", "set x to 1"}));
}

BOOST_AUTO_TEST_CASE(a_string_that_goes_on_after_a_line_break_keeps_its_escapes) {
  BOOST_TEST(
      (texts("select E'a' -- comment\n '\\'; set x to 1'") == list{"select E'a' -- comment\n '\\'; set x to 1'"}));
  // Without a line break it is another string, and a plain one.
  BOOST_TEST((texts("select E'a' '\\'; set x to 1") == list{"select E'a' '\\'", "set x to 1"}));
  BOOST_TEST((texts("select E'a' /* \n */ '\\'; set x to 1") == list{"select E'a' /* \n */ '\\'", "set x to 1"}));
}

BOOST_AUTO_TEST_CASE(a_dollar_in_a_word_begins_no_quote) {
  BOOST_TEST((texts("select a$b$ ; set x to 1 -- $b$") == list{"select a$b$", "set x to 1"}));
  BOOST_TEST((texts("select $1; set x to $1") == list{"select $1", "set x to $1"}));
  BOOST_TEST((texts("select te'\\'; set x to 1") == list{"select te'\\'", "set x to 1"}));
}

BOOST_AUTO_TEST_CASE(the_body_of_a_routine_is_one_statement) {
  const std::string atomic = "create or replace function f() returns int language sql begin atomic "
                             "select case when true then 1 end; select 2; end";
  BOOST_TEST((texts(atomic + "; set x to 1") == list{atomic, "set x to 1"}));
  BOOST_TEST((texts("begin; set x to 1; end; select 2") == list{"begin", "set x to 1", "end", "select 2"}));
  BOOST_TEST((texts("create table begin (a int); set x to 1").size() == 2));
}

BOOST_AUTO_TEST_CASE(open_quotes_and_cut_texts_are_incomplete) {
  for (const auto* sql : {"select '", "select E'\\", "select E'\\'", "select \"a", "select $$ x $", "select /* /* */",
                          "/*", "/", "select U&'a", "select 'a''"})
    BOOST_TEST((scan(sql, false).complete == (std::string_view{sql} == "/")), sql);
  BOOST_TEST(!scan("select 1", true).complete);
  BOOST_TEST(scan("select 1", false).complete);
  // What is seen so far is told.
  BOOST_TEST((scan("set x to 'abc", true).statements.at(0).name == "x"));
}

// -- kinds
// -------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(kinds_by_the_first_words) {
  const std::pair<const char*, kind> cases[] = {
      {"select 1", kind::other},
      {"(select 1)", kind::other},
      {"with a as (select 1) select * from a", kind::other},
      {"insert into t values (1)", kind::other},
      {"\"set\" x to 1", kind::other},
      {"settle x", kind::other},
      {"SeT x TO 1", kind::set},
      {"set session x = 1", kind::set},
      {"set local x = 1", kind::set_local},
      {"set transaction isolation level serializable", kind::set_local},
      {"set session transaction read only", kind::set_local},
      {"set constraints all deferred", kind::set_local},
      {"set session characteristics as transaction read only", kind::set},
      {"reset x", kind::reset},
      {"reset all", kind::reset_all},
      {"reset \"all\"", kind::reset},
      {"prepare a as select 1", kind::prepare},
      {"prepare transaction 'x'", kind::prepare_transaction},
      {"prepare transaction as select 1", kind::prepare},
      {"execute a", kind::execute},
      {"explain execute a", kind::execute},
      {"explain analyze verbose execute a(1)", kind::execute},
      {"explain (analyze, format json) execute a", kind::execute},
      {"explain select 1", kind::other},
      {"explain (select 1)", kind::other},
      {"create table t as execute a", kind::execute},
      {"create temp table if not exists t (x) with (fillfactor=70) on commit drop as execute a(1) with no data",
       kind::execute},
      {"explain analyze create table t as execute a", kind::execute},
      {"create table t as select 1 as execute", kind::other},
      {"create table t (a int generated always as (1) stored)", kind::other},
      {"create function f() returns void as 'x'", kind::other},
      {"deallocate a", kind::deallocate},
      {"deallocate prepare a", kind::deallocate},
      {"deallocate prepare", kind::deallocate},
      {"deallocate all", kind::deallocate_all},
      {"deallocate prepare all", kind::deallocate_all},
      {"deallocate \"all\"", kind::deallocate},
      {"discard all", kind::discard_all},
      {"discard plans", kind::discard},
      {"discard temp", kind::discard},
      {"begin", kind::begin},
      {"begin isolation level serializable", kind::begin},
      {"start transaction", kind::begin},
      {"commit", kind::commit},
      {"end work", kind::commit},
      {"commit prepared 'x'", kind::other},
      {"rollback", kind::rollback},
      {"abort", kind::rollback},
      {"rollback and chain", kind::rollback},
      {"rollback prepared 'x'", kind::other},
      {"rollback to savepoint a", kind::savepoint},
      {"rollback work to a", kind::savepoint},
      {"rollback transaction to savepoint a", kind::savepoint},
      {"savepoint a", kind::savepoint},
      {"release a", kind::savepoint},
      {"listen a", kind::listen},
      {"unlisten a", kind::unlisten},
      {"unlisten *", kind::unlisten_all},
      {"declare c cursor for select 1", kind::declare_cursor},
      {"load 'x'", kind::load},
      {"do $$ begin end $$", kind::other},
      {"set", kind::set},
      {"prepare", kind::prepare},
      {"execute", kind::execute},
      {"explain (", kind::other},
      {"prepare a (int", kind::prepare},
  };
  for (const auto& [sql, expected] : cases) {
    BOOST_TEST((only(sql).kind == expected), sql);
    const auto spaced = "/* a */ -- b\n " + std::string{sql} + " ; ";
    BOOST_TEST((only(spaced).kind == expected), spaced);
  }
}

BOOST_AUTO_TEST_CASE(names_are_told_as_written_and_as_folded) {
  struct row {
    const char* sql;
    const char* token;
    const char* name;
  };
  const row rows[] = {
      {"prepare Foo as select 1", "Foo", "foo"},
      {"prepare \"Foo\"\"x\" as select 1", "\"Foo\"\"x\"", "Foo\"x"},
      {"execute Foo(1, 2)", "Foo", "foo"},
      {"deallocate prepare Foo", "Foo", "foo"},
      {"deallocate prepare", "prepare", "prepare"},
      {"deallocate all", "", ""},
      {"explain analyze execute Foo", "Foo", "foo"},
      {"create table t as execute Foo", "Foo", "foo"},
      {"set DateStyle to iso", "DateStyle", "datestyle"},
      {"set \"DateStyle\"=iso", "\"DateStyle\"", "datestyle"},
      {"set session work_mem to 1", "work_mem", "work_mem"},
      {"set session.x to 1", "session.x", "session.x"},
      {"set session to 1", "session", "session"},
      {"set local.x = 1", "local.x", "local.x"},
      {"set local My . \"Var\" to 1", "My . \"Var\"", "my.var"},
      {"set time zone 'UTC'", "time zone", "timezone"},
      {"set local time zone 'UTC'", "time zone", "timezone"},
      {"set session TIME /**/ ZONE 'UTC'", "TIME /**/ ZONE", "timezone"},
      {"set names 'latin1'", "names", "client_encoding"},
      {"set schema 'a'", "schema", "search_path"},
      {"set role none", "role", "role"},
      {"set role to x", "role", "role"},
      {"set session authorization bob", "session authorization", "session_authorization"},
      {"set session session authorization bob", "session authorization", "session_authorization"},
      {"set local session authorization default", "session authorization", "session_authorization"},
      {"set xml option document", "xml option", "xmloption"},
      {"set sort_mem to 1", "sort_mem", "work_mem"},
      {"set session characteristics as transaction read only", "", ""},
      {"reset time zone", "time zone", "timezone"},
      {"reset session authorization", "session authorization", "session_authorization"},
      {"reset transaction isolation level", "transaction isolation", "transaction_isolation"},
      {"reset Search_Path", "Search_Path", "search_path"},
      {"reset all", "", ""},
      {"listen Ch", "Ch", "ch"},
      {"unlisten \"Ch\"", "\"Ch\"", "Ch"},
      {"declare C binary cursor for select 1", "C", "c"},
      {"set role", "role", "role"},
  };
  for (const auto& row : rows) {
    const auto statement = only(row.sql);
    BOOST_TEST((statement.name_token == row.token), row.sql << ": " << statement.name_token);
    BOOST_TEST((statement.name == row.name), row.sql << ": " << statement.name);
  }
}

BOOST_AUTO_TEST_CASE(names_are_cut_as_postgres_cuts_them) {
  const std::string longest(63, 'a');
  BOOST_TEST((fold_identifier(std::string(70, 'A')) == longest));
  BOOST_TEST((fold_identifier('"' + std::string(70, 'A') + '"') == std::string(63, 'A')));
  BOOST_TEST((fold_identifier(std::string(62, 'a') + "\xc3\xa4") == std::string(62, 'a')));
  BOOST_TEST((fold_identifier(std::string(61, 'a') + "\xc3\xa4") == std::string(61, 'a') + "\xc3\xa4"));
  BOOST_TEST((fold_identifier("\"\"\"\"") == "\""));
  BOOST_TEST((fold_identifier("\"") == "\""));
  BOOST_TEST((fold_identifier("") == ""));
}

BOOST_AUTO_TEST_CASE(prepare_is_taken_apart) {
  auto statement = only("prepare a (int, numeric(10,2)) as select $1, $2 ; ");
  BOOST_TEST((statement.types == "int, numeric(10,2)"));
  BOOST_TEST((statement.body == "select $1, $2"));
  statement = only("PREPARE a AS/**/insert into t values (1)");
  BOOST_TEST((statement.types == ""));
  BOOST_TEST((statement.body == "insert into t values (1)"));
  BOOST_TEST((only("prepare a").body == ""));
  BOOST_TEST((only("prepare a (int").types == "int"));
  BOOST_TEST((only("execute a (1, 'x)')").body == "(1, 'x)')"));
  BOOST_TEST((only("execute a").body == ""));
}

BOOST_AUTO_TEST_CASE(B050_B051_values_of_set) {
  BOOST_TEST((only("set x to 'a', b ;").body == "'a', b"));
  BOOST_TEST((only("set x=1").body == "1"));
  BOOST_TEST((only("set time zone interval '1' hour to minute").body == "interval '1' hour to minute"));
  for (const auto* sql :
       {"set x to default", "set x = DEFAULT", "set x=default", "set local x to default", "set time zone local",
        "set time zone default", "set names", "set names default", "set session authorization default"})
    BOOST_TEST(only(sql).to_default, sql);
  for (const auto* sql : {"set x to 'default'", "set x to \"default\"", "set x to default, a", "set x to",
                          "set x to local", "set role none", "set names 'utf8'", "reset x"})
    BOOST_TEST(!only(sql).to_default, sql);
}

// -- state that no tag shows
// -------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B053_B068_B070_state_that_no_tag_shows) {
  for (const auto* sql : {
           "select set_config('a', 'b', false)",
           "select pg_catalog . SET_CONFIG /* x */ ('a', 'b', false)",
           "select \"set_config\"('a', 'b', false)",
           "select U&\"set\\005fconfig\"('a', 'b', false)",
           "select pg_advisory_lock(1)",
           "select pg_try_advisory_lock_shared(1)",
           "select set_limit(0.2)",
           "select query_to_xml('select set_config(''a'', ''b'', false)', true, true, '')",
           "prepare a as select set_config('a', 'b', false)",
           "create temp table t (a int)",
           "create temporary view v as select 1",
           "CREATE OR REPLACE LOCAL TEMP VIEW v AS select 1",
           "create global temporary sequence s",
           "create temp table t as select 1 as a on commit drop",
           "create temp view v as select on commit drop",
           "explain analyze create temp table t as select 1",
           "select 1 into temp t",
           "select 1 into local temporary table t from a",
           "with a as (select 1) select * into temp b from a",
           "create table pg_temp.t (a int)",
           "create function \"pg_temp\".f() returns int language sql as 'select 1'",
           "create temp table t as execute a",
           "declare c cursor with hold for select 1",
           "declare c no scroll cursor with /**/ hold for select 1",
           "do $$ begin set x to 1; end $$",
           "do 'begin execute ''listen a''; end'",
           "do language plpgsql $$ begin perform pg_advisory_lock(1); end $$",
           "do $$ begin create temp table t (a int); end $$",
           "set session characteristics as transaction read only",
           "select 1temp into temp t",
       })
    BOOST_TEST(only(sql).leaves_state, sql);
}

BOOST_AUTO_TEST_CASE(B056_what_leaves_nothing_is_not_suspected) {
  for (const auto* sql : {
           "select 1",
           "select pg_advisory_xact_lock(1)",
           "select pg_try_advisory_xact_lock_shared(1)",
           "select temp from t",
           "select temperature, template from attempts",
           "insert into temp values (1)",
           "select 'create temp table t'",
           "insert into t values ('select 1 into temp x')",
           "create temp table t (a int) on commit drop",
           "create temp table t on commit drop as select 1 as a",
           "create table t (temp int)",
           "declare c cursor without hold for select 1",
           "declare c cursor for select 1",
           "do $$ begin raise notice 'hello'; end $$",
           "create table t as execute a",
           "update t set a = 1",
           "set x to 1",
           "u & \"x\"",
       })
    BOOST_TEST(!only(sql).leaves_state, sql);
}

// -- the quick look
// ----------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(look_passes_over_what_nearly_every_query_is) {
  const std::string rows(8000, 'x');
  for (const std::string& sql : std::initializer_list<std::string>{
           "", "select 1", "select 1;", " select 1 ; \n ;", "/* set */ select 1", "-- set\nselect 1",
           "insert into t values ('" + rows + "')", "update t set a = 1 where b = $1", "begin", "COMMIT",
           "start transaction", "rollback to a", "select temperature from attempts", "with a as (select 1) select 1"})
    BOOST_TEST(!look(sql).interesting, sql.substr(0, 40));
}

BOOST_AUTO_TEST_CASE(look_stops_at_what_a_scan_would_find) {
  for (const auto* sql :
       {"set x to 1", "/**/RESET x", "prepare a as select 1", "execute a", "deallocate a", "discard all", "listen a",
        "unlisten a", "declare c cursor for select 1", "load 'x'", "do 'x'", "explain execute a",
        "create table t as execute a", ";set x to 1", "select 1;set x to 1", "select set_config('a','b',false)",
        "select PG_ADVISORY_LOCK(1)", "select 1 into temp t"})
    BOOST_TEST(look(sql).interesting, sql);
  // Wherever the word lies between the vector's lanes.
  for (std::size_t padding = 0; padding < 40; ++padding) {
    const auto blanks = std::string(padding, ' ');
    for (const auto* word : {"set_config", "advisory_lock", "into temp x", "into temporary x", "pg_temp.x", ";x"})
      BOOST_TEST(look("select " + blanks + word).interesting, blanks << word);
    for (const auto* word : {"set_config()", "advisory_lock()", "pg_temp_3.x", "; x"})
      BOOST_TEST(look("select " + blanks + word + blanks + "yyyyyyyyyyyyyyyyyyyyyyyyyyy").interesting, blanks << word);
  }
}

BOOST_AUTO_TEST_CASE(look_never_passes_over_what_a_scan_finds) {
  constexpr std::string_view pieces[] = {"set",        "SET",
                                         "reset",      "all",
                                         "prepare",    "execute",
                                         "Deallocate", "discard",
                                         "listen",     "unlisten",
                                         "declare",    "explain",
                                         "create",     "table",
                                         "temp",       "TEMPORARY",
                                         "into",       "as",
                                         "with",       "hold",
                                         "cursor",     "for",
                                         "load",       "do",
                                         "begin",      "commit",
                                         "rollback",   "to",
                                         "select",     "insert",
                                         "set_config", "pg_try_advisory_lock",
                                         "pg_temp",    "advisory_lock",
                                         "atomic",     "function",
                                         "end",        "case",
                                         " ",          " ",
                                         " ",          " ",
                                         "\n",         "\t",
                                         ";",          ";",
                                         ";",          "'",
                                         "\"",         "''",
                                         "$$",         "$a$",
                                         "a",          "x",
                                         "1",          "12",
                                         "$1",         "$",
                                         "--",         "--\n",
                                         "/*",         "*/",
                                         "/",          "*",
                                         "(",          ")",
                                         "\\",         "E'",
                                         "u&\"",       "U&'",
                                         "e",          "u",
                                         "&",          "=",
                                         ".",          ",",
                                         "\xc3\xa4",   "_",
                                         "or",         "replace",
                                         "local",      "on",
                                         "drop",       "abcdefgh"};
  std::mt19937 random{20240607};
  std::size_t found = 0;
  for (int round = 0; round < 300'000; ++round) {
    std::string sql;
    for (auto count = random() % 14; count > 0; --count) {
      sql += pieces[random() % std::size(pieces)];
      if (random() % 3 == 0) sql += ' ';
    }
    for (const bool standard : {true, false}) {
      if (!worth_a_scan(scan(sql, false, standard))) continue;
      ++found;
      if (!look(sql).interesting) BOOST_ERROR("passed over: " << sql);
    }
  }
  BOOST_TEST(found > 10'000u);
}

BOOST_AUTO_TEST_CASE(views_lie_in_the_text_and_in_order) {
  std::mt19937 random{7};
  constexpr std::string_view pieces[] = {"prepare ", "a", "(", ")", " as ", ";", "'", "\"", " set ", "to ", "$$", "/*"};
  for (int round = 0; round < 20'000; ++round) {
    std::string sql;
    for (auto count = random() % 12; count > 0; --count)
      sql += pieces[random() % std::size(pieces)];
    const char* at = sql.data();
    for (const auto& statement : scan(sql, false).statements) {
      BOOST_TEST_REQUIRE((at <= statement.text.data()), sql);
      at = statement.text.data() + statement.text.size();
      BOOST_TEST_REQUIRE((at <= sql.data() + sql.size()), sql);
      BOOST_TEST_REQUIRE(!statement.text.empty(), sql);
      for (const auto part : {statement.name_token, statement.body, statement.types})
        if (!part.empty())
          BOOST_TEST_REQUIRE((part.data() >= statement.text.data() && part.data() + part.size() <= at), sql);
    }
  }
}

// -- replacing
// ---------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B058_B084_names_are_replaced_in_place) {
  const std::string_view sql = "prepare a as select 'a'; execute \"A\"(1); explain execute a; deallocate a;";
  std::vector<name_replacement> replacements;
  for (const auto& statement : scan(sql, false).statements)
    replacements.push_back({statement.name_token, "p\"" + statement.name});
  BOOST_TEST(
      (replace_names(sql, replacements) ==
       "prepare \"p\"\"a\" as select 'a'; execute \"p\"\"A\"(1); explain execute \"p\"\"a\"; deallocate \"p\"\"a\";"));
  BOOST_TEST((replace_names(sql, {}) == sql));
  // A token out of another text, or none, changes nothing.
  const std::string other = "a";
  const name_replacement foreign[] = {{other, "b"}, {{}, "c"}};
  BOOST_TEST((replace_names(sql, foreign) == sql));
  BOOST_TEST((replace_names("", foreign) == ""));
}

BOOST_AUTO_TEST_SUITE_END()

// -- command tags
// --------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_SUITE(command_tag)

BOOST_AUTO_TEST_CASE(effects_of_tags) {
  const std::pair<const char*, tag_effect> cases[] = {
      {"SELECT 1", tag_effect::none},
      {"INSERT 0 1", tag_effect::none},
      {"UPDATE 3", tag_effect::none},
      {"DELETE 0", tag_effect::none},
      {"SELECT", tag_effect::none},
      {"", tag_effect::none},
      {"S", tag_effect::none},
      {"COPY 5", tag_effect::none},
      {"SETTING", tag_effect::none},
      {"SET", tag_effect::set},
      {"SET CONSTRAINTS", tag_effect::none},
      {"RESET", tag_effect::reset},
      {"LISTEN", tag_effect::listen},
      {"UNLISTEN", tag_effect::unlisten},
      {"PREPARE", tag_effect::prepare},
      {"PREPARE TRANSACTION", tag_effect::prepare_transaction},
      {"DEALLOCATE", tag_effect::deallocate},
      {"DEALLOCATE ALL", tag_effect::deallocate_all},
      {"DISCARD ALL", tag_effect::discard_all},
      {"DISCARD TEMP", tag_effect::discard},
      {"DISCARD PLANS", tag_effect::discard},
      {"DISCARD SEQUENCES", tag_effect::discard},
      {"DECLARE CURSOR", tag_effect::declare_cursor},
      {"CLOSE CURSOR ALL", tag_effect::close_cursor},
      {"LOAD", tag_effect::load},
      {"BEGIN", tag_effect::begin},
      {"START TRANSACTION", tag_effect::begin},
      {"COMMIT", tag_effect::commit},
      {"COMMIT PREPARED", tag_effect::none},
      {"ROLLBACK", tag_effect::rollback},
      {"ROLLBACK PREPARED", tag_effect::none},
      {"SAVEPOINT", tag_effect::savepoint},
      {"DO", tag_effect::procedural},
      {"CALL", tag_effect::procedural},
      {"CREATE TABLE", tag_effect::ddl},
      {"ALTER TABLE", tag_effect::ddl},
      {"DROP FUNCTION", tag_effect::ddl},
  };
  for (const auto& [tag, expected] : cases)
    BOOST_TEST((classify_tag(tag) == expected), tag);
}

BOOST_AUTO_TEST_SUITE_END()
