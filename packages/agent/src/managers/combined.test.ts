import type { Live, State } from '@filo/protocol'
import { expect, test } from 'vitest'
import { combine } from './combined.ts'

const lives: Readonly<Record<State, Live>> = {
  running: 'yes',
  starting: 'yes',
  stopping: 'yes',
  stopped: 'no',
  failed: 'no',
  missing: 'unknown',
  unknown: 'unknown',
}

test.each<[State[], State, Live]>([
  [['running', 'running'], 'running', 'yes'],
  [['stopped', 'stopped'], 'stopped', 'no'],
  [['failed', 'failed'], 'failed', 'no'],
  [['running', 'stopped'], 'failed', 'yes'],
  [['stopped', 'failed'], 'failed', 'no'],
  [['running', 'starting'], 'starting', 'yes'],
  [['stopped', 'stopping'], 'stopping', 'yes'],
  [['starting', 'stopping'], 'stopping', 'yes'],
  [['stopped', 'unknown'], 'unknown', 'unknown'],
  [['running', 'unknown'], 'unknown', 'yes'],
])('%j together are %s, live: %s', (states, state, live) => {
  expect(combine(states.map((each) => ({ state: each, live: lives[each] })))).toEqual({ state, live })
})
