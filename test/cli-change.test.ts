import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fourInARow } from './support/fleet-file.ts'
import { freePort } from './support/free-port.ts'
import { localFleet } from './support/local-fleet.ts'
import { bringUp, newestRun } from './support/run-of.ts'

// start, stop, restart and apply, as typed, on real services: what they do, say and exit with.

test('start and stop go in order, and again do nothing, say so, and exit 0', async () => {
  await using fleet = localFleet()
  expect(await fleet.filo('start', '--yes')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/done and proven; 4 of 4/),
  })
  expect(await fleet.filo('start', '--yes')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/nothing to do/),
  })
  expect(await fleet.filo('stop', '--yes')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/done and proven; 4 of 4/),
  })
  expect(await fleet.filo('stop', '--yes')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/nothing to do/),
  })
  expect(fleet.services.effects()).toEqual([
    'db up',
    'app up',
    'mail up',
    'web up',
    'web down',
    'mail down',
    'app down',
    'db down',
  ])
})

test('without a terminal and without --yes nothing is done, and it is said what to add', async () => {
  await using fleet = localFleet()
  await bringUp(fleet)
  for (const args of [['start'], ['stop', 'web'], ['restart', 'db']]) {
    expect(await fleet.filo(...args)).toMatchObject({
      code: 64,
      stderr: expect.stringMatching(/nothing was done.*--yes/s),
    })
  }
  expect(fleet.services.requests()).toEqual([])
  expect(JSON.parse((await fleet.filo('runs', '--json')).stdout)).toHaveLength(1)
})

test('a stop takes along what needs it; --only proves that instead, and holds where it lives', async () => {
  await using fleet = localFleet()
  await bringUp(fleet)
  const held = await fleet.filo('stop', 'app', '--only', '--yes')
  expect(held).toMatchObject({
    code: 2,
    stdout: expect.stringMatching(/prove web@web-host.* failed: it is running/),
  })
  expect(fleet.services.requests()).toEqual([])
  expect(await fleet.filo('stop', 'mail', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['web down', 'mail down'])
  expect(await fleet.filo('stop', 'app', '--only', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['web down', 'mail down', 'app down'])
})

test('a restart stops its dependents too, and starts again only what was running', async () => {
  await using fleet = localFleet()
  await bringUp(fleet)
  expect(await fleet.filo('stop', 'web', '--yes')).toMatchObject({ code: 0 })
  fleet.services.forget()
  expect(await fleet.filo('restart', 'app', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['mail down', 'app down', 'app up', 'mail up'])
})

test('a restart of what nobody can see is refused before anything is done', async () => {
  await using fleet = localFleet({ ...fourInARow, mail: { needs: 'app', status: 4 } })
  const { code, stderr } = await fleet.filo('restart', 'app', '--yes')
  expect(code).toBe(65)
  expect(stderr).toContain('mail@mail-host')
  expect(fleet.services.requests()).toEqual([])
})

test('a step that fails holds the rest, exits 2, and says why and what to type next', async () => {
  await using fleet = localFleet({ ...fourInARow, app: { needs: 'db', refuses: 'stop' } })
  await bringUp(fleet)
  const { code, stdout } = await fleet.filo('stop', '--yes')
  const run = await newestRun(fleet)
  expect(code).toBe(2)
  expect(stdout).toContain('app: will not stop')
  expect(stdout).toContain('holds stop db@db-host')
  expect(stdout).toContain(`filo resume ${run}`)
  expect(stdout).toContain(`filo waive ${run} "stop app@app-host" --reason …`)
  expect(fleet.services.effects()).toEqual(['web down', 'mail down'])
})

test('with --continue a failure holds only what depends on it', async () => {
  const alone = { ...fourInARow, cron: { needs: 'db' }, web: { needs: 'mail', refuses: 'stop' as const } }
  await using fleet = localFleet(alone)
  await bringUp(fleet)
  expect(await fleet.filo('stop', '--yes', '--continue')).toMatchObject({ code: 2 })
  expect(fleet.services.effects()).toEqual(['cron down'])
})

test('what is unknown is asked again for as long as --patience says, then exits 3', async () => {
  await using fleet = localFleet({ ...fourInARow, web: { needs: 'mail', more: 'stop_timeout: 500ms' } })
  await bringUp(fleet)
  fleet.services.behave('web', { status: 4 })
  const { code, stdout } = await fleet.filo('stop', '--yes', '--patience', '300ms')
  expect(code, stdout).toBe(3)
  expect(stdout).toMatch(/stop web@web-host .*unknown/)
  expect(fleet.services.effects()).not.toContain('mail down')
})

test('a selection that matches nothing exits 4, one that cannot be read 64, a faulty fleet file 65', async () => {
  await using fleet = localFleet()
  expect(await fleet.filo('stop', 'wbe', '--yes')).toMatchObject({
    code: 4,
    stderr: expect.stringMatching(/did you mean "web"/),
  })
  expect(await fleet.filo('stop', 'a:b:c', '--yes')).toMatchObject({ code: 64 })
  expect(await fleet.filo('stop', '--label', 'role', '--yes')).toMatchObject({ code: 64 })
  writeFileSync(join(fleet.path, 'filo.yaml'), 'fleet: test\nbrokr: local\n')
  expect(await fleet.filo('stop', '--yes')).toMatchObject({
    code: 65,
    stderr: expect.stringMatching(/filo\.yaml:2:1: .*"broker"/),
  })
})

test('a word that is no command, no option or no duration exits 64 and names the nearest', async () => {
  await using fleet = localFleet()
  expect(await fleet.filo('stpo')).toMatchObject({
    code: 64,
    stderr: expect.stringMatching(/Did you mean stop\?/),
  })
  expect(await fleet.filo('stop', '--yess')).toMatchObject({
    code: 64,
    stderr: expect.stringMatching(/Did you mean --yes\?/),
  })
  expect(await fleet.filo('stop', '--patience', '3')).toMatchObject({
    code: 64,
    stderr: expect.stringMatching(/90s/),
  })
  expect(await fleet.filo('stop', '--json', '--jsonl')).toMatchObject({ code: 64 })
  expect(await fleet.filo()).toMatchObject({ code: 64 })
  expect(await fleet.filo('--version')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
  })
})

test('what is missing from a command line is named, with the usage and an example: exit 64', async () => {
  await using fleet = localFleet()
  expect(await fleet.filo('show')).toMatchObject({ code: 64, stdout: '' })
  expect((await fleet.filo('show')).stderr).toMatchInlineSnapshot(`
    "filo: missing required argument 'run'
    Usage: filo show [options] <run>
    For example: filo show r20261120-031500-k7qd
    "
  `)
  expect((await fleet.filo('waive', 'r20261120-031500-k7qd', 'stop mta@mail1')).stderr)
    .toMatchInlineSnapshot(`
    "filo: required option '--reason <text>' not specified
    Usage: filo waive [options] <run> <step> --reason <text>
    For example: filo waive r20261120-031500-k7qd "stop mta@mail1" --reason "the host is switched off"
    "
  `)
  expect((await fleet.filo('import', 'hypcontrol')).stderr).toMatchInlineSnapshot(`
    "filo: missing required argument 'file'
    Usage: filo import hypcontrol [options] <file>
    For example: filo import hypcontrol ~canopsis/etc/hypcontrol.conf -o filo.yaml
    "
  `)
  expect((await fleet.filo('stpo')).stderr).toMatchInlineSnapshot(`
    "filo: unknown command 'stpo'
    (Did you mean stop?)
    What there is: filo --help
    "
  `)
})

test('a folder without a fleet file exits 78, and one below it finds it', async () => {
  await using fleet = localFleet()
  mkdirSync(join(fleet.path, 'below'))
  await using below = fleet.start(['runs'], { cwd: join(fleet.path, 'below') })
  expect(await below.ended).toMatchObject({ code: 0 })
  await using nowhere = fleet.start(['runs'], { cwd: '/' })
  expect(await nowhere.ended).toMatchObject({
    code: 78,
    stderr: expect.stringMatching(/no filo\.yaml.*filo init/s),
  })
  await using named = fleet.start(['runs'], { cwd: '/', env: { FILO_FILE: join(fleet.path, 'filo.yaml') } })
  expect(await named.ended).toMatchObject({ code: 0, stderr: expect.stringMatching(/no runs yet/) })
})

test('--json prints one report, --jsonl each event and then the report, and nothing else on stdout', async () => {
  await using fleet = localFleet({ db: {}, app: { needs: 'db' } })
  const report = JSON.parse(
    (await fleet.filo('start', '--yes', '--json', '--reason', 'a test')).stdout,
  ) as object
  expect(report).toMatchObject({
    outcome: 'succeeded',
    fleet: 'test',
    reason: 'a test',
    intention: { verb: 'start', selection: [], labels: [], only: false },
    counts: { steps: 2, changed: 2, unchanged: 0, waived: 0, failed: 0, unknown: 0, inFlight: 0, waiting: 0 },
    steps: [
      { step: 'start db@db-host', phase: 'done', outcome: 'changed' },
      { step: 'start app@app-host', phase: 'done', outcome: 'changed' },
    ],
    blockers: [],
    next: [],
  })
  const lines = (await fleet.filo('stop', '--yes', '--jsonl')).stdout.trim().split('\n')
  const records = lines.map((line) => JSON.parse(line) as { type: string; step?: string; outcome?: string })
  expect(records.at(-1)).toMatchObject({ type: 'report', outcome: 'succeeded' })
  const done = records.filter(({ type }) => type === 'done').map(({ step }) => step)
  expect(done).toEqual(['stop app@app-host', 'stop db@db-host'])
})

test('apply carries out the plan of the file, and refuses one that was edited or is of another fleet', async () => {
  await using fleet = localFleet()
  const file = join(fleet.path, 'plan.json')
  expect(await fleet.filo('plan', 'start', 'db', '-o', file)).toMatchObject({ code: 0 })
  expect(await fleet.filo('apply', file)).toMatchObject({ code: 64 })
  expect(await fleet.filo('apply', file, '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['db up'])

  const written = readFileSync(file, 'utf8')
  writeFileSync(file, written.replaceAll('"start"', '"stop"'))
  expect(await fleet.filo('apply', file, '--yes')).toMatchObject({
    code: 65,
    stderr: expect.stringMatching(/edited/),
  })
  writeFileSync(file, written.replace('"fleet": "test"', '"fleet": "other"'))
  expect(await fleet.filo('apply', file, '--yes')).toMatchObject({
    code: 65,
    stderr: expect.stringMatching(/fleet other/),
  })
  writeFileSync(file, '{')
  expect(await fleet.filo('apply', file, '--yes')).toMatchObject({
    code: 65,
    stderr: expect.stringMatching(/no JSON/),
  })
  expect(await fleet.filo('apply', 'nowhere.json', '--yes')).toMatchObject({ code: 64 })
})

test('a plan whose definitions have changed since is refused by the agents, and exits 78', async () => {
  await using fleet = localFleet()
  const file = join(fleet.path, 'plan.json')
  await fleet.filo('plan', 'start', '-o', file)
  fleet.declare({ ...fourInARow, db: { more: 'start_timeout: 17s' } })
  const { code, stdout } = await fleet.filo('apply', file, '--yes')
  expect(code, stdout).toBe(78)
  expect(stdout).toMatch(/db-host refused the run: .*filo agent-config db-host/)
  expect(fleet.services.requests()).toEqual([])
})

test('a fleet without keys exits 78, one whose broker is away 69, and no run is made of either', async () => {
  await using fleet = localFleet()
  const file = join(fleet.path, 'filo.yaml')
  const url = `amqp://127.0.0.1:${await freePort()}`
  writeFileSync(file, readFileSync(file, 'utf8').replace('broker: local', `broker: ${url}`))
  expect(await fleet.filo('start', '--yes')).toMatchObject({
    code: 78,
    stderr: expect.stringMatching(/key.*filo keys/s) as string,
  })
  expect(await fleet.filo('keys', 'init', '--hosts')).toMatchObject({ code: 0 })
  expect(await fleet.filo('start', '--yes')).toMatchObject({
    code: 69,
    stderr: expect.stringMatching(/127\.0\.0\.1.*filo doctor/s) as string,
  })
  expect((await fleet.filo('runs', '--json')).stdout).toBe('[]\n')
})

test('a state directory that cannot be used exits 78, a damaged journal 1', async () => {
  await using fleet = localFleet()
  expect(await fleet.filo('runs', '--state', '/dev/null')).toMatchObject({
    code: 78,
    stderr: expect.stringMatching(/ENOTDIR.*--state/) as string,
  })
  await fleet.filo('runs')
  const damaged = 'not a database, and longer than the header of one '.repeat(20)
  writeFileSync(join(fleet.path, '.state', 'test', 'journal.db'), damaged)
  expect(await fleet.filo('start', '--yes')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/journal\.db is damaged: .*not a database/) as string,
  })
})
