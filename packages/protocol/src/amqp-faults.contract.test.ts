import { randomUUID } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'amqplib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startRabbitmq, type Rabbitmq } from '../../../test/support/rabbitmq.ts'
import { until } from '../../../test/support/until.ts'
import { openAmqp, type AmqpTransport } from './amqp.ts'
import type { AuditEvent } from './audit-event.ts'
import { AuditLog, verifyChain } from './audit-log.ts'
import { relay } from './audit-relay.ts'
import { systemClock } from './clock.ts'
import { Ambiguous, AddressInUse, BrokerUnavailable } from './errors.ts'
import { limits } from './limits.ts'
import { anAgent, anAgentsSource, anEvent, bytes, sequences, take, text } from './testing.ts'
import type { Address, Transport, TransportStatus } from './transport.ts'

// What only a broker that fails can show: each test breaks the one broker of this file, and mends it again.

const heartbeatSeconds = 1

let broker: Rabbitmq
beforeAll(async () => {
  broker = await startRabbitmq()
})
afterAll(() => broker[Symbol.asyncDispose]())

async function open(options: { confirmTimeoutMs?: number } = {}): Promise<AmqpTransport> {
  return openAmqp([broker.url], { name: 'test', heartbeatSeconds, ...options })
}

/** A transport that receives its own messages at one address, and notes its statuses. */
async function openLoop(
  address: Address,
): Promise<{ transport: Transport; received: string[]; statuses: TransportStatus[] } & AsyncDisposable> {
  const transport = await open({ confirmTimeoutMs: 20_000 })
  const received: string[] = []
  const statuses: TransportStatus[] = []
  transport.onStatus((status) => statuses.push(status))
  await transport.open(address, (message) => received.push(text(message)))
  return { transport, received, statuses, [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose]() }
}

/** Until the mailbox is open again: messages before that are Ambiguous, or returned. */
function untilArrives(loop: { transport: Transport; received: string[] }, address: Address): Promise<true> {
  const message = randomUUID()
  return until(
    'a message to arrive again',
    async () => {
      await loop.transport.send(address, bytes(message))
      return loop.received.includes(message) || undefined
    },
    { timeoutMs: 30_000, intervalMs: 100 },
  )
}

test('after kill -9 of the broker mailboxes work again and durable events are still there', async () => {
  const address = anAgent()
  const source = anAgentsSource()
  await using consumer = aConsumer()
  await using loop = await openLoop(address)
  await using subscription = await loop.transport.subscribe(consumer.name, {})
  for (const sequence of [1, 2]) await loop.transport.publish(anEvent(source, sequence))
  const [first] = await take(subscription, 1)
  first?.acknowledge()

  await untilKept()
  await broker.kill()
  await until('the loss to be reported', () => loop.statuses.at(-1)?.kind === 'disconnected')
  const waiting = loop.transport.publish(anEvent(source, 3))
  await broker.restart()
  await waiting
  await untilArrives(loop, address)

  const remaining: number[] = []
  for await (const delivery of subscription) {
    remaining.push(delivery.event.sequence)
    if (delivery.event.sequence === 3) break
  }
  // A broker that starts again may deliver an event twice to the same consumer.
  expect([...new Set(remaining)]).toEqual([2, 3])
  expect(loop.statuses.map((status) => status.kind)).toEqual(['disconnected', 'connected'])
})

test('audit events that are appended while the broker is away arrive when it is back, none lost', async () => {
  await using consumer = aConsumer()
  await using transport = await open()
  await using subscription = await transport.subscribe(consumer.name, {})
  using db = new DatabaseSync(':memory:')
  const log = new AuditLog(db, anAgentsSource(), systemClock)
  const append = (): void => {
    db.exec('begin immediate')
    log.append(Array.from({ length: 10 }, () => ({ type: 'filo.x', subject: 'x', data: {} })))
    db.exec('commit')
  }
  const stop = new AbortController()
  const relaying = relay(log, transport, stop.signal)
  try {
    append()
    await until('the first events to be relayed', () => log.unrelayed(1).length === 0)
    await untilKept()
    await broker.kill()
    append()
    await broker.restart()
    append()
    await until('all events to be relayed', () => log.unrelayed(1).length === 0, { timeoutMs: 30_000 })
  } finally {
    stop.abort()
    await relaying
  }
  const seen = new Map<number, AuditEvent>()
  for await (const { event } of subscription) {
    seen.set(event.sequence, event)
    if (seen.size === 30) break
  }
  const chain = [...seen.values()].toSorted((a, b) => a.sequence - b.sequence)
  expect(verifyChain(chain)).toEqual({ kind: 'intact', head: log.head() })
})

test('messages in flight when the broker is killed are ambiguous, every one of them', async () => {
  const address = anAgent()
  await using loop = await openLoop(address)
  await broker.freeze()
  const outcomes = Promise.allSettled(
    Array.from({ length: 200 }, () => loop.transport.send(address, bytes('x'))),
  )
  await broker.kill()
  for (const outcome of await outcomes) expect(outcome).toMatchObject({ reason: expect.any(Ambiguous) })
  await broker.restart()
  await untilArrives(loop, address)
})

test('a broker that is frozen is noticed by its heartbeats, and used again once it thaws', async () => {
  const address = anAgent()
  await using loop = await openLoop(address)
  await broker.freeze()
  await until('the loss to be reported', () => loop.statuses.some((status) => status.kind === 'disconnected'))
  await broker.thaw()
  await untilArrives(loop, address)
})

test('no message waits longer for a frozen broker than the confirm timeout', async () => {
  const address = anAgent()
  await using transport = await open({ confirmTimeoutMs: 500 })
  await transport.open(address, () => {})
  await broker.freeze()
  try {
    await expect(transport.send(address, bytes('x'))).rejects.toThrow(Ambiguous)
    // And no goodbye either.
    const start = performance.now()
    await transport[Symbol.asyncDispose]()
    expect(performance.now() - start).toBeLessThan(5000)
  } finally {
    await broker.thaw()
  }
})

test('a message that could not leave within the confirm timeout is reported as unsent', async () => {
  await using transport = await open({ confirmTimeoutMs: 300 })
  const lost = Promise.withResolvers<TransportStatus>()
  transport.onStatus(lost.resolve)
  await broker.kill()
  await lost.promise
  await expect(transport.send(anAgent(), bytes('x'))).rejects.toThrow(BrokerUnavailable)
  await broker.restart()
})

test('an address is taken over again after the broker has closed the connection', async () => {
  const address = anAgent()
  await using loop = await openLoop(address)
  await broker.ctl('close_all_connections', 'test')
  await until('the loss to be reported', () => loop.statuses.some((status) => status.kind === 'disconnected'))
  await untilArrives(loop, address)
  await using second = await open()
  await expect(second.open(address, () => {})).rejects.toThrow(AddressInUse)
})

test('a mailbox that another took while the connection was lost is reported, and taken back when it is free', async () => {
  const address = anAgent()
  await using loop = await openLoop(address)
  // As a duplicate of an agent would that comes first after the restart of its broker.
  const closing = broker.ctl('close_all_connections', 'test')
  const usurper = await usurp(address)
  await closing
  await until('the mailbox to be reported as displaced', () =>
    loop.statuses.some((status) => status.kind === 'displaced'),
  )
  await usurper.close()
  await untilArrives(loop, address)
})

test('a broker that is short of memory is reported as blocked, and still delivers', async () => {
  const address = anAgent()
  await using loop = await openLoop(address)
  await broker.ctl('set_vm_memory_high_watermark', '0')
  let sending: Promise<void>
  try {
    sending = loop.transport.send(address, bytes('blocked'))
    await until('the block to be reported', () => loop.statuses.some((status) => status.kind === 'blocked'))
  } finally {
    await broker.ctl('set_vm_memory_high_watermark', 'absolute', '512MiB')
  }
  await sending
  await until('the message to arrive', () => loop.received.includes('blocked'))
  expect(loop.statuses.map((status) => status.kind)).toEqual(['blocked', 'connected'])
})

test('what strangers put into a mailbox or the event log is dropped and counted', async () => {
  const address = anAgent()
  await using consumer = aConsumer()
  await using transport = await open()
  const received: string[] = []
  await transport.open(address, (message) => received.push(text(message)))
  await using subscription = await transport.subscribe(consumer.name, {})
  const stranger = await connect(broker.url)
  const channel = await stranger.createConfirmChannel()
  channel.publish('filo.agents', `filo.agent.${address.agent}`, Buffer.alloc(limits.messageBytes + 1))
  for (const body of [
    '',
    '{',
    '{"specversion":"1.0"}',
    JSON.stringify({ ...anEvent('/agents/a', 1), x: 1 }),
  ]) {
    channel.publish('filo.events', 'agents.a.filo.x', Buffer.from(body))
  }
  await channel.waitForConfirms()
  await stranger.close()
  await transport.send(address, bytes('x'))
  await transport.publish(anEvent('/agents/a', 2))
  expect(sequences(await take(subscription, 1))).toEqual([2])
  await until('the message', () => received.length > 0)
  expect(received).toEqual(['x'])
  expect(await transport.dropped()).toEqual({ oversizedMessages: 1, malformedEvents: 4 })
})

test('two hundred mailboxes of one process share two connections, and all come back after a restart', async () => {
  const name = randomUUID()
  await using transport = await openAmqp([broker.url], { name, heartbeatSeconds, confirmTimeoutMs: 20_000 })
  const addresses = Array.from({ length: 200 }, anAgent)
  const reached = new Set<Address>()
  await Promise.all(addresses.map((address) => transport.open(address, () => reached.add(address))))
  const connections = await broker.ctl('list_connections', 'client_properties')
  expect(connections.split(name)).toHaveLength(1 + 2)
  await broker.kill()
  await broker.restart()
  await until(
    'every mailbox to be reached',
    async () => {
      const missing = addresses.filter((address) => !reached.has(address))
      await Promise.allSettled(missing.map((address) => transport.send(address, bytes('x'))))
      return missing.length === 0
    },
    { timeoutMs: 30_000, intervalMs: 100 },
  )
})

test('the next broker of the list is used when the first refuses', async () => {
  const dead = 'amqp://127.0.0.1:1'
  await using transport = await openAmqp([dead, broker.url], { name: 'test', heartbeatSeconds })
  const address = anAgent()
  const received: string[] = []
  await transport.open(address, (message) => received.push(text(message)))
  await transport.send(address, bytes('x'))
  await until('the message', () => received.length > 0)
})

test('a broker that cannot be had is refused in words, and never with the password', async () => {
  const { port } = new URL(broker.url)
  const urls = {
    refused: 'amqp://alice:s3cret@127.0.0.1:1',
    password: `amqp://alice:s3cret@127.0.0.1:${port}`,
    vhost: `amqp://guest:guest@127.0.0.1:${port}/nowhere`,
    tls: `amqps://alice:s3cret@127.0.0.1:${port}`,
    host: 'amqp://alice:s3cret@broker.invalid',
    malformed: 'amqp://alice:s3cret@:port:',
    encoding: 'amqp://alice:s3cret%zz@127.0.0.1',
  }
  const messages: Record<string, string> = {}
  for (const [what, url] of Object.entries(urls)) {
    const error: unknown = await openAmqp([url], { name: 'test' }).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(BrokerUnavailable)
    expect(`${(error as Error).stack} ${JSON.stringify(error)}`).not.toContain('s3cret')
    messages[what] = (error as Error).message.replaceAll(port, 'PORT')
  }
  expect(messages).toMatchInlineSnapshot(`
    {
      "encoding": "the URL of the broker is not of the form amqp://user:password@host:port/vhost",
      "host": "amqp://alice@broker.invalid: no such host (getaddrinfo ENOTFOUND broker.invalid)",
      "malformed": "the URL of the broker is not of the form amqp://user:password@host:port/vhost",
      "password": "amqp://alice@127.0.0.1:PORT: user name or password refused (Handshake terminated by server: 403 (ACCESS-REFUSED) with message "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.")",
      "refused": "amqp://alice@127.0.0.1:1: connection refused; is the broker running there? (connect ECONNREFUSED 127.0.0.1:1)",
      "tls": "amqps://alice@127.0.0.1:PORT: it does not speak TLS on this port; amqp:// instead of amqps://? (ERR_SSL_WRONG_VERSION_NUMBER)",
      "vhost": "amqp://guest@127.0.0.1:PORT/nowhere: logged in, but the virtual host does not exist or this user may not use it (Expected ConnectionOpenOk; got <ConnectionClose channel:0>)",
    }
  `)
})

/** The name of an event consumer whose queue goes with the test. */
function aConsumer(): { readonly name: string } & AsyncDisposable {
  const name = randomUUID()
  return {
    name,
    async [Symbol.asyncDispose]() {
      const model = await connect(broker.url)
      const channel = await model.createChannel()
      await channel.deleteQueue(`filo.events.${name}`)
      await model.close()
    },
  }
}

/**
 * RabbitMQ notes a new quorum queue on disk some half second later, and after a kill before that the queue is
 * there and never answers again. Nothing can be asked to learn when it is done.
 */
async function untilKept(): Promise<void> {
  await delay(1500)
}

/** Declares an agent's queue as its owner would, as soon as nobody else holds it. */
async function usurp(address: { readonly agent: string }): Promise<{ close(): Promise<void> }> {
  return until(
    'the address to be free for a moment',
    async () => {
      const model = await connect(broker.url)
      try {
        const channel = await model.createChannel()
        channel.on('error', () => {})
        await channel.assertQueue(`filo.agent.${address.agent}`, {
          exclusive: true,
          durable: false,
          arguments: { 'x-max-length-bytes': limits.mailboxQueueBytes, 'x-overflow': 'reject-publish' },
        })
        return model
      } catch (error) {
        await model.close()
        throw error
      }
    },
    { timeoutMs: 20_000, intervalMs: 1 },
  )
}
