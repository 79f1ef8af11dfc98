import { expect, test } from 'vitest'
import { judgeLine, readSvstat, type Sighted } from './svstat.ts'

const directory = '/service/web'

const old: Sighted = { ref: { pid: 42, command: 'web' }, ageMs: 60_000 }
const young: Sighted = { ...old, ageMs: 400 }

function judge(words: string, process?: Sighted) {
  const [line] = readSvstat(`${directory}: ${words}\n`, [directory])
  const { state, live } = judgeLine(line!, process)
  return `${state}, live: ${live}`
}

test.each([
  ['up (pid 42) 60 seconds', old, 'running, live: yes'],
  ['up (pid 42) 60 seconds, normally down', old, 'running, live: yes'],
  ['up (pid 42) 0 seconds', young, 'starting, live: yes'],
  ['up (pid 42) 0 seconds', undefined, 'failed, live: yes'],
  ['up (pid 42) 60 seconds, want down', old, 'stopping, live: yes'],
  ['up (pid 42) 60 seconds, normally down, paused, want down', old, 'stopping, live: yes'],
  ['up (pid 42) 60 seconds, paused', old, 'failed, live: yes'],
  ['down 3 seconds', undefined, 'stopped, live: no'],
  ['down 3 seconds, normally up', undefined, 'stopped, live: no'],
  ['down 0 seconds, normally up, want up', undefined, 'failed, live: yes'],
  ['unable to chdir: file does not exist', undefined, 'missing, live: unknown'],
  ['unable to chdir: access denied', undefined, 'unknown, live: unknown'],
  ['unable to open supervise/ok: access denied', undefined, 'unknown, live: unknown'],
  ['unable to read supervise/status: bad format', undefined, 'unknown, live: unknown'],
  ['is in excellent health', undefined, 'unknown, live: unknown'],
])('"%s" is judged with what is seen of the process: %j gives %s', (words, process, judged) => {
  expect(judge(words, process)).toBe(judged)
})

test('lines are told apart by their order, also where a name holds a colon and a space', () => {
  const lines = readSvstat('/service/a: up: down 3 seconds\n/service/a: unable to chdir: x\n', [
    '/service/a: up',
    '/service/a',
    '/service/b',
  ])
  expect(lines.map(({ supervised }) => supervised.kind)).toEqual(['down', 'unclear', 'unclear'])
})
