import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fourInARow, type FleetServices } from './support/fleet-file.ts'
import { localFleet, type LocalFleet } from './support/local-fleet.ts'
import { mountSmallDisk } from './support/small-disk.ts'
import { until } from './support/until.ts'

// What nobody means to do, on one machine: scripts that misbehave, hooks that fail, disks that are full.

async function bringUp(fleet: LocalFleet): Promise<void> {
  expect(await fleet.filo('start', '--yes')).toMatchObject({ code: 0 })
  fleet.services.forget()
}

async function newestRun(fleet: LocalFleet): Promise<string> {
  const { stdout } = await fleet.filo('runs', '--jsonl')
  return (JSON.parse(stdout.split('\n')[0]!) as { run: string }).run
}

/** A script of the test's own, by its path. */
function script(fleet: LocalFleet, name: string, body: string): string {
  const path = join(fleet.path, name)
  writeFileSync(path, `#!/bin/sh\n${body}\n`)
  chmodSync(path, 0o755)
  return path
}

/** A fleet of db and app, with a hook that runs `body` before app stops. */
function withHook(body: string, more = ''): LocalFleet {
  const fleet = localFleet({})
  const hook = script(fleet, 'hook', body)
  fleet.declare({
    db: {},
    app: { needs: 'db', more: `hooks: { before_stop: { run: [${hook}], timeout: 30s${more} } }` },
  })
  return fleet
}

const downInOrder = ['web down', 'mail down', 'app down', 'db down']

test('a hook that fails holds its service and all below it, and is run again by a resume', async () => {
  await using fleet = withHook('[ -e "$0.ok" ] || { echo "not today" >&2; exit 9; }')
  await bringUp(fleet)
  const ended = await fleet.filo('stop', '--yes')
  expect(ended).toMatchObject({ code: 2 })
  expect(ended.stdout).toContain('before_stop app@app-host')
  expect(ended.stdout).toContain('not today')
  expect(fleet.services.requests()).toEqual([])

  script(fleet, 'hook.ok', '')
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['app down', 'db down'])
})

test('a hook whose agent is killed in its midst is unknown, is not run again, and can be waived', async () => {
  await using fleet = withHook('echo ran >>"$0.log"; until [ -e "$0.ok" ]; do sleep 0.02; done')
  await bringUp(fleet)
  await using stop = fleet.start(['stop', '--yes'])
  const log = join(fleet.path, 'hook.log')
  await until('the hook to run', () => readFileSync(log, 'utf8') === 'ran\n')
  stop.signal('SIGKILL')
  await stop.ended
  script(fleet, 'hook.ok', '')

  const ended = await fleet.filo('resume', '--yes', '--patience', '1s')
  expect(ended).toMatchObject({ code: 3 })
  expect(ended.stdout).toContain('no check')
  const waive = [await newestRun(fleet), 'before_stop app@app-host', '--reason', 'it says so itself']
  expect(await fleet.filo('waive', ...waive)).toMatchObject({ code: 0 })
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 7 })
  expect(fleet.services.effects()).toEqual(['app down', 'db down'])
  expect(readFileSync(log, 'utf8')).toBe('ran\n')
})

test('a hook with a check that was interrupted after its work was done needs nobody', async () => {
  const body = 'touch "$0.begun"; until [ -e "$0.ok" ]; do sleep 0.02; done'
  await using fleet = withHook(body, ', check: [/bin/true]')
  await bringUp(fleet)
  await using stop = fleet.start(['stop', '--yes'])
  await until('the hook to run', () => existsSync(join(fleet.path, 'hook.begun')))
  stop.signal('SIGKILL')
  await stop.ended
  script(fleet, 'hook.ok', '')
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['app down', 'db down'])
})

test('a restart of an instance that cannot be seen is refused, and nothing is touched', async () => {
  await using fleet = localFleet()
  await bringUp(fleet)
  fleet.services.behave('mail', { status: 4 })
  const ended = await fleet.filo('restart', 'app', '--yes')
  expect(ended).toMatchObject({ code: 65 })
  expect(ended.stderr).toContain('mail@mail-host')
  expect(fleet.services.requests()).toEqual([])
})

test('undoing a stop that came half way starts again what it stopped, and nothing else', async () => {
  await using fleet = localFleet({ ...fourInARow, app: { needs: 'db', refuses: 'stop' }, log: {} })
  await bringUp(fleet)
  await fleet.services.kill('log')
  fleet.services.forget()
  expect(await fleet.filo('stop', 'db', '--yes')).toMatchObject({ code: 2 })
  expect(fleet.services.effects()).toEqual(['web down', 'mail down'])
  fleet.services.forget()
  expect(await fleet.filo('undo', await newestRun(fleet), '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.requests()).toEqual(['mail start', 'web start'])
})

test('a plan applied twice stops the fleet once', async () => {
  await using fleet = localFleet()
  await bringUp(fleet)
  expect(await fleet.filo('plan', 'stop', '-o', 'stop.plan')).toMatchObject({ code: 0 })
  expect(await fleet.filo('apply', 'stop.plan', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(downInOrder)
  expect(await fleet.filo('apply', 'stop.plan', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(downInOrder)
})

test('seventy services on one host, more than one message can name, stop and start', async () => {
  const names = Array.from({ length: 70 }, (_, at) => `s${at}`)
  const many: FleetServices = Object.fromEntries(names.map((name) => [name, { host: 'h', needs: 'base' }]))
  await using fleet = localFleet({ base: { host: 'h' }, ...many })
  await bringUp(fleet)
  expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
  const effects = fleet.services.effects()
  expect(effects).toHaveLength(71)
  expect(new Set(effects).size).toBe(71)
  expect(effects.at(-1)).toBe('base down')
})

test.each([
  ['text', 'yes "a long line of output" | head -c 5000000'],
  ['what is no text at all', 'head -c 300000 /dev/urandom'],
  ['quotes and backslashes', `yes '"\\\\"' | head -c 100000`],
  ['one line that never ends', 'head -c 3000000 /dev/zero | tr "\\\\0" x'],
])(
  'a script that prints far too much, %s, is stopped like any other, and its output is cut',
  async (_, printing) => {
    await using fleet = localFleet()
    await bringUp(fleet)
    const stop = script(fleet, 'loud', `${printing}\n${fleet.services.script('web')} "$1"\n${printing}`)
    const file = join(fleet.path, 'filo.yaml')
    const text = readFileSync(file, 'utf8')
    writeFileSync(file, text.replace(`stop: [${fleet.services.script('web')},`, `stop: [${stop},`))
    expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
    expect(fleet.services.effects()).toEqual(downInOrder)
  },
)

test('a script whose daemon keeps its output open does not hold the run, nor lose its daemon', async () => {
  await using fleet = localFleet()
  const good = fleet.services.script('db')
  const start = script(fleet, 'bad-daemon', `${good} start\nsleep 1000 &\necho $! >"$0.pid"`)
  const file = join(fleet.path, 'filo.yaml')
  writeFileSync(file, readFileSync(file, 'utf8').replace(`start: [${good},`, `start: [${start},`))
  const ended = await fleet.filo('start', '--yes')
  const daemon = Number(readFileSync(`${start}.pid`, 'utf8'))
  // Throws where it lives no more.
  process.kill(daemon, 'SIGTERM')
  expect(ended).toMatchObject({ code: 0 })
})

test('a disk that is full keeps a run from beginning, says so without a stack, and nothing is touched', async () => {
  await using fleet = localFleet()
  await bringUp(fleet)
  using disk = mountSmallDisk(join(fleet.path, 'small'))
  disk.fill()
  const ended = await fleet.filo('--state', disk.path, 'stop', '--yes')
  expect(ended).toMatchObject({ code: 1 })
  expect(ended.stderr).toMatch(/state directory .* cannot be written/)
  expect(ended.stderr).not.toContain('    at ')
  expect(fleet.services.requests()).toEqual([])
})
