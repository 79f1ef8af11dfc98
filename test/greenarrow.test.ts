import { execFileSync, spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openGreenarrow, type Greenarrow } from '../examples/greenarrow/product.ts'
import { filo } from './support/filo.ts'
import { requireProgram } from './support/packages.ts'
import { tempDir } from './support/temp-dir.ts'
import { until } from './support/until.ts'

// The example as it is run by its reader, and what its reader may run into: real daemontools, stand-ins for the rest.

const disk = 'hvmail-disk-qmail-send'

async function open(): Promise<Greenarrow> {
  await requireProgram('svscan', 'daemontools')
  const product = await openGreenarrow()
  onTestFinished(() => product[Symbol.asyncDispose]())
  return product
}

/** What the processes wrote down, without the times. */
function deeds(log: string): string[] {
  return [...log.matchAll(/^\d\d:\d\d:\d\d\.\d{3} {2}(\S+) +(.+)$/gm)].map(
    ([, name, deed]) => `${name} ${deed}`,
  )
}

function components(product: Greenarrow, ...names: string[]): string[] {
  return names.filter((name) => product.svstat(name).includes(': up '))
}

test('the example goes up and down in order, by its own log, and leaves nothing behind', async () => {
  await requireProgram('svscan', 'daemontools')
  using temp = tempDir()
  const run = join(import.meta.dirname, '../examples/greenarrow/run.ts')
  const child = spawn(process.execPath, [run], { env: { ...process.env, TMPDIR: temp.path }, stdio: 'pipe' })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (said += text))
  }
  const exit = await new Promise((resolve) => child.once('close', resolve))
  expect({ exit, said }).toMatchObject({ exit: 0 })
  expect(said).toContain("the disk queue's qmail-send still writes down")
  const log = deeds(said.slice(said.indexOf('wrote down:\n\n')))
  expect(log.filter((deed) => deed.includes('MTA that is down'))).toEqual([])
  expect(log.filter((deed) => deed === 'test-send was delivered')).toHaveLength(2)
  const stops = log.filter((deed) => deed.endsWith('is down'))
  const before = (earlier: string, later: string): void =>
    expect(stops.lastIndexOf(`${earlier} is down`)).toBeLessThan(stops.lastIndexOf(`${later} is down`))
  for (const injecting of ['injector', 'hvmail-studio-worker']) before(injecting, 'hvmail-ram-qmail-send')
  for (const needing of ['hvmail-ram-qmail-send', 'hvmail-httpd', 'hvmail-passenger']) {
    before(needing, 'hvmail-postgres')
  }
  expect(readdirSync(temp.path)).toEqual([])
})

test('a disk queue that takes long is waited for within the limit, and then harmless and said', async () => {
  const product = await open()
  const start = await filo(['start', 'mta', '--yes'], { cwd: product.root })
  expect(start).toMatchObject({ code: 0 })
  product.slow(disk, 30)
  const { code, stdout } = await filo(['stop', 'mta', '--yes', '--jsonl'], { cwd: product.root })
  expect(code).toBe(0)
  expect(stdout).toContain('the disk queue is ending')
  // Stopped, proven, and yet there is a process: nobody should be surprised by it.
  expect(components(product, disk)).toEqual([disk])
  const status = await filo(['status', 'mta', '--json'], { cwd: product.root })
  expect(JSON.parse(status.stdout)).toMatchObject({
    instances: [
      {
        instance: 'mta@ga1',
        state: 'stopped',
        live: 'no',
        warnings: [expect.stringContaining('does no harm')],
      },
    ],
  })
})

test("what PostgreSQL's stop stopped is resumed by its start, even if somebody started PostgreSQL in between", async () => {
  const product = await open()
  const dependants = ['hvmail-passenger', 'hvmail-pure-authd-studio']
  expect(await filo(['start', 'postgres', '--yes'], { cwd: product.root })).toMatchObject({ code: 0 })
  expect(components(product, ...dependants)).toEqual(dependants)
  expect(await filo(['stop', 'postgres', '--yes'], { cwd: product.root })).toMatchObject({ code: 0 })
  expect(components(product, ...dependants, 'hvmail-postgres')).toEqual([])
  execFileSync('svc', ['-u', product.service('hvmail-postgres')])
  await until('PostgreSQL to be up', () => components(product, 'hvmail-postgres').length === 1)
  // Running, and yet something is missing: whoever looks is told, though nobody acts.
  const status = await filo(['status', 'postgres'], { cwd: product.root })
  expect(status.stdout).toMatch(/^postgres@ga1: it was stopped by Filo .*filo start postgres$/m)
  const start = await filo(['start', 'postgres', '--yes'], { cwd: product.root })
  expect(start).toMatchObject({ code: 0 })
  expect(start.stdout).toContain('(1 changed)')
  expect((await filo(['status', 'postgres'], { cwd: product.root })).stdout).not.toContain('stopped by Filo')
  expect(components(product, ...dependants)).toEqual(dependants)
  // PostgreSQL itself was left running.
  expect(deeds(product.log()).filter((deed) => deed === 'hvmail-postgres is up')).toHaveLength(2)
  const again = await filo(['start', 'postgres', '--yes'], { cwd: product.root })
  expect(again.stdout).toContain('nothing to do')
})

test('a restart of PostgreSQL goes through its manager, and what depends on it comes back', async () => {
  const product = await open()
  const dependants = ['hvmail-passenger', 'hvmail-pure-authd-studio']
  const parts = ['postgres', 'http']
  expect(await filo(['start', ...parts, '--yes'], { cwd: product.root })).toMatchObject({ code: 0 })
  expect(await filo(['restart', 'postgres', '--yes'], { cwd: product.root })).toMatchObject({ code: 0 })
  expect(components(product, ...dependants, 'hvmail-httpd')).toEqual([...dependants, 'hvmail-httpd'])
  const log = deeds(product.log())
  const [down, up] = [log.indexOf('hvmail-postgres is down'), log.lastIndexOf('hvmail-postgres is up')]
  for (const name of ['hvmail-passenger', 'hvmail-httpd']) {
    expect(log.indexOf(`${name} is down`)).toBeLessThan(down)
    expect(log.lastIndexOf(`${name} is up`)).toBeGreaterThan(up)
  }
})

test('an MTA of which one component does not come up holds what needs it, and the component is named', async () => {
  const product = await open()
  execFileSync('sed', ['-i', 's/stop_timeout: 5m/start_timeout: 4s/', join(product.root, 'filo.yaml')])
  // Somebody took its program away.
  execFileSync('mv', [
    join(product.service('hvmail-rpc'), 'run'),
    join(product.service('hvmail-rpc'), 'run.old'),
  ])
  const { code, stdout } = await filo(['start', 'studio-worker', '--yes'], { cwd: product.root })
  expect(code).toBe(2)
  expect(stdout).toContain('hvmail-rpc')
  expect(components(product, 'hvmail-studio-worker')).toEqual([])
})
