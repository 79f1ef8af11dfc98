import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PermissionViolationError } from '@nats-io/transport-node'
import { openTransport, type AuditEvent } from '@filo/protocol'
import { connect as connectAmqp, type ConfirmChannel } from 'amqplib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { anEvent } from '@filo/protocol/testing'
import { startBroker, type Broker } from './support/broker.ts'
import { connectToNats } from './support/connect-to-nats.ts'
import { filo } from './support/filo.ts'
import { openSharedFleet, type Fleet } from './support/fleet.ts'
import { tempDir } from './support/temp-dir.ts'
import { until } from './support/until.ts'

// What the accounts that `filo broker setup` makes may do at the real broker, and what they may not: web-host's is in the
// hands of a thief.

const isNats = process.env['FILO_TEST_BROKER'] === 'nats'
const downInOrder = ['web down', 'app down', 'db down']

let broker: Broker
let fleet: Fleet

beforeAll(async () => {
  broker = await startBroker()
  fleet = await openSharedFleet(
    broker.url,
    { db: {}, app: { needs: 'db' }, web: { needs: 'app' } },
    {
      async setUp(run, path) {
        const setup = async (): Promise<string> => {
          const { code, stdout, stderr } = await run('broker', 'setup')
          if (code !== 0) throw new Error(stderr)
          return stdout
        }
        const env = broker.ctlEnvironment
        if (env === undefined) await broker.grant(await setup())
        else {
          const applied = await filo(['broker', 'setup', '--apply'], {
            cwd: path,
            env,
            timeoutMs: 240_000,
          })
          expect(applied).toMatchObject({ code: 0, stdout: expect.stringMatching(/^made 4 accounts/) })
        }
        // A second time changes nothing, and goes as well as the first.
        const again = await setup()
        expect(await setup()).toBe(again)
        // Each rabbitmqctl takes seconds: one account shows whether it may be there already.
        const lines = again.split('\n').filter((line) => !/^(?:ctl set_|account 'test-agent)/.test(line))
        await broker.grant(lines.join('\n'))
        // The coordinator makes what the agents may not make.
        await run('doctor')
      },
    },
  )
})

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]()
  await broker?.[Symbol.asyncDispose]()
})

/** The broker's URL with the account of the coordinator, or of a host's agent. */
function urlOf(party: string): string {
  const file = join(fleet.path, '.state', 'test', 'accounts.json')
  const accounts = JSON.parse(readFileSync(file, 'utf8')) as Record<
    string,
    { user: string; password: string }
  >
  const url = new URL(broker.url)
  url.username = accounts[party]!.user
  url.password = accounts[party]!.password
  return url.href
}

test('with the least rights a fleet stops and starts in order, its events are heard, and doctor finds nothing wrong', async () => {
  fleet.showLogsIfTestFails()
  await using listener = await openTransport([urlOf('coordinator')], { name: 'filo audit test' })
  await using events = await listener.subscribe('rights', { type: 'filo.action.finished', host: 'web-host' })
  await fleet.bringUp()
  expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(downInOrder)
  for await (const { event, acknowledge } of events) {
    acknowledge()
    expect(event).toMatchObject({ source: '/agents/web-host', subject: 'web@web-host' })
    break
  }
  const doctor = await fleet.filo('doctor')
  expect(doctor.stdout).not.toContain('wrong ')
  expect(doctor.code).toBe(0)
  for (const { log } of fleet.agents.values()) expect(log).not.toContain('refuse')
})

test('an agent is configured with its own account, and with no other', async () => {
  for (const host of ['db-host', 'web-host']) {
    const text = readFileSync(join(fleet.path, 'agents', host, 'agent.yaml'), 'utf8')
    expect(text).toContain(urlOf(`agent-${host}`))
    for (const other of ['coordinator', 'agent-app-host'])
      expect(text).not.toContain(new URL(urlOf(other)).password)
    expect(text).not.toContain(broker.url)
  }
})

test('a setup that the broker does not take leaves the account in use that was in use', async () => {
  using dir = tempDir()
  const text = readFileSync(join(fleet.path, 'filo.yaml'), 'utf8')
  writeFileSync(join(dir.path, 'filo.yaml'), text)
  // Nobody has that broker's cookie.
  const env = { ...broker.ctlEnvironment, HOME: dir.path }
  const refused = await filo(['broker', 'setup', '--apply'], { cwd: dir.path, env, timeoutMs: 100_000 })
  expect(refused).toMatchObject(
    isNats
      ? {
          code: 64,
          stderr: expect.stringMatching(/has its users in its configuration.*nats-server --signal reload/s),
        }
      : { code: 69, stderr: expect.stringMatching(/rabbitmqctl could not do it all:\n/) },
  )
  expect(existsSync(join(dir.path, '.state/test/accounts.json'))).toBe(false)
})

type Attempt = readonly [what: string, attempt: (channel: ConfirmChannel) => Promise<unknown>]

const own = 'filo.agent.web-host'
const other = 'filo.agent.db-host'
const publish =
  (exchange: string, key: string): Attempt[1] =>
  async (channel) => {
    channel.publish(exchange, key, Buffer.from('{}'))
    await channel.waitForConfirms()
  }

const amqpAttempts: Record<string, readonly Attempt[]> = {
  'agent-web-host': [
    ['read the mailbox of another host', (channel) => channel.consume(other, () => {})],
    ['take from it', (channel) => channel.get(other)],
    ['empty it', (channel) => channel.purgeQueue(other)],
    ['delete it', (channel) => channel.deleteQueue(other)],
    ['make one for another host', (channel) => channel.assertQueue('filo.agent.mail-host')],
    ['make one beside it', (channel) => channel.assertQueue(`${other}:beside`)],
    ['make any other queue', (channel) => channel.assertQueue('mine')],
    [
      'have the commands to another host copied to itself',
      (channel) => channel.bindQueue(own, 'filo.agents', other),
    ],
    ['have all commands copied to itself', (channel) => channel.bindQueue(own, 'filo.agents', '#')],
    [
      'have the answers to coordinators copied to itself',
      (channel) => channel.bindQueue(own, 'filo.coordinators', '#'),
    ],
    ['have events copied to itself', (channel) => channel.bindQueue(own, 'filo.events', '#')],
    ['command another host', publish('filo.agents', other)],
    ['command itself', publish('filo.agents', own)],
    ['send past the exchanges', publish('', other)],
    ['tell events of another host', publish('filo.events', 'agents.db-host.filo.action.finished')],
    [
      'tell events of a host whose name begins like its own',
      publish('filo.events', 'agents.web-host2.filo.action.finished'),
    ],
    ['tell events of a coordinator', publish('filo.events', 'coordinators.x.filo.run.ended')],
    [
      'read what a consumer of events has not read yet',
      (channel) => channel.consume('filo.events.rights', () => {}),
    ],
    ['delete the event log', (channel) => channel.deleteExchange('filo.events')],
    ['delete the exchange of all agents', (channel) => channel.deleteExchange('filo.agents')],
    [
      'lead one exchange into another',
      (channel) => channel.bindExchange('filo.coordinators', 'filo.agents', '#'),
    ],
    ['use the exchanges of others', publish('amq.topic', 'x')],
  ],
  coordinator: [
    ['read the mailbox of a host', (channel) => channel.get(other)],
    ['make a mailbox for a host', (channel) => channel.assertQueue('filo.agent.mail-host')],
    ['delete the mailbox of a host', (channel) => channel.deleteQueue(other)],
    [
      'have commands copied',
      async (channel) => {
        await channel.assertQueue('filo.coordinator.spy', { exclusive: true })
        await channel.bindQueue('filo.coordinator.spy', 'filo.agents', '#')
      },
    ],
    ['answer in place of hosts', publish('filo.coordinators', 'filo.coordinator.x')],
    ['tell events of a host', publish('filo.events', 'agents.db-host.filo.action.finished')],
    ['make any other queue', (channel) => channel.assertQueue('mine')],
    ['send past the exchanges', publish('', other)],
  ],
}

const natsAttempts: Record<
  string,
  { readonly publish: readonly string[]; readonly subscribe: readonly string[] }
> = {
  'agent-web-host': {
    publish: [
      other,
      own,
      'filo.owner.agent.db-host',
      'filo.owner.consumer.rights',
      'filo.events.agents.db-host.filo.action.finished',
      'filo.events.coordinators.x.filo.run.ended',
      '_INBOX.filo.alice.x',
      '_INBOX.filo-agent.db-host.x',
      '$JS.API.STREAM.DELETE.FILO_EVENTS',
      '$JS.API.STREAM.PURGE.FILO_EVENTS',
      '$JS.API.STREAM.UPDATE.FILO_EVENTS',
      '$JS.API.STREAM.MSG.GET.FILO_EVENTS',
      '$JS.API.STREAM.MSG.DELETE.FILO_EVENTS',
      '$JS.API.DIRECT.GET.FILO_EVENTS',
      '$JS.API.CONSUMER.CREATE.FILO_EVENTS',
      '$JS.API.CONSUMER.DELETE.FILO_EVENTS.rights',
      '$JS.API.CONSUMER.MSG.NEXT.FILO_EVENTS.rights',
      '$JS.ACK.FILO_EVENTS.rights.1.1.1.1.1',
    ],
    subscribe: [
      other,
      'filo.agent.*',
      '>',
      'filo.>',
      'filo.coordinator.*',
      'filo.owner.agent.db-host',
      'filo.events.>',
      '_INBOX.>',
      '_INBOX.filo-agent.db-host.>',
    ],
  },
  coordinator: {
    publish: [
      'filo.coordinator.x',
      'filo.owner.agent.db-host',
      'filo.events.agents.db-host.filo.action.finished',
      '_INBOX.filo-agent.db-host.x',
      '$JS.API.STREAM.DELETE.FILO_EVENTS',
      '$JS.API.STREAM.PURGE.FILO_EVENTS',
      '$JS.API.STREAM.MSG.DELETE.FILO_EVENTS',
      '$JS.API.STREAM.CREATE.OTHER',
    ],
    subscribe: [
      other,
      'filo.agent.*',
      '>',
      '_INBOX.>',
      '_INBOX.filo-agent.db-host.>',
      'filo.owner.agent.db-host',
    ],
  },
}

/** What the broker did not forbid. */
async function allowedByAmqp(party: string): Promise<string[]> {
  const connection = await connectAmqp(urlOf(party))
  const allowed: string[] = []
  for (const [what, attempt] of amqpAttempts[party]!) {
    const channel = await connection.createConfirmChannel()
    const refusal = new Promise<never>((_, reject) => channel.once('error', reject))
    const code = await Promise.race([
      refusal,
      attempt(channel).then(() => refusalWithin(channel, refusal)),
    ]).catch((error: unknown) => (error as { code?: number }).code)
    // 405: it is another's alone. 403: forbidden.
    if (code !== 403) allowed.push(`${what}: ${String(code)}`)
  }
  await connection.close()
  return allowed
}

/** What was asked without an answer is answered before what is asked now. */
async function refusalWithin(channel: ConfirmChannel, refusal: Promise<never>): Promise<unknown> {
  return await Promise.race([refusal, channel.checkExchange('filo.events')])
}

async function allowedByNats(party: string): Promise<string[]> {
  const connection = await connectToNats(urlOf(party))
  const refused = new Set<string>()
  void (async () => {
    for await (const status of connection.status()) {
      if (status.type === 'error' && status.error instanceof PermissionViolationError) {
        refused.add(`${status.error.operation} ${status.error.subject}`)
      }
    }
  })()
  const attempts = natsAttempts[party]!
  const wanted = [
    ...attempts.publish.map((subject) => `publish ${subject}`),
    ...attempts.subscribe.map((subject) => `subscription ${subject}`),
  ]
  for (const subject of attempts.publish) connection.publish(subject, '{}')
  for (const subject of attempts.subscribe) connection.subscribe(subject, { callback: () => {} })
  await connection.flush()
  const allowed = (): string[] => wanted.filter((attempt) => !refused.has(attempt))
  await until('the server to have refused all of it', () => allowed().length === 0, {
    timeoutMs: 5000,
  }).catch(() => {})
  await connection.close()
  return allowed()
}

test.for(['agent-web-host', 'coordinator'])(
  'the account of %s may do nothing beyond its part',
  async (party) => {
    // One of them has to be there to be stolen from.
    await using listener = await openTransport([urlOf('coordinator')], { name: 'filo audit test' })
    await using _events = await listener.subscribe('rights', {})
    expect(await (isNats ? allowedByNats(party) : allowedByAmqp(party))).toEqual([])
  },
)

test("events that a stolen account tells in another host's name are heard by nobody", async () => {
  await using listener = await openTransport([urlOf('coordinator')], { name: 'filo audit test' })
  await using events = await listener.subscribe('forged', {})
  const forged: AuditEvent = anEvent('/agents/db-host', 1, 'filo.action.finished')
  const honest: AuditEvent = anEvent('/agents/web-host', 1_000_000, 'filo.action.finished')
  const body = Buffer.from(JSON.stringify(forged))
  if (isNats) {
    const connection = await connectToNats(urlOf('agent-web-host'))
    connection.publish('filo.events.agents.web-host.filo.action.finished', body)
    await connection.flush()
    await connection.close()
  } else {
    const connection = await connectAmqp(urlOf('agent-web-host'))
    const channel = await connection.createConfirmChannel()
    const key = 'agents.web-host.filo.action.finished'
    channel.publish('filo.events', key, body)
    // Before RabbitMQ 4.0.3 no right is asked for the keys in these headers.
    for (const header of ['CC', 'BCC'] as const) {
      channel.publish('filo.events', key, body, { [header]: 'agents.db-host.filo.action.finished' })
    }
    await channel.waitForConfirms()
    await connection.close()
  }
  await using thief = await openTransport([urlOf('agent-web-host')], { name: 'filo-agent web-host' })
  await thief.publish(honest)
  for await (const { event, acknowledge } of events) {
    acknowledge()
    expect(event.source).not.toBe('/agents/db-host')
    if (event.sequence === honest.sequence) break
  }
})

test('a stolen account and key neither answer for another host nor command it, and a run ends in order meanwhile', async () => {
  fleet.showLogsIfTestFails()
  await fleet.bringUp()
  // The thief has all that web-host has, and is there in its place.
  await fleet.agents.get('web-host')!.kill()
  await using thief = await openTransport([urlOf('agent-web-host')], {
    name: 'filo-agent web-host',
    willReceive: true,
    heartbeatSeconds: 1,
  })
  const heard: Uint8Array[] = []
  const place = thief.open({ agent: 'db-host' }, (message) => void heard.push(message))
  await expect(place).rejects.toThrow(isNats ? /refuses the mailbox/ : /refuses the mailbox|is in use/)
  await expect(thief.send({ agent: 'db-host' }, Buffer.from('{}'))).rejects.toThrow(/refuses|no confirm/)
  expect(await fleet.filo('stop', 'db', '--only', '--yes', '--patience', '0s')).toMatchObject({ code: 3 })
  await fleet.agents.get('web-host')!.start()
  expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(downInOrder)
  expect(heard).toEqual([])
})
