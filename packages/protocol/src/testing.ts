import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AuditEvent } from './audit-event.ts'
import { digest } from './digest.ts'
import { AddressInUse, BrokerUnavailable, NobodyThere } from './errors.ts'
import { limits } from './limits.ts'
import type { Address, Delivery, EventSubscription, Transport } from './transport.ts'

/** A broker for one file of tests, and connections to it. */
export interface TransportHarness extends AsyncDisposable {
  connect(): Promise<Transport>
}

/** The promises of `Transport`, as tests that every transport must pass. */
export function describeTransport(name: string, start: () => Promise<TransportHarness>): void {
  let harness: TransportHarness
  const connect = (): Promise<Transport> => harness.connect()
  describe(name, () => {
    beforeAll(async () => {
      harness = await start()
    })
    afterAll(() => harness[Symbol.asyncDispose]())
    describe('mailboxes', () => {
      describeMailboxes(connect)
    })
    describe('the event log', () => {
      describeEventLog(connect)
    })
    describe('the end of a transport', () => {
      describeEnd(connect)
    })
  })
}

function describeMailboxes(connect: () => Promise<Transport>): void {
  test.for([
    ['no bytes', 0],
    ['one byte', 1],
    ['as many bytes as a message may have', limits.messageBytes],
  ] as const)('a message of %s arrives as it was sent', async ([, length]) => {
    await using transport = await connect()
    const address = anAgent()
    const received: Uint8Array[] = []
    await transport.open(address, (message) => received.push(message))
    const sent = Uint8Array.from({ length }, (_, index) => (index * 7) % 256)
    await transport.send(address, sent)
    await expect.poll(() => received.length).toBe(1)
    expect(Buffer.compare(received[0]!, sent)).toBe(0)
  })

  test('agents and coordinators answer each other across transports', async () => {
    await using left = await connect()
    await using right = await connect()
    const [agent, coordinator] = [anAgent(), { coordinator: randomUUID() }]
    const answers: string[] = []
    await left.open(agent, (message) => void left.send(coordinator, message))
    await right.open(coordinator, (message) => answers.push(text(message)))
    await right.send(agent, bytes('hello'))
    await expect.poll(() => answers).toEqual(['hello'])
  })

  test('two thousand messages in flight at once all arrive, once each', async () => {
    await using sender = await connect()
    await using receiver = await connect()
    const address = anAgent()
    const received: string[] = []
    await receiver.open(address, (message) => received.push(text(message)))
    const sent = Array.from({ length: 2000 }, (_, index) => String(index))
    await Promise.all(sent.map((message) => sender.send(address, bytes(message))))
    await expect.poll(() => received.length, { timeout: 10_000 }).toBe(sent.length)
    expect(new Set(received)).toEqual(new Set(sent))
  })

  test('a message arrives at its own address only', async () => {
    await using transport = await connect()
    const host = randomUUID()
    const received: string[] = []
    const addresses: Address[] = [{ agent: host }, { coordinator: host }, { agent: `${host}.a` }]
    for (const address of addresses) {
      await transport.open(address, (message) =>
        received.push(`${text(message)} at ${JSON.stringify(address)}`),
      )
    }
    await transport.send({ agent: host }, bytes('it'))
    await transport.send({ coordinator: host }, bytes('it'))
    await expect
      .poll(() => received.toSorted())
      .toEqual([`it at {"agent":"${host}"}`, `it at {"coordinator":"${host}"}`].toSorted())
  })

  test('nobody is there where no mailbox was ever open', async () => {
    await using transport = await connect()
    await expect(transport.send(anAgent(), bytes('x'))).rejects.toThrow(NobodyThere)
    await expect(transport.send({ coordinator: randomUUID() }, bytes('x'))).rejects.toThrow(NobodyThere)
  })

  test('nobody is there, and nothing is received, once a mailbox is closed', async () => {
    await using transport = await connect()
    const address = anAgent()
    const received: Uint8Array[] = []
    const mailbox = await transport.open(address, (message) => received.push(message))
    const early = Promise.allSettled(
      Array.from({ length: 50 }, () => transport.send(address, bytes('early'))),
    )
    await mailbox[Symbol.asyncDispose]()
    const atClose = received.length
    await early
    await expect(transport.send(address, bytes('late'))).rejects.toThrow(NobodyThere)
    expect(received.length).toBe(atClose)
  })

  test('a second owner of an address is refused, and the first goes on receiving', async () => {
    await using first = await connect()
    await using second = await connect()
    const address = anAgent()
    const received: string[] = []
    await first.open(address, (message) => received.push(text(message)))
    await expect(first.open(address, () => {})).rejects.toThrow(AddressInUse)
    await expect(second.open(address, () => {})).rejects.toThrow(AddressInUse)
    await second.send(address, bytes('x'))
    await expect.poll(() => received).toEqual(['x'])
  })

  test('an address is free again as soon as its mailbox is closed', async () => {
    await using first = await connect()
    await using second = await connect()
    const address = anAgent()
    const mailbox = await first.open(address, () => {})
    await mailbox[Symbol.asyncDispose]()
    const received: string[] = []
    await second.open(address, (message) => received.push(text(message)))
    await first.send(address, bytes('x'))
    await expect.poll(() => received).toEqual(['x'])
  })

  test('one mailbox of several is closed without a loss to the others', async () => {
    await using transport = await connect()
    const [staying, leaving] = [anAgent(), anAgent()]
    const received: string[] = []
    await transport.open(staying, (message) => received.push(text(message)))
    const mailbox = await transport.open(leaving, () => {})
    await mailbox[Symbol.asyncDispose]()
    await transport.send(staying, bytes('x'))
    await expect.poll(() => received).toEqual(['x'])
  })

  test('a receiver is never called from within send, and the sender may reuse its bytes', async () => {
    await using transport = await connect()
    const address = anAgent()
    const received: string[] = []
    await transport.open(address, (message) => received.push(text(message)))
    const message = bytes('x'.repeat(10_000))
    const sending = transport.send(address, message)
    expect(received).toEqual([])
    message.fill(0)
    await sending
    await expect.poll(() => received).toEqual(['x'.repeat(10_000)])
  })

  test('a message over the limit is not sent', async () => {
    await using transport = await connect()
    const address = anAgent()
    await transport.open(address, () => {})
    await expect(transport.send(address, new Uint8Array(limits.messageBytes + 1))).rejects.toThrow(RangeError)
  })
}

function describeEventLog(connect: () => Promise<Transport>): void {
  test('a consumer gets what was published after its first subscription, in order, also while it was away', async () => {
    await using publisher = await connect()
    const consumer = randomUUID()
    const source = anAgentsSource()
    await publisher.publish(anEvent(source, 1))
    {
      await using transport = await connect()
      await transport.subscribe(consumer, {})
    }
    await publisher.publish(anEvent(source, 2))
    await publisher.publish(anEvent(source, 3))
    await using transport = await connect()
    await using subscription = await transport.subscribe(consumer, {})
    await publisher.publish(anEvent(source, 4))
    const events = (await take(subscription, 3)).map((delivery) => delivery.event)
    expect(events).toEqual([2, 3, 4].map((sequence) => anEvent(source, sequence)))
  })

  test('what was not acknowledged comes again, and what was does not', async () => {
    await using transport = await connect()
    const consumer = randomUUID()
    const source = anAgentsSource()
    {
      await using subscription = await transport.subscribe(consumer, {})
      for (const sequence of [1, 2, 3]) await transport.publish(anEvent(source, sequence))
      const deliveries = await take(subscription, 3)
      deliveries[1]?.acknowledge()
      deliveries[1]?.acknowledge()
    }
    await using subscription = await transport.subscribe(consumer, {})
    expect(sequences(await take(subscription, 2))).toEqual([1, 3])
  })

  test('two consumers each get every event', async () => {
    await using transport = await connect()
    const source = anAgentsSource()
    await using left = await transport.subscribe(randomUUID(), {})
    await using right = await transport.subscribe(randomUUID(), {})
    for (const sequence of [1, 2]) await transport.publish(anEvent(source, sequence))
    expect(sequences(await take(left, 2))).toEqual([1, 2])
    expect(sequences(await take(right, 2))).toEqual([1, 2])
  })

  test('a second subscription of one consumer stands by until the first ends', async () => {
    await using transport = await connect()
    const consumer = randomUUID()
    const source = anAgentsSource()
    const first = await transport.subscribe(consumer, {})
    await using second = await transport.subscribe(consumer, {})
    const standingBy = take(second, 2)
    for (const sequence of [1, 2, 3]) await transport.publish(anEvent(source, sequence))
    const [delivery] = await take(first, 3)
    delivery?.acknowledge()
    await first[Symbol.asyncDispose]()
    expect(sequences(await standingBy)).toEqual([2, 3])
  })

  test.for([
    ['everything', {}, [1, 2, 3, 4, 5, 6]],
    ['one type', { type: 'filo.action.finished' }, [1, 3, 5]],
    ['a type and those below it', { type: 'filo.action' }, [1, 2, 3, 5]],
    ['one host, though its name has dots', { host: 'mail1.example.net' }, [1, 2]],
    ['one service', { service: 'db' }, [6]],
    ['one run', { run: 'r1' }, [6]],
    ['one type of one host', { type: 'filo.action.finished', host: 'mail1.example.net' }, [1]],
  ] as const)('a filter for %s leaves out all else', async ([, filter, expected]) => {
    await using transport = await connect()
    await using subscription = await transport.subscribe(randomUUID(), filter)
    const [mail, web] = ['/agents/mail1.example.net', '/agents/web1']
    await transport.publish(anEvent(mail, 1, 'filo.action.finished'))
    await transport.publish(anEvent(mail, 2, 'filo.action.started'))
    await transport.publish(anEvent(web, 3, 'filo.action.finished'))
    await transport.publish(anEvent(web, 4, 'filo.action-x.finished'))
    await transport.publish(anEvent('/coordinators/one', 5, 'filo.action.finished'))
    const about = { subject: 'db@db1', data: { run: 'r1' } }
    await transport.publish(anEvent('/coordinators/one', 6, 'filo.step.done', about))
    expect(sequences(await take(subscription, expected.length))).toEqual(expected)
  })

  test('a consumer that changes its filter gets what the new one selects, and only that', async () => {
    await using transport = await connect()
    const consumer = randomUUID()
    const before = await transport.subscribe(consumer, { host: 'web1' })
    await before[Symbol.asyncDispose]()
    await using subscription = await transport.subscribe(consumer, { host: 'db1' })
    await transport.publish(anEvent('/agents/web1', 1))
    await transport.publish(anEvent('/agents/db1', 2))
    expect(sequences(await take(subscription, 1))).toEqual([2])
  })

  test('a thousand events published at once arrive in order', async () => {
    await using transport = await connect()
    const source = anAgentsSource()
    await using subscription = await transport.subscribe(randomUUID(), {
      host: source.slice('/agents/'.length),
    })
    const expected = Array.from({ length: 1000 }, (_, index) => index + 1)
    await Promise.all(expected.map((sequence) => transport.publish(anEvent(source, sequence))))
    const received: number[] = []
    for await (const delivery of subscription) {
      received.push(delivery.event.sequence)
      delivery.acknowledge()
      if (received.length === expected.length) break
    }
    expect(received).toEqual(expected)
  })

  test('the loop over a subscription ends when its signal aborts, and when it is disposed', async () => {
    await using transport = await connect()
    const stop = new AbortController()
    const ended: string[] = []
    const aborted = await transport.subscribe(randomUUID(), {}, stop.signal)
    const disposed = await transport.subscribe(randomUUID(), {})
    const loops = [
      take(aborted, 1).then(() => ended.push('aborted')),
      take(disposed, 1).then(() => ended.push('disposed')),
    ]
    stop.abort()
    await loops[0]
    expect(ended).toEqual(['aborted'])
    await disposed[Symbol.asyncDispose]()
    await Promise.all(loops)
  })
}

function describeEnd(connect: () => Promise<Transport>): void {
  test('everything that is asked of a closed transport is refused', async () => {
    const transport = await connect()
    await transport[Symbol.asyncDispose]()
    await expect(transport.send(anAgent(), bytes('x'))).rejects.toThrow(BrokerUnavailable)
    await expect(transport.open(anAgent(), () => {})).rejects.toThrow(BrokerUnavailable)
    await expect(transport.publish(anEvent(anAgentsSource(), 1))).rejects.toThrow(BrokerUnavailable)
    await expect(transport.subscribe(randomUUID(), {})).rejects.toThrow(BrokerUnavailable)
  })

  test('what was sent before a transport closes has arrived, or its sender was told', async () => {
    await using receiver = await connect()
    const address = anAgent()
    const received: string[] = []
    await receiver.open(address, (message) => received.push(text(message)))
    const sender = await connect()
    const outcomes = Promise.allSettled(
      Array.from({ length: 500 }, (_, index) => sender.send(address, bytes(String(index)))),
    )
    await sender[Symbol.asyncDispose]()
    const delivered = (await outcomes).filter((outcome) => outcome.status === 'fulfilled')
    expect(delivered).toHaveLength(500)
    await expect.poll(() => received.length).toBe(500)
  })

  test('a transport takes its mailboxes and subscriptions with it, and closes twice without harm', async () => {
    await using other = await connect()
    const transport = await connect()
    const address = anAgent()
    await transport.open(address, () => {})
    const subscription = await transport.subscribe(randomUUID(), {})
    const loop = take(subscription, 1)
    await transport[Symbol.asyncDispose]()
    await transport[Symbol.asyncDispose]()
    expect(await loop).toEqual([])
    await expect(other.send(address, bytes('x'))).rejects.toThrow(NobodyThere)
  })
}

/** An address that no other test uses. */
export function anAgent(): { readonly agent: string } {
  return { agent: randomUUID() }
}

export function anAgentsSource(): string {
  return `/agents/${randomUUID()}`
}

/** The same event for the same arguments. */
export function anEvent(
  source: string,
  sequence: number,
  type = 'filo.action.finished',
  { subject = 'mta@mail1', data = {} }: { subject?: string; data?: AuditEvent['data'] } = {},
): AuditEvent {
  const unhashed = {
    specversion: '1.0',
    id: String(sequence),
    source,
    type,
    subject,
    time: '2026-11-20T03:00:00.000Z',
    datacontenttype: 'application/json',
    data: { outcome: 'success', ...data },
    sequence,
    previoushash: '0'.repeat(64),
  } as const
  return { ...unhashed, hash: digest(unhashed) }
}

/** The next deliveries of a subscription; fewer when it ends before. */
export async function take(subscription: EventSubscription, count: number): Promise<Delivery[]> {
  const deliveries: Delivery[] = []
  for await (const delivery of subscription) {
    deliveries.push(delivery)
    if (deliveries.length === count) break
  }
  return deliveries
}

export function sequences(deliveries: readonly Delivery[]): number[] {
  return deliveries.map((delivery) => delivery.event.sequence)
}

export function bytes(content: string): Uint8Array {
  return new TextEncoder().encode(content)
}

export function text(content: Uint8Array): string {
  return new TextDecoder().decode(content)
}
