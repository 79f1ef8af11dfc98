import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { AgentConfig } from '@filo/agent'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { load } from 'js-yaml'
import { filo } from './support/filo.ts'
import { openFleet } from './support/fleet.ts'
import { freePort } from './support/free-port.ts'
import { localFleet } from './support/local-fleet.ts'
import { startBroker, type Broker } from './support/broker.ts'
import { tempDir } from './support/temp-dir.ts'
import { until } from './support/until.ts'

// The commands that look and set up, as the real program, on real services.

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '')

describe('setting up', () => {
  test('what init writes is valid, and a second init leaves it as it is', async () => {
    using dir = tempDir()
    expect(await filo(['init'], { cwd: dir.path })).toMatchObject({ code: 0 })
    expect(await filo(['validate'], { cwd: dir.path })).toMatchObject({
      code: 0,
      stdout: 'filo.yaml: fleet example: 1 host, 3 services, 3 instances\n',
    })
    writeFileSync(join(dir.path, 'filo.yaml'), 'mine')
    const again = await filo(['init'], { cwd: dir.path })
    expect(again).toMatchObject({ code: 64, stdout: '' })
    expect(readFileSync(join(dir.path, 'filo.yaml'), 'utf8')).toBe('mine')
  })

  test('validate names all faults with their places, and leaves no state behind', async () => {
    using dir = tempDir()
    const text =
      'fleet: f\nbroker: local\nhosts: { a: }\nservices:\n  s: { host: a, lsb: s }\n  t: { hosts: b, lsb: t }\n'
    writeFileSync(join(dir.path, 'filo.yaml'), text)
    const { code, stdout } = await filo(['validate'], { cwd: dir.path })
    expect(code).toBe(65)
    expect(stdout).toContain('filo.yaml:5:')
    expect(stdout).toContain('filo.yaml:6:')
    const json = await filo(['validate', '--json'], { cwd: dir.path })
    expect(JSON.parse(json.stdout)).toMatchObject({
      valid: false,
      problems: [{ line: 5 }, { line: 5 }, { line: 6 }],
    })
    expect(existsSync(join(dir.path, '.state'))).toBe(false)
  })

  test('a fleet file that is nowhere is told from one that is wrong', async () => {
    using dir = tempDir()
    expect(await filo(['validate'], { cwd: dir.path })).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('filo init') as string,
    })
  })

  test('with broker: local there are no keys to make and no agent to configure', async () => {
    await using fleet = localFleet()
    expect(await fleet.filo('keys', 'init', '--hosts')).toMatchObject({ code: 65 })
    expect(existsSync(join(fleet.path, '.state/test/keys/coordinator.key'))).toBe(false)
    expect(await fleet.filo('agent-config', 'db-host')).toMatchObject({ code: 65 })
    expect(await fleet.filo('audit', 'follow')).toMatchObject({
      code: 65,
      stderr: expect.stringContaining('journal.db') as string,
    })
  })

  test('keys are made once, and never replaced', async () => {
    using dir = tempDir()
    writeFileSync(
      join(dir.path, 'filo.yaml'),
      'fleet: f\nbroker: amqp://127.0.0.1:1\nhosts: { a: , b: }\nservices: { s: { hosts: a, lsb: s } }\n',
    )
    const run = (...args: string[]) => filo(args, { cwd: dir.path })
    expect(await run('agent-config', 'a')).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('filo keys') as string,
    })
    const init = async (...more: string[]) => {
      const { stdout: told } = await run('keys', 'init', '--json', ...more)
      return JSON.parse(told) as { keys: { is: string; fingerprint: string }[] }
    }
    const own = await init()
    expect(own.keys.map(({ is }) => is)).toEqual(['in use', 'missing', 'missing'])
    const first = await init('--hosts')
    const second = await init('--hosts')
    expect(first.keys.map(({ is }) => is)).toEqual(['in use', 'in use', 'in use'])
    expect(first.keys[0]).toEqual(own.keys[0])
    expect(second.keys.map(({ fingerprint }) => fingerprint)).toEqual(
      first.keys.map(({ fingerprint }) => fingerprint),
    )

    const { stdout } = await run('agent-config', 'a')
    expect(AgentConfig.parse(load(stdout))).toMatchObject({ host: 'a', services: [{ service: 's' }] })
    expect(await run('agent-config', 'c')).toMatchObject({ code: 4 })
    expect(await run('agent-config', 'a', '-o', join(dir.path, 'out'))).toMatchObject({ code: 0 })
    for (const name of ['agent.yaml', 'agent.key']) {
      expect(statSync(join(dir.path, 'out', name)).mode & 0o777).toBe(0o600)
    }
  })
})

describe('graph', () => {
  test('draws services by default and instances with --hosts, and gives the same as data', async () => {
    await using fleet = localFleet()
    expect((await fleet.filo('graph')).stdout).toMatch(/^flowchart TD\n {2}s0\["db<br\/>db-host"\]/)
    expect((await fleet.filo('graph', '--hosts')).stdout).toContain('subgraph host0["db-host"]')
    expect(JSON.parse((await fleet.filo('graph', '--json')).stdout)).toMatchObject({ edges: { length: 3 } })
  })
})

describe('status', () => {
  test('exits 0 only when everything runs, 3 when something does not, 4 when nobody can tell', async () => {
    await using fleet = localFleet({ db: {}, web: { needs: 'db' } })
    expect(await fleet.filo('status')).toMatchObject({ code: 3 })
    await fleet.filo('start', '--yes')
    const { code, stdout } = await fleet.filo('status')
    expect(code).toBe(0)
    expect(lines(stdout)).toMatchObject([
      expect.stringMatching(/^instance +state +since +seen +detail$/) as string,
      expect.stringMatching(/^db@db-host +running +command, 0\.\ds ago +status 0/) as string,
      expect.stringMatching(/^web@web-host +running +command, 0\.\ds ago +status 0/) as string,
    ])
    fleet.services.behave('web', { status: 4 })
    expect(await fleet.filo('status')).toMatchObject({ code: 4 })
    expect(await fleet.filo('status', 'db')).toMatchObject({ code: 0 })
  })

  test('--watch shows a change when it comes, and ends with the code of what was shown last', async () => {
    await using fleet = localFleet({ db: {} })
    await using watching = fleet.start(['status', '--watch'])
    await until('the first look', () => /db@db-host +stopped/.test(watching.stdout()))
    await fleet.filo('start', '--yes')
    await until('the service to be seen running', () => /db@db-host +running/.test(watching.stdout()))
    watching.signal('SIGINT')
    expect(await watching.ended).toMatchObject({ code: 0 })
  })

  test('nothing matched is exit 4 with empty output, and a malformed selection exit 64', async () => {
    await using fleet = localFleet()
    expect(await fleet.filo('status', 'dbb')).toMatchObject({
      code: 4,
      stdout: '',
      stderr: expect.stringContaining('did you mean "db"?') as string,
    })
    expect(await fleet.filo('status', 'a@b@c')).toMatchObject({ code: 64, stdout: '' })
  })

  test('gives the same as one document and as lines', async () => {
    await using fleet = localFleet({ db: {} })
    const document = JSON.parse((await fleet.filo('status', '--json')).stdout) as object
    const row = { instance: 'db@db-host', state: 'stopped', live: 'no', manager: 'command' }
    expect(document).toMatchObject({
      fleet: 'test',
      instances: [row],
      hosts: [{ host: 'db-host', answered: true }],
    })
    const [line] = lines((await fleet.filo('status', '--jsonl')).stdout)
    expect(JSON.parse(line!)).toMatchObject(row)
  })
})

test('a host that a run holds is told with the run by status and by plan, without a broker too', async () => {
  await using fleet = localFleet({ db: {} })
  fleet.services.hold('db')
  await using run = fleet.start(['start', '--yes'])
  await fleet.services.untilAsked('db', 'start')
  expect((await fleet.filo('status')).stdout).toMatch(/^db-host is held by r\d{8}-\d{6}-\w{4} of /m)
  const plan = await fleet.filo('plan', 'stop', '--json')
  expect(JSON.parse(plan.stdout)).toMatchObject({ problems: [{ kind: 'held', host: 'db-host' }] })
  fleet.services.letGo('db')
  expect(await run.ended).toMatchObject({ code: 0 })
  expect((await fleet.filo('status')).stdout).not.toContain('held by')
})

describe('plan', () => {
  test('changes nothing, and tells what is to do from what is so already', async () => {
    await using fleet = localFleet({ db: {}, web: { needs: 'db' } })
    await fleet.filo('start', 'db', '--yes')
    fleet.services.forget()
    const { code, stdout } = await fleet.filo('plan', 'start')
    expect(code).toBe(0)
    expect(stdout).toMatch(/2 steps on 2 hosts; 1 would act, 1 already so/)
    expect(stdout).toMatch(/1 +start db@db-host +running +nothing to do/)
    expect(stdout).toMatch(/2 +start web@web-host +1 +stopped +start/)
    expect(await fleet.filo('plan', 'start', '--detailed-exitcode')).toMatchObject({ code: 6 })
    expect(await fleet.filo('plan', 'start', 'db', '--detailed-exitcode')).toMatchObject({ code: 0 })
    expect(fleet.services.requests()).toEqual([])
  })

  test('explains a step, also without asking anybody', async () => {
    await using fleet = localFleet()
    const { stdout } = await fleet.filo(
      'plan',
      'stop',
      'app',
      '--offline',
      '--explain',
      'stop mail@mail-host',
    )
    expect(stdout).toContain('It needs app@app-host, which is to stop.')
    expect(await fleet.filo('plan', 'stop', '--offline', '--explain', 'stop mail')).toMatchObject({ code: 4 })
    expect(await fleet.filo('plan', 'restart', '--offline')).toMatchObject({ code: 64 })
  })

  test('a plan that was written is the plan that apply carries out, and an edited one is refused', async () => {
    await using fleet = localFleet()
    const file = join(fleet.path, 'plan.json')
    expect(await fleet.filo('plan', 'start', 'app', '-o', file)).toMatchObject({ code: 0 })
    expect(await fleet.filo('apply', file, '--yes')).toMatchObject({ code: 0 })
    expect(fleet.services.effects()).toEqual(['db up', 'app up'])
    writeFileSync(file, readFileSync(file, 'utf8').replace('"verb": "start"', '"verb": "stop"'))
    expect(await fleet.filo('apply', file, '--yes')).toMatchObject({ code: 65 })
  })
})

describe('doctor', () => {
  test('finds nothing wrong with a local fleet that is sound', async () => {
    await using fleet = localFleet()
    expect(await fleet.filo('doctor')).toMatchObject({ code: 0 })
  })

  test('a broken fleet file, a script that is missing and a status that is unknown each have a code', async () => {
    await using fleet = localFleet({ db: {} })
    fleet.services.behave('db', { status: 4 })
    expect(await fleet.filo('doctor')).toMatchObject({ code: 3 })
    chmodSync(fleet.services.script('db'), 0o600)
    expect(await fleet.filo('doctor')).toMatchObject({ code: 65 })
    writeFileSync(join(fleet.path, 'filo.yaml'), 'fleet: 1')
    expect(await fleet.filo('doctor')).toMatchObject({ code: 65 })
  })

  test('keys that are missing or open to others are found before the broker is', async () => {
    using dir = tempDir()
    const port = await freePort()
    writeFileSync(
      join(dir.path, 'filo.yaml'),
      `fleet: f\nbroker: amqp://127.0.0.1:${port}\nhosts: { a: }\nservices: { s: { hosts: a, lsb: s } }\n`,
    )
    const doctor = () => filo(['doctor', '--json'], { cwd: dir.path })
    expect(await doctor()).toMatchObject({ code: 78 })
    await filo(['keys', 'init', '--hosts'], { cwd: dir.path })
    const unreachable = await doctor()
    expect(unreachable.code).toBe(69)
    expect(unreachable.stdout).toContain('connection refused')
    chmodSync(join(dir.path, '.state/f/keys/coordinator.key'), 0o644)
    const open = await doctor()
    expect(open.code).toBe(78)
    expect(open.stdout).toContain('chmod go=')
  })
})

describe('over a broker', () => {
  let broker: Broker
  beforeAll(async () => {
    broker = await startBroker()
  })
  afterAll(() => broker[Symbol.asyncDispose]())

  test('a host without an agent is a row of its own, a problem of a plan, and a finding of doctor', async () => {
    await using fleet = await openFleet(broker.url)
    const sound = await fleet.filo('doctor')
    expect(sound).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/(RabbitMQ|NATS) \d+\.\d+.* answers/) as string,
    })
    await fleet.bringUp()
    await fleet.agentOf('mail').stop()

    const status = await fleet.filo('status')
    expect(status.code).toBe(4)
    expect(status.stdout).toMatch(/^mail@mail-host +unknown +no answer +no agent listens for mail-host$/m)
    expect(status.stdout).toMatch(/^web@web-host +running/m)

    const locks = await fleet.filo('locks')
    expect(locks.code).toBe(3)
    expect(locks.stdout).toMatch(/^mail-host +no answer: no agent listens for mail-host$/m)
    expect(locks.stdout).toMatch(/^web-host +free$/m)

    const plan = await fleet.filo('plan', 'stop', 'db', '--json')
    expect(plan.code).toBe(0)
    expect(JSON.parse(plan.stdout)).toMatchObject({ problems: [{ kind: 'no-answer', host: 'mail-host' }] })

    const doctor = await fleet.filo('doctor')
    expect(doctor.code).toBe(3)
    expect(doctor.stdout).toContain('journalctl -u filo-agent')
  })

  test('an agent with another definition is found by plan and by doctor, with the command that mends it', async () => {
    await using fleet = await openFleet(broker.url)
    fleet.declare({
      db: { more: 'stop_timeout: 5s' },
      app: { needs: 'db' },
      mail: { needs: 'app' },
      web: { needs: 'mail' },
    })
    const plan = await fleet.filo('plan', 'stop', '--json')
    expect(JSON.parse(plan.stdout)).toMatchObject({
      problems: [{ kind: 'definition', instance: 'db@db-host' }],
    })
    const doctor = await fleet.filo('doctor')
    expect(doctor.code).toBe(78)
    expect(doctor.stdout).toContain('filo agent-config db-host')
  })

  test('audit follow prints what happens, and takes up again where it was acknowledged', async () => {
    await using fleet = await openFleet(broker.url, { db: {} })
    const follow = () =>
      fleet.start(['audit', 'follow', '--consumer', 'test', '--type', 'filo.action.finished'])
    const finished = (text: string): string[] =>
      lines(text).map((line) => (JSON.parse(line) as { subject: string; id: string }).id)
    {
      await using first = follow()
      await first.untilSays(/following as/)
      await fleet.filo('start', '--yes')
      await until('the event of the start', () => finished(first.stdout()).length === 1)
      first.signal('SIGINT')
      expect(await first.ended).toMatchObject({ code: 0 })
    }
    // Nobody follows, and nothing is missed.
    await fleet.filo('stop', '--yes')
    await using second = follow()
    await until('the event of the stop', () => finished(second.stdout()).length === 1)
    await fleet.filo('start', '--yes')
    await until('the event of the second start', () => finished(second.stdout()).length === 2)
    second.signal('SIGTERM')
    expect(await second.ended).toMatchObject({ code: 0 })
  })
})
