// node-postgres: what its users do, through whatever listens at PGHOST and PGPORT.
import { check, failure, mode, require, run, sleep } from './cases.mjs'

const pg = require('pg')
const Cursor = require('pg-cursor')
const table = `node_postgres_${mode}`

async function connected(work, settings = {}) {
  const client = new pg.Client(settings)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

const values = async (client, text, parameters) =>
  (await client.query({ text, values: parameters, rowMode: 'array' })).rows

await run({
  queries_with_parameters: () => connected(async (client) => {
    for (let n = 0; n < 50; n++)
      check(await values(client, 'select $1::int + 1, $2::text', [n, `text ${n}`]), [[n + 1, `text ${n}`]])
    const both = await client.query('select 1 as a; select 2 as b')
    check(both.map((result) => result.rows), [[{ a: 1 }], [{ b: 2 }]])
  }),

  types_both_ways: () => connected(async (client) => {
    const moment = new Date('2026-01-02T03:04:05.006Z')
    const all = [[true, 'bool'], [7, 'int4'], ['1099511627776', 'int8'], ['12345678901234567890.123', 'numeric'],
      [1.5, 'float8'], ['ünïcödé \u{1f418}', 'text'], [Buffer.from([0, 255, 1]), 'bytea'], [moment, 'timestamptz'],
      [['a', null, 'quo"te'], 'text[]'], [[[1, 2], [3, 4]], 'int4[]'], [{ a: [1, null] }, 'jsonb'], [null, 'text']]
    for (const [value, type] of all)
      check(await values(client, `select $1::${type}`, [value]), [[value]])
  }),

  B077_prepared_statements: () => connected((one) => connected(async (two) => {
    for (let n = 0; n < 30; n++)
      for (const client of [one, two]) {
        const text = client === one ? 'select $1::int * 2 as n' : 'select $1::int * 3 as n'
        const result = await client.query({ name: 'same name', text, values: [n] })
        check(result.rows, [{ n: n * (client === one ? 2 : 3) }])
      }
  })),

  transactions_and_savepoints: () => connected(async (client) => {
    await client.query(`drop table if exists ${table}`)
    await client.query(`create table ${table} (n int primary key)`)
    await client.query('begin')
    await client.query(`insert into ${table} values ($1)`, [1])
    await client.query('rollback')
    await client.query('begin')
    await client.query(`insert into ${table} values ($1)`, [2])
    await client.query('savepoint s')
    check((await failure(client.query(`insert into ${table} values ($1)`, [2]))).code, '23505')
    check((await failure(client.query('select 1'))).code, '25P02')
    await client.query('rollback to s')
    await client.query('commit')
    check(await values(client, `select n from ${table}`), [[2]])
  }),

  errors_leave_the_connection_usable: () => connected(async (client) => {
    for (const [bad, code] of [['selec 1', '42601'], ['select 1/0', '22012'], ['select * from nothing', '42P01']])
      for (const query of [bad, { text: bad, values: [] }, { name: 'n' + code, text: bad }]) {
        check((await failure(client.query(query))).code, code)
        check(await values(client, 'select 1'), [[1]])
      }
  }),

  B099_queries_sent_at_once: () => connected(async (client) => {
    const all = []
    for (let n = 0; n < 300; n++) all.push(values(client, 'select $1::int', [n]))
    check((await Promise.all(all)).map((rows) => rows[0][0]), [...Array(300).keys()])
  }),

  B113_cancel: () => connected((client) => connected(async (other) => {
    await client.query('begin')
    const pid = (await values(client, 'select pg_backend_pid()'))[0][0]
    const cancelled = failure(client.query('select pg_sleep(30)'))
    await sleep(300)
    await other.query('select pg_cancel_backend($1)', [pid])
    check((await cancelled).code, '57014')
    await client.query('rollback')
    // The driver's own way: a second connection with the key of the first.
    const late = failure(client.query('select pg_sleep(30)'))
    await sleep(300)
    const requester = new pg.Connection({})
    requester.connect(Number(process.env.PGPORT), process.env.PGHOST)
    requester.on('connect', () => requester.cancel(client.processID, client.secretKey))
    check((await late).code, '57014')
    check(await values(client, 'select 1'), [[1]])
  })),

  B066_listen_and_notify: () => connected((listener) => connected(async (sender) => {
    const heard = []
    const done = new Promise((resolve) => listener.on('notification', (message) => {
      heard.push(message.payload)
      if (message.payload === 'stop') resolve()
    }))
    await listener.query('listen node_channel')
    await sender.query("select pg_notify('node_channel', $1)", ['hello'])
    await sender.query('begin; notify node_channel; rollback')
    await sender.query("notify node_channel, 'stop'")
    await done
    check(heard, ['hello', 'stop'])
  })),

  B096_cursors_with_row_limits: () => connected(async (client) => {
    await client.query('begin')
    const cursor = client.query(new Cursor('select generate_series(1, $1::int) as n', [1000]))
    let sum = 0
    for (let rows = await cursor.read(70); rows.length > 0; rows = await cursor.read(70))
      for (const row of rows) sum += row.n
    check(sum, 500500)
    await cursor.close()
    const early = client.query(new Cursor('select generate_series(1, 1000) as n'))
    check((await early.read(2)).map((row) => row.n), [1, 2])
    await early.close()
    await client.query('commit')
    // Outside a transaction the cursor keeps its batch open until it is closed.
    const alone = client.query(new Cursor('select generate_series(1, 10) as n'))
    check((await alone.read(3)).length, 3)
    check((await alone.read(30)).length, 7)
    await alone.close()
    check(await values(client, 'select 1'), [[1]])
  }),

  big_values: () => connected(async (client) => {
    const text = '0123456789abcdef'.repeat(1 << 20)
    check((await values(client, "select $1::text || '!'", [text]))[0][0] === text + '!', true)
    const data = Buffer.alloc(10_000_000, 'pg_edge\0')
    check((await values(client, 'select $1::bytea', [data]))[0][0].equals(data), true)
    check((await values(client, "select n, repeat('x', 50) from generate_series(1, 100000) n")).length, 100000)
  }),

  B192_many_short_connections: async () => {
    for (let start = 0; start < 200; start += 10)
      await Promise.all([...Array(10).keys()].map((n) => connected(async (client) => {
        check(await values(client, 'select $1::int', [start + n]), [[start + n]])
      })))
  },

  its_own_pool: async () => {
    const pool = new pg.Pool({ max: 8 })
    const answers = await Promise.all([...Array(200).keys()].map((n) => pool.query('select $1::int as n', [n])))
    check(answers.map((answer) => answer.rows[0].n), [...Array(200).keys()])
    await pool.end()
  },

  B153_the_console_as_a_monitor_reads_it: async () => {
    if (mode === 'direct') return
    await connected(async (client) => {
      for (const name of [undefined, 'kept']) {
        const pools = await client.query({ text: 'SHOW POOLS', name })
        check(pools.rows.at(-1).database, 'pgbouncer')
        check(typeof pools.rows.at(-1).cl_active, 'number')
        check((await client.query('SHOW STATE')).rows[0], { key: 'active', value: 'yes' })
      }
      const lists = await client.query('SHOW LISTS')
      check(lists.rows.every((row) => typeof row.items === 'number'), true)
    }, { database: 'pgbouncer' })
  },
})
