import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { fourInARow } from './support/fleet-file.ts'
import { openFleet, type Fleet } from './support/fleet.ts'
import { openForFile } from './support/fleet-of-file.ts'
import { startBroker, type Broker } from './support/broker.ts'
import { until } from './support/until.ts'

// What nobody means to do to a fleet over a broker: wrong keys and passwords, two operators at once, dead hosts.

let broker: Broker
let fleet: Fleet
openForFile(startBroker, fourInARow, (opened) => ({ broker, fleet } = opened))
beforeEach(() => fleet.recover())

const patience = ['--patience', '3s']
const downInOrder = ['web down', 'mail down', 'app down', 'db down']

/** Begins to stop the fleet; resolves when mail's script has been asked to, and is held there. */
async function stopInMidst(...options: string[]) {
  fleet.services.hold('mail')
  const stop = fleet.start(['stop', '--yes', ...options])
  await fleet.services.untilAsked('mail', 'stop')
  return stop
}

test('an agent with a key of its own making is not believed, and nothing is stopped', async () => {
  rmSync(join(fleet.path, '.state', 'test', 'keys', 'hosts', 'app-host.key'))
  rmSync(join(fleet.path, '.state', 'test', 'keys', 'hosts', 'app-host.pub'))
  expect(await fleet.filo('keys', 'init', '--hosts')).toMatchObject({ code: 0 })
  const ended = await fleet.filo('stop', '--yes', ...patience)
  expect(ended).toMatchObject({ code: 3 })
  expect(ended.stdout).toMatch(/app-host does not answer: what answers for app-host signs with another key/)
  expect(fleet.services.requests()).toEqual([])
  const doctor = await fleet.filo('doctor')
  expect(doctor.code).toBe(3)
  expect(doctor.stdout).toMatch(/signs with another key.*\n.*filo agent-config app-host/)
  expect((await fleet.filo('status')).stdout).toContain('why there is no answer: filo doctor')

  await fleet.configure('app-host')
  await fleet.agentOf('app').restart()
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
})

test('agents that obey another coordinator are silent, and doctor says where to look and what to type', async () => {
  await using own = await openFleet(broker.url, { alone: { host: 'alone' } })
  rmSync(join(own.path, '.state', 'test', 'keys', 'coordinator.key'))
  rmSync(join(own.path, '.state', 'test', 'keys', 'coordinator.pub'))
  expect(await own.filo('keys', 'init', '--hosts')).toMatchObject({ code: 0 })
  const doctor = await own.filo('doctor')
  expect(doctor.code).toBe(3)
  expect(doctor.stdout).toMatch(/no answer from alone within 10 s\n.*"unknown-key".*filo agent-config alone/)
  expect(own.agents.get('alone')!.log).toContain('"why":"unknown-key"')
})

test('a wrong password, a missing virtual host and a dead broker end with 69, and never show the password', async () => {
  const file = join(fleet.path, 'filo.yaml')
  const text = readFileSync(file, 'utf8')
  onTestFinished(() => writeFileSync(file, text))
  const urls = [broker.url.replace(/:[^:]*@/, ':s3cret@'), broker.url.replace(/:\d+$/, ':1')]
  // NATS has none.
  if (broker.url.startsWith('amqp:')) urls.push(`${broker.url}/nowhere`)
  for (const url of urls) {
    writeFileSync(file, text.replace(broker.url, url))
    const ended = await fleet.filo('start', '--yes')
    expect(ended).toMatchObject({ code: 69 })
    expect(ended.stderr).toContain('filo doctor')
    expect(ended.stderr).not.toContain('s3cret')
  }
  expect(fleet.services.requests()).toEqual([])
})

test('of two stops at once one has the hosts; the other touches nothing, names who has them, and keeps none', async () => {
  fleet.services.hold('mail')
  await using first = fleet.start(['stop', 'mail', '--yes'])
  await fleet.services.untilAsked('mail', 'stop')
  const run = await fleet.newestRun()
  const second = await fleet.filo('stop', '--yes')
  expect(second).toMatchObject({ code: 75 })
  expect(second.stdout).toContain(run)
  expect(await fleet.filo('start', 'app', '--yes')).toMatchObject({ code: 0 })
  fleet.services.letGo('mail')
  expect(await first.ended).toMatchObject({ code: 0 })
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop'])
})

test('a cancel from another terminal awaits what is in flight, ends with 5, and can be resumed', async () => {
  await using stop = await stopInMidst()
  expect(await fleet.filo('cancel', await fleet.newestRun())).toMatchObject({ code: 0 })
  fleet.services.letGo('mail')
  expect(await stop.ended).toMatchObject({ code: 5 })
  expect(fleet.services.effects()).toEqual(['web down', 'mail down'])
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(downInOrder)
})

test('a host that is dead for good can be waived: the rest goes on, and the run says so with 7', async () => {
  await fleet.agentOf('mail').kill()
  expect(await fleet.filo('stop', '--yes', ...patience)).toMatchObject({ code: 3 })
  const run = await fleet.newestRun()
  const waive = ['waive', run, 'stop mail@mail-host', '--reason', 'the machine burnt down']
  expect(await fleet.filo(...waive)).toMatchObject({ code: 0 })
  const ended = await fleet.filo('resume', '--yes', ...patience)
  expect(ended).toMatchObject({ code: 7 })
  expect(fleet.services.effects()).toEqual(['web down', 'app down', 'db down'])
  expect((await fleet.filo('show', run)).stdout).toContain('the machine burnt down')
})

test('an agent restarted with another definition in mid-run is sent nothing, and the operator is told what to type', async () => {
  await using stop = await stopInMidst(...patience)
  fleet.declare({ ...fourInARow, app: { needs: 'db', more: 'stop_timeout: 5s' } })
  await fleet.configure('app-host')
  await fleet.agentOf('app').restart()
  fleet.services.letGo('mail')
  const ended = await stop.ended
  expect(ended).toMatchObject({ code: 78 })
  expect(ended.stdout).toContain('filo agent-config app-host')
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop'])

  // Planned anew it goes on at once: the run that was refused has given the hosts back.
  expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(downInOrder)
})

test('a host that answers late is waited for', async () => {
  fleet.agentOf('app').freeze()
  await using stop = fleet.start(['stop', '--yes'])
  await stop.untilSays(/app-host/)
  fleet.agentOf('app').thaw()
  expect(await stop.ended).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(downInOrder)
})

test('a coordinator that was frozen while another took its hosts over is fenced: it sends nothing more', async () => {
  await using first = await stopInMidst()
  first.signal('SIGSTOP')
  expect(await fleet.filo('start', 'mail', '--yes', ...patience)).toMatchObject({ code: 75 })
  const taking = ['resume', await fleet.newestRun(), '--take-over', '--yes', ...patience]
  expect(await fleet.filo(...taking)).toMatchObject({ code: 2 })
  fleet.services.letGo('mail')
  first.signal('SIGCONT')
  const ended = await first.ended
  expect(ended).toMatchObject({ code: 75 })
  expect(fleet.services.requests()).not.toContain('app stop')
  expect(await fleet.filo(...taking)).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['web down', 'mail down', 'mail up'])
})

test('an agent whose state was deleted remembers nothing: what it was asked is found out about by looking', async () => {
  await using stop = await stopInMidst()
  stop.signal('SIGKILL')
  await stop.ended
  await fleet.agentOf('mail').kill()
  rmSync(fleet.agentOf('mail').stateDir, { recursive: true })
  fleet.services.letGo('mail')
  await until('mail to be down', () => !fleet.services.isUp('mail'))
  await fleet.agentOf('mail').start()
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop', 'app stop', 'db stop'])
})

test('a service revived behind the run is seen before what it needs is stopped, and stopped again by a resume', async () => {
  const declared = {
    db: { host: 'db2' },
    app: { host: 'app2', needs: 'db' },
    log: { host: 'log2', needs: 'db' },
  }
  await using own = await openFleet(broker.url, declared)
  const { services } = own
  await own.bringUp()
  services.hold('app')
  await using stop = own.start(['stop', '--yes'])
  await stop.untilSays(/stop log@log2 +stopped/)
  await services.start('log')
  // A proof is good for ten seconds (R3); the run must not go on before this one has to be renewed.
  const revivedAt = performance.now()
  await until('the proof to be too old', () => performance.now() - revivedAt > 10_500, { timeoutMs: 20_000 })
  services.letGo('app')
  const ended = await stop.ended
  expect(ended).toMatchObject({ code: 2 })
  expect(ended.stdout).toContain('log@log2')
  expect(services.requests()).not.toContain('db stop')
  expect(await own.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(services.effects().slice(-2)).toEqual(['log down', 'db down'])
})
