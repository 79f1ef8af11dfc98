import { expect, test } from 'vitest'
import { fourInARow } from './support/fleet-file.ts'
import { localFleet, type LocalFleet } from './support/local-fleet.ts'
import { bringUp, newestRun } from './support/run-of.ts'
import { until } from './support/until.ts'

// resume, undo, cancel, waive, runs and show, as typed, also from another process than the run's.

interface RunSummary {
  readonly run: string
  readonly outcome: string
}

async function runsOf(fleet: LocalFleet): Promise<RunSummary[]> {
  return JSON.parse((await fleet.filo('runs', '--json')).stdout) as RunSummary[]
}

/** A stop of the whole fleet that waits in the script of `mail`. */
async function stopThatWaits(fleet: LocalFleet) {
  fleet.services.hold('mail')
  const stop = fleet.start(['stop', '--yes'])
  await fleet.services.untilAsked('mail', 'stop')
  return { stop, run: await newestRun(fleet) }
}

const failing = { ...fourInARow, app: { needs: 'db', refuses: 'stop' as const } }

test('a resume tries again only what failed; what is not the newest run is resumed only by its name', async () => {
  await using fleet = localFleet(failing)
  await bringUp(fleet)
  expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 2 })
  const run = await newestRun(fleet)
  expect(await fleet.filo('start', 'db', '--yes')).toMatchObject({ code: 0 })
  fleet.services.behave('app', {})
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 4 })
  const { code, stdout } = await fleet.filo('resume', run, '--yes', '--json')
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ outcome: 'succeeded', intention: { verb: 'stop' }, sessions: 2 })
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop', 'app stop', 'app stop', 'db stop'])
  const again = await fleet.filo('resume', run, '--yes')
  expect(again).toMatchObject({ code: 4, stderr: expect.stringContaining('has ended as succeeded') })
})

test('a resume asks like any other change, and says when the fleet file has changed since', async () => {
  await using fleet = localFleet(failing)
  await bringUp(fleet)
  await fleet.filo('stop', '--yes')
  expect(await fleet.filo('resume')).toMatchObject({ code: 64 })
  fleet.declare({ ...fourInARow, db: { more: 'stop_timeout: 17s' } })
  const { code, stdout, stderr } = await fleet.filo('resume', '--yes')
  expect(code).toBe(2) // the step that failed before still has
  expect(stderr).toMatch(/fleet file has changed since r\S+ was planned: db\./)
  expect(stdout).toContain('db-host refused the run')
})

test('a waiver lets a run that holds go on, and the run says so: exit 7', async () => {
  await using fleet = localFleet(failing)
  await bringUp(fleet)
  await fleet.filo('stop', '--yes')
  const run = await newestRun(fleet)
  expect(await fleet.filo('waive', run, 'stop app@app-host')).toMatchObject({ code: 64 })
  expect(await fleet.filo('waive', run, 'stop app', '--reason', 'x')).toMatchObject({ code: 65 })
  const waived = await fleet.filo('waive', run, 'stop app@app-host', '--reason', 'it hangs, and is idle')
  expect(waived).toMatchObject({ code: 0, stderr: expect.stringContaining(`filo resume ${run}`) as string })
  expect(await fleet.filo('resume', run, '--yes')).toMatchObject({ code: 7 })
  expect(fleet.services.effects()).toEqual(['web down', 'mail down', 'db down'])
  expect((await fleet.filo('show', run)).stdout).toContain('it hangs, and is idle')
})

test('a waiver from another terminal reaches a run that is being carried out', async () => {
  await using fleet = localFleet({ ...fourInARow, web: { needs: 'mail', more: 'stop_timeout: 500ms' } })
  await bringUp(fleet)
  fleet.services.behave('web', { status: 4 })
  await using stop = fleet.start(['stop', '--yes'])
  await stop.untilSays(/stop web@web-host .*unknown/)
  const run = await newestRun(fleet)
  expect(await fleet.filo('waive', run, 'stop web@web-host', '--reason', 'gone')).toMatchObject({ code: 0 })
  expect(await stop.ended).toMatchObject({ code: 7 })
  expect(fleet.services.effects().slice(-3)).toEqual(['mail down', 'app down', 'db down'])
})

test('a cancel from another terminal sends nothing new, awaits what is in flight, and exits 5', async () => {
  await using fleet = localFleet()
  await bringUp(fleet)
  const { stop, run } = await stopThatWaits(fleet)
  await using _stop = stop
  expect(await runsOf(fleet)).toMatchObject([{ run, outcome: 'running' }, {}])
  const { code, stdout } = await fleet.filo('cancel', run, '--reason', 'wrong night')
  expect(code).toBe(0)
  expect(stdout).toContain('nothing new is sent')
  fleet.services.letGo('mail')
  const ended = await stop.ended
  expect(ended.code).toBe(5)
  expect(ended.stdout).toContain(`filo resume ${run}`)
  expect(ended.stderr).toMatch(/cancelled +by \S+@\S+ \(wrong night\)/)
  expect(fleet.services.effects()).toEqual(['web down', 'mail down'])
  expect(await runsOf(fleet)).toMatchObject([{ run, outcome: 'cancelled' }, {}])
  const again = await fleet.filo('cancel', run, '--json')
  expect(again.code).toBe(0)
  expect(JSON.parse(again.stdout)).toEqual({ accepted: true, detail: expect.stringContaining('filo show') })
})

test('cancel --abort cuts short what is in flight', async () => {
  await using fleet = localFleet()
  await bringUp(fleet)
  const { stop, run } = await stopThatWaits(fleet)
  await using _stop = stop
  expect(await fleet.filo('cancel', run, '--abort')).toMatchObject({ code: 0 })
  const { code, stdout } = await stop.ended
  expect(code, stdout).toBe(2)
  expect(fleet.services.effects()).toEqual(['web down'])
  fleet.services.letGo('mail')
})

test('a second run on the hosts of one that is carried out is refused: exit 75', async () => {
  await using fleet = localFleet()
  await bringUp(fleet)
  const { stop, run } = await stopThatWaits(fleet)
  await using _stop = stop
  for (const args of [['start'], ['resume', run], ['undo', run]]) {
    const { code, stderr } = await fleet.filo(...args, '--yes')
    expect(code, stderr).toBe(75)
  }
  expect(await runsOf(fleet)).toHaveLength(2)
  fleet.services.letGo('mail')
  expect(await stop.ended).toMatchObject({ code: 0 })
})

test('undo starts exactly what a run stopped, and is itself a run', async () => {
  await using fleet = localFleet()
  await bringUp(fleet)
  await fleet.filo('stop', 'web', '--yes')
  await fleet.filo('stop', 'app', '--yes')
  const run = await newestRun(fleet)
  fleet.services.forget()
  expect(await fleet.filo('undo', run)).toMatchObject({ code: 64 })
  expect(await fleet.filo('undo', run, '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['app up', 'mail up'])
  const [{ intention }] = JSON.parse((await fleet.filo('runs', '--json')).stdout) as [{ intention: object }]
  expect(intention).toMatchObject({ verb: 'start', undoes: run, only: true })
})

test('a run that changed nothing has nothing to undo: exit 0', async () => {
  await using fleet = localFleet()
  expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
  const { code, stderr } = await fleet.filo('undo', await newestRun(fleet), '--yes')
  expect(code).toBe(0)
  expect(stderr).toContain('nothing to undo')
})

test('runs lists what was ordered, newest first, and show tells each step', async () => {
  await using fleet = localFleet(failing)
  expect(await fleet.filo('runs')).toMatchObject({ code: 0, stdout: '' })
  await bringUp(fleet)
  await fleet.filo('stop', '--yes')
  const { stdout } = await fleet.filo('runs')
  expect(stdout.split('\n').map((line) => line.replace(/^(\S+) +\S+ +\S+ +(.*)$/, '$2'))).toEqual([
    'outcome    what',
    'failed     stop the whole fleet test',
    'succeeded  start the whole fleet test',
    '',
  ])
  const lines = (await fleet.filo('runs', '--jsonl')).stdout.trim().split('\n')
  expect(lines.map((line) => (JSON.parse(line) as RunSummary).outcome)).toEqual(['failed', 'succeeded'])

  const run = await newestRun(fleet)
  const shown = (await fleet.filo('show', run)).stdout
  for (const text of ['stop web@web-host', 'changed', 'app: will not stop', 'What to type next:']) {
    expect(shown).toContain(text)
  }
  const report = JSON.parse((await fleet.filo('show', run, '--json')).stdout) as object
  expect(report).toMatchObject({
    run,
    outcome: 'failed',
    blockers: [{ name: 'stop app@app-host', is: 'failed' }],
  })
  expect(await fleet.filo('show', 'r20000101-000000-aaaa')).toMatchObject({ code: 64 })
})

test('after kill -9 a run is interrupted until it is resumed, and nothing takes effect twice', async () => {
  await using fleet = localFleet()
  await bringUp(fleet)
  const { stop, run } = await stopThatWaits(fleet)
  stop.signal('SIGKILL')
  await stop.ended
  expect(await runsOf(fleet)).toMatchObject([{ run, outcome: 'interrupted' }, {}])
  const shown = await fleet.filo('show', run)
  expect(shown.stdout).toMatch(/stop mail@mail-host is unknown/)
  fleet.services.letGo('mail')
  await until('mail to go down', () => fleet.services.effects().includes('mail down'))
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['web down', 'mail down', 'app down', 'db down'])
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop', 'app stop', 'db stop'])
})
