import { execFileSync, spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openCanopsis } from '../examples/canopsis/home.ts'
import { filo } from './support/filo.ts'
import { requireProgram } from './support/packages.ts'
import { tempDir } from './support/temp-dir.ts'

// The example as it is run by its reader: real supervisord, RabbitMQ and Redis, stand-ins for the rest.

async function requirePrograms(): Promise<void> {
  await requireProgram('supervisord', 'supervisor')
  await requireProgram('redis-server', 'redis-server')
  await requireProgram('rabbitmq-server', 'rabbitmq-server')
}

/** What the services wrote down, without the times. */
function deeds(log: string): string[] {
  return [...log.matchAll(/^\d\d:\d\d:\d\d\.\d{3} {2}(\S+) +(.+)$/gm)].map(
    ([, name, deed]) => `${name} ${deed}`,
  )
}

test('the example goes up and down in order, by its own log, and leaves nothing behind', async () => {
  await requirePrograms()
  using temp = tempDir()
  const run = join(import.meta.dirname, '../examples/canopsis/run.ts')
  const child = spawn(process.execPath, [run], { env: { ...process.env, TMPDIR: temp.path }, stdio: 'pipe' })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (said += text))
  }
  const exit = await new Promise((resolve) => child.once('close', resolve))
  expect({ exit, said }).toMatchObject({ exit: 0 })
  expect(said).toContain('rabbitmq-server@canopsis1 carries the broker')
  const log = deeds(said.slice(said.indexOf('wrote down:\n\n')))
  expect(log.filter((deed) => deed.includes('without RabbitMQ'))).toEqual([])
  const engines = ['engine-alertcounter', 'engine-cleaner', 'engine-perfdata']
  const ends = log.filter((deed) => deed.endsWith('is down'))
  // The engines alone, after the webserver that needs them; then all, in a restart and in the last stop.
  const downs = (names: readonly string[]): string[] => names.map((name) => `${name} is down`)
  expect(ends[0]).toBe('webserver is down')
  expect(ends.slice(1, 4).toSorted()).toEqual(downs(engines))
  for (const from of [4, 9]) {
    expect(ends[from]).toBe('webserver is down')
    expect(ends.slice(from + 1, from + 5).toSorted()).toEqual(downs(['collectd', ...engines]))
  }
  expect(ends).toHaveLength(14)
  expect(log.filter((deed) => deed === 'rabbitmq-server is told to stop')).toHaveLength(2)
  expect(log.lastIndexOf('rabbitmq-server is told to stop')).toBeGreaterThan(log.lastIndexOf(ends.at(-1)!))
  expect(readdirSync(temp.path)).toEqual([])
})

test('a service that gets a script is run by it from then on, and what `service` did is seen', async () => {
  await requirePrograms()
  const canopsis = await openCanopsis()
  onTestFinished(() => canopsis[Symbol.asyncDispose]())
  const script = join(canopsis.home, 'etc/init.d/mongodb')
  execFileSync(script, ['start'])
  const seen = await filo(['status', 'mongodb', 'redis-server'], { cwd: canopsis.home })
  expect(seen.stdout).toMatch(/^mongodb@canopsis1 +running .*status 0/m)
  expect(seen.stdout).toMatch(/^redis-server@canopsis1 +stopped .*STOPPED/m)
  const start = await filo(['start', 'redis-server', 'mongodb', '--yes'], { cwd: canopsis.home })
  expect(start).toMatchObject({ code: 0 })
  expect(deeds(canopsis.log())).toEqual(['mongodb is started'])
  const stop = await filo(['stop', 'redis-server', 'mongodb', '--only', '--yes'], { cwd: canopsis.home })
  // What needs them was proven to be stopped, and left alone.
  expect(stop).toMatchObject({ code: 0 })
  expect(deeds(canopsis.log())).toEqual([
    'mongodb is started',
    'mongodb is told to stop',
    'mongodb has stopped',
  ])
})
