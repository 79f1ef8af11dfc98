import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { writeUnsynced } from './unsynced.ts'

const full = { synchronous: 2 }

test('later transactions wait for the disk again, also when the write fails', () => {
  using db = new DatabaseSync(':memory:')
  db.exec('pragma synchronous = full')
  let meanwhile: unknown
  writeUnsynced(db, () => (meanwhile = db.prepare('pragma synchronous').get()))
  expect(meanwhile).toEqual({ synchronous: 1 })
  expect(db.prepare('pragma synchronous').get()).toEqual(full)
  const fail = (): void => {
    throw new Error('the disk is full')
  }
  expect(() => writeUnsynced(db, fail)).toThrow('the disk is full')
  expect(db.prepare('pragma synchronous').get()).toEqual(full)
})
