import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { expect, onTestFinished, test } from 'vitest'
import { tempDir } from '../../../test/support/temp-dir.ts'
import { Database } from './database.ts'
import type { Schema } from './schema.ts'

const schema: Schema = {
  tables: [
    { name: 'fruit', columns: { number: 'integer primary key', name: 'text not null' }, key: ['number'] },
  ],
}

function makePath(): string {
  const dir = tempDir()
  onTestFinished(() => dir[Symbol.dispose]())
  return join(dir.path, 'a.db')
}

function add(db: Database, name: string): void {
  db.transaction(() => db.sql.prepare('insert into fruit (name) values (?)').run(name))
}

function names(path: string): unknown[] {
  using db = Database.open(path, { schema })
  return db.sql
    .prepare('select name from fruit order by number')
    .all()
    .map(({ name }) => name)
}

/** Three fruit, the last two by a process that was killed: its changes stand in the log only. */
function leave(path: string): void {
  {
    using db = Database.open(path, { schema })
    add(db, 'apple')
  }
  const copy = `${path}.copy`
  {
    using db = Database.open(path, { schema })
    add(db, 'pear')
    db.unsynced(() => db.sql.prepare("insert into fruit (name) values ('plum')").run())
    for (const ending of ['', '-wal', '-mark']) copyFileSync(path + ending, copy + ending)
  }
  for (const ending of ['', '-wal', '-mark']) copyFileSync(copy + ending, path + ending)
}

/** Changes the file as no program of ours would: without its triggers and checksums. */
function meddle(path: string, statement: string): void {
  using db = new DatabaseSync(path)
  db.function('row_sum', { varargs: true, deterministic: true }, () => 0)
  db.exec(statement)
}

test('what was committed before a kill is there, also what did not wait for the disk', () => {
  const path = makePath()
  leave(path)
  expect(names(path)).toEqual(['apple', 'pear', 'plum'])
})

test('a transaction that throws leaves nothing, and the next one goes on', () => {
  const path = makePath()
  {
    using db = Database.open(path, { schema })
    const fail = () =>
      db.transaction(() => {
        db.sql.exec("insert into fruit (name) values ('apple')")
        throw new Error('no apples')
      })
    expect(fail).toThrow('no apples')
    add(db, 'pear')
  }
  expect(names(path)).toEqual(['pear'])
})

test('a row that is replaced is counted once', () => {
  const path = makePath()
  {
    using db = Database.open(path, { schema })
    const put = db.sql.prepare('insert or replace into fruit (number, name) values (7, ?)')
    db.transaction(() => put.run('apple'))
    db.transaction(() => put.run('pear'))
  }
  expect(names(path)).toEqual(['pear'])
})

test('a row that was changed, taken away or put in by another hand is found by its key or its table', () => {
  const expectations = [
    ["drop trigger fruit_changed; update fruit set name = 'lemon' where number = 2", 'fruit_changed'],
    ['drop trigger fruit_removed; delete from fruit where number = 2', 'fruit_removed'],
    ["update tally set rows = 4 where name = 'fruit'", 'name fruit of table tally'],
    ["update fruit set name = 'lemon' where number = 2", 'number 2 of table fruit'],
  ] as const
  for (const [statement, place] of expectations) {
    const path = makePath()
    leave(path)
    meddle(path, statement)
    expect(() => Database.open(path, { schema }), statement).toThrow(place)
  }
})

test('a log whose end is lost is missed, with the byte at which it is damaged, and stays as it is', () => {
  const path = makePath()
  leave(path)
  const log = readFileSync(`${path}-wal`)
  log[log.length - 100]! ^= 1
  writeFileSync(`${path}-wal`, log)
  for (const _ of [1, 2]) {
    expect(() => Database.open(path, { schema })).toThrow(/a\.db-wal is damaged at byte \d+/)
    expect(readFileSync(`${path}-wal`).equals(log)).toBe(true)
  }
})

test('an older copy of a database is not taken for the newest', () => {
  const path = makePath()
  {
    using db = Database.open(path, { schema })
    add(db, 'apple')
  }
  const older = readFileSync(path)
  {
    using db = Database.open(path, { schema })
    add(db, 'pear')
  }
  writeFileSync(path, older)
  expect(() => Database.open(path, { schema })).toThrow('1 of the changes that were written last')
})

test('what did not wait for the disk is missed after a kill, but not after the machine went down', () => {
  const path = makePath()
  {
    using db = Database.open(path, { schema })
    add(db, 'apple')
  }
  const [boot, synced] = readFileSync(`${path}-mark`, 'utf8').split(' ') as [string, string]
  const mark = (bootId: string): string => {
    const text = `${bootId} ${synced} ${'2'.padStart(16, '0')}`
    return `${text} ${crc32(text).toString(16).padStart(8, '0')}\n`
  }
  writeFileSync(`${path}-mark`, mark(boot))
  expect(() => Database.open(path, { schema })).toThrow('1 of the changes that were written last')
  writeFileSync(`${path}-mark`, mark('0'.repeat(36)))
  expect(names(path)).toEqual(['apple'])
})

test('a database that was deleted is made anew, whatever its mark says', () => {
  const path = makePath()
  leave(path)
  for (const ending of ['', '-wal']) rmSync(path + ending)
  expect(names(path)).toEqual([])
})

test('a file that a process made and left empty is no damage', () => {
  const path = makePath()
  writeFileSync(path, '')
  expect(names(path)).toEqual([])
})

test('only a database that is told to keeps room, and has it again after it was given up', () => {
  const path = makePath()
  const open = () => Database.open(path, { schema, exclusive: true, reserved: true })
  {
    using _ = open()
    expect(existsSync(`${path}-reserve`)).toBe(true)
  }
  rmSync(`${path}-reserve`)
  {
    using _ = open()
    expect(existsSync(`${path}-reserve`)).toBe(true)
  }
  const other = makePath()
  names(other)
  expect(existsSync(`${other}-reserve`)).toBe(false)
})
