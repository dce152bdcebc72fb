"""psycopg 3: what its users do, through whatever listens at PGHOST and PGPORT."""

import datetime
import decimal
import threading
import time
import uuid

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from cases import case, check, mode, run

table = sql.Identifier(f"psycopg_{mode}")


def connect(**settings):
    return psycopg.connect("", **settings)


def fresh_table(connection, columns="n int primary key, t text"):
    with connection.transaction():
        connection.execute(sql.SQL("drop table if exists {}").format(table))
        connection.execute(sql.SQL("create table {} ({})").format(table, sql.SQL(columns)))


@case
def queries_with_parameters():
    with connect(autocommit=True) as connection:
        for n in range(50):
            check(connection.execute("select %s::int + 1, %s", (n, f"text {n}")).fetchone(), (n + 1, f"text {n}"))
        check(connection.execute("select 1; select 2").fetchone(), (1,))


@case
def types_both_ways():
    values = [True, 7, 2**40, decimal.Decimal("12345678901234567890.123"), 1.5, "ünïcödé \U0001f418", b"\0\xff\x01",
              datetime.date(2026, 11, 23), datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc),
              datetime.timedelta(days=3, seconds=4), uuid.UUID(int=42), ["a", None, 'quo"te'], [[1, 2], [3, 4]], None]
    types = ["bool", "int4", "int8", "numeric", "float8", "text", "bytea", "date", "timestamptz", "interval", "uuid",
             "text[]", "int4[]", "text"]
    with connect(autocommit=True) as connection:
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            for value, kind in zip(values, types):
                check(cursor.execute(f"select %s::{kind}", (value,)).fetchone()[0], value)
        check(connection.execute("select %s::jsonb", (Jsonb({"a": [1, None]}),)).fetchone()[0], {"a": [1, None]})


@case
def B077_prepared_statements():
    with connect(autocommit=True) as one, connect(autocommit=True) as two:
        for connection in (one, two):
            connection.prepare_threshold = 0
        for n in range(30):
            for connection in (one, two):
                check(connection.execute("select %s::int * 2", (n,)).fetchone(), (2 * n,))
                check(connection.execute("select %s::text", (str(n),), prepare=True).fetchone(), (str(n),))


@case
def B084_more_statements_than_psycopg_keeps():
    with connect(autocommit=True) as connection:
        connection.prepare_threshold = 0
        connection.prepared_max = 3  # older ones are deallocated
        for n in range(40):
            check(connection.execute(f"select {n % 7}, %s::int", (n,)).fetchone(), (n % 7, n))


@case
def transactions_and_savepoints():
    with connect() as connection:
        fresh_table(connection)
        insert = sql.SQL("insert into {} values (%s, %s)").format(table)
        count = sql.SQL("select count(*) from {}").format(table)
        connection.commit()
        connection.execute(insert, (1, "kept"))
        connection.commit()
        connection.execute(insert, (2, "not kept"))
        connection.rollback()
        with connection.transaction():
            connection.execute(insert, (3, "kept"))
            try:
                with connection.transaction():
                    connection.execute(insert, (3, "twice"))
            except psycopg.errors.UniqueViolation:
                pass
            check(connection.execute(count).fetchone(), (2,))
        check(connection.execute(count).fetchone(), (2,))


@case
def errors_leave_the_connection_usable():
    with connect(autocommit=True) as connection:
        for bad, kind in (("selec 1", psycopg.errors.SyntaxError), ("select 1/0", psycopg.errors.DivisionByZero),
                          ("select * from no_such_table", psycopg.errors.UndefinedTable)):
            for parameters in (None, ()):
                try:
                    connection.execute(bad, parameters, prepare=parameters is not None)
                    raise AssertionError("no error came")
                except kind as error:
                    check(bool(error.diag.message_primary), True)
                check(connection.execute("select 1").fetchone(), (1,))


@case
def B106_copy():
    rows = [(n, f"row\t{n}\n\\") for n in range(5000)]
    with connect() as connection:
        fresh_table(connection)
        with connection.cursor() as cursor:
            with cursor.copy(sql.SQL("copy {} from stdin").format(table)) as copy:
                for row in rows:
                    copy.write_row(row)
            with cursor.copy(sql.SQL("copy (select * from {} order by n) to stdout").format(table)) as copy:
                copy.set_types(["int4", "text"])
                check(list(copy.rows()), rows)
            try:
                with cursor.copy(sql.SQL("copy {} from stdin").format(table)) as copy:
                    copy.write_row(rows[0])
                raise AssertionError("no error came")
            except psycopg.errors.UniqueViolation:
                connection.rollback()
            try:
                with cursor.copy("copy no_such_table from stdin"):
                    pass
                raise AssertionError("no error came")
            except psycopg.errors.UndefinedTable:
                connection.rollback()
        check(connection.execute("select 1").fetchone(), (1,))


@case
def B102_pipelines():
    with connect(autocommit=True) as connection:
        with connection.pipeline() as pipeline:
            cursors = [connection.execute("select %s::int", (n,)) for n in range(200)]
            pipeline.sync()
            check([cursor.fetchone()[0] for cursor in cursors], list(range(200)))
        try:
            with connection.pipeline():
                connection.execute("select 1")
                connection.execute("select 1/0")
                skipped = connection.execute("select 2")
            raise AssertionError("no error came")
        except psycopg.errors.DivisionByZero:
            pass
        check(connection.execute("select 3").fetchone(), (3,))
        fresh_table(connection)
        with connection.cursor() as cursor:
            cursor.executemany(sql.SQL("insert into {} values (%s, %s)").format(table), [(n, "x") for n in range(500)])
        check(connection.execute(sql.SQL("select count(*) from {}").format(table)).fetchone(), (500,))


@case
def B113_cancel():
    with connect(autocommit=True) as connection:
        timer = threading.Timer(0.3, connection.cancel)
        timer.start()
        began = time.monotonic()
        try:
            connection.execute("select pg_sleep(30)")
            raise AssertionError("no error came")
        except psycopg.errors.QueryCanceled:
            check(time.monotonic() - began < 20, True)
        timer.join()
        check(connection.execute("select 1").fetchone(), (1,))


@case
def B066_listen_and_notify():
    with connect(autocommit=True) as listener, connect(autocommit=True) as sender:
        listener.execute("listen psycopg_channel")
        sender.execute("select pg_notify('psycopg_channel', 'hello')")
        with sender.transaction(force_rollback=True):
            sender.execute("notify psycopg_channel, 'never'")
        sender.execute("notify psycopg_channel, 'stop'")
        heard = []
        for notification in listener.notifies():
            heard.append(notification.payload)
            if notification.payload == "stop":
                break
        check(heard, ["hello", "stop"])
        listener.execute("unlisten *")


@case
def server_side_cursors():
    with connect() as connection:
        with connection.cursor("named") as cursor:
            cursor.itersize = 100
            cursor.execute("select * from generate_series(1, %s) n", (1000,))
            check(cursor.fetchmany(3), [(1,), (2,), (3,)])
            check(sum(row[0] for row in cursor), 1000 * 1001 // 2 - 6)
        with connection.cursor("scrolls", scrollable=True) as cursor:
            cursor.execute("select * from generate_series(1, 10) n")
            cursor.scroll(5)
            check(cursor.fetchone(), (6,))


@case
def big_values():
    with connect(autocommit=True) as connection:
        text = "0123456789abcdef" * (1 << 20)
        check(connection.execute("select %s::text || '!'", (text,)).fetchone()[0] == text + "!", True)
        data = bytes(range(256)) * 40000
        cursor = connection.cursor(binary=True)
        check(cursor.execute("select %b::bytea", (data,)).fetchone()[0] == data, True)
        check(len(connection.execute("select n, repeat('x', 50) from generate_series(1, 100000) n").fetchall()), 100000)


@case
def B192_many_short_connections():
    for n in range(200):
        with connect() as connection:
            check(connection.execute("select %s::int", (n,)).fetchone(), (n,))


@case
def settings_at_start_up():
    with connect(options="-c datestyle=german -c search_path=elsewhere", application_name="psy",
                 autocommit=True) as connection, connect(autocommit=True) as other:
        for _ in range(3):
            check(connection.execute("show datestyle").fetchone(), ("German, DMY",))
            check(connection.execute("show search_path").fetchone(), ("elsewhere",))
            check(connection.execute("show application_name").fetchone(), ("psy",))
            check(other.execute("show search_path").fetchone(), ('"$user", public',))


@case
def B153_the_console_as_a_monitor_reads_it():
    if mode == "direct":
        return
    for prepare in (False, True):
        with connect(dbname="pgbouncer", autocommit=True) as connection:
            for binary in (False, True):
                cursor = connection.cursor(binary=binary)
                lists = dict(cursor.execute("SHOW LISTS", prepare=prepare).fetchall())
                check(isinstance(lists["used_clients"], int), True)
                cursor.execute("SHOW STATS", prepare=prepare)
                names = [column.name for column in cursor.description]
                check(names[:3], ["database", "total_server_assignment_count", "total_xact_count"])
                for row in cursor.fetchall():
                    check({type(value) for value in row[1:25]}, {decimal.Decimal})
                pools = cursor.execute("SHOW POOLS", prepare=prepare).fetchall()
                check(pools[-1][0], "pgbouncer")
                check({type(value) for value in pools[-1][2:15]}, {int})


run()
