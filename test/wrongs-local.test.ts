import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fourInARow, type FleetServices } from './support/fleet-file.ts'
import { localFleet, type LocalFleet } from './support/local-fleet.ts'
import { until } from './support/until.ts'

// W4, W8, W10, W11, W12 (DESIGN section 1), where one process for all hosts shows as much as many.

async function bringUp(fleet: LocalFleet): Promise<void> {
  expect(await fleet.filo('start', '--yes')).toMatchObject({ code: 0 })
  fleet.services.forget()
}

/** Changes the text of the fleet file. */
function edit(fleet: LocalFleet, change: (text: string) => string): void {
  const file = join(fleet.path, 'filo.yaml')
  writeFileSync(file, change(readFileSync(file, 'utf8')))
}

test('W4: a cycle is refused with its path and place, and nothing is run', async () => {
  await using fleet = localFleet({ ...fourInARow, db: { needs: 'web' } })
  for (const args of [['validate'], ['stop', '--yes'], ['start', 'db', '--yes']]) {
    const ended = await fleet.filo(...args)
    expect(ended).toMatchObject({ code: 65 })
    expect(ended.stdout + ended.stderr).toMatch(/filo\.yaml:\d+:\d+/)
    for (const name of ['db', 'web', 'mail', 'app']) expect(ended.stdout + ended.stderr).toContain(name)
  }
  expect(fleet.services.requests()).toEqual([])
})

test('W4: a misspelt key is refused with its place and the nearest known key, and nothing is run', async () => {
  await using fleet = localFleet()
  edit(fleet, (text) => text.replace('needs: [mail]', 'need: [mail]'))
  const ended = await fleet.filo('start', '--yes')
  expect(ended).toMatchObject({ code: 65 })
  expect(ended.stderr).toMatch(/filo\.yaml:8:\d+/)
  expect(ended.stderr).toContain('needs')
  expect(fleet.services.requests()).toEqual([])
})

test('W4: a selection that matches nothing exits 4 and runs nothing', async () => {
  await using fleet = localFleet()
  for (const selection of ['wbe', 'x*', '@nowhere', 'web@db-host']) {
    const ended = await fleet.filo('stop', selection, '--yes')
    expect(ended).toMatchObject({ code: 4 })
  }
  expect(fleet.services.requests()).toEqual([])
})

test('W8: when the database fails to start, nothing that needs it is started', async () => {
  await using fleet = localFleet({ ...fourInARow, db: { refuses: 'start' } })
  const ended = await fleet.filo('start', '--yes')
  expect(ended).toMatchObject({ code: 2 })
  expect(ended.stdout).toContain('db: will not start')
  expect(fleet.services.requests()).toEqual(['db start'])
})

test('W8: a database whose start exits 0 but that does not run holds its dependents, under --continue too', async () => {
  await using fleet = localFleet({
    ...fourInARow,
    db: { liesAbout: 'start', more: 'start_timeout: 1s' },
    log: {},
  })
  const ended = await fleet.filo('start', '--yes', '--continue')
  expect(ended).toMatchObject({ code: 2 })
  expect(fleet.services.requests().toSorted()).toEqual(['db start', 'log start'])
})

test('W10: a stop that returns at once is over only when the service is down', async () => {
  await using fleet = localFleet({ ...fourInARow, app: { needs: 'db', lingerMs: 1000 } })
  await bringUp(fleet)
  expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
  const told = fleet.services.ledger().map(({ service, verb }) => `${service} ${verb}`)
  expect(told.slice(-4)).toEqual(['app stop', 'app down', 'db stop', 'db down'])
})

test('W10: a status that LSB calls unknown is not read as stopped, and holds', async () => {
  await using fleet = localFleet({ ...fourInARow, app: { needs: 'db', more: 'stop_timeout: 2s' } })
  await bringUp(fleet)
  fleet.services.behave('app', { status: 4 })
  const ended = await fleet.filo('stop', '--yes', '--patience', '1s')
  expect(ended).toMatchObject({ code: 3 })
  expect(fleet.services.isUp('db')).toBe(true)
  expect(fleet.services.requests()).not.toContain('db stop')

  fleet.services.behave('app', {})
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['web down', 'mail down', 'app down', 'db down'])
})

test('W11: one slow service delays nothing that does not need it, however many there are', async () => {
  const chains: FleetServices = Object.fromEntries(
    [1, 2, 3, 4, 5, 6, 7, 8].flatMap((chain) => [
      [`db${chain}`, { host: 'back' }],
      [`app${chain}`, { host: 'front', needs: `db${chain}` }],
    ]),
  )
  await using fleet = localFleet({ slow: {}, ...chains })
  await bringUp(fleet)
  const { services } = fleet
  services.hold('slow')
  await using stop = fleet.start(['stop', '--yes'])
  // It would never come to this if a stage had to be over before the next begins.
  await until('all but the slow one to be down', () => services.effects().length === 16, {
    timeoutMs: 60_000,
  })
  services.letGo('slow')
  expect(await stop.ended).toMatchObject({ code: 0 })
  expect(services.effects().at(-1)).toBe('slow down')
})

test('W12: the exit code is never better than what became of the job', async () => {
  await using fleet = localFleet({
    ...fourInARow,
    web: { needs: 'mail', more: 'stop_timeout: 1s' },
    mail: { needs: 'app', more: 'stop_timeout: 1s' },
  })
  await bringUp(fleet)
  const { services } = fleet
  const stop = () => fleet.filo('stop', '--yes', '--patience', '1s')
  services.behave('web', { refuses: 'stop' })
  expect(await stop()).toMatchObject({ code: 2 })
  services.behave('web', { liesAbout: 'stop' })
  expect(await stop()).toMatchObject({ code: 2 })
  services.behave('web', {})
  services.behave('mail', { status: 4 })
  expect(await stop()).toMatchObject({ code: 3 })
  services.behave('mail', {})
  expect(await stop()).toMatchObject({ code: 0 })
})
