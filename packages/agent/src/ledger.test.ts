import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { Database, systemClock, type Act } from '@filo/protocol'
import { expect, onTestFinished, test } from 'vitest'
import { aDraft } from '../../protocol/src/testing-audit.ts'
import { tempDir } from '../../../test/support/temp-dir.ts'
import { Ledger, ledgerSchema, LedgerInUse } from './ledger.ts'

const run = 'r20260101-000000-test'
const event = aDraft(run)

function makePath(): string {
  const dir = tempDir()
  onTestFinished(() => dir[Symbol.dispose]())
  return join(dir.path, 'ledger.db')
}

function open(path: string): Ledger {
  return Ledger.open(path, 'h1', systemClock, randomUUID)
}

function act(grant: number): Act {
  return {
    fleet: 'test',
    host: 'h1',
    coordinator: randomUUID(),
    operator: 'x',
    nonce: randomUUID(),
    head: null,
    run,
    step: 'stop web@h1',
    action: randomUUID(),
    verb: 'stop',
    service: 'web',
    definition: '0'.repeat(64),
    grant,
    beacon: '',
  }
}

function start(ledger: Ledger, command: Act): unknown {
  const at = { command: '0'.repeat(64), boot: randomUUID(), startedAtMs: 0 }
  return ledger.start(command, at, () => undefined, event)
}

test('what was started, finished and sealed is remembered by the next process, under the same id', () => {
  const path = makePath()
  const [done, open_, barred] = [act(1), act(1), randomUUID()]
  let id: string
  {
    using ledger = open(path)
    id = ledger.id
    start(ledger, done)
    ledger.finish(done.action, { outcome: 'changed', reason: '', durationMs: 1 }, event)
    start(ledger, open_)
    ledger.seal(barred, run, 1, event)
  }
  using ledger = open(path)
  expect(ledger.id).toBe(id)
  expect(ledger.record(done.action)).toMatchObject({ status: 'finished', ending: { outcome: 'changed' } })
  expect(ledger.openActions().map(({ action }) => action)).toEqual([open_.action])
  expect(ledger.record(barred).status).toBe('sealed')
})

test('an action is not started twice, and not after an objection', () => {
  using ledger = open(makePath())
  const command = act(1)
  const at = { command: '0'.repeat(64), boot: randomUUID(), startedAtMs: 0 }
  expect(ledger.start(command, at, () => 'no', event)).toBe('no')
  expect(ledger.record(command.action).status).toBe('never-heard')
  start(ledger, command)
  expect(() => start(ledger, command)).toThrow(/UNIQUE/)
})

test('a ledger has one owner, and one host', () => {
  const path = makePath()
  using _ledger = open(path)
  expect(() => open(path)).toThrow(LedgerInUse)
  _ledger[Symbol.dispose]()
  expect(() => Ledger.open(path, 'h2', systemClock, randomUUID)).toThrow('the ledger of host h1, not of h2')
})

test('what may have been forgotten is not barred, for it may have started', () => {
  const path = makePath()
  const old = act(1)
  {
    using ledger = open(path)
    start(ledger, old)
    ledger.finish(old.action, { outcome: 'changed', reason: '', durationMs: 1 }, event)
  }
  {
    // As many more as a ledger remembers, sent under a later grant.
    using db = Database.open(path, { schema: ledgerSchema })
    const insert = `
      with recursive n (i) as (select 1 union all select i + 1 from n where i < 10000)
      insert into action (id, run, grant_number, step, verb, service, coordinator, operator, command, boot, started_at_ms, status)
      select 'action ' || i, '', 2, '', '', '', '', '', '', '', 0, 'sealed' from n
    `
    db.transaction(() => db.sql.exec(insert))
  }
  using ledger = open(path)
  ledger.seal(randomUUID(), run, 2, event)
  expect(ledger.record(old.action).status).toBe('never-heard')
  expect(ledger.seal(old.action, run, 1, event).status).toBe('forgotten')
  expect(ledger.seal(randomUUID(), run, 2, event).status).toBe('sealed')
})
