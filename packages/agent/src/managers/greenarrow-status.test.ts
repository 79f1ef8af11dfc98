import { readFileSync } from 'node:fs'
import { GreenarrowDefinition, type GreenarrowMta, type State } from '@filo/protocol'
import { describe, expect, test } from 'vitest'
import { judgeMta, judgePostgres, readGreenarrowStatus } from './greenarrow-status.ts'

/** What the manual shows of an MTA that is up. */
const up = readFileSync(new URL('fixtures/greenarrow/up.txt', import.meta.url), 'utf8')
const mta = GreenarrowDefinition.parse({ kind: 'greenarrow', part: 'mta' }) as GreenarrowMta

/** All that `hvmail_init stop` ends is down; what is apart stays as it is. */
const down = up
  .replaceAll(/^(ram|bounce|disk)( +)yes( +)yes( +)(yes|n\/a)/gm, '$1$2no$3no$4no')
  .replace('STATUS: up', 'STATUS: down')
  .replaceAll(/^(hvmail-(?!httpd|postgres|studio-worker)\S+ +)UP/gm, '$1DOWN')

/** Judges a table whose disk queue is in that state to supervise, and whose other components nobody has seen. */
function judge(text: string, diskQueue: State = 'running', others: Readonly<Record<string, State>> = {}) {
  const supervised = new Map(Object.entries({ 'hvmail-disk-qmail-send': diskQueue, ...others }))
  return judgeMta(readGreenarrowStatus(text)!, supervised, mta)
}

function withRow(text: string, name: string, cells: string): string {
  return text.replace(new RegExp(`^${name} .*$`, 'm'), `${name}  ${cells}`)
}

describe('the table', () => {
  test('that the manual shows is read to its last component', () => {
    const status = readGreenarrowStatus(up)!
    expect(status).toMatchObject({ overall: 'up', license: 'current' })
    expect(status.queues).toEqual([
      { name: 'ram', isStarted: true, hasOkFile: true, hasRamdisk: true },
      { name: 'bounce', isStarted: true, hasOkFile: true, hasRamdisk: true },
      { name: 'disk', isStarted: true, hasOkFile: true, hasRamdisk: true },
    ])
    expect(status.components).toHaveLength(29)
    expect(status.components.at(-1)).toEqual({ name: 'hvmail-tls', primary: 'UP', log: 'UP' })
    expect(status.components.find(({ name }) => name === 'hvmail-dnscache')).toEqual({
      name: 'hvmail-dnscache',
      primary: 'DOWN',
    })
  })

  test('is read the same however its columns are spaced', () => {
    expect(readGreenarrowStatus(up.replaceAll(/\s+/g, ' '))).toEqual(readGreenarrowStatus(up))
  })

  test.each([
    ['nothing', ''],
    ['an error', 'hvmail_init: you must be root\n'],
    ['a table that breaks off before the components', up.slice(0, up.indexOf('SERVICES'))],
    ['a table without components', up.slice(0, up.indexOf('hvmail-bounce'))],
    ['a line that is no row', up.replace('hvmail-rpc ', 'cannot look at hvmail-rpc: ')],
    ['a queue that is neither started nor not', up.replace('bounce  yes', 'bounce  perhaps')],
  ])('is not believed where %s is printed', (_, text) => {
    expect(readGreenarrowStatus(text)).toBeUndefined()
  })
})

describe('the MTA', () => {
  test('runs when all is up but what is down by design', () => {
    expect(judge(up)).toMatchObject({ state: 'running', live: 'yes' })
  })

  test('runs whether or not what is apart from it does', () => {
    for (const name of mta.apart)
      expect(judge(withRow(up, name, 'DOWN UP'))).toMatchObject({ state: 'running' })
  })

  test.each([
    ['a component', withRow(up, 'hvmail-rpc', 'DOWN UP'), 'hvmail-rpc DOWN'],
    ["a component's log", withRow(up, 'hvmail-rpc', 'UP DOWN'), "hvmail-rpc's log DOWN"],
    ['its overall status', up.replace('STATUS: up', 'STATUS: down'), 'overall status down'],
    ['a queue', up.replace(/^ram +yes/m, 'ram no'), 'queue ram not ready'],
    ['a queue without its RAM disk', up.replace(/^(ram.*)yes$/m, '$1no'), 'queue ram not ready'],
  ])('is neither up nor down because of %s, which is named', (_, text, named) => {
    const seen = judge(text)
    expect(seen).toMatchObject({ state: 'failed', live: 'yes' })
    expect(seen.detail).toContain(named)
  })

  test('is stopped when all is down, whatever is apart from it', () => {
    expect(judge(down, 'stopped')).toMatchObject({ state: 'stopped', live: 'no' })
  })

  test('is live while one component is up, even one that may be down', () => {
    const seen = judge(withRow(down, 'hvmail-dnscache', 'UP'), 'stopped')
    expect(seen).toMatchObject({ state: 'failed', live: 'yes' })
    expect(seen.detail).toMatch(/up: hvmail-dnscache$/)
  })

  test('is stopped while its disk queue ends, and warns of it', () => {
    const table = withRow(down, 'hvmail-disk-qmail-send', 'UP UP')
    for (const text of [down, table]) {
      const seen = judge(text, 'stopping')
      expect(seen).toMatchObject({ state: 'stopped', live: 'no' })
      expect(seen.warnings).toHaveLength(1)
    }
  })

  test('is not stopped while its disk queue runs, or while nobody can tell', () => {
    expect(judge(down, 'running')).toMatchObject({ state: 'failed', live: 'yes' })
    expect(judge(down, 'unknown')).toMatchObject({ state: 'unknown', live: 'unknown' })
  })

  test('does not run while its disk queue ends', () => {
    expect(judge(up, 'stopping')).toMatchObject({ state: 'failed', live: 'yes' })
  })

  test.each(['starting', 'failed', 'stopping'] as const)(
    'does not run while one of its components is %s, though the table has it UP',
    (state) => {
      const seen = judge(up, 'running', { 'hvmail-rpc': state })
      expect(seen).toMatchObject({ state: 'failed', live: 'yes' })
      expect(seen.detail).toContain(`hvmail-rpc ${state}`)
    },
  )

  test('is unknown where a component is in a state that has no known word', () => {
    expect(judge(withRow(down, 'hvmail-rpc', 'PAUSED UP'), 'stopped')).toMatchObject({
      state: 'unknown',
      live: 'unknown',
    })
  })

  test('warns of a license that is not current', () => {
    const seen = judge(up.replace('LICENSE: current', 'LICENSE: expired 3 days ago'))
    expect(seen).toMatchObject({ state: 'running', warnings: ["GreenArrow's license: expired 3 days ago"] })
  })
})

test.each([
  ['UP UP', 'running', 'yes'],
  ['DOWN UP', 'stopped', 'no'],
  ['FLAPPING UP', 'unknown', 'unknown'],
])('PostgreSQL with "%s" is %s, live: %s', (cells, state, live) => {
  const status = readGreenarrowStatus(withRow(up, 'hvmail-postgres', cells))!
  expect(judgePostgres(status, 'hvmail-postgres')).toMatchObject({ state, live })
})

test('PostgreSQL that is not among the components is missing', () => {
  expect(judgePostgres(readGreenarrowStatus(up)!, 'hvmail-pgsql')).toMatchObject({ state: 'missing' })
})
