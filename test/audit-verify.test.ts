import { existsSync, globSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { AuditEvent, TrailVerdict } from '@filo/protocol'
import picocolors from 'picocolors'
import { expect, test } from 'vitest'
import { verifyAudit } from '../packages/coordinator/src/cli/audit-verify.ts'
import type { Output } from '../packages/coordinator/src/cli/context.ts'
import { Dice } from './support/dice.ts'
import { entriesOf } from './support/entries-of.ts'
import { schemaOf } from './support/event-schema.ts'
import { Forger, tamperings, writeChain, writeCopy, type Forgery } from './support/forger.ts'
import { fourInARow } from './support/fleet-file.ts'
import { localFleet, type LocalFleet } from './support/local-fleet.ts'
import { bringUp, newestRun } from './support/run-of.ts'
import { tempDir } from './support/temp-dir.ts'

const times = Number(process.env['FILO_TAMPERINGS'] ?? 1000)
const seed = Number(process.env['FILO_SEED'] ?? 1)

/** The journal and the ledgers of a fleet. */
function databases(fleet: LocalFleet): string[] {
  const state = join(fleet.path, '.state', 'test')
  return [join(state, 'journal.db'), ...globSync(join(state, 'hosts', '*', 'ledger.db')).toSorted()]
}

/** As a consumer would write it: each source's events in order, those of all sources by time. */
function copyOf(all: readonly AuditEvent[]): AuditEvent[] {
  return all.toSorted((a, b) => a.time.localeCompare(b.time))
}

/** `filo audit verify --json FILE…`, in this process: how it exits and what it prints. */
function verify(files: readonly string[]): TrailVerdict & { readonly code: number } {
  let printed = ''
  const write = (text: string): void => void (printed += text)
  const colors = picocolors.createColors(false)
  const output: Output = { isTerminal: false, colors, columns: 80, rows: 24, write }
  const code = verifyAudit(
    {
      environment: {},
      cwd: '/',
      file: undefined,
      state: undefined,
      format: 'json',
      stdout: output,
      stderr: output,
      operator: 'auditor',
      canAsk: false,
      ask: async () => false,
    },
    files,
    { allow: [] },
  )
  return { ...(JSON.parse(printed) as TrailVerdict), code }
}

/** The furthest entry of each source that another source was told of. */
function keptHeads(all: readonly AuditEvent[]): Map<string, number> {
  const kept = new Map<string, number>()
  for (const { source, sequence } of all.flatMap(({ data }) => data.heads ?? [])) {
    kept.set(source, Math.max(sequence, kept.get(source) ?? 0))
  }
  return kept
}

/** Whether a fault says where the forger has been. @param isExact only the very entry will do. */
function isNamed({ faults }: TrailVerdict, path: string, forgery: Forgery, isExact: boolean): boolean {
  const { source, sequence, line } = forgery
  return faults.some((fault) => {
    const places = [`line ${line}`, `number ${line} in table audit_event`]
    if (fault.document === path && places.includes(fault.place)) return true
    if (fault.source !== source) return false
    if (fault.sequence === sequence) return true
    // Not of each entry is somebody told: the next of which one was shows it.
    return !isExact && fault.sequence! > sequence && /written anew/.test(fault.why)
  })
}

test(`each of ${times} tamperings of a stored chain or a consumer's file is found, and its place named`, async () => {
  await using fleet = localFleet()
  await bringUp(fleet)
  expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
  expect(await fleet.filo('restart', 'app', '--yes')).toMatchObject({ code: 0 })
  using dir = tempDir()
  const chains = databases(fleet).map((path) => ({ path, events: entriesOf(path) }))
  const all = chains.flatMap(({ events }) => events)
  const whole = copyOf(all)
  const copy = join(dir.path, 'consumer.jsonl')
  writeCopy(
    copy,
    whole.map((event) => Buffer.from(`${JSON.stringify(event)}\n`)),
  )
  const databasesOf = (): string[] => chains.map(({ path }) => path)
  expect(verify([...databasesOf(), copy])).toMatchObject({ code: 0, faults: [] })

  const known = { byCopy: new Map(all.map(({ source }) => [source, Infinity])), byHeads: keptHeads(all) }
  const dice = new Dice(seed)
  const forger = new Forger(dice)
  const missed: string[] = []
  const tried = new Map<string, number>()
  for (let time = 0; time < times; time += 1) {
    const how = tamperings[time % tamperings.length]!
    const isOfCopy = dice.happens(0.4)
    const chain = dice.pick(chains)
    const path = join(dir.path, isOfCopy ? 'forged.jsonl' : 'forged.db')
    const alone = !isOfCopy && dice.happens(0.5)
    const forgery = forger.tamper(how, isOfCopy ? whole : chain.events, alone ? known.byHeads : known.byCopy)
    if (isOfCopy) writeCopy(path, forgery.lines)
    else writeChain(path, chain.events[0]!.source, forgery.lines)
    const others = databasesOf().filter((database) => isOfCopy || database !== chain.path)
    const verdict = verify([...others, ...(isOfCopy || alone ? [] : [copy]), path])
    const way = `${how} ${isOfCopy ? 'copy' : 'chain'}`
    tried.set(way, (tried.get(way) ?? 0) + 1)
    if (verdict.code !== 2 || !isNamed(verdict, path, forgery, !alone)) {
      const { source, sequence, line } = forgery
      const where = `${source} number ${sequence}, line ${line} of ${path}${alone ? ', no copy' : ''}`
      missed.push(`${time} ${how} at ${where}: ${JSON.stringify(verdict.faults)}`)
    }
  }
  expect(missed, `FILO_SEED=${seed}`).toEqual([])
  const ways = tamperings.flatMap((how) => [`${how} chain`, `${how} copy`])
  for (const way of ways) expect(tried.get(way), way).toBeGreaterThan(times / ways.length / 2)
})

test('every event of a run is what the shipped JSON Schema of its type says', async () => {
  await using fleet = localFleet({ ...fourInARow, app: { needs: 'db', more: 'stop_timeout: 500ms' } })
  await bringUp(fleet)
  fleet.services.behave('app', { status: 4 })
  expect(await fleet.filo('stop', '--yes', '--patience', '1s', '--reason', 'to see')).toMatchObject({
    code: 3,
  })
  const run = await newestRun(fleet)
  await fleet.filo('waive', run, 'stop app@app-host', '--reason', 'gone')
  expect(await fleet.filo('resume', run, '--yes')).toMatchObject({ code: 7 })
  const events = databases(fleet).flatMap(entriesOf)
  for (const event of events) {
    const schema = schemaOf(event.type)
    expect(schema.safeParse(event).error, JSON.stringify(event)).toBeUndefined()
    expect(schema.safeParse({ ...event, data: { ...event.data, more: 1 } }).success, event.type).toBe(false)
  }
  const types = new Set(events.map(({ type }) => type))
  expect(types.size, [...types].join()).toBeGreaterThanOrEqual(12)
})

test("an end that was cut off and written anew is found by what the other side was told, without anybody's copy", async () => {
  await using fleet = localFleet()
  await bringUp(fleet)
  const [journal, ...ledgers] = databases(fleet)
  for (const path of ledgers) {
    const kept = keptHeads(entriesOf(journal!)).get(entriesOf(path)[0]!.source)
    // All but the last, by which it was given back: nobody waits for an answer to that.
    expect(kept, 'what an agent has written is known to the coordinator').toBe(entriesOf(path).length - 1)
  }
  const told = Math.max(
    ...ledgers.map((path) => keptHeads(entriesOf(path)).get(entriesOf(journal!)[0]!.source)!),
  )
  const ended = entriesOf(journal!).findIndex(({ type }) => type === 'filo.run.ended')
  expect(told, 'the end of the run is known to its agents').toBeGreaterThan(ended)
})

test('verify names what was tampered with and exits with 2, and with 0 where all is as it was written', async () => {
  await using fleet = localFleet()
  await bringUp(fleet)
  const intact = await fleet.filo('audit', 'verify')
  expect(intact).toMatchObject({ code: 0, stderr: '' })
  expect(intact.stdout).toMatch(/^\/agents\/db-host +1–\d+ +intact/m)
  expect(intact.stdout).toMatch(/^\/coordinators\/\S+ +1–\d+ +intact/m)

  const [journal] = databases(fleet)
  const file = join(fleet.path, 'consumer.jsonl')
  const lines = entriesOf(journal!).map((event) => JSON.stringify(event))
  const { source } = entriesOf(journal!)[0]!
  writeFileSync(
    file,
    lines.map((line, at) => `${at === 4 ? line.replace('success', 'failure') : line}\n`).join(''),
  )
  const changed = await fleet.filo('audit', 'verify', journal!, file)
  expect(changed.code).toBe(2)
  expect(changed.stdout).toContain(`${source} number 5 (${file}, line 5) is not what was hashed`)

  const all = copyOf(databases(fleet).flatMap(entriesOf)).map((event) => JSON.stringify(event))
  writeFileSync(file, [...all.slice(1, 6), ...all.slice(4)].map((line) => `${line}\n`).join(''))
  expect(await fleet.filo('audit', 'verify', file)).toMatchObject({ code: 2 })
  const allowed = await fleet.filo('audit', 'verify', file, '--allow', 'beginning', '--allow', 'repeats')
  expect(allowed).toMatchObject({ code: 0, stdout: expect.stringMatching(/\(\d came again\)/) as string })
})

test('verify exits with 3 where a file cannot be read, and with 4 where there is nothing to verify', async () => {
  await using fleet = localFleet()
  const empty = join(fleet.path, 'empty.jsonl')
  writeFileSync(empty, '')
  expect(await fleet.filo('audit', 'verify')).toMatchObject({ code: 4 })
  expect(await fleet.filo('audit', 'verify', empty)).toMatchObject({ code: 4 })
  expect(await fleet.filo('audit', 'verify', 'nowhere.jsonl')).toMatchObject({ code: 3 })
  await bringUp(fleet)
  const ledger = databases(fleet).at(-1)!
  expect(existsSync(ledger)).toBe(true)
  using db = new DatabaseSync(ledger)
  db.exec('pragma locking_mode = exclusive; begin exclusive')
  const locked = await fleet.filo('audit', 'verify', ledger)
  expect(locked).toMatchObject({
    code: 3,
    stderr: expect.stringContaining('systemctl stop filo-agent') as string,
  })
})
