import { appendFileSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { brokerKind } from './support/broker.ts'
import { makeAuthority, replaceFile, type Authority, type Certificate } from './support/certificates.ts'
import { openSharedFleet, type Fleet } from './support/fleet.ts'
import { tempDir, type TempDir } from './support/temp-dir.ts'
import { startTlsBroker, type TlsBroker } from './support/tls-broker.ts'
import { until } from './support/until.ts'

// A fleet whose broker asks for a certificate of everybody. Each host has its own, beside its configuration.

const hosts = ['db-host', 'app-host']

let dir: TempDir
let before: Authority
let after: Authority
let broker: TlsBroker
let fleet: Fleet
/** What the broker uses; in files that can be replaced. */
let served: Certificate & { readonly ca: string }

beforeAll(async () => {
  dir = tempDir()
  before = await makeAuthority(dir.path, 'before')
  after = await makeAuthority(dir.path, 'after')
  const file = (name: string): string => join(dir.path, `served-${name}.pem`)
  served = { ca: file('ca'), cert: file('cert'), key: file('key') }
  await serve(before)
  // Everybody is told of the new authority before anybody has a certificate of it.
  appendFileSync(served.ca, readFileSync(after.ca))
  broker = await startTlsBroker(brokerKind(), served.ca, served)
  const tls = '{ ca: tls/ca.pem, cert: tls/filo.pem, key: tls/filo.key }'
  fleet = await openSharedFleet(
    `{ url: "${broker.tlsUrl}", tls: ${tls} }`,
    { db: {}, app: { needs: 'db' } },
    {
      async setUp(_filo, path) {
        // filo agent-config brings the authority to each host, and each has a certificate of its own.
        mkdirSync(join(path, 'tls'))
        replaceFile(join(path, 'tls/ca.pem'), served.ca)
        await certify(path, before)
        for (const host of hosts) await certify(join(path, 'agents', host), before)
      },
    },
  )
})

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]()
  await broker?.[Symbol.asyncDispose]()
  dir?.[Symbol.dispose]()
})

/** The broker shows a certificate of that authority, and trusts those of that authority alone. */
async function serve(authority: Authority): Promise<void> {
  const { cert, key } = await authority.issue({ name: 'broker', for: ['DNS:localhost'] })
  for (const [file, by] of [
    [served.ca, authority.ca],
    [served.cert, cert],
    [served.key, key],
  ] as const) {
    replaceFile(file, by)
  }
}

/** Gives a coordinator or a host another pair. */
async function certify(beside: string, authority: Authority, hours?: number): Promise<void> {
  const { cert, key } = await authority.issue({ name: 'filo', ...(hours !== undefined && { hours }) })
  const at = (name: string): string => join(beside, 'tls', name)
  mkdirSync(dirname(at('filo.pem')), { recursive: true })
  replaceFile(at('filo.pem'), cert)
  replaceFile(at('filo.key'), key)
}

test('with certificates on both sides a fleet stops and starts in order, and doctor finds nothing wrong', async () => {
  fleet.showLogsIfTestFails()
  await fleet.bringUp()
  expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['app down', 'db down'])
  const doctor = await fleet.filo('doctor')
  expect(doctor.stdout).not.toMatch(/wrong|certificate|encrypted/)
  expect(doctor.code).toBe(0)
})

test('doctor points out a certificate that expires within two weeks, and what is wrong with one that cannot be used', async () => {
  await certify(fleet.path, before, 49)
  expect((await fleet.filo('doctor')).stdout).toMatch(
    /warning {2}broker {3}\S+filo.pem expires in 2 days, at .*\n.*issued anew/,
  )
  const { cert } = await before.issue({ name: 'filo' })
  replaceFile(join(fleet.path, 'tls/filo.pem'), cert)
  expect(await fleet.filo('doctor')).toMatchObject({
    code: 78,
    stdout: expect.stringMatching(/wrong .* do not belong together/),
  })
  expect(await fleet.filo('status')).toMatchObject({
    code: 78,
    stderr: expect.stringContaining('do not belong together'),
  })
  await certify(fleet.path, before)
})

test('an agent is not started with files of TLS that cannot be used, and --check says so', async () => {
  const agent = fleet.agentOf('app')
  const pem = join(fleet.path, 'agents/app-host/tls/filo.pem')
  await agent.stop()
  replaceFile(pem, before.ca)
  agent.launch()
  expect(await agent.ended()).toBe(78)
  expect(agent.log).toContain(`${pem} and `)
  await certify(join(fleet.path, 'agents/app-host'), before)
  await agent.start()
})

test('while an action goes on both sides get certificates of a new authority: no agent is restarted, and the action takes effect once', async () => {
  fleet.showLogsIfTestFails()
  await fleet.bringUp()
  const agents = [...fleet.agents.values()]
  const pids = agents.map(({ pid }) => pid)
  const said = (word: string): boolean => agents.every(({ log }) => log.includes(word))
  const places = [fleet.path, ...hosts.map((host) => join(fleet.path, 'agents', host))]
  fleet.services.hold('app')
  await using stop = fleet.start(['stop', '--yes'])
  await fleet.services.untilAsked('app', 'stop')
  for (const place of places) await certify(place, after)
  await until('the agents to have used their new certificates', () => said('"renewed"'), {
    timeoutMs: 60_000,
  })
  fleet.services.letGo('app')
  expect(await stop.ended).toMatchObject({ code: 0 })
  expect(fleet.services.requests()).toEqual(['app stop', 'db stop'])
  expect(fleet.services.effects()).toEqual(['app down', 'db down'])
  // Now the old one is nobody's any more, and everybody has to come again.
  await serve(after)
  for (const place of places) replaceFile(join(place, 'tls/ca.pem'), after.ca)
  await broker.restart()
  await until(
    'both agents to answer',
    async () => {
      const { code, stdout } = await fleet.filo('status')
      return code === 3 && !stdout.includes('unknown')
    },
    { timeoutMs: 60_000, intervalMs: 500 },
  )
  expect(agents.map(({ pid }) => pid)).toEqual(pids)
  // Who still has the old ones is out.
  await certify(fleet.path, before)
  expect(await fleet.filo('status')).toMatchObject({
    code: 69,
    stderr: expect.stringContaining('must be signed by an authority'),
  })
})
