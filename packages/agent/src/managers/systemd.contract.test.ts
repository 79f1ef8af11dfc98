import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { tempDir, type TempDir } from '../../../../test/support/temp-dir.ts'
import type { Sighting } from './manager.ts'
import { Systemd } from './systemd.ts'
import { lendAct } from './testing.ts'

// Against answers recorded from systemd 252 (fixtures/systemd: `systemctl show` of each unit, its ExecStart, and the
// queue of jobs), given back by a script in the place of systemctl.

const recorded = new URL('fixtures/systemd', import.meta.url).pathname
const never = new AbortController().signal

let dir: TempDir
let systemd: Systemd

beforeEach(() => {
  dir = tempDir()
  cpSync(recorded, join(dir.path, 'answers'), { recursive: true })
  const systemctl = join(dir.path, 'systemctl')
  writeFileSync(systemctl, replay(dir.path))
  chmodSync(systemctl, 0o755)
  inCgroup('', [])
  systemd = new Systemd({ systemctl, cgroups: join(dir.path, 'cgroup') })
})

afterEach(() => dir[Symbol.dispose]())

/** Says what was recorded for the units that it is asked for, and notes how it was called. */
function replay(path: string): string {
  return `#!/bin/sh
cd ${path}/answers
echo "$*" >> ../calls
if [ -e ../broken ]; then cat ../broken >&2; exit 1; fi
case "$*" in
  *list-jobs*) exec cat jobs.txt ;;
  *' start -- '* | *' stop -- filo-starting.service') cat destructive.txt >&2; exit 4 ;;
  *' stop -- '*) exit 0 ;;
  *--property=ExecStart*) suffix=.exec ;;
esac
while [ "$1" != -- ]; do shift; done
shift
for unit; do
  [ -z "$separate" ] || echo
  cat "$unit$suffix.txt" || exit 1
  separate=yes
done
`
}

/** Puts processes into a control group of the tree that the test looks at instead of the machine's. */
function inCgroup(group: string, pids: readonly number[]): void {
  const path = join(dir.path, 'cgroup', group)
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, 'cgroup.procs'), pids.map((pid) => `${pid}\n`).join(''))
}

function calls(): string[] {
  return readFileSync(join(dir.path, 'calls'), 'utf8').trim().split('\n')
}

async function see(unit: string): Promise<Sighting> {
  const [sighting] = await systemd.observe([{ kind: 'systemd', unit }], never)
  return sighting!
}

test.each([
  ['filo-active', 'running', 'yes', 'active (running)'],
  ['filo-oneshot', 'running', 'yes', 'active (exited)'],
  ['filo-inactive', 'stopped', 'no', 'inactive (dead)'],
  ['filo-failed', 'failed', 'no', 'failed (failed); result exit-code 7'],
  [
    'filo-flapping',
    'starting',
    'yes',
    'activating (auto-restart); result exit-code 7; systemd starts it again; 0 restarts so far',
  ],
  ['filo-starting', 'starting', 'yes', 'activating (start-pre); job 1364 queued: start'],
  ['filo-queued', 'starting', 'yes', 'inactive (dead); job 1414 queued: start'],
  ['filo-stopping', 'stopping', 'yes', 'deactivating (stop); job 1464 queued: stop'],
  ['filo-broken', 'failed', 'no', 'inactive (dead); its unit file: bad-setting'],
  ['filo-gone', 'running', 'yes', 'active (running); its unit file: not-found'],
  [
    'filo-masked',
    'missing',
    'unknown',
    'filo-masked.service is missing on this host: it is masked (systemctl unmask)',
  ],
  [
    'filo-nonesuch',
    'missing',
    'unknown',
    'filo-nonesuch.service is missing on this host: systemd finds no such unit',
  ],
])('%s is %s, live: %s', async (unit, state, live, detail) => {
  if (unit === 'filo-gone') inCgroup('system.slice/filo-gone.service', [process.pid])
  expect(await see(unit)).toMatchObject({ state, live, detail })
})

test('a failed unit is live while its control group, or one below it, holds a process', async () => {
  expect(await see('filo-failed-live')).toMatchObject({ state: 'failed', live: 'no' })
  inCgroup('system.slice/filo-failed-live.service', [])
  inCgroup('system.slice/filo-failed-live.service/worker', [process.pid])
  const seen = await see('filo-failed-live')
  expect(seen).toMatchObject({ state: 'failed', live: 'yes' })
  expect(seen.processes?.map(({ pid }) => pid)).toEqual([process.pid])
})

test('a control group that cannot be read leaves open whether a failed unit is live', async () => {
  const blind = new Systemd({ systemctl: join(dir.path, 'systemctl'), cgroups: join(dir.path, 'nowhere') })
  const [seen] = await blind.observe([{ kind: 'systemd', unit: 'filo-failed-live' }], never)
  expect(seen).toMatchObject({ state: 'failed', live: 'unknown' })
  expect(seen!.detail).toContain('/system.slice/filo-failed-live.service cannot be read')
})

test('a stopped dummy is live while the unit that does the work still stops', async () => {
  const seen = await see('postgresql')
  expect(seen).toMatchObject({
    state: 'stopping',
    live: 'yes',
    detail: 'inactive (dead); postgresql@15-main.service deactivating (stop); job 1466 queued: stop',
    warnings: [
      'postgresql.service does nothing itself (it runs true): declare postgresql@15-main.service instead',
    ],
  })
})

test('what dummies do is one question for all of them, and for each where a command has an empty line', async () => {
  const units = ['postfix', 'postgresql'].map((unit) => ({ kind: 'systemd', unit }) as const)
  const areDummies = async () =>
    (await systemd.observe(units, never)).map(({ warnings }) => /does nothing/.test(String(warnings)))
  const asked = () => calls().filter((call) => call.includes('ExecStart')).length
  expect(await areDummies()).toEqual([true, true])
  expect(asked()).toBe(1)
  writeFileSync(
    join(dir.path, 'answers', 'postfix.service.exec.txt'),
    '{ path=/bin/sh ; argv[]=sh -c \n\ntrue ; }\n',
  )
  expect(await areDummies()).toEqual([false, true])
  expect(asked()).toBe(4)
})

test('a dummy names the unit that does the work, and a real oneshot is no dummy', async () => {
  expect((await see('postfix')).warnings).toEqual([
    'postfix.service does nothing itself (it runs true): declare postfix@-.service instead',
  ])
  expect((await see('filo-oneshot')).warnings).toBeUndefined()
})

test('what would start it again, and what stops with it, is warned of', async () => {
  expect((await see('filo-socket')).warnings).toEqual([
    'filo-socket.socket would start it again after a stop: stop that first',
  ])
  expect((await see('filo-timed')).warnings).toEqual([
    'filo-timed.timer would start it again after a stop: stop that first',
  ])
  expect((await see('filo-active')).warnings).toEqual(['stopping it also stops filo-group.service (PartOf)'])
})

test('many units are one question, in their order, also where one is named twice or not at all', async () => {
  const units = ['nginx', 'filo-failed', 'a*', 'nginx.service', 'filo-inactive']
  const seen = await systemd.observe(
    units.map((unit) => ({ kind: 'systemd', unit })),
    never,
  )
  expect(seen.map(({ state }) => state)).toEqual(['running', 'failed', 'missing', 'running', 'stopped'])
  expect(calls()).toHaveLength(1)
  expect(calls()[0]).toMatch(/ -- nginx\.service filo-failed\.service filo-inactive\.service$/)
})

test('those who look side by side, and who ask what contains them, are one question', async () => {
  const units = ['nginx', 'filo-failed', 'filo-inactive'].map((unit) => ({ kind: 'systemd', unit }) as const)
  const looks = units.map((unit) => systemd.observe([unit], never))
  const contains = systemd.contains(units[0]!, process.pid, never)
  const seen = await Promise.all(looks)
  expect(seen.map(([sighting]) => sighting!.state)).toEqual(['running', 'failed', 'stopped'])
  expect(await contains).toBe(false)
  expect(calls()).toHaveLength(1)
})

test('a unit that systemctl refuses to tell of hides no other', async () => {
  const units = ['nginx', 'filo-untold', 'filo-inactive'].map((unit) => ({ kind: 'systemd', unit }) as const)
  const seen = await systemd.observe(units, never)
  expect(seen.map(({ state }) => state)).toEqual(['running', 'unknown', 'stopped'])
  expect(seen[1]!.detail).toContain('systemd does not answer: cat: filo-untold.service.txt')
})

test('a state has held since its last change by the monotonic clock', async () => {
  const file = join(dir.path, 'answers', 'nginx.service.txt')
  const changedAtUs = Number(process.hrtime.bigint() / 1000n) - 5_000_000
  const answer = readFileSync(file, 'utf8').replace(/(StateChangeTimestampMonotonic=)\d+/, `$1${changedAtUs}`)
  writeFileSync(file, answer)
  const seen = await see('nginx')
  expect(seen.heldMs).toBeGreaterThanOrEqual(5000)
  expect(seen.heldMs).toBeLessThan(15_000)
  expect((await see('filo-inactive')).heldMs).toBeUndefined()
})

test('without an answer everything is unknown, and it says why', async () => {
  cpSync(join(dir.path, 'answers', 'not-booted.txt'), join(dir.path, 'broken'))
  expect(await see('nginx')).toMatchObject({
    state: 'unknown',
    live: 'unknown',
    detail:
      'systemd does not answer: ' +
      "System has not been booted with systemd as init system (PID 1). Can't operate.",
  })
})

test('a request is queued, never in place of a job that is queued already', async () => {
  const action = lendAct(dir.path)
  expect(await systemd.stop({ kind: 'systemd', unit: 'nginx' }, action)).toMatchObject({ accepted: true })
  expect(calls()).toEqual(['--no-ask-password --no-block --job-mode=fail stop -- nginx.service'])
  expect(action.groups).toHaveLength(1)
  const waiting = lendAct(dir.path, AbortSignal.timeout(1500))
  const refused = await systemd.stop({ kind: 'systemd', unit: 'filo-starting' }, waiting)
  // Asked for again for as long as there was time.
  expect(calls().filter((call) => call.endsWith('stop -- filo-starting.service'))).toHaveLength(2)
  expect(waiting.lines).toContain('waiting for another job to end: systemctl list-jobs')
  expect(refused.accepted).toBe(false)
  expect(refused.detail).toContain("has 'start' job queued")
  expect(refused.detail).toContain('systemctl list-jobs')
})

test('a name that systemctl would take for several units is not acted upon', async () => {
  expect(await systemd.stop({ kind: 'systemd', unit: '*' }, lendAct(dir.path))).toMatchObject({
    accepted: false,
  })
  expect(() => calls()).toThrow('ENOENT')
})

test('a process outside the control group of a unit is no part of it', async () => {
  expect(await systemd.contains({ kind: 'systemd', unit: 'nginx' }, process.pid, never)).toBe(false)
})
