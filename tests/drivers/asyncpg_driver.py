"""asyncpg: what its users do, through whatever listens at PGHOST and PGPORT."""

import asyncio
import datetime
import decimal
import io
import uuid

import asyncpg

from cases import case, check, mode, run

table = f"asyncpg_{mode}"


async def fresh_table(connection):
    await connection.execute(f"drop table if exists {table}; create table {table} (n int primary key, t text)")


class connected:
    """A connection that is closed with the block."""

    async def __aenter__(self):
        self.connection = await asyncpg.connect()
        return self.connection

    async def __aexit__(self, *_):
        await self.connection.close()


async def expect(kind, work):
    try:
        await work
    except kind as error:
        return error
    raise AssertionError("no error came")


@case
async def queries_with_parameters():
    async with connected() as connection:
        for n in range(50):
            row = await connection.fetchrow("select $1::int + 1, $2::text", n, f"text {n}")
            check(tuple(row), (n + 1, f"text {n}"))
        check(await connection.execute("select 1; select 2"), "SELECT 1")


@case
async def types_both_ways():
    values = [True, 7, 2**40, decimal.Decimal("12345678901234567890.123"), 1.5, "ünïcödé \U0001f418", b"\0\xff\x01",
              datetime.date(2026, 11, 23), datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc),
              datetime.timedelta(days=3, seconds=4), uuid.UUID(int=42), ["a", None, 'quo"te'], [[1, 2], [3, 4]],
              '{"a": 1}', None]
    types = ["bool", "int4", "int8", "numeric", "float8", "text", "bytea", "date", "timestamptz", "interval", "uuid",
             "text[]", "int4[]", "jsonb", "text"]
    async with connected() as connection:
        for value, kind in zip(values, types):
            check(await connection.fetchval(f"select $1::{kind}", value), value)
        # A type it must first ask the server about, with statements of its own.
        await connection.execute(f"drop type if exists {table}_mood; create type {table}_mood as enum ('sad', 'glad')")
        check(await connection.fetchval(f"select array[$1::{table}_mood]", "glad"), ["glad"])


@case
async def B077_prepared_statements():
    async with connected() as one, connected() as two:
        first, second = await one.prepare("select $1::int * 2"), await two.prepare("select $1::int * 2")
        check([column.type.name for column in first.get_attributes()], ["int4"])
        for n in range(30):
            check(await first.fetchval(n), 2 * n)
            check(await second.fetchval(n), 2 * n)


@case
async def B090_more_statements_than_asyncpg_keeps():
    connection = await asyncpg.connect(statement_cache_size=3)
    try:
        for n in range(40):
            check(await connection.fetchval(f"select {n % 7} + $1::int", n), n % 7 + n)
    finally:
        await connection.close()


@case
async def B089_no_statement_cache():
    connection = await asyncpg.connect(statement_cache_size=0)
    try:
        for n in range(40):
            check(await connection.fetchval("select $1::int", n), n)
    finally:
        await connection.close()


@case
async def transactions_and_savepoints():
    async with connected() as connection:
        await fresh_table(connection)
        try:
            async with connection.transaction():
                await connection.execute(f"insert into {table} values (1, 'not kept')")
                raise KeyError("away")
        except KeyError:
            pass
        async with connection.transaction(isolation="serializable"):
            await connection.execute(f"insert into {table} values ($1, $2)", 2, "kept")
            try:
                async with connection.transaction():
                    await connection.execute(f"insert into {table} values ($1, $2)", 2, "twice")
            except asyncpg.UniqueViolationError:
                pass
            check(await connection.fetchval(f"select count(*) from {table}"), 1)
        check(await connection.fetchval(f"select t from {table}"), "kept")


@case
async def errors_leave_the_connection_usable():
    async with connected() as connection:
        for bad, kind in (("selec 1", asyncpg.PostgresSyntaxError), ("select 1/0", asyncpg.DivisionByZeroError),
                          ("select * from no_such_table", asyncpg.UndefinedTableError)):
            await expect(kind, connection.execute(bad))
            await expect(kind, connection.fetch(bad))
            check(await connection.fetchval("select 1"), 1)


@case
async def B093_a_table_changes_under_prepared_statements():
    async with connected() as connection, connected() as other:
        await fresh_table(connection)
        check(await connection.fetch(f"select * from {table}"), [])
        await other.execute(f"alter table {table} add column more int; insert into {table} values (1, 'x', 2)")
        # asyncpg hears of it by Postgres's own error and prepares anew.
        check([tuple(row) for row in await connection.fetch(f"select * from {table}")], [(1, "x", 2)])
        async with connected() as third:
            check([tuple(row) for row in await third.fetch(f"select * from {table}")], [(1, "x", 2)])


@case
async def B106_copy():
    rows = [(n, f"row\t{n}\n\\") for n in range(5000)]
    async with connected() as connection:
        await fresh_table(connection)
        check(await connection.copy_records_to_table(table, records=rows), "COPY 5000")
        sink = io.BytesIO()
        await connection.copy_from_query(f"select n from {table} where n < $1 order by n", 3, output=sink)
        check(sink.getvalue(), b"0\n1\n2\n")
        await expect(asyncpg.UniqueViolationError, connection.copy_records_to_table(table, records=rows))
        await connection.copy_to_table(table, source=io.BytesIO(b"9000\tlast\n"))
        check(await connection.fetchval(f"select count(*) from {table}"), 5001)


@case
async def B102_pipelines():
    async with connected() as connection:
        await fresh_table(connection)
        # executemany binds and executes in one go, in one implicit transaction.
        await connection.executemany(f"insert into {table} values ($1, $2)", [(n, str(n)) for n in range(2000)])
        await expect(asyncpg.UniqueViolationError,
                     connection.executemany(f"insert into {table} values ($1, $2)", [(5000, "a"), (1, "b")]))
        check(await connection.fetchval(f"select count(*) from {table}"), 2000)


@case
async def B113_cancel():
    async with connected() as connection:
        await expect(asyncio.TimeoutError, connection.fetch("select pg_sleep(30)", timeout=0.3))
        check(await connection.fetchval("select 1"), 1)


@case
async def B066_listen_and_notify():
    async with connected() as listener, connected() as sender:
        heard = asyncio.Queue()
        await listener.add_listener("asyncpg_channel", lambda *notification: heard.put_nowait(notification[-1]))
        await sender.execute("select pg_notify('asyncpg_channel', 'hello')")
        await sender.execute("notify asyncpg_channel, 'stop'")
        check([await asyncio.wait_for(heard.get(), 10) for _ in range(2)], ["hello", "stop"])
        await listener.reset()


@case
async def B096_cursors():
    async with connected() as connection:
        async with connection.transaction():
            numbers = [row[0] async for row in connection.cursor("select generate_series(1, $1::int)", 1000,
                                                                 prefetch=70)]
            check(numbers, list(range(1, 1001)))
            cursor = await connection.cursor("select generate_series(1, 10)")
            check((await cursor.fetchrow())[0], 1)
            await cursor.forward(4)
            check([row[0] for row in await cursor.fetch(2)], [6, 7])


@case
async def big_values():
    async with connected() as connection:
        text = "0123456789abcdef" * (1 << 20)
        check(await connection.fetchval("select $1::text || '!'", text) == text + "!", True)
        data = bytes(range(256)) * 40000
        check(await connection.fetchval("select $1::bytea", data) == data, True)
        check(len(await connection.fetch("select n, repeat('x', 50) from generate_series(1, 100000) n")), 100000)


@case
async def B192_many_short_connections():
    async def one(n):
        async with connected() as connection:
            check(await connection.fetchval("select $1::int", n), n)

    for start in range(0, 200, 10):
        await asyncio.gather(*(one(n) for n in range(start, start + 10)))


@case
async def its_own_pool():
    async with asyncpg.create_pool(min_size=2, max_size=8) as pool:
        async def one(n):
            async with pool.acquire() as connection:
                async with connection.transaction():
                    check(await connection.fetchval("select $1::int + 1", n), n + 1)

        await asyncio.gather(*(one(n) for n in range(200)))


@case
async def B153_the_console_as_a_monitor_reads_it():
    if mode == "direct":
        return
    connection = await asyncpg.connect(database="pgbouncer")
    try:
        lists = {row["list"]: row["items"] for row in await connection.fetch("SHOW LISTS")}
        check(isinstance(lists["used_clients"], int), True)
        for _ in range(3):
            pools = await connection.fetch("SHOW POOLS")
            check(pools[-1]["database"], "pgbouncer")
            check(isinstance(pools[-1]["cl_active"], int), True)
            for row in await connection.fetch("SHOW STATS"):
                check(isinstance(row["total_query_count"], decimal.Decimal), True)
            check(len(await connection.fetch("SHOW CONFIG")) > 50, True)
    finally:
        await connection.close()


run()
