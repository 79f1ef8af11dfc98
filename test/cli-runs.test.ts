import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { AuditEvent } from '@filo/protocol'
import { expect, test } from 'vitest'
import { faultsIn } from '../packages/protocol/src/testing-audit.ts'
import { fourInARow } from './support/fleet-file.ts'
import { localFleet, type LocalFleet } from './support/local-fleet.ts'
import { bringUp, newestRun } from './support/run-of.ts'
import { until } from './support/until.ts'

// resume, undo, cancel, waive, runs and show, as typed, also from another process than the run's.

interface RunSummary {
  readonly run: string
  readonly outcome: string
}

/** The coordinator's audit log, as it is on disk. */
function auditOf(fleet: LocalFleet): AuditEvent[] {
  using db = new DatabaseSync(join(fleet.path, '.state', 'test', 'journal.db'), { readOnly: true })
  const rows = db.prepare('select event from audit_event order by sequence').all()
  return rows.map(({ event }) => JSON.parse(event as string) as AuditEvent)
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

test('a resume asks like any other change', async () => {
  await using fleet = localFleet(failing)
  await bringUp(fleet)
  await fleet.filo('stop', '--yes')
  expect(await fleet.filo('resume')).toMatchObject({ code: 64 })
})

test('a run whose plan the fleet file would no longer give says what has changed, and keeps to its plan only on your word', async () => {
  await using fleet = localFleet(failing)
  await bringUp(fleet)
  await fleet.filo('stop', '--yes')
  const run = await newestRun(fleet)
  fleet.services.behave('app', {})
  fleet.declare({ ...fourInARow, cron: { needs: 'db' } })
  const refused = await fleet.filo('resume', '--yes')
  expect(refused.code).toBe(65)
  expect(refused.stderr).toContain('now in it: stop cron@cron-host')
  expect(refused.stderr).toContain(`filo resume ${run} --old-plan`)
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop', 'app stop'])
  const kept = await fleet.filo('resume', '--yes', '--old-plan')
  expect(kept).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('The run keeps to its plan') as string,
  })
  expect(fleet.services.effects()).toEqual(['web down', 'mail down', 'app down', 'db down'])
})

test('what the agents have otherwise than an old plan they refuse, word or no word', async () => {
  await using fleet = localFleet(failing)
  await bringUp(fleet)
  await fleet.filo('stop', '--yes')
  fleet.declare({ ...fourInARow, db: { more: 'stop_timeout: 17s' } })
  const { code, stdout, stderr } = await fleet.filo('resume', '--yes', '--old-plan')
  expect(code).toBe(2) // the step that failed before still has
  expect(stderr).toMatch(/has changed since r\S+ was planned.*defined otherwise: db$/ms)
  expect(stdout).toContain('db-host refused the run')
})

test('a waiver lets a run that holds go on, and the run says so: exit 7', async () => {
  await using fleet = localFleet(failing)
  await bringUp(fleet)
  await fleet.filo('stop', '--yes')
  const run = await newestRun(fleet)
  expect(await fleet.filo('waive', run, 'stop app@app-host')).toMatchObject({ code: 64 })
  expect(await fleet.filo('waive', run, 'stop app@app-host', '--reason', ' ')).toMatchObject({ code: 64 })
  expect(await fleet.filo('waive', run, 'stop app', '--reason', 'x')).toMatchObject({ code: 65 })
  const waived = await fleet.filo('waive', run, 'stop app@app-host', '--reason', 'it hangs, and is idle')
  expect(waived).toMatchObject({ code: 0, stderr: expect.stringContaining(`filo resume ${run}`) as string })
  expect(waived.stdout).toContain('it no longer holds "stop db@db-host"')
  expect(await fleet.filo('resume', run, '--yes')).toMatchObject({ code: 7 })
  expect(fleet.services.effects()).toEqual(['web down', 'mail down', 'db down'])
  expect((await fleet.filo('show', run)).stdout).toContain('it hangs, and is idle')
  const story = await fleet.filo('audit', 'show', run)
  expect(story.stdout).toMatch(/app-host +stop app@app-host begins/)
  expect(story.stdout).toMatch(
    /coordinator +stop app@app-host: waived by .*: it hangs, and is idle; it no longer holds stop db@db-host/,
  )
  const log = auditOf(fleet)
  expect(faultsIn(log)).toEqual([])
  const events = log.filter(({ data }) => data.run === run)
  const waiver = events.findIndex(({ type }) => type === 'filo.step.waived')
  const opened = events.findIndex(
    ({ type, subject }) => type === 'filo.step.sent' && subject === 'db@db-host',
  )
  expect(events[waiver]!.data).toMatchObject({
    run,
    step: 'stop app@app-host',
    operator: expect.stringContaining('@') as string,
    reason: 'it hangs, and is idle',
    opens: ['stop db@db-host'],
  })
  expect(opened).toBeGreaterThan(waiver)
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
  expect(stdout).toContain('not stopped when an operator cut it short')
  expect(stdout).not.toContain('time was up')
  expect(fleet.services.effects()).toEqual(['web down'])
  fleet.services.letGo('mail')
})

test('a second run on the hosts of one that is carried out is refused: exit 75', async () => {
  await using fleet = localFleet()
  await bringUp(fleet)
  const { stop, run } = await stopThatWaits(fleet)
  await using _stop = stop
  for (const args of [['start'], ['resume', run], ['undo', run], ['resume', run, '--take-over']]) {
    const { code, stderr } = await fleet.filo(...args, '--yes')
    expect(code, stderr).toBe(75)
    expect(stderr).toMatch(
      new RegExp(`${run}.* by \\S+@\\S+ since \\d\\d:\\d\\d:\\d\\d \\(process ${stop.pid}\\)`),
    )
    expect(stderr).toContain(`filo cancel ${run}`)
  }
  expect(await runsOf(fleet)).toHaveLength(2)
  fleet.services.letGo('mail')
  expect(await stop.ended).toMatchObject({ code: 0 })
})

test('locks tells who holds what while a run is carried out, after its process was killed, and when all is free', async () => {
  await using fleet = localFleet()
  await bringUp(fleet)
  const locks = async () =>
    JSON.parse((await fleet.filo('locks', '--json')).stdout) as Record<string, object[]>
  expect((await locks())['hosts']).toEqual(
    ['db-host', 'app-host', 'mail-host', 'web-host'].map((host) => ({ host, answered: true })),
  )
  const { stop, run } = await stopThatWaits(fleet)
  await using _stop = stop
  const held = await locks()
  expect(held['runs']).toMatchObject([{ run, pid: stop.pid, hosts: { length: 4 } }])
  for (const host of held['hosts']!) expect(host).toMatchObject({ heldBy: { run }, standing: 'running' })

  stop.signal('SIGKILL')
  await stop.ended
  const left = await fleet.filo('locks')
  expect(left.code).toBe(0)
  expect(left.stdout).toMatch(
    new RegExp(`^mail-host +${run} .*its process has ended in the midst of it$`, 'm'),
  )
  expect(left.stdout).toContain(`filo resume ${run}`)
  // Whoever begins something else now is led to that run at once.
  const refused = await fleet.filo('start', 'mail', '--yes')
  expect(refused.code).toBe(75)
  expect(refused.stdout).toMatch(new RegExp(`What to type next:\\n +filo resume ${run} `))
  fleet.services.letGo('mail')
  expect(await fleet.filo('resume', run, '--yes')).toMatchObject({ code: 0 })
  expect((await locks())['hosts']).toHaveLength(4)
  expect(JSON.stringify(await locks())).not.toContain('heldBy')
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
