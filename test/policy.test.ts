import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startBroker, type Broker } from './support/broker.ts'
import { openSharedFleet, type Fleet } from './support/fleet.ts'
import { fourInARow } from './support/fleet-file.ts'

// What a host's own policy forbids, as an operator meets it.

let broker: Broker
let fleet: Fleet

beforeAll(async () => {
  broker = await startBroker()
  fleet = await openSharedFleet(broker.url, fourInARow)
})

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]()
  await broker?.[Symbol.asyncDispose]()
})

const policyFile = (host: string): string => join(fleet.path, 'agents', host, 'policy.yaml')

beforeEach(async () => {
  for (const host of fleet.agents.keys()) rmSync(policyFile(host), { force: true })
  await fleet.recover()
})

/** @returns the policy's file */
function setPolicy(host: string, text: string): string {
  writeFileSync(policyFile(host), text)
  return policyFile(host)
}

test('a frozen host keeps the whole run from beginning; it is said where, until when and what to type, and a resume goes on', async () => {
  fleet.showLogsIfTestFails()
  const file = setPolicy('db-host', 'freeze: 2100-01-01T06:00Z\nbecause: a backup goes on\n')
  const { code, stdout } = await fleet.filo('stop', '--yes')
  expect({ code, stdout }).toMatchObject({
    code: 77,
    stdout: expect.stringContaining(
      `db-host refused the run: frozen until 2100-01-01T06:00Z by ${file} (a backup goes on)`,
    ),
  })
  const run = await fleet.newestRun()
  expect(stdout).toMatch(new RegExp(`filo resume ${run} +carry on, once db-host allows it`))
  expect(fleet.services.requests()).toEqual([])

  const status = await fleet.filo('status')
  expect(status.stdout).toContain(`db-host begins nothing: frozen until 2100-01-01T06:00Z by ${file}`)
  expect(status.code).toBe(0)
  const doctor = await fleet.filo('doctor')
  expect(doctor.stdout).toContain('warning  agents   db-host begins nothing: frozen until')
  expect(doctor.stdout).toContain('wait until 2100-01-01T06:00:00.000Z by the clock of db-host')

  rmSync(file)
  expect(await fleet.filo('resume', run, '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['web down', 'mail down', 'app down', 'db down'])
})

test('a frozen host is still looked at, by runs that change nothing on it', async () => {
  fleet.showLogsIfTestFails()
  setPolicy('app-host', 'freeze: on')
  expect(await fleet.filo('stop', 'mail', '--yes')).toMatchObject({ code: 0 })
  expect(await fleet.filo('start', 'web', 'mail', '--only', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['web down', 'mail down', 'mail up', 'web up'])
})

test('what a policy allows to some is allowed to them only', async () => {
  fleet.showLogsIfTestFails()
  setPolicy('web-host', 'allow: { services: web, verbs: [stop], operators: "night@*" }')
  const as = (operator: string, ...args: string[]) =>
    fleet.start([...args, '--yes'], { env: { SUDO_USER: operator } }).ended
  expect(await as('day', 'stop', 'web')).toMatchObject({
    code: 77,
    stdout: expect.stringMatching(/does not allow day@\S+ to stop web/),
  })
  expect(await as('night', 'stop', 'web')).toMatchObject({ code: 0 })
  expect(await as('night', 'start', 'web')).toMatchObject({
    code: 77,
    stdout: expect.stringMatching(/does not allow night@\S+ to start web/),
  })
  expect(fleet.services.effects()).toEqual(['web down'])
})

test('a freeze that begins in the midst of a run is an orderly end of it: nothing has failed, and a resume goes on', async () => {
  fleet.showLogsIfTestFails()
  fleet.services.hold('mail')
  const stopping = fleet.start(['stop', '--yes'])
  await fleet.services.untilAsked('mail', 'stop')
  const file = setPolicy('app-host', 'freeze: on')
  fleet.services.letGo('mail')
  const { code, stdout } = await stopping.ended
  expect({ code, stdout }).toMatchObject({
    code: 77,
    stdout: expect.stringContaining(`app-host refused the run: frozen by ${file}`),
  })
  expect(fleet.services.effects()).toEqual(['web down', 'mail down'])
  rmSync(file)
  expect(await fleet.filo('resume', await fleet.newestRun(), '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['web down', 'mail down', 'app down', 'db down'])
})

test('a refusal by policy is on record at the host and at the coordinator', async () => {
  fleet.showLogsIfTestFails()
  setPolicy('web-host', 'freeze: on')
  expect(await fleet.filo('stop', 'web', '--yes')).toMatchObject({ code: 77 })
  const told = await fleet.filo('audit', 'show', await fleet.newestRun())
  expect(told.stdout).toMatch(/web-host.*frozen by/)
})
