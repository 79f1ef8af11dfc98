import { afterAll, beforeAll, expect, test } from 'vitest'
import { fourInARow } from './support/fleet-file.ts'
import { openFleet } from './support/fleet.ts'
import { startBroker, type Broker } from './support/broker.ts'

// The main job, over a real broker, by four agents: what happened is read from the services' own ledger.

let broker: Broker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker[Symbol.asyncDispose]())

const upInOrder = ['db up', 'app up', 'mail up', 'web up']
const downInOrder = ['web down', 'mail down', 'app down', 'db down']

test('a fleet stops from web to database and starts from database to web, and twice is as good as once', async () => {
  await using fleet = await openFleet(broker.url)
  const { services } = fleet

  expect(await fleet.filo('start', '--yes')).toMatchObject({ code: 0 })
  expect(services.effects()).toEqual(upInOrder)

  services.forget()
  expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
  expect(services.effects()).toEqual(downInOrder)

  services.forget()
  expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
  expect(services.requests()).toEqual([])

  expect(await fleet.filo('start', '--yes')).toMatchObject({ code: 0 })
  expect(services.effects()).toEqual(upInOrder)

  services.forget()
  expect(await fleet.filo('start', '--yes')).toMatchObject({ code: 0 })
  expect(services.requests()).toEqual([])
})

test('a host is given back before its command ends: whoever comes next is not refused', async () => {
  await using fleet = await openFleet(broker.url)
  for (let round = 0; round < 3; round += 1) {
    expect(await fleet.filo('start', '--yes')).toMatchObject({ code: 0 })
    expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
  }
})

test('no service is asked to stop before the one that needs it is down, however long that takes', async () => {
  await using fleet = await openFleet(broker.url, {
    ...fourInARow,
    mail: { needs: 'app', stopMs: 1500 },
    web: { needs: 'mail', stopMs: 500 },
  })
  await fleet.bringUp()
  expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
  const told = fleet.services
    .ledger()
    .filter(({ verb }) => verb === 'stop' || verb === 'down')
    .map(({ service, verb }) => `${service} ${verb}`)
  expect(told).toEqual(['web', 'mail', 'app', 'db'].flatMap((name) => [`${name} stop`, `${name} down`]))
})

test('a service outside the plan is never touched', async () => {
  await using fleet = await openFleet(broker.url, {
    ...fourInARow,
    backup: { host: 'db-host' },
    cache: { host: 'app-host', needs: 'db', more: 'keep: true' },
  })
  await fleet.bringUp()
  expect(await fleet.filo('stop', 'app', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['web down', 'mail down', 'app down'])
  expect(await fleet.filo('start', 'app', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects().slice(3)).toEqual(['app up'])
  const touched = new Set(fleet.services.requests().map((request) => request.split(' ')[0]))
  expect(touched).not.toContain('backup')
  expect(touched).not.toContain('cache')
  expect(touched).not.toContain('db')
})
