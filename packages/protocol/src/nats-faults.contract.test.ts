import { jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startNats, type Nats } from '../../../test/support/nats.ts'
import { startTcpProxy } from '../../../test/support/tcp-proxy.ts'
import { until } from '../../../test/support/until.ts'
import { AddressInUse, BrokerUnavailable } from './errors.ts'
import { eventStream } from './nats-topology.ts'
import { openNats } from './nats.ts'
import { describeBrokerFaults, openLoop, untilArrives } from './testing-faults.ts'
import { anAgent, anAgentsSource, anEvent, bytes, take } from './testing.ts'

describeBrokerFaults('a NATS server that fails', async () => {
  const broker = await startNats()
  return {
    url: broker.url,
    kill: () => broker.kill(),
    restart: () => broker.restart(),
    freeze: () => broker.freeze(),
    thaw: () => broker.thaw(),
    // nats-server 2.9 has no other way.
    dropConnections: () => broker.restart(),
    untilKept: async () => {},
    async forget(consumer) {
      const connection = await stranger(broker)
      const manager = await jetstreamManager(connection)
      await manager.consumers.delete(eventStream, consumer)
      await connection.close()
    },
    async intrude(agent, message, events) {
      const connection = await stranger(broker)
      connection.publish(`filo.agent.${agent}`, message)
      for (const event of events) connection.publish('filo.events.agents.a.filo.x', event)
      await connection.flush()
      await connection.close()
    },
    [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose](),
  }
})

// What only NATS has: it knows no owner of a subject.

const heartbeatSeconds = 1

let broker: Nats
beforeAll(async () => {
  broker = await startNats()
})
afterAll(() => broker[Symbol.asyncDispose]())

/** Somebody with all rights who is no part of Filo. */
function stranger(at: Nats): Promise<NatsConnection> {
  return connect({ servers: new URL(at.url).host, user: 'filo', pass: 'filo' })
}

test('a mailbox that another took while the connection was lost is reported, and taken back when it is free', async () => {
  const address = anAgent()
  await using cable = await startTcpProxy(Number(new URL(broker.url).port))
  await using loop = await openLoop(broker.url.replace(/[0-9]+$/, String(cable.port)), address)
  await using other = await openNats([broker.url], { name: 'other', heartbeatSeconds })
  cable.cut()
  await until('the loss to be reported', () => loop.statuses.at(-1)?.kind === 'disconnected')
  const taken = await until('the address to be free', () => other.open(address, () => {}))
  cable.mend()
  await until('the mailbox to be reported as displaced', () =>
    loop.statuses.some((status) => status.kind === 'displaced'),
  )
  await taken[Symbol.asyncDispose]()
  await untilArrives(loop, address)
})

test('of two that take an address in the same instant one gets it, and the other is told', async () => {
  await using left = await openNats([broker.url], { name: 'left', heartbeatSeconds })
  await using right = await openNats([broker.url], { name: 'right', heartbeatSeconds })
  for (let round = 0; round < 20; round += 1) {
    const address = anAgent()
    const received: string[] = []
    const outcomes = await Promise.allSettled([
      left.open(address, () => received.push('left')),
      right.open(address, () => received.push('right')),
    ])
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
    expect(refused).toEqual([{ status: 'rejected', reason: expect.any(AddressInUse) }])
    await left.send(address, bytes('x'))
    await until('the message', () => received.length > 0)
    expect(received).toHaveLength(1)
  }
})

test('the event log is made anew where a server comes back without its data', async () => {
  const source = anAgentsSource()
  await using transport = await openNats([broker.url], { name: 'test', heartbeatSeconds })
  await using subscription = await transport.subscribe('lasting', {})
  await transport.publish(anEvent(source, 1))
  for (const delivery of await take(subscription, 1)) delivery.acknowledge()
  const connection = await stranger(broker)
  const manager = await jetstreamManager(connection)
  await manager.streams.delete(eventStream)
  await connection.close()
  const seen: number[] = []
  const reading = (async () => {
    for await (const delivery of subscription) {
      seen.push(delivery.event.sequence)
      delivery.acknowledge()
    }
  })()
  await until('the consumer to be there again', async () => {
    await transport.publish(anEvent(source, 2))
    return seen.includes(2)
  })
  await subscription[Symbol.asyncDispose]()
  await reading
})

test('a broker that cannot be had is refused in words, and never with the password', async () => {
  const { port } = new URL(broker.url)
  const urls = {
    refused: 'nats://alice:s3cret@127.0.0.1:1',
    password: `nats://alice:s3cret@127.0.0.1:${port}`,
    tls: `natss://alice:s3cret@127.0.0.1:${port}`,
    host: 'nats://alice:s3cret@broker.invalid',
    malformed: 'nats://alice:s3cret@:port:',
    encoding: 'nats://alice:s3cret%zz@127.0.0.1',
  }
  const messages: Record<string, string> = {}
  for (const [what, url] of Object.entries(urls)) {
    const error: unknown = await openNats([url], { name: 'test' }).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(BrokerUnavailable)
    expect(`${(error as Error).stack} ${JSON.stringify(error)}`).not.toContain('s3cret')
    messages[what] = (error as Error).message.replaceAll(port, 'PORT')
  }
  expect(messages).toMatchInlineSnapshot(`
    {
      "encoding": "the URL of the broker is not of the form nats://user:password@host:port",
      "host": "nats://alice@broker.invalid: no such host (getaddrinfo ENOTFOUND broker.invalid)",
      "malformed": "the URL of the broker is not of the form nats://user:password@host:port",
      "password": "nats://alice@127.0.0.1:PORT: user name or password refused (Authorization Violation)",
      "refused": "nats://alice@127.0.0.1:1: connection refused; is the broker running there? (connect ECONNREFUSED 127.0.0.1:1)",
      "tls": "natss://alice@127.0.0.1:PORT: it does not speak TLS on this port; nats:// instead of natss://? (server does not support 'tls')",
    }
  `)
})
