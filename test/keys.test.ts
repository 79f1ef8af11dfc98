import { execFile } from 'node:child_process'
import { cpSync, existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startBroker, type Broker } from './support/broker.ts'
import { openFleet, type Fleet } from './support/fleet.ts'
import { programs } from './support/programs.ts'
import { atTerminal } from './support/terminal.ts'

// Whom agents obey and whom the coordinator believes, and how that is changed.

let broker: Broker

beforeAll(async () => {
  broker = await startBroker()
})

afterAll(async () => {
  await broker?.[Symbol.asyncDispose]()
})

const two = { one: {}, two: { needs: 'one' } }
const keysOf = (fleet: Fleet): string => join(fleet.path, '.state', 'test', 'keys')
const keyOf = (fleet: Fleet, host: string): string => join(fleet.path, 'agents', host, 'agent.key')

/** What an agent shows of its key, on its own host; makes one where there is none. */
async function fingerprintOf(fleet: Fleet, host: string): Promise<string> {
  const config = join(fleet.path, 'agents', host, 'agent.yaml')
  const { stdout } = await promisify(execFile)(programs().agent, ['--config', config, '--fingerprint'])
  return stdout.trim()
}

/** An agent makes itself another key, of which the coordinator knows nothing. */
async function renew(fleet: Fleet, host: string): Promise<string> {
  rmSync(keyOf(fleet, host))
  const fingerprint = await fingerprintOf(fleet, host)
  await fleet.agents.get(host)!.restart()
  return fingerprint
}

async function shown(fleet: Fleet): Promise<{ whose: string; is: string; fingerprint: string | null }[]> {
  const { stdout } = await fleet.filo('keys', 'show', '--json')
  return (JSON.parse(stdout) as { keys: { whose: string; is: string; fingerprint: string | null }[] }).keys
}

test('an agent makes its own key, for itself only, and shows the same fingerprint each time; without one it does not start', async () => {
  await using fleet = await openFleet(broker.url, two)
  const agent = fleet.agents.get('one-host')!
  await agent.kill()
  rmSync(keyOf(fleet, 'one-host'))
  agent.launch()
  expect(await agent.ended()).toBe(78)
  expect(agent.log).toMatch(/make it by filo-agent --fingerprint.*filo enroll one-host/)
  const made = await fingerprintOf(fleet, 'one-host')
  expect(made).toMatch(/^[0-9a-f]{64}$/)
  expect(await fingerprintOf(fleet, 'one-host')).toBe(made)
  expect(statSync(keyOf(fleet, 'one-host')).mode & 0o777).toBe(0o600)
})

test('a key is accepted only with the fingerprint that its host shows, and until then nothing on that host is believed or begun', async () => {
  await using fleet = await openFleet(broker.url, two)
  const { fingerprint: before } = (await shown(fleet)).find(({ whose }) => whose === 'one-host')!
  const fingerprint = await renew(fleet, 'one-host')
  expect(await fleet.filo('start', '--yes', '--patience', '1s')).toMatchObject({ code: 3 })
  expect(fleet.services.requests()).toEqual([])

  const unseen = await fleet.filo('enroll', 'one-host')
  expect(unseen).toMatchObject({ code: 64 })
  expect(unseen.stderr).toMatch(/nothing was accepted.*--fingerprint/s)
  const wrong = await fleet.filo('enroll', 'one-host', '--fingerprint', before!)
  expect(wrong).toMatchObject({ code: 77 })
  expect(wrong.stderr).toMatch(new RegExp(`nothing was accepted.*but ${fingerprint}`, 's'))
  expect((await shown(fleet)).map((row) => row.fingerprint)).toContain(before)

  expect(await fleet.filo('enroll', 'one-host', '--fingerprint', fingerprint)).toMatchObject({ code: 0 })
  expect((await shown(fleet)).map((row) => row.fingerprint)).toContain(fingerprint)
  expect(existsSync(join(keysOf(fleet), 'hosts', 'one-host.key'))).toBe(false)
  await fleet.bringUp()
})

test('at a terminal the fingerprint is shown, and only a yes accepts it', async () => {
  await using fleet = await openFleet(broker.url, { one: {} })
  const fingerprint = await renew(fleet, 'one-host')
  for (const [answer, code] of [
    ['n\r', 5],
    ['y\r', 0],
  ] as const) {
    await using terminal = await atTerminal(fleet.path, 'enroll one-host')
    await terminal.untilShows(new RegExp(`${fingerprint}[^]*Does one-host itself show the same\\?`))
    expect((await shown(fleet)).map((row) => row.fingerprint)).not.toContain(fingerprint)
    terminal.type(answer)
    expect(await terminal.code).toBe(code)
  }
  expect((await shown(fleet)).map((row) => row.fingerprint)).toContain(fingerprint)
})

test('a host without an accepted key keeps only what depends on it from being done', async () => {
  await using fleet = await openFleet(broker.url, two)
  await fleet.bringUp()
  rmSync(join(keysOf(fleet), 'hosts', 'one-host.pub'))
  const stopped = await fleet.filo('stop', 'two', '--yes')
  expect(stopped).toMatchObject({ code: 0 })
  const held = await fleet.filo('stop', '--yes', '--patience', '0s')
  expect(held).toMatchObject({ code: 3 })
  expect(held.stdout).toContain('no key of one-host has been accepted here: filo enroll one-host')
  expect((await fleet.filo('doctor')).stdout).toContain('no key of one-host has been accepted')
  expect(fleet.services.effects()).toEqual(['two down'])
})

test('while the key of the coordinator is replaced agents with the old and with the new one obey; the old one ends with its revocation', async () => {
  await using fleet = await openFleet(broker.url, two)
  const { fingerprint: old } = (await shown(fleet))[0]!
  const thief = join(fleet.path, 'thief')
  cpSync(join(fleet.path, '.state'), thief, { recursive: true })
  const rotated = await fleet.filo('keys', 'rotate')
  expect(rotated).toMatchObject({ code: 0 })
  expect(rotated.stdout).toContain(`filo keys revoke ${old}`)
  expect(await fleet.filo('keys', 'rotate')).toMatchObject({ code: 65 })
  const rows = await shown(fleet)
  expect(rows.map(({ whose, is }) => `${whose} ${is}`)).toEqual([
    'coordinator in use',
    'coordinator being replaced',
    'one-host in use',
    'two-host in use',
  ])
  // Neither agent knows of it yet.
  await fleet.bringUp()
  await fleet.configure('one-host')
  await fleet.agents.get('one-host')!.restart()
  expect(
    readFileSync(join(fleet.path, 'agents', 'one-host', 'agent.yaml'), 'utf8').match(/BEGIN PUBLIC/g),
  ).toHaveLength(1)
  expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
  const doctor = await fleet.filo('doctor')
  expect(doctor.stdout).toContain("two-host goes by the coordinator's old key")
  expect(doctor.stdout).not.toContain("one-host goes by the coordinator's old key")

  // Who has stolen the old key has no power over the host that has the new one.
  const stolen = await fleet.filo('start', 'one', '--yes', '--patience', '0s', '--state', thief)
  expect(stolen).toMatchObject({ code: 3 })

  expect(await fleet.filo('keys', 'revoke', rows[0]!.fingerprint!, '--yes')).toMatchObject({ code: 65 })
  expect(await fleet.filo('keys', 'revoke', old!, '--yes')).toMatchObject({ code: 0 })
  expect((await fleet.filo('doctor')).stdout).toContain('no answer from two-host')
  expect(fleet.services.effects()).toEqual(['two down', 'one down'])
  await fleet.configure('two-host')
  await fleet.agents.get('two-host')!.restart()
  await fleet.bringUp()
})

test('a key of a host that was revoked is believed no more, nor accepted again; another one is', async () => {
  await using fleet = await openFleet(broker.url, two)
  await fleet.bringUp()
  const { fingerprint } = (await shown(fleet)).find(({ whose }) => whose === 'one-host')!
  expect(await fleet.filo('keys', 'revoke', fingerprint!)).toMatchObject({ code: 64 })
  expect(await fleet.filo('keys', 'revoke', 'ffffffff', '--yes')).toMatchObject({ code: 4 })
  expect(await fleet.filo('keys', 'revoke', fingerprint!.slice(0, 12), '--yes')).toMatchObject({ code: 0 })
  expect(await fleet.filo('stop', '--yes', '--patience', '0s')).toMatchObject({ code: 3 })
  expect(fleet.services.requests()).toEqual([])
  const again = await fleet.filo('enroll', 'one-host', '--fingerprint', fingerprint!)
  expect(again).toMatchObject({ code: 77 })
  expect(again.stderr).toContain('has been revoked')
  const other = await renew(fleet, 'one-host')
  expect(await fleet.filo('enroll', 'one-host', '--fingerprint', other)).toMatchObject({ code: 0 })
  expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
  expect(await fleet.filo('audit', 'verify')).toMatchObject({ code: 0 })
})
