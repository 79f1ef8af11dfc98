import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tempDir } from './support/temp-dir.ts'
import { until } from './support/until.ts'

const demo = join(import.meta.dirname, '../examples/demo/demo.ts')
const consumer = join(import.meta.dirname, '../examples/audit-consumer/run.ts')

/** An example with a temporary directory of its own, so that what it leaves behind can be seen. */
function startExample(example: string, temp: string) {
  const child = spawn(process.execPath, [example], {
    env: { ...process.env, TMPDIR: temp },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A process group, as a terminal would have it: Ctrl-C reaches all of it.
    detached: true,
  })
  const said = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text))
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { said, ended, pressControlC: () => process.kill(-child.pid!, 'SIGINT') }
}

test('the demo starts and stops its services in order, by their own log, and leaves nothing behind', async () => {
  using temp = tempDir()
  const { said, ended } = startExample(demo, temp.path)
  expect({ exit: await ended, ...said }).toMatchObject({ exit: 0 })
  const log = said.stdout.matchAll(
    /^\d\d:\d\d:\d\d\.\d{3} {2}(\w+) +(is up|has stopped|.*(?:under|without).*)$/gm,
  )
  expect([...log].map(([, service, what]) => `${service} ${what}`)).toEqual([
    'database is up',
    'application is up',
    'mail is up',
    'web is up',
    'web has stopped',
    'mail has stopped',
    'application has stopped',
    'database has stopped',
  ])
  const typed = said.stdout.match(/^\$ .*$/gm)
  expect(typed).toEqual(
    ['validate', 'start --yes', 'status', 'stop --yes', 'status'].map((line) => `$ filo ${line}`),
  )
  expect(readdirSync(temp.path)).toEqual([])
})

test('Ctrl-C ends the demo in order, with its services stopped and its files gone', async () => {
  using temp = tempDir()
  const { said, ended, pressControlC } = startExample(demo, temp.path)
  await until('the demo to start its first service', () => said.stderr.includes('start database@db1'))
  const [root] = readdirSync(temp.path)
  pressControlC()
  expect({ exit: await ended, ...said }).toMatchObject({ exit: 130 })
  expect(said.stdout).not.toContain('$ filo status')
  expect(existsSync(join(temp.path, root!))).toBe(false)
})

test('the consumer of the example says which service refuses to stop, and leaves nothing behind', async () => {
  using temp = tempDir()
  const { said, ended } = startExample(consumer, temp.path)
  expect({ exit: await ended, ...said }).toMatchObject({ exit: 0 })
  const words = said.stdout.split('\n').filter((line) => line.startsWith('[pager] '))
  expect(words).toHaveLength(1)
  expect(words[0]).toMatch(/application@app1 filo\.action\.finished failure: .*exit status 1/)
  expect(readdirSync(temp.path)).toEqual([])
})
