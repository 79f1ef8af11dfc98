import { expect, test } from 'vitest'
import { judge, type Goal, type Observation, type Verdict } from './state.ts'

function seen(
  state: Observation['state'],
  live: Observation['live'],
  more: Partial<Observation> = {},
): Observation {
  return { state, live, detail: '', manager: 'lsb', heldMs: 0, seenAt: '2026-01-01T00:00:00.000Z', ...more }
}

test.each<[Goal, Observation, number, Verdict]>([
  ['stopped', seen('stopped', 'no'), 0, 'proves'],
  ['stopped', seen('failed', 'no'), 0, 'proves'],
  ['stopped', seen('stopped', 'no'), 1000, 'between'],
  ['stopped', seen('stopped', 'no', { heldMs: 1000 }), 1000, 'proves'],
  ['stopped', seen('failed', 'yes'), 0, 'contradicts'],
  ['stopped', seen('stopped', 'yes'), 0, 'contradicts'],
  ['stopped', seen('stopped', 'unknown'), 0, 'silent'],
  ['stopped', seen('stopping', 'yes'), 0, 'between'],
  ['stopped', seen('starting', 'yes'), 0, 'contradicts'],
  ['stopped', seen('starting', 'no'), 0, 'contradicts'],
  ['stopped', seen('running', 'yes'), 0, 'contradicts'],
  ['stopped', seen('missing', 'no'), 0, 'silent'],
  ['stopped', seen('unknown', 'no'), 0, 'silent'],
  ['running', seen('running', 'yes'), 0, 'proves'],
  ['running', seen('running', 'yes', { ready: 'no' }), 0, 'between'],
  ['running', seen('running', 'yes', { ready: 'yes' }), 0, 'proves'],
  ['running', seen('running', 'yes'), 1, 'between'],
  ['running', seen('starting', 'yes'), 0, 'between'],
  ['running', seen('stopping', 'yes'), 0, 'contradicts'],
  ['running', seen('stopped', 'no'), 0, 'contradicts'],
  ['running', seen('failed', 'no'), 0, 'contradicts'],
  ['running', seen('missing', 'unknown'), 0, 'silent'],
  ['running', seen('unknown', 'yes'), 0, 'silent'],
])('towards %s, %o with a settle of %i ms %s', (goal, observation, settleMs, verdict) => {
  expect(judge(observation, goal, settleMs)).toBe(verdict)
})
