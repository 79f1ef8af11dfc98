import { BrokerUnavailable } from '@filo/protocol'
import { expect, test } from 'vitest'
import { HostInUse } from '../engine/connection.ts'
import { KeyError } from '../engine/keys.ts'
import { RunInUse } from '../engine/orders.ts'
import { RunBroken } from './carry.ts'
import { Exit, exitCodes } from './exit-code.ts'
import { explainFailure } from './failure.ts'

test('each known error has its exit code, and keeps its words', () => {
  const failures = [
    new Exit(exitCodes.nothingMatched, 'nothing matches "wbe"'),
    new BrokerUnavailable('amqp://b: nothing listens there'),
    new KeyError("the coordinator's key cannot be read"),
    new HostInUse('db1'),
    new RunInUse('r20261120-031500-k7qd', undefined),
    Object.assign(new Error('denied'), { code: 'EACCES', path: '/root/plan.json' }),
  ]
  expect(failures.map((error) => explainFailure(error).code)).toEqual([4, 69, 78, 75, 75, 77])
  for (const [index, error] of failures.slice(0, 4).entries()) {
    expect(explainFailure(error).words, `failure ${index}`).toContain(error.message)
  }
})

test('an unknown error shows its stack; of a run it says that the journal is intact and how to carry on', () => {
  const cause = new Error('an assertion')
  const { code, words } = explainFailure(new RunBroken('r20261120-031500-k7qd', cause))
  expect(code).toBe(1)
  expect(words).toContain('Error: an assertion\n    at ')
  expect(words).toMatch(/journal of r20261120-031500-k7qd is intact.*filo resume r20261120-031500-k7qd/)
  expect(explainFailure('a string').words).toContain('a string')
})

test('a journal that another process keeps locked is no fault of this one: exit 75', () => {
  const locked = Object.assign(new Error('database is locked'), { errcode: 5 })
  expect(explainFailure(locked)).toMatchObject({
    code: 75,
    words: expect.stringContaining('locked for 10 s') as string,
  })
})

test('a disk that is full is no riddle: what failed, what to do, and how to carry on, without a stack', () => {
  const full = Object.assign(new Error('database or disk is full'), { errcode: 13 })
  const { code, words } = explainFailure(new RunBroken('r20261120-031500-k7qd', full))
  expect(code).toBe(1)
  expect(words).toMatch(
    /state directory.*database or disk is full\nMake room.*filo resume r20261120-031500-k7qd/,
  )
  expect(words).not.toContain('    at ')
  const noSpace = Object.assign(new Error('no space left'), { code: 'ENOSPC' })
  expect(explainFailure(noSpace).words).not.toContain('    at ')
})
