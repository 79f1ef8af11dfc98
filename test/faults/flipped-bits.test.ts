import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { DamagedDatabase, systemClock } from '@filo/protocol'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { aDraft } from '../../packages/protocol/src/testing-audit.ts'
import { Ledger } from '../../packages/agent/src/ledger.ts'
import { Journal } from '../../packages/coordinator/src/engine/journal.ts'
import { localFleet } from '../support/local-fleet.ts'
import { bringUp } from '../support/run-of.ts'
import { tempDir, type TempDir } from '../support/temp-dir.ts'
import { Dice } from '../support/dice.ts'

// One bit is flipped in the files of a real journal and a real ledger, left behind by a kill -9 in the midst of a
// run: most of what they hold is still in their write-ahead logs. Each flip is found when the file is opened, with its
// place; or it is proven to mean nothing: every row of every table reads as before, and the database goes on.

const seed = Number(process.env['FILO_SEED'] ?? 1)
const flips = Number(process.env['FILO_FLIPS'] ?? 1000)

/** A database as a crash left it: the bytes of each of its files, by their endings. */
interface Remains {
  readonly name: string
  readonly files: ReadonlyMap<string, Buffer>
  /** Opens it as its owner does, writes something, and closes it. */
  goOn(path: string): void
}

let dir: TempDir
let remains: Remains[]
beforeAll(async () => {
  dir = tempDir()
  remains = await leaveRemains()
})
afterAll(() => dir[Symbol.dispose]())

const note = aDraft()

function openJournal(path: string): Journal {
  return Journal.open({ locks: dir.path, journal: path }, systemClock, randomUUID)
}

/** What a run that ended leaves, and what one leaves that was killed in the midst of it. */
async function leaveRemains(): Promise<Remains[]> {
  await using fleet = localFleet()
  const state = join(fleet.path, '.state', 'test')
  const read = (when: string): Remains[] => [
    {
      name: `ledger.db ${when}`,
      files: readAll(join(state, 'hosts', 'mail-host', 'ledger.db')),
      goOn(path: string) {
        using ledger = Ledger.open(path, 'mail-host', systemClock, randomUUID)
        ledger.note(note)
      },
    },
    {
      name: `journal.db ${when}`,
      files: readAll(join(state, 'journal.db')),
      goOn(path: string) {
        using journal = openJournal(path)
        for (const { run } of journal.runs(10)) journal.append(run, journal.events(run).slice(0, 1), [note])
      },
    },
  ]
  await bringUp(fleet)
  const closed = read('after its end')
  fleet.services.hold('mail')
  await using stop = fleet.start(['stop', '--yes'])
  await fleet.services.untilAsked('mail', 'stop')
  stop.signal('SIGKILL')
  await stop.ended
  const killed = read('after a kill -9')
  fleet.services.letGo('mail')
  return [...closed, ...killed]
}

/** The files of a database by what is added to its name. */
function readAll(path: string): Map<string, Buffer> {
  const endings = ['', '-wal', '-mark'].filter((ending) => existsSync(path + ending))
  return new Map(endings.map((ending) => [ending, readFileSync(path + ending)]))
}

function lay(files: ReadonlyMap<string, Buffer>): string {
  const path = join(dir.path, 'flipped', 'a.db')
  rmSync(join(dir.path, 'flipped'), { recursive: true, force: true })
  mkdirSync(join(dir.path, 'flipped'))
  for (const [ending, bytes] of files) writeFileSync(path + ending, bytes)
  return path
}

/** Every row of every table, as SQLite reads them; what SQLite says where it cannot. */
function dump(path: string): string {
  using db = new DatabaseSync(path)
  db.function('row_sum', { varargs: true, deterministic: true }, () => 0)
  const tables = db.prepare("select name from sqlite_schema where type = 'table' order by name").all()
  return JSON.stringify(tables.map(({ name }) => [name, db.prepare(`select * from ${String(name)}`).all()]))
}

interface Flip {
  readonly of: Remains
  readonly ending: string
  readonly byte: number
  readonly bit: number
}

/** Some fall where bytes are few and matter most: the header, and the mark beside the database. */
function throwFlip(dice: Dice): Flip {
  const of = dice.pick(remains)
  const ending = dice.happens(0.05)
    ? '-mark'
    : dice.pick([...of.files.keys()].filter((one) => one !== '-mark'))
  const last = of.files.get(ending)!.length - 1
  return {
    of,
    ending,
    byte: dice.between(0, dice.happens(0.1) ? Math.min(last, 99) : last),
    bit: dice.between(0, 7),
  }
}

/** What is made of a flip: where it was found, or `meaningless`. Throws where neither is so. */
function judge({ of, ending, byte, bit }: Flip, whole: string): DamagedDatabase | 'meaningless' {
  const flipped = Buffer.from(of.files.get(ending)!)
  flipped[byte]! ^= 1 << bit
  const files = new Map([...of.files, [ending, flipped]])
  const path = lay(files)
  try {
    of.goOn(path)
  } catch (error) {
    if (error instanceof DamagedDatabase) return error
    throw error
  }
  of.goOn(path)
  if (dump(lay(files)) !== whole) throw new Error('it was opened, and reads otherwise')
  return 'meaningless'
}

test(`each of ${flips} flipped bits is found at start with its place, or changes nothing that can be read`, () => {
  const dice = new Dice(seed)
  const whole = new Map(remains.map((one) => [one, dump(lay(one.files))]))
  const counts = new Map<string, number>()
  const missed: string[] = []
  for (let at = 0; at < flips; at += 1) {
    const flip = throwFlip(dice)
    const what = `bit ${flip.bit} of byte ${flip.byte} of ${flip.of.name}${flip.ending && ` (${flip.ending})`}`
    try {
      const verdict = judge(flip, whole.get(flip.of)!)
      const key = `${flip.of.name}${flip.ending && ` (${flip.ending})`}: ${verdict === 'meaningless' ? verdict : 'found'}`
      counts.set(key, (counts.get(key) ?? 0) + 1)
    } catch (error) {
      missed.push(`${what}: ${String(error)}`)
    }
  }
  const told = [...counts].map(([key, count]) => `${key} ${count}\n`)
  process.stderr.write(told.toSorted().join(''))
  expect(missed, `FILO_SEED=${seed}`).toEqual([])
  const found = [...counts.keys()].filter((key) => key.endsWith(': found'))
  expect(found.length, 'files in which flips were found').toBe(
    remains.flatMap(({ files }) => [...files]).length,
  )
}, 600_000)
