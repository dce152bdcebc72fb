// postgres.js: what its users do, through whatever listens at PGHOST and PGPORT. It pipelines and prepares by itself.
import { check, failure, mode, require, run, sleep } from './cases.mjs'

const postgres = require('postgres')
const table = `postgres_js_${mode}`

async function connected(work, settings = {}) {
  const sql = postgres({ max: 4, onnotice: () => {}, ...settings })
  try {
    return await work(sql)
  } finally {
    await sql.end({ timeout: 5 })
  }
}

await run({
  queries_with_parameters: () => connected(async (sql) => {
    for (let n = 0; n < 50; n++)
      check([...await sql`select ${n}::int + 1 as a, ${'text ' + n} as b`], [{ a: n + 1, b: `text ${n}` }])
    check((await sql`select 1 as a; select 2 as b`.simple()).map((rows) => rows[0]), [{ a: 1 }, { b: 2 }])
  }),

  types_both_ways: () => connected(async (sql) => {
    const moment = new Date('2026-01-02T03:04:05.006Z')
    await sql`select 1` // it asks for the types of arrays first
    const [row] = await sql`select ${true}::bool as b, ${7}::int4 as i, ${'1099511627776'}::int8 as l,
      ${1.5}::float8 as f, ${'ünïcödé \u{1f418}'}::text as t, ${Buffer.from([0, 255, 1])}::bytea as d,
      ${moment}::timestamptz as z, ${['a', 'quo"te']}::text[] as a, ${sql.json({ a: [1, null] })}::jsonb as j,
      ${null}::text as n`
    check({ ...row }, { b: true, i: 7, l: '1099511627776', f: 1.5, t: 'ünïcödé \u{1f418}',
      d: Buffer.from([0, 255, 1]), z: moment, a: ['a', 'quo"te'], j: { a: [1, null] }, n: null })
  }),

  B077_prepared_statements_over_connections: () => connected(async (sql) => {
    for (let round = 0; round < 30; round++) {
      const all = await Promise.all([...Array(8).keys()].map((n) => sql`select ${n}::int * ${round}::int as n`))
      check(all.map((rows) => rows[0].n), [...Array(8).keys()].map((n) => n * round))
    }
  }),

  B089_without_prepared_statements: () => connected(async (sql) => {
    for (let n = 0; n < 40; n++) check([...await sql`select ${n}::int as n`], [{ n }])
  }, { prepare: false }),

  transactions_and_savepoints: () => connected(async (sql) => {
    await sql`drop table if exists ${sql(table)}`
    await sql`create table ${sql(table)} (n int primary key, t text)`
    check((await failure(sql.begin(async (sql) => {
      await sql`insert into ${sql(table)} values (1, 'not kept')`
      throw new Error('away')
    }))).message, 'away')
    await sql.begin(async (sql) => {
      await sql`insert into ${sql(table)} ${sql([{ n: 2, t: 'kept' }, { n: 3, t: 'kept' }])}`
      check((await failure(sql.savepoint((sql) => sql`insert into ${sql(table)} values (2, 'twice')`))).code, '23505')
    })
    check([...await sql`select n from ${sql(table)} order by n`], [{ n: 2 }, { n: 3 }])
  }),

  errors_leave_the_connection_usable: () => connected(async (sql) => {
    for (const [bad, code] of [['selec 1', '42601'], ['select 1/0', '22012'], ['select * from nothing', '42P01']])
      for (let i = 0; i < 3; i++) {
        check((await failure(sql.unsafe(bad))).code, code)
        check((await failure(sql.unsafe(bad, [], { prepare: true }))).code, code)
        check([...await sql`select 1 as n`], [{ n: 1 }])
      }
  }, { max: 1 }),

  B093_a_table_changes_under_prepared_statements: () => connected(async (sql) => {
    await sql.unsafe(`drop table if exists ${table}_ddl; create table ${table}_ddl (n int)`)
    const all = () => sql`select * from ${sql(table + '_ddl')}`
    check([...await all()], [])
    const change = `alter table ${table}_ddl add m int; insert into ${table}_ddl values (1, 2)`
    await connected((other) => other.unsafe(change))
    await all().catch((error) => check(error.code, '0A000')) // Postgres's own error, once, or none
    check([...await connected((other) => other`select * from ${other(table + '_ddl')}`)], [{ n: 1, m: 2 }])
  }, { max: 1 }),

  B102_pipelines: () => connected(async (sql) => {
    const all = await Promise.all([...Array(300).keys()].map((n) => sql`select ${n}::int as n`))
    check(all.map((rows) => rows[0].n), [...Array(300).keys()])
    const mixed = await Promise.allSettled([sql`select 1 as n`, sql`select 1/0 as n`, sql`select 3 as n`])
    check(mixed.map((one) => one.status), ['fulfilled', 'rejected', 'fulfilled'])
  }, { max: 1 }),

  B106_copy: () => connected(async (sql) => {
    await sql.unsafe(`drop table if exists ${table}_copy; create table ${table}_copy (n int, t text)`)
    const sink = await sql`copy ${sql(table + '_copy')} from stdin`.writable()
    await new Promise((resolve, reject) => {
      sink.on('error', reject).on('finish', resolve)
      for (let n = 0; n < 5000; n++) sink.write(`${n}\trow ${n}\n`)
      sink.end()
    })
    const source = await sql`copy (select n from ${sql(table + '_copy')} order by n limit 3) to stdout`.readable()
    let text = ''
    for await (const chunk of source) text += chunk
    check(text, '0\n1\n2\n')
    check([...await sql`select count(*)::int as n from ${sql(table + '_copy')}`], [{ n: 5000 }])
  }, { max: 1 }),

  B113_cancel: () => connected(async (sql) => {
    const query = sql`select pg_sleep(30)`
    const cancelled = failure(query)
    query.execute()
    await sleep(300)
    query.cancel()
    check((await cancelled).code, '57014')
    check([...await sql`select 1 as n`], [{ n: 1 }])
  }, { max: 1 }),

  B066_listen_and_notify: () => connected(async (sql) => {
    const heard = []
    let stop
    const done = new Promise((resolve) => { stop = resolve })
    const { unlisten } = await sql.listen('js_channel', (payload) => {
      heard.push(payload)
      if (payload === 'stop') stop()
    })
    await sql.notify('js_channel', 'hello')
    await sql.notify('js_channel', 'stop')
    await done
    check(heard, ['hello', 'stop'])
    await unlisten()
  }),

  B096_cursors_with_row_limits: () => connected(async (sql) => {
    let sum = 0
    await sql`select generate_series(1, ${1000}::int) as n`.cursor(70, (rows) => {
      for (const row of rows) sum += row.n
    })
    check(sum, 500500)
    for await (const rows of sql`select generate_series(1, 1000) as n`.cursor(10)) {
      check(rows.length, 10)
      break
    }
    check([...await sql`select 1 as n`], [{ n: 1 }])
  }, { max: 1 }),

  B191_many_parameters: () => connected(async (sql) => {
    const all = [...Array(65533).keys()] // one more is the driver's own limit
    check([...await sql`select count(*)::int as n from generate_series(1, 10) g where g in ${sql(all)}`], [{ n: 10 }])
    check((await failure(sql`select 1 where 1 in ${sql([...all, 1, 2])}`)).code, 'MAX_PARAMETERS_EXCEEDED')
  }),

  big_values: () => connected(async (sql) => {
    const text = '0123456789abcdef'.repeat(1 << 20)
    check((await sql`select ${text}::text || '!' as t`)[0].t === text + '!', true)
    const data = Buffer.alloc(10_000_000, 'pg_edge\0')
    check((await sql`select ${data}::bytea as d`)[0].d.equals(data), true)
    check((await sql`select n, repeat('x', 50) from generate_series(1, 100000) n`).length, 100000)
  }),

  B192_many_short_connections: async () => {
    for (let start = 0; start < 200; start += 10)
      await Promise.all([...Array(10).keys()].map((n) => connected(async (sql) => {
        check([...await sql`select ${start + n}::int as n`], [{ n: start + n }])
      }, { max: 1 })))
  },
})
