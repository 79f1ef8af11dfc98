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
  ['nothing', '#!/bin/bash\n', ['1:1: none of the arrays BACKEND, MIDDLEWARE, FRONTEND']],
])('%s is refused, with its place', (_, text, problems) => {
  expect(read(text)).toEqual(problems.map((problem) => `hypcontrol.conf:${problem}`))
})
