// node-postgres in the matrix of logins; matrix_driver.py says what a line in and a line out are. Its events show what
// pg_edge asked for, which stands after the values of an answer.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { require } from './cases.mjs'

const { Client } = require('pg')
const ca = readFileSync(process.env.MATRIX_CA)
const who = 'select current_user::text, (40 + 2)::text, ' +
  '(select ssl::text from pg_stat_ssl where pid = pg_backend_pid())'

async function answer([, port, database, user, password, tls, bound, certificate]) {
  const files = certificate === '-' ? {} :
    { cert: readFileSync(certificate + '.crt'), key: readFileSync(certificate + '.key') }
  const client = new Client({
    host: '127.0.0.1', port: Number(port), database, user, password, connectionTimeoutMillis: 20_000,
    ssl: tls === 'tls' ? { ca, ...files } : false, enableChannelBinding: bound === 'bound',
  })
  client.on('error', () => {}) // what follows the first error
  // node-postgres can prefer channel binding but not insist on it, so that is done here.
  let asked = 'nothing'
  const unbound = () => bound === 'bound' && asked !== 'SCRAM-SHA-256-PLUS'
  client.connection.on('authenticationCleartextPassword', () => { asked = 'password' })
  client.connection.on('authenticationMD5Password', () => { asked = 'md5' })
  client.connection.on('authenticationSASLContinue', () => { asked = client.saslSession.mechanism })
  try {
    await client.connect()
    if (unbound()) return ['error', '', `no channel binding: but ${asked}`]
    const values = [...(await client.query({ text: who, rowMode: 'array' })).rows[0]]
    for (const number of [7, 8]) {
      const query = { name: 'next', text: 'select ($1::int + 1)::text', values: [number], rowMode: 'array' }
      values.push(...(await client.query(query)).rows[0])
    }
    return ['answer', values.join('|'), asked]
  } catch (error) {
    if (asked !== 'nothing' && unbound()) return ['error', '', `no channel binding: but ${asked}`]
    return ['error', error.severity ? error.code : '', String(error.message).replace(/\s+/g, ' ')]
  } finally {
    await client.end().catch(() => {})
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const one = line.split('\t')
  console.log([one[0], ...await answer(one)].join('\t'))
}
