import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunReport } from '../packages/coordinator/src/run/report.ts'
import type { FleetServices } from './support/fleet-file.ts'
import { openFleet, type Fleet, type FleetOptions } from './support/fleet.ts'
import { startBroker, type Broker } from './support/broker.ts'
import { until } from './support/until.ts'

// Hosts that go down and come up again, as a run asks for it or in the midst of one.

let broker: Broker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(async () => {
  await broker?.[Symbol.asyncDispose]()
})

/** Web needs app needs db; each on a machine of its own. */
const threeInARow = { db: {}, app: { needs: 'db' }, web: { needs: 'app' } } satisfies FleetServices

async function raise(options: FleetOptions = {}, declared: FleetServices = threeInARow): Promise<Fleet> {
  const fleet = await openFleet(broker.url, declared, { machines: true, ...options })
  await fleet.bringUp()
  return fleet
}

function machineOf(fleet: Fleet, host: string) {
  return fleet.machines.get(host)!
}

async function reportOf(fleet: Fleet): Promise<RunReport> {
  const { stdout } = await fleet.filo('show', await fleet.newestRun(), '--json')
  return JSON.parse(stdout) as RunReport
}

const aroundApp = ['web down', 'app down', 'app up', 'web up']

test('a reboot stops all that needs the host, in order, boots it, and starts again what ran', async () => {
  await using fleet = await raise()
  const run = await fleet.filo('reboot', 'app-host', '--yes')
  expect(run).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(aroundApp)
  expect(machineOf(fleet, 'app-host').descents).toBe(1)
  expect(run.stderr).toMatch(/reboot app-host {2}has booted/)
  expect(await fleet.filo('status')).toMatchObject({ code: 0 })
})

test('what comes up with the boot is left as it is, and its hook runs all the same', async () => {
  await using fleet = await raise(
    {},
    {
      db: {},
      app: { needs: 'db', more: 'hooks: { after_start: { run: [/bin/true] } }' },
      web: { needs: 'app' },
    },
  )
  machineOf(fleet, 'app-host').enabled.add('app')
  expect(await fleet.filo('reboot', 'app-host', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(aroundApp)
  const { steps } = await reportOf(fleet)
  const outcomes = Object.fromEntries(steps.map(({ step, outcome }) => [step, outcome]))
  expect(outcomes).toMatchObject({
    'reboot app-host': 'changed',
    'start app@app-host': 'unchanged',
    'after_start app@app-host': 'changed',
  })
})

test('of two hosts the one that the other needs is up and serves before the other is rebooted', async () => {
  await using fleet = await raise()
  machineOf(fleet, 'app-host').enabled.add('app')
  machineOf(fleet, 'db-host').enabled.add('db')
  expect(await fleet.filo('reboot', 'app-host', 'db-host', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['web down', 'app down', 'db down', 'db up', 'app up', 'web up'])
})

test('two reboots in a row are two', async () => {
  await using fleet = await raise()
  expect(await fleet.filo('reboot', 'app-host', '--yes')).toMatchObject({ code: 0 })
  expect(await fleet.filo('reboot', 'app-host', '--yes')).toMatchObject({ code: 0 })
  expect(machineOf(fleet, 'app-host').descents).toBe(2)
  expect(fleet.services.effects()).toEqual([...aroundApp, ...aroundApp])
})

test('a halt is done when the host is gone; the way back waits until somebody has switched it on', async () => {
  await using fleet = await raise()
  const machine = machineOf(fleet, 'app-host')
  expect(await fleet.filo('halt', 'app-host', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['web down', 'app down'])
  const run = await fleet.newestRun()
  const status = await fleet.filo('status')
  expect(status.code).toBe(4)
  expect(status.stdout).toMatch(new RegExp(`halted since .* \\(${run}\\): no agent listens for app-host`))
  const early = await fleet.filo('undo', run, '--yes')
  expect(early).toMatchObject({ code: 65 })
  expect(early.stderr).toContain(`type this again: filo undo ${run}`)
  await machine.letUp()
  expect(await fleet.filo('undo', run, '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(aroundApp)
})

test('a coordinator that is killed while a host reboots carries on with a resume, and reboots nothing twice', async () => {
  await using fleet = await raise()
  const machine = machineOf(fleet, 'app-host')
  machine.holdDown()
  {
    await using reboot = fleet.start(['reboot', 'app-host', '--yes'])
    await machine.untilDown()
    await reboot.untilSays(/app-host {2}is down/)
  }
  const run = await fleet.newestRun()
  const status = await fleet.filo('status', '@app-host')
  expect(status.stdout).toMatch(new RegExp(`rebooting since .* \\(${run}\\)`))
  expect((await fleet.filo('show', run)).stdout).toMatch(/reboot app-host +sent .*rebooting since/)
  await using resume = fleet.start(['resume', run, '--yes', '--patience', '1s'])
  await resume.untilSays(/carries on/)
  const beganAt = performance.now()
  await until('three times the patience to pass', () => performance.now() - beganAt > 3000)
  await machine.letUp()
  expect(await resume.ended).toMatchObject({ code: 0 })
  expect(machine.descents).toBe(1)
  expect(fleet.services.effects()).toEqual(aroundApp)
})

test('a coordinator that is killed just as it sends the reboot, and a host that is up again before the resume', async () => {
  await using fleet = await raise()
  const machine = machineOf(fleet, 'app-host')
  {
    await using reboot = fleet.start(['reboot', 'app-host', '--yes'])
    await reboot.untilSays(/reboot app-host {2}begins/)
  }
  const resumed = await fleet.filo('resume', await fleet.newestRun(), '--yes')
  expect(resumed).toMatchObject({ code: 0 })
  expect(machine.descents).toBe(1)
  expect(fleet.services.effects()).toEqual(aroundApp)
})

test('a command that may not reboot the host fails at once, says so, and a resume tries again', async () => {
  await using fleet = await raise()
  const machine = machineOf(fleet, 'app-host')
  machine.behave('refuses')
  const refused = await fleet.filo('reboot', 'app-host', '--yes')
  expect(refused).toMatchObject({ code: 2 })
  expect(refused.stdout).toMatch(/reboot app-host failed: .*app-host.power reboot: exit status 1/)
  expect(refused.stdout).toContain('Interactive authentication required.')
  expect(fleet.services.effects()).toEqual(['web down', 'app down'])
  machine.behave('obeys')
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(machine.descents).toBe(1)
  expect(fleet.services.effects()).toEqual(aroundApp)
})

test('a run that failed to reboot a host is led back by starting what it stopped', async () => {
  await using fleet = await raise()
  machineOf(fleet, 'app-host').behave('refuses')
  expect(await fleet.filo('reboot', 'app-host', '--yes')).toMatchObject({ code: 2 })
  expect(await fleet.filo('undo', await fleet.newestRun(), '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(aroundApp)
})

test('a host that is told to reboot and stays up has failed when its reboot_timeout is over', async () => {
  await using fleet = await raise({ power: 'reboot_timeout: 2s' })
  machineOf(fleet, 'app-host').behave('ignores')
  const stayed = await fleet.filo('reboot', 'app-host', '--yes')
  expect(stayed).toMatchObject({ code: 2 })
  expect(stayed.stdout).toMatch(/reboot app-host failed: .*after 2 s the host is still up, in the same boot/)
})

test('a host that does not return is unknown when its time is over, and a resume carries on once it is back', async () => {
  await using fleet = await raise({ power: 'reboot_timeout: 3s' })
  const machine = machineOf(fleet, 'app-host')
  machine.holdDown()
  const lost = await fleet.filo('reboot', 'app-host', '--yes', '--patience', '1s')
  expect(lost).toMatchObject({ code: 3 })
  expect(lost.stdout).toMatch(/reboot app-host is unknown: .*told to reboot at .*its reboot_timeout is over/)
  expect(lost.stdout).toContain(`filo resume ${await fleet.newestRun()}`)
  await machine.letUp()
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(machine.descents).toBe(1)
  expect(fleet.services.effects()).toEqual(aroundApp)
})

test('a host whose services fail to start after its reboot holds what needs them', async () => {
  await using fleet = await raise()
  fleet.services.behave('app', { refuses: 'start' })
  const failed = await fleet.filo('reboot', 'app-host', '--yes')
  expect(failed).toMatchObject({ code: 2 })
  expect(failed.stdout).toMatch(/start app@app-host failed: /)
  expect(failed.stdout).toContain('holds start web@web-host')
  fleet.services.behave('app', {})
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(machineOf(fleet, 'app-host').descents).toBe(1)
})

test('a host that somebody reboots in the middle of a stop is said to have, and the run can be carried on', async () => {
  await using fleet = await raise()
  const { services } = fleet
  machineOf(fleet, 'web-host').enabled.add('web')
  services.hold('app')
  await using stop = fleet.start(['stop', '--yes'])
  await services.untilAsked('app', 'stop')
  await machineOf(fleet, 'web-host').reboot()
  await stop.untilSays(/web-host {2}has rebooted during the run/)
  services.letGo('app')
  const ended = await stop.ended
  expect(ended).toMatchObject({ code: 2 })
  expect(ended.stdout).toMatch(
    /stop web@web-host drifted: stop web@web-host was proven, but web@web-host is seen running: .*; web-host has rebooted since \(seen at /,
  )
  expect(services.isUp('db')).toBe(true)
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(services.effects()).toEqual(['web down', 'web up', 'app down', 'web down', 'db down'])
})

test('a stop that is in flight on a host that somebody reboots is proven after the boot', async () => {
  await using fleet = await raise()
  const { services } = fleet
  services.hold('app')
  await using stop = fleet.start(['stop', '--yes'])
  await services.untilAsked('app', 'stop')
  services.letGo('app')
  services.hold('app')
  await machineOf(fleet, 'app-host').reboot()
  services.letGo('app')
  const ended = await stop.ended
  if (ended.code !== 0) expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(services.effects().filter((effect) => effect.endsWith('down'))).toEqual([
    'web down',
    'app down',
    'db down',
  ])
})

test('a start on a host that somebody reboots before the run ends is not taken for done', async () => {
  await using fleet = await raise()
  expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
  const { services } = fleet
  services.hold('web')
  await using start = fleet.start(['start', '--yes'])
  await services.untilAsked('web', 'start')
  await machineOf(fleet, 'db-host').reboot()
  await start.untilSays(/db-host {2}has rebooted during the run/)
  await start.untilSays(/start db@db-host {2}drifted: /)
  services.letGo('web')
  expect(await start.ended).toMatchObject({ code: 2 })
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(services.isUp('db')).toBe(true)
})

test('the machine that the command runs on is not rebooted by it, and nothing is stopped for that', async () => {
  await using fleet = await openFleet(broker.url, threeInARow)
  await fleet.bringUp()
  const refused = await fleet.filo('reboot', 'app-host', '--yes')
  expect(refused).toMatchObject({ code: 65 })
  expect(refused.stderr).toContain('app-host is the machine that this command itself runs on')
  expect(await fleet.filo('halt', 'app-host', '--yes')).toMatchObject({ code: 65 })
  expect(fleet.services.effects()).toEqual([])
})
