import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'amqplib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startRabbitmq, type Rabbitmq } from '../../../test/support/rabbitmq.ts'
import { until } from '../../../test/support/until.ts'
import { openAmqp } from './amqp.ts'
import { BrokerUnavailable } from './errors.ts'
import { limits } from './limits.ts'
import { describeBrokerFaults, openLoop, untilArrives } from './testing-faults.ts'
import { anAgent, bytes } from './testing.ts'
import type { Address } from './transport.ts'

describeBrokerFaults('a RabbitMQ that fails', async () => {
  const broker = await startRabbitmq()
  return {
    url: broker.url,
    kill: () => broker.kill(),
    restart: () => broker.restart(),
    freeze: () => broker.freeze(),
    thaw: () => broker.thaw(),
    dropConnections: async () => void (await broker.ctl('close_all_connections', 'test')),
    // RabbitMQ notes a new quorum queue on disk some half second later, and after a kill before that the queue is
    // there and never answers again. Nothing can be asked to learn when it is done.
    untilKept: () => delay(1500),
    async forget(consumer) {
      const model = await connect(broker.url)
      const channel = await model.createChannel()
      await channel.deleteQueue(`filo.events.${consumer}`)
      await model.close()
    },
    async intrude(agent, message, events) {
      const stranger = await connect(broker.url)
      const channel = await stranger.createConfirmChannel()
      channel.publish('filo.agents', `filo.agent.${agent}`, Buffer.from(message))
      for (const event of events) channel.publish('filo.events', 'agents.a.filo.x', Buffer.from(event))
      await channel.waitForConfirms()
      await stranger.close()
    },
    [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose](),
  }
})

// What only RabbitMQ has.

const heartbeatSeconds = 1

let broker: Rabbitmq
beforeAll(async () => {
  broker = await startRabbitmq()
})
afterAll(() => broker[Symbol.asyncDispose]())

test('a mailbox that another took while the connection was lost is reported, and taken back when it is free', async () => {
  const address = anAgent()
  await using loop = await openLoop(broker.url, address)
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
  await using loop = await openLoop(broker.url, address)
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
