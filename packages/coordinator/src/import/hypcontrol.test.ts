import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatProblem } from '../fleet/problem.ts'
import { readHypcontrol } from './hypcontrol.ts'

function read(text: string): Record<string, readonly string[]> | string[] {
  const result = readHypcontrol({ file: 'hypcontrol.conf', text })
  return result.kind === 'stages' ? Object.fromEntries(result.stages) : result.problems.map(formatProblem)
}

test('the default file is three stages', () => {
  expect(
    read(`#!/bin/bash

BACKEND=(rabbitmq-server mongodb redis-server)
MIDDLEWARE=(collectd amqp2engines)
FRONTEND=(webserver)
`),
  ).toEqual({
    backend: ['rabbitmq-server', 'mongodb', 'redis-server'],
    middleware: ['collectd', 'amqp2engines'],
    frontend: ['webserver'],
  })
})

test('an array may go over several lines, with comments and quotes, and be empty', () => {
  expect(
    read(`BACKEND=(
  'rabbitmq-server'  # the broker
  "mongodb"
)
FRONTEND=()`),
  ).toEqual({ backend: ['rabbitmq-server', 'mongodb'], frontend: [] })
})

const shellOnly = 'expected the plain name of a service; only a shell could tell what'
const anArray = 'expected an array such as BACKEND=(mongodb redis-server)'

test.each([
  ['a command', 'rm -rf /', [`1:1: ${anArray}`]],
  ['a command after an array', 'BACKEND=(a); reboot', [`1:12: ${anArray}`]],
  ['a command in an array', 'BACKEND=($(reboot))', [`1:10: ${shellOnly} $(reboot means`, `1:19: ${anArray}`]],
  ['a command between backticks', 'BACKEND=(`reboot`)', [`1:10: ${shellOnly} \`reboot\` means`]],
  ['a variable', 'BACKEND=(a $B)', [`1:12: ${shellOnly} $B means`]],
  ['a variable between quotes', 'BACKEND=(a "$B")', [`1:12: ${shellOnly} "$B" means`]],
  ['a pattern', 'BACKEND=(amqp2engines*)', [`1:10: ${shellOnly} amqp2engines* means`]],
  ['words that are glued', `BACKEND=(a'b')`, [`1:10: ${shellOnly} a'b' means`]],
  ['an addition', 'BACKEND+=(a)', [`1:1: ${anArray}`]],
  ['another array', '\nSPARE=(a)', ['2:1: "SPARE" is none of BACKEND, MIDDLEWARE, FRONTEND']],
  ['an array that is given twice', 'BACKEND=(a)\nBACKEND=(b)', ['2:1: BACKEND is given twice']],
  ['an array that is not closed', 'BACKEND=(a\n', ['1:10: this array has no closing ")"']],
  [
    'all that is wrong in it',
    'reboot\nSPARE=(a)\nBACKEND=(a',
    [
      `1:1: ${anArray}`,
      '2:1: "SPARE" is none of BACKEND, MIDDLEWARE, FRONTEND',
      '3:10: this array has no closing ")"',
    ],
  ],
  ['nothing', '#!/bin/bash\n', ['1:1: none of the arrays BACKEND, MIDDLEWARE, FRONTEND']],
])('%s is refused, with its place', (_, text, problems) => {
  expect(read(text)).toEqual(problems.map((problem) => `hypcontrol.conf:${problem}`))
})

const soup = fc
  .array(
    fc.constantFrom(
      'BACKEND',
      'FRONTEND',
      'SPARE',
      '=(',
      ')',
      '\n',
      ' ',
      '#',
      'redis-server',
      "'",
      '"',
      '$',
      'a/b',
    ),
  )
  .map((words) => words.join(''))

test('every text is stages, or is refused with places that are in it', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), soup), (text) => {
      const result = readHypcontrol({ file: 'hypcontrol.conf', text })
      if (result.kind === 'stages') return
      expect(result.problems).not.toEqual([])
      const lines = text.split('\n')
      for (const { line, column } of result.problems) {
        expect(column).toBeGreaterThan(0)
        expect(column).toBeLessThanOrEqual(lines[line - 1]!.length + 1)
      }
    }),
    { numRuns: 300 },
  )
})

test('what is written as stages is read as the same stages', () => {
  const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.:@+,/-]{0,12}$/)
  const words = fc.array(fc.record({ name, quote: fc.constantFrom('', '"', "'") }), { maxLength: 4 })
  const gap = fc.constantFrom(' ', '\n', '\t# a note\n  ')
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom('backend', 'middleware', 'frontend'), words, { minKeys: 1 }),
      gap,
      (stages, space) => {
        const text = Object.entries(stages)
          .map(
            ([stage, members]) =>
              `${stage.toUpperCase()}=(${space}${members.map(({ name: each, quote }) => quote + each + quote).join(space)}${space})`,
          )
          .join('\n')
        const expected = Object.entries(stages).map(([stage, members]) => [
          stage,
          members.map((each) => each.name),
        ])
        expect(read(text)).toEqual(Object.fromEntries(expected))
      },
    ),
  )
})
