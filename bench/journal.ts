import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { digest, systemClock } from '@filo/protocol'
import { Journal } from '../packages/coordinator/src/engine/journal.ts'
import { openStateDir } from '../packages/coordinator/src/engine/state-dir.ts'
import { orderRun } from '../packages/coordinator/src/engine/orders.ts'
import { buildTopology } from '../packages/coordinator/src/fleet/topology.ts'
import { planFor } from '../packages/coordinator/src/plan/plan-for.ts'
import type { Plan } from '../packages/coordinator/src/plan/plan.ts'
import { auditOf } from '../packages/coordinator/src/run/audit.ts'
import type { RunEvent } from '../packages/coordinator/src/run/run-event.ts'
import { tempDir } from '../test/support/temp-dir.ts'
import { fleetOf } from './fleet-of.ts'
import { describeMachine, machineLine } from './machine.ts'
import { numbersOf, optionsOf, writeJson } from './options.ts'
import { spread, type Spread } from './spread.ts'

// How many events of a run a journal takes a second, each with the audit event that tells of it, by how many are committed
// together; and how many rows SQLite alone takes, with the same texts, batches and waits for the disk.

const most = 20_000

interface Row {
  readonly batch: number
  /** Events a second. */
  readonly journal: Spread
  readonly bare: Spread
  /** How many times longer the journal takes, of the medians. */
  readonly ratio: number
}

export async function main(args: string[]): Promise<void> {
  const values = optionsOf(args, { batches: '1,10,100,1000', rounds: '5' })
  const plan = planOf()
  const rows: Row[] = []
  for (const batch of numbersOf(values.batches)) {
    const journal: number[] = []
    const bare: number[] = []
    // One commit takes as long as ten: fewer events are enough where each has one of its own.
    const count = Math.min(most, batch * 1000)
    for (let round = 0; round < Number(values.rounds); round += 1) {
      using dir = tempDir()
      bare.push(count / measureBare(dir.path, plan, count, batch))
      journal.push(count / measureJournal(dir.path, plan, count, batch))
    }
    const row = { batch, journal: spread(journal), bare: spread(bare), ratio: 0 }
    rows.push({ ...row, ratio: Math.round((row.bare.median / row.journal.median) * 100) / 100 })
    console.log(line(rows.at(-1)!))
  }
  const machine = describeMachine({
    sqlite: process.versions.sqlite ?? 'unknown',
    disk: process.env['TMPDIR'] ?? '/tmp',
  })
  console.log(machineLine(machine))
  writeJson({ machine, rows }, values.json)
}

/** Seconds: from an event of a run to its being on disk, with the audit event that tells of it. */
function measureJournal(dir: string, plan: Plan, count: number, batch: number): number {
  using journal = Journal.open(openStateDir('bench', dir, process.env), systemClock, randomUUID)
  const { run } = orderRun(journal, plan, 'bench', undefined)
  const began = performance.now()
  for (const numbers of batchesOf(count, batch)) {
    const events = numbers.map((number) => eventOf(plan, number))
    journal.append(
      run,
      events,
      events.map((event) => auditOf(run, plan, event)!),
    )
  }
  return (performance.now() - began) / 1000
}

/** Seconds, for texts of the same lengths in two tables. */
function measureBare(dir: string, plan: Plan, count: number, batch: number): number {
  using db = new DatabaseSync(join(dir, 'bare.db'))
  db.exec('pragma journal_mode = wal; pragma synchronous = full')
  db.exec('create table run_event (number integer primary key, run text not null, event text not null)')
  db.exec('create table audit_event (number integer primary key, event text not null)')
  const insertEvent = db.prepare('insert into run_event (run, event) values (?, ?)')
  const insertAudit = db.prepare('insert into audit_event (event) values (?)')
  const event = JSON.stringify(eventOf(plan, 0))
  const audit = 'x'.repeat(auditBytes)
  const began = performance.now()
  for (const numbers of batchesOf(count, batch)) {
    db.exec('begin immediate')
    for (const _ of numbers) {
      insertEvent.run('run', event)
      insertAudit.run(audit)
    }
    db.exec('commit')
  }
  return (performance.now() - began) / 1000
}

/** What an audit event of a step that is sent takes in the journal. */
const auditBytes = 610

function eventOf(plan: Plan, number: number): RunEvent {
  const id = `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`
  return { type: 'sent', step: number % plan.steps.length, action: id, grant: 1, ledger: id, atMs: number }
}

function* batchesOf(count: number, batch: number): Generator<number[]> {
  for (let first = 0; first < count; first += batch) {
    yield Array.from({ length: Math.min(batch, count - first) }, (_, index) => first + index)
  }
}

/** Of a thousand services on a hundred hosts. */
function planOf(): Plan {
  const hosts = Array.from({ length: 100 }, (_, at) => `h${at}:`)
  const services = Array.from(
    { length: 1000 },
    (_, at) => `  s${at}: { hosts: h${at % 100}, systemd: s${at}.service }`,
  )
  const text = `fleet: bench\nbroker: local\nhosts: { ${hosts.join(', ')} }\nservices:\n${services.join('\n')}\n`
  const intention = { verb: 'stop' as const, selection: [], labels: [], only: false }
  const planned = planFor(buildTopology(fleetOf(text)), intention, { digest })
  if (planned.kind !== 'plan') throw new Error('the generated fleet cannot be planned')
  return planned.plan
}

function line({ batch, journal, bare, ratio }: Row): string {
  const range = ({ median, min, max }: Spread): string =>
    `${Math.round(median)} (${Math.round(min)} to ${Math.round(max)}) events/s`
  return `${String(batch).padStart(5)} a commit: journal ${range(journal).padEnd(38)} SQLite alone ${range(bare).padEnd(40)} ${ratio} times`
}
