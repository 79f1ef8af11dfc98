import { beforeEach, expect, test } from 'vitest'
import { fourInARow } from './support/fleet-file.ts'
import type { Fleet } from './support/fleet.ts'
import { openForFile } from './support/fleet-of-file.ts'
import { startBroker } from './support/broker.ts'

// W1, W7, W9 (DESIGN section 1): what a host that says nothing, or an agent that hangs, must never lead to.

let fleet: Fleet
openForFile(
  startBroker,
  {
    ...fourInARow,
    app: { needs: 'db', more: 'stop_timeout: 2s' },
    log: {},
    other: {},
  },
  (opened) => ({ fleet } = opened),
)
beforeEach(() => fleet.recover())

const patience = ['--patience', '3s']

test('W1: a host that does not answer is never left out: nothing is stopped, and the operator is told what to type', async () => {
  const { services } = fleet
  fleet.agentOf('app').freeze()

  const ended = await fleet.filo('stop', 'db', '--yes', ...patience)
  expect(ended).toMatchObject({ code: 3 })
  expect(services.requests()).toEqual([])
  expect(ended.stdout).toContain('app-host')
  expect(ended.stdout).toContain(`filo resume ${await fleet.newestRun()}`)

  fleet.agentOf('app').thaw()
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(services.effects()).toEqual(['web down', 'mail down', 'app down', 'db down'])
})

test('W1: with --continue, what does not depend on a silent host goes on, and what does is held', async () => {
  const { services } = fleet
  await fleet.agentOf('app').kill()

  const ended = await fleet.filo('stop', 'db', 'log', '--yes', '--continue', ...patience)
  expect(ended).toMatchObject({ code: 3 })
  expect(services.effects().toSorted()).toEqual(['log down', 'mail down', 'web down'])
  expect(ended.stdout).toContain('app-host')

  await fleet.agentOf('app').start()
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(services.effects().slice(3)).toEqual(['app down', 'db down'])
})

test('W7: an agent that hangs while its application lives does not let the database be stopped under it', async () => {
  const { services } = fleet
  services.hold('mail')
  await using stop = fleet.start(['stop', 'db', '--yes', ...patience])
  await services.untilAsked('mail', 'stop')
  fleet.agentOf('app').freeze()
  services.letGo('mail')

  const ended = await stop.ended
  expect(ended).toMatchObject({ code: 3 })
  expect(services.effects()).toEqual(['web down', 'mail down'])
  expect(services.isUp('app') && services.isUp('db')).toBe(true)
  expect(ended.stdout).toContain('app')

  fleet.agentOf('app').thaw()
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(services.effects()).toEqual(['web down', 'mail down', 'app down', 'db down'])
})

test('W7: a stop that exits 0 while the application lives is a failure, and the database stays', async () => {
  const { services } = fleet
  services.behave('app', { liesAbout: 'stop' })

  const ended = await fleet.filo('stop', 'db', '--yes', ...patience)
  expect(ended).toMatchObject({ code: 2 })
  expect(ended.stdout).toContain('stop app@app-host')
  expect(services.requests()).toEqual(['web stop', 'mail stop', 'app stop'])
  expect(services.isUp('db')).toBe(true)
})

test('W9: agents that leave and join, and a run elsewhere, do not touch a stop in progress', async () => {
  const { services } = fleet
  services.hold('mail')
  await using stop = fleet.start(['stop', 'db', '--yes'])
  await services.untilAsked('mail', 'stop')

  await fleet.agentOf('other').restart()
  expect(await fleet.filo('restart', 'other', '--yes')).toMatchObject({ code: 0 })
  await fleet.agentOf('other').kill()

  services.letGo('mail')
  expect(await stop.ended).toMatchObject({ code: 0 })
  const own = services.effects().filter((effect) => !effect.startsWith('other'))
  expect(own).toEqual(['web down', 'mail down', 'app down', 'db down'])
  expect(services.effects().filter((effect) => effect.startsWith('other'))).toEqual([
    'other down',
    'other up',
  ])
})
