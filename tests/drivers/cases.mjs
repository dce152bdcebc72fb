// Runs the cases of a driver's script one by one: "ok NAME" or "FAIL NAME: why" a line.
import { createRequire } from 'node:module'
import { isDeepStrictEqual, inspect } from 'node:util'

export const require = createRequire(process.env.DRIVER_PACKAGES + '/package.json')
export const mode = process.env.POOL_MODE ?? 'direct'
const caseLimit = 60_000

export function check(got, wanted) {
  if (!isDeepStrictEqual(got, wanted))
    throw new Error(`got ${inspect(got).slice(0, 300)}, wanted ${inspect(wanted).slice(0, 300)}`)
}

// The error a promise was rejected with.
export async function failure(promise) {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('no error came')
}

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))

export async function run(cases) {
  let failed = 0
  for (const [name, body] of Object.entries(cases)) {
    let timer
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error('not finished in time')), caseLimit)
    })
    try {
      await Promise.race([body(), late])
      console.log('ok ' + name)
    } catch (error) {
      failed++
      console.log(`FAIL ${name}: ${error?.stack ?? error}`)
    } finally {
      clearTimeout(timer)
    }
  }
  process.exit(failed ? 1 : 0)
}
