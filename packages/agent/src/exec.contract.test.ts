import { spawn } from 'node:child_process'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { limits } from '@filo/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { tempDir, type TempDir } from '../../../test/support/temp-dir.ts'
import { until } from '../../../test/support/until.ts'
import { act, describeExit, look } from './exec.ts'
import type { ProcessGroup } from './managers/manager.ts'
import { lendAct, type RecordedAct } from './managers/testing.ts'
import { isGroupAlive, isLeaderAlive, killGroup } from './process-group.ts'
import { startTicks } from './process-table.ts'

let dir: TempDir
let groups: ProcessGroup[]

beforeEach(() => {
  dir = tempDir()
  groups = []
})

afterEach(() => {
  for (const group of groups) killGroup(group, 'SIGKILL')
  dir[Symbol.dispose]()
})

function script(body: string): string[] {
  return ['/bin/sh', '-c', body]
}

function lend(signal?: AbortSignal): RecordedAct {
  return { ...lendAct(dir.path, signal), onProcess: (group) => groups.push(group) }
}

const never = new AbortController().signal

describe('look', () => {
  test('gives exit status and both outputs', async () => {
    const looked = await look(script('echo out; echo err >&2; exit 3'), { signal: never, timeoutMs: 5000 })
    expect(looked).toEqual({ exit: { kind: 'exited', code: 3 }, stdout: 'out\n', stderr: 'err\n' })
  })

  test('inherits nothing of the environment of the agent', async () => {
    process.env['FILO_TEST_SECRET'] = 'hunter2'
    try {
      const { stdout } = await look(['/usr/bin/env'], { signal: never, timeoutMs: 5000 })
      expect(stdout).not.toContain('hunter2')
      expect(stdout).toContain('LC_ALL=C\n')
    } finally {
      delete process.env['FILO_TEST_SECRET']
    }
  })

  test('does not wait for a grandchild that keeps the output open', async () => {
    const startedAt = performance.now()
    const looked = await look(script('echo first; sleep 30 & echo $!'), { signal: never, timeoutMs: 20_000 })
    const [first, sleeper] = looked.stdout.split('\n')
    process.kill(Number(sleeper), 'SIGKILL')
    expect(first).toBe('first')
    expect(performance.now() - startedAt).toBeLessThan(5000)
  })

  test('kills a command that takes too long together with its children', async () => {
    const looked = await look(script('trap "" TERM; echo $$; sleep 30'), { signal: never, timeoutMs: 300 })
    expect(looked.exit).toEqual({ kind: 'aborted', survived: false })
    expect(startTicks(Number(looked.stdout))).toBeUndefined()
  })

  test('keeps a bounded part of an endless output', async () => {
    const looked = await look(script('head -c 3000000 /dev/zero'), { signal: never, timeoutMs: 10_000 })
    expect(looked.exit).toEqual({ kind: 'exited', code: 0 })
    expect(looked.stdout.length).toBe(1024 * 1024)
  })

  test('says that a program is not there instead of throwing', async () => {
    const { exit } = await look(['/nonexistent/program'], { signal: never, timeoutMs: 1000 })
    expect(describeExit(exit)).toBe('cannot be started: spawn /nonexistent/program ENOENT')
  })

  test('says that the system takes no such arguments instead of throwing', async () => {
    const { exit } = await look(['/bin/true', 'x'.repeat(200_000)], { signal: never, timeoutMs: 1000 })
    expect(describeExit(exit)).toBe('cannot be started: spawn E2BIG')
  })
})

describe('act', () => {
  test('gives exit status and output, and the lines while it runs', async () => {
    const action = lend()
    const acting = act(
      script(
        'echo one; while [ ! -e go ]; do sleep 0.02; done; echo two >&2; exit 7'.replace(
          'go',
          join(dir.path, 'go'),
        ),
      ),
      action,
    )
    await until('the first line', () => action.lines.includes('one'))
    writeFileSync(join(dir.path, 'go'), '')
    const acted = await acting
    expect(acted.exit).toEqual({ kind: 'exited', code: 7 })
    expect(acted.output).toEqual({ head: 'one\ntwo\n', tail: '', droppedBytes: 0 })
    expect(action.lines).toEqual(['one', 'two'])
  })

  test('tells the process group before anything is awaited, in a session of its own', async () => {
    const acted = await act(script('cut -d" " -f5,6 /proc/self/stat'), lend())
    expect(groups).toHaveLength(1)
    expect(acted.output.head).toBe(`${groups[0]!.pgid} ${groups[0]!.pgid}\n`)
  })

  test('ends at the exit of the script though its daemon keeps the output open', async () => {
    const acted = await act(script('sleep 30 & exit 0'), lend())
    expect(acted.exit).toEqual({ kind: 'exited', code: 0 })
    expect(acted.durationMs).toBeLessThan(5000)
    expect(isLeaderAlive(groups[0]!)).toBe(false)
    expect(isGroupAlive(groups[0]!)).toBe(true)
  })

  test('keeps beginning and end of a large output on whole characters and counts what is dropped', async () => {
    const acted = await act(
      script('i=0; while [ $i -lt 4000 ]; do echo "$i äöü€😀"; i=$((i+1)); done'),
      lend(),
    )
    const { head, tail, droppedBytes } = acted.output
    expect(head.startsWith('0 äöü€😀\n1 ')).toBe(true)
    expect(tail.endsWith('3999 äöü€😀\n')).toBe(true)
    expect(head + tail).not.toContain('\ufffd')
    expect(head.length).toBeLessThanOrEqual(limits.outputHeadBytes)
    expect(tail.length).toBeLessThanOrEqual(limits.outputTailBytes)
    expect(droppedBytes).toBeGreaterThan(10_000)
  })

  test('bytes that are no text take no more room in a result than they took in the output', async () => {
    const { output } = await act(script('head -c 30000 /dev/zero | tr "\\0" "\\377"'), lend())
    for (const part of [output.head, output.tail]) {
      expect(part).toMatch(/^\?+$/)
      expect(Buffer.byteLength(part)).toBeLessThanOrEqual(limits.outputHeadBytes)
    }
  })

  test('hands on no escape sequence and no control character', async () => {
    const action = lend()
    const acted = await act(
      script(String.raw`printf '\033[31mred\033[0m\033]0;title\007\a\b 10%%\r20%%\tx\n'`),
      action,
    )
    expect(acted.output.head).toBe('red 10%\n20%\tx\n')
    expect(action.lines).toEqual(['red 10%', '20%\tx'])
  })

  test('appends to the output file and empties it when it has grown too large', async () => {
    const action = lend()
    await act(script('echo first'), action)
    await act(script('echo second'), action)
    expect(readFileSync(action.outputFile, 'utf8')).toBe('first\nsecond\n')
    writeFileSync(action.outputFile, Buffer.alloc(1024 * 1024 + 1))
    const acted = await act(script('echo third'), action)
    expect(acted.output.head).toBe('third\n')
    expect(statSync(action.outputFile).size).toBe(6)
  })

  test('an abort ends the whole group, also one that ignores SIGTERM', async () => {
    const controller = new AbortController()
    const action = lend(controller.signal)
    const acting = act(script('trap "" TERM; (trap "" TERM; sleep 30) & echo up; sleep 30; wait'), action)
    await until('the script to run', () => action.lines.includes('up'))
    controller.abort()
    const acted = await acting
    expect(acted.exit).toEqual({ kind: 'aborted', survived: false })
    expect(isGroupAlive(groups[0]!)).toBe(false)
  })

  test('a process group that cannot be noted is ended at once', async () => {
    let group: ProcessGroup | undefined
    const acting = act(script('sleep 30'), {
      ...lend(),
      onProcess(noted) {
        group = noted
        throw new Error('the disk is full')
      },
    })
    await expect(acting).rejects.toThrow('the disk is full')
    expect(isGroupAlive(group!)).toBe(false)
  })

  test('starts nothing once it is aborted', async () => {
    const acted = await act(script(`touch ${join(dir.path, 'touched')}`), lend(AbortSignal.abort()))
    expect(acted.exit).toEqual({ kind: 'aborted', survived: false })
    expect(groups).toEqual([])
    expect(() => statSync(join(dir.path, 'touched'))).toThrow('ENOENT')
  })

  test('says why a script cannot be started instead of throwing', async () => {
    const path = join(dir.path, 'script')
    writeFileSync(path, '#!/bin/sh\n')
    chmodSync(path, 0o644)
    expect(describeExit((await act([path], lend())).exit)).toContain('EACCES')
  })

  test('a script outlives kill -9 of the agent in its middle, and its output too', async () => {
    const exec = JSON.stringify(new URL('exec.ts', import.meta.url).href)
    const protocol = JSON.stringify(new URL('../../protocol/src/index.ts', import.meta.url).href)
    const outputFile = join(dir.path, 'output.log')
    const agent = spawn(process.execPath, [
      '--input-type=module',
      '-e',
      `
      import { act } from ${exec}
      import { Redactor } from ${protocol}
      await act(['/bin/sh', '-c', 'echo up; while [ ! -e ${dir.path}/go ]; do sleep 0.02; done; echo on; echo done'], {
        signal: new AbortController().signal, onLine: () => {}, outputFile: '${outputFile}', redactor: new Redactor(),
        onProcess: (group) => process.stdout.write(JSON.stringify(group) + '\\n'),
      })`,
    ])
    let said = ''
    agent.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
    await until('the script to run', () => said.includes('\n') && readFileSync(outputFile, 'utf8') === 'up\n')
    const group = JSON.parse(said) as ProcessGroup
    groups.push(group)
    agent.kill('SIGKILL')
    await until('the agent to be gone', () => agent.signalCode !== null)
    expect(isGroupAlive(group)).toBe(true)
    writeFileSync(join(dir.path, 'go'), '')
    await until('the script to end', () => !isGroupAlive(group))
    expect(readFileSync(outputFile, 'utf8')).toBe('up\non\ndone\n')
  })
})

test('a process group is not mistaken for another that has its number', async () => {
  await act(script('sleep 30 & exit 0'), lend())
  const group = groups[0]!
  const earlier = { pgid: process.pid, startTicks: startTicks(process.pid)! - 1 }
  expect(isGroupAlive(group)).toBe(true)
  expect(isGroupAlive(earlier)).toBe(false)
  expect(killGroup(earlier, 'SIGKILL')).toBe(false)
})
