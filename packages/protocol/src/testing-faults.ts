import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Broker } from '../../../test/support/broker.ts'
import { until } from '../../../test/support/until.ts'
import type { AuditEvent } from './audit-event.ts'
import { AuditLog, auditTables } from './audit-log.ts'
import { Relay } from './audit-relay.ts'
import { systemClock } from './clock.ts'
import { Database } from './database.ts'
import { Ambiguous, AddressInUse, BrokerUnavailable } from './errors.ts'
import { limits } from './limits.ts'
import { openTransport } from './open-transport.ts'
import { aDraft, faultsIn } from './testing-audit.ts'
import { anAgent, anAgentsSource, anEvent, bytes, sequences, take, text } from './testing.ts'
import type { Address, Transport, TransportStatus } from './transport.ts'

/** A broker that can be broken and mended. Each test mends what it broke. */
export interface FrailBroker extends Omit<Broker, 'grant' | 'stop'> {
  /** Closes every connection from the broker's side. */
  dropConnections(): Promise<void>
  /** Resolves when a consumer that was just made survives a kill. */
  untilKept(): Promise<void>
  /** Removes what a test left of an event consumer. */
  forget(consumer: string): Promise<void>
  /** Puts bytes where events are published, and others where the agent receives, as a stranger with all rights. */
  intrude(agent: string, message: Uint8Array, events: readonly Uint8Array[]): Promise<void>
}

const heartbeatSeconds = 1

/** A transport that tells what it dropped, as those over a network do. */
type CountingTransport = Transport & {
  dropped(): Promise<{ readonly oversizedMessages: number; readonly malformedEvents: number }>
}

/** What only a broker that fails can show, of every transport over one. */
export function describeBrokerFaults(name: string, start: () => Promise<FrailBroker>): void {
  describe(name, () => {
    let broker: FrailBroker
    beforeAll(async () => {
      broker = await start()
    })
    afterAll(() => broker[Symbol.asyncDispose]())
    describeLosses(() => broker)
    describeWaits(() => broker)
  })
}

function describeLosses(at: () => FrailBroker): void {
  test('after kill -9 of the broker mailboxes work again and durable events are still there', async () => {
    const address = anAgent()
    const source = anAgentsSource()
    await using consumer = aConsumer(at())
    await using loop = await openLoop(at().url, address)
    await using subscription = await loop.transport.subscribe(consumer.name, {})
    for (const sequence of [1, 2]) await loop.transport.publish(anEvent(source, sequence))
    const [first] = await take(subscription, 1)
    first?.acknowledge()

    await at().untilKept()
    await at().kill()
    await until('the loss to be reported', () => loop.statuses.at(-1)?.kind === 'disconnected')
    const waiting = loop.transport.publish(anEvent(source, 3))
    await at().restart()
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
    await using consumer = aConsumer(at())
    await using transport = await open(at().url)
    await using subscription = await transport.subscribe(consumer.name, {})
    using db = Database.open(':memory:', { schema: { tables: auditTables } })
    const log = new AuditLog(db, anAgentsSource(), systemClock)
    const append = (): void => {
      const drafts = Array.from({ length: 10 }, () => aDraft())
      db.transaction(() => log.append(drafts))
    }
    await using _relaying = new Relay(log, transport)
    append()
    await until('the first events to be relayed', () => log.unrelayed(1).length === 0)
    await at().untilKept()
    await at().kill()
    append()
    await at().restart()
    append()
    await until('all events to be relayed', () => log.unrelayed(1).length === 0, { timeoutMs: 30_000 })
    const seen = new Map<number, AuditEvent>()
    for await (const { event } of subscription) {
      seen.set(event.sequence, event)
      if (seen.size === 30) break
    }
    const chain = [...seen.values()].toSorted((a, b) => a.sequence - b.sequence)
    expect(faultsIn(chain)).toEqual([])
    expect(chain.at(-1)?.hash).toBe(log.head().hash)
  })

  test('messages in flight when the broker is killed are ambiguous, every one of them', async () => {
    const address = anAgent()
    await using loop = await openLoop(at().url, address)
    await at().freeze()
    const outcomes = Promise.allSettled(
      Array.from({ length: 200 }, () => loop.transport.send(address, bytes('x'))),
    )
    await at().kill()
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ reason: expect.any(Ambiguous) })
    await at().restart()
    await untilArrives(loop, address)
  })

  test('a broker that is frozen is noticed by its heartbeats, and used again once it thaws', async () => {
    const address = anAgent()
    await using loop = await openLoop(at().url, address)
    await at().freeze()
    await until('the loss to be reported', () =>
      loop.statuses.some((status) => status.kind === 'disconnected'),
    )
    await at().thaw()
    await untilArrives(loop, address)
  })
}

function describeWaits(at: () => FrailBroker): void {
  test('no message waits longer for a frozen broker than the confirm timeout', async () => {
    const address = anAgent()
    await using transport = await open(at().url, { confirmTimeoutMs: 500 })
    await transport.open(address, () => {})
    await at().freeze()
    try {
      await expect(transport.send(address, bytes('x'))).rejects.toThrow(Ambiguous)
      // And no goodbye either.
      const start = performance.now()
      await transport[Symbol.asyncDispose]()
      expect(performance.now() - start).toBeLessThan(5000)
    } finally {
      await at().thaw()
    }
  })

  test('a message that could not leave within the confirm timeout is reported as unsent', async () => {
    await using transport = await open(at().url, { confirmTimeoutMs: 300 })
    const lost = Promise.withResolvers<TransportStatus>()
    transport.onStatus(lost.resolve)
    await at().kill()
    await lost.promise
    await expect(transport.send(anAgent(), bytes('x'))).rejects.toThrow(BrokerUnavailable)
    await at().restart()
  })

  test('an address is taken over again after the broker has closed the connection', async () => {
    const address = anAgent()
    await using loop = await openLoop(at().url, address)
    await at().dropConnections()
    await until('the loss to be reported', () =>
      loop.statuses.some((status) => status.kind === 'disconnected'),
    )
    await untilArrives(loop, address)
    await using second = await open(at().url)
    await expect(second.open(address, () => {})).rejects.toThrow(AddressInUse)
  })

  test('what strangers put into a mailbox or the event log is dropped and counted', async () => {
    const address = anAgent()
    await using consumer = aConsumer(at())
    await using transport = await open(at().url)
    const received: string[] = []
    await transport.open(address, (message) => received.push(text(message)))
    await using subscription = await transport.subscribe(consumer.name, {})
    // A quorum queue that is new has no leader for a moment, and takes nothing.
    await until(
      'the event log to take an event',
      () => transport.publish(anEvent('/agents/a', 1)).then(() => true),
      { timeoutMs: 30_000 },
    )
    await take(subscription, 1)
    const events = ['', '{', '{"specversion":"1.0"}', JSON.stringify({ ...anEvent('/agents/a', 1), x: 1 })]
    await at().intrude(address.agent, new Uint8Array(limits.messageBytes + 1), events.map(bytes))
    await transport.send(address, bytes('x'))
    await transport.publish(anEvent('/agents/a', 2))
    expect(sequences(await take(subscription, 1))).toEqual([2])
    await until('the message', () => received.length > 0)
    expect(received).toEqual(['x'])
    expect(await transport.dropped()).toEqual({ oversizedMessages: 1, malformedEvents: 4 })
  })

  test('the next broker of the list is used when the first refuses', async () => {
    const dead = at().url.replace(/:[0-9]+$/, ':1')
    await using transport = await openTransport([dead, at().url], { name: 'test', heartbeatSeconds })
    const address = anAgent()
    const received: string[] = []
    await transport.open(address, (message) => received.push(text(message)))
    await transport.send(address, bytes('x'))
    await until('the message', () => received.length > 0)
  })
}

async function open(url: string, options: { confirmTimeoutMs?: number } = {}): Promise<CountingTransport> {
  return (await openTransport([url], { name: 'test', heartbeatSeconds, ...options })) as CountingTransport
}

/** The name of an event consumer that is forgotten with the test. */
function aConsumer(broker: FrailBroker): { readonly name: string } & AsyncDisposable {
  const consumer = randomUUID()
  return { name: consumer, [Symbol.asyncDispose]: () => broker.forget(consumer) }
}

/** A transport that receives its own messages at one address, and notes its statuses. */
export interface Loop extends AsyncDisposable {
  readonly transport: Transport
  readonly received: readonly string[]
  readonly statuses: readonly TransportStatus[]
}

export async function openLoop(url: string, address: Address): Promise<Loop> {
  // Longer than a broker takes to start again, also on a machine that does other things.
  const transport = await openTransport([url], { name: 'test', heartbeatSeconds, confirmTimeoutMs: 90_000 })
  const received: string[] = []
  const statuses: TransportStatus[] = []
  transport.onStatus((status) => statuses.push(status))
  await transport.open(address, (message) => received.push(text(message)))
  return { transport, received, statuses, [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose]() }
}

/** Until the mailbox is open again: messages before that are Ambiguous, or returned. */
export function untilArrives(loop: Loop, address: Address): Promise<true> {
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
