import { beforeEach, expect, test } from 'vitest'
import { fourInARow } from './support/fleet-file.ts'
import type { Fleet } from './support/fleet.ts'
import { openForFile } from './support/fleet-of-file.ts'
import { startBroker } from './support/broker.ts'
import { until } from './support/until.ts'

// W2, W3, W5, W6 (DESIGN section 1): a run that was cut short carries on, and repeats nothing.

let fleet: Fleet
openForFile(startBroker, fourInARow, (opened) => ({ fleet } = opened))
beforeEach(() => fleet.recover())

const downInOrder = ['web down', 'mail down', 'app down', 'db down']

test('W2: after a host was dead, a resume carries on the whole plan, hosts never reached included', async () => {
  const { services } = fleet
  await fleet.agentOf('mail').kill()
  expect(await fleet.filo('stop', '--yes', '--continue', '--patience', '1s')).toMatchObject({ code: 3 })
  expect(services.effects()).toEqual(['web down'])

  // Still dead: a resume that skipped the rest would end here, with 0.
  expect(await fleet.filo('resume', '--yes', '--patience', '1s')).toMatchObject({ code: 3 })
  expect(services.effects()).toEqual(['web down'])

  await fleet.agentOf('mail').start()
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(services.effects()).toEqual(downInOrder)
})

test('W3: a resume tries again only what failed; what succeeded is not asked again', async () => {
  const { services } = fleet
  services.behave('app', { refuses: 'stop' })
  const ended = await fleet.filo('stop', '--yes')
  expect(ended).toMatchObject({ code: 2 })
  expect(ended.stdout).toContain('app: will not stop')
  expect(ended.stdout).toContain(`filo resume ${await fleet.newestRun()}`)
  expect(services.requests()).toEqual(['web stop', 'mail stop', 'app stop'])

  services.behave('app', {})
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(services.requests()).toEqual(['web stop', 'mail stop', 'app stop', 'app stop', 'db stop'])
  expect(services.effects()).toEqual(downInOrder)
})

test('W5: Ctrl-C in mid-stage sends nothing new, waits for what is in flight, and says how to resume', async () => {
  const { services } = fleet
  services.hold('mail')
  await using stop = fleet.start(['stop', '--yes'])
  await services.untilAsked('mail', 'stop')
  stop.signal('SIGINT')
  await stop.untilSays(/interrupt|Ctrl-C/i)
  services.letGo('mail')

  const ended = await stop.ended
  expect(ended).toMatchObject({ code: 130 })
  expect(services.effects()).toEqual(['web down', 'mail down'])
  expect(services.requests()).toEqual(['web stop', 'mail stop'])
  expect(ended.stdout).toContain(`filo resume ${await fleet.newestRun()}`)

  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(services.requests()).toEqual(['web stop', 'mail stop', 'app stop', 'db stop'])
  expect(services.effects()).toEqual(downInOrder)
})

test('W6: what was in flight when the coordinator was killed is found out about, not done again', async () => {
  const { services } = fleet
  services.hold('mail')
  await using stop = fleet.start(['stop', '--yes'])
  await services.untilAsked('mail', 'stop')
  stop.signal('SIGKILL')
  await stop.ended
  services.letGo('mail')
  await until('mail to go down with nobody watching', () => !services.isUp('mail'))

  expect(await fleet.filo('runs')).toMatchObject({ stdout: expect.stringContaining('interrupted') })
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(services.requests()).toEqual(['web stop', 'mail stop', 'app stop', 'db stop'])
  expect(services.effects()).toEqual(downInOrder)
})

test('W6: a coordinator killed while its action goes on is resumed in the midst of it', async () => {
  const { services } = fleet
  services.hold('mail')
  await using stop = fleet.start(['stop', '--yes'])
  await services.untilAsked('mail', 'stop')
  stop.signal('SIGKILL')
  await stop.ended

  await using resume = fleet.start(['resume', '--yes'])
  await until('the resumed run to be under way', async () =>
    (await fleet.filo('runs')).stdout.includes('running'),
  )
  expect(services.requests()).toEqual(['web stop', 'mail stop'])
  services.letGo('mail')
  expect(await resume.ended).toMatchObject({ code: 0 })
  expect(services.requests()).toEqual(['web stop', 'mail stop', 'app stop', 'db stop'])
  expect(services.effects()).toEqual(downInOrder)
})
