import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { portOf, type BrokerCluster } from '../../../test/support/cluster-of-nodes.ts'
import type { Broker } from '../../../test/support/broker.ts'
import { startTcpProxy } from '../../../test/support/tcp-proxy.ts'
import { until } from '../../../test/support/until.ts'
import type { AuditEvent } from './audit-event.ts'
import { AuditLog, auditTables } from './audit-log.ts'
import { Relay } from './audit-relay.ts'
import { systemClock } from './clock.ts'
import { Database } from './database.ts'
import { AddressInUse } from './errors.ts'
import { openTransport } from './open-transport.ts'
import { aDraft, faultsIn } from './testing-audit.ts'
import { anAgent, anAgentsSource, bytes, text } from './testing.ts'
import type { Address, Transport } from './transport.ts'

const heartbeatSeconds = 1
/** A node is back, and has caught up with the others. */
const backMs = { timeoutMs: 90_000, intervalMs: 100 }

/** What is promised where the broker is a cluster of three nodes. Each test leaves all of them running. */
export function describeCluster<Node extends Broker>(
  name: string,
  start: () => Promise<BrokerCluster<Node>>,
  describeMore: (at: () => BrokerCluster<Node>) => void,
): void {
  describe(name, { timeout: 300_000 }, () => {
    let cluster: BrokerCluster<Node>
    beforeAll(async () => {
      cluster = await start()
      // While all three are there: made in an outage, it would be kept by fewer.
      await using transport = await open(cluster.nodes.map(({ url }) => url))
      await until('the event log to be made', async () => {
        await using subscription = await transport.subscribe(randomUUID(), {})
        return subscription !== undefined
      })
    }, 300_000)
    afterAll(() => cluster?.[Symbol.asyncDispose]())
    describeAddresses(() => cluster)
    describeLostNode(() => cluster)
    describeMore(() => cluster)
  })
}

function describeAddresses(at: () => BrokerCluster): void {
  test('whoever receives at any node is reached from every node, and has its address for itself', async () => {
    await using stack = new AsyncDisposableStack()
    const transports: Transport[] = []
    for (const { url } of at().nodes) transports.push(stack.use(await open([url])))
    for (const owner of transports) {
      const address = anAgent()
      const received: string[] = []
      await owner.open(address, (message) => received.push(text(message)))
      for (const [index, sender] of transports.entries()) {
        // What one node knows of its clients reaches the others a moment later.
        await until('the message to leave', () => sender.send(address, bytes(`${index}`)).then(() => true))
        if (sender !== owner) await expect(sender.open(address, () => {})).rejects.toThrow(AddressInUse)
      }
      await until('all messages', () => received.length === 3)
      expect(received.toSorted()).toEqual(['0', '1', '2'])
    }
  })

  test('of two that take an address in the same instant on two nodes one gets it, and the other is told', async () => {
    const [one, other] = at().nodes
    await using left = await open([one!.url])
    await using right = await open([other!.url])
    for (let round = 0; round < 5; round += 1) {
      const address = anAgent()
      const outcomes = await Promise.allSettled([left, right].map((each) => each.open(address, () => {})))
      const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
      expect(refused).toEqual([{ status: 'rejected', reason: expect.any(AddressInUse) }])
    }
  })
}

function describeLostNode(at: () => BrokerCluster): void {
  test('who is on a node that is killed goes on at another, and is reached there', async () => {
    const [doomed, ...others] = at().nodes
    await using agent = await openOn(doomed!, others)
    await using coordinator = await open(others.map(({ url }) => url))
    await doomed!.kill()
    await agent.untilReachedBy(coordinator)
    await doomed!.restart()
    await agent.untilReachedBy(coordinator)
  })
}

/**
 * What takes longer than a broker's own patience with a node.
 * @param forgetsForMs how long the broker may have forgotten whose an address is when the node is back, until its owner
 * takes it again
 */
export function describeFrozenNode(at: () => BrokerCluster, forgetsForMs: number): void {
  test('who is on a node that is frozen goes on at another, and is reached there before it thaws', async () => {
    const [frozen, ...others] = at().nodes
    await using agent = await openOn(frozen!, others)
    await using coordinator = await open(others.map(({ url }) => url))
    await frozen!.freeze()
    try {
      await agent.untilReachedBy(coordinator)
    } finally {
      await frozen!.thaw()
    }
    await agent.untilReachedBy(coordinator)
    await using second = await open(others.map(({ url }) => url))
    await until('nobody else to get the address', () => isTaken(second, agent.address), {
      timeoutMs: forgetsForMs,
    })
    await agent.untilReachedBy(coordinator)
  })
}

export function describeRollingKill(at: () => BrokerCluster): void {
  test('while each node in turn is killed and started again all events arrive, none lost', async () => {
    const urls = at().nodes.map(({ url }) => url)
    const consumer = randomUUID()
    await using reader = await open(urls)
    await using writer = await open(urls)
    // After an outage the nodes first have to agree on who leads them.
    await using subscription = await until(
      'the consumer to be made',
      () => reader.subscribe(consumer, {}),
      backMs,
    )
    using db = Database.open(':memory:', { schema: { tables: auditTables } })
    const log = new AuditLog(db, anAgentsSource(), systemClock)
    const append = (): void => {
      const drafts = Array.from({ length: 10 }, () => aDraft())
      db.transaction(() => log.append(drafts))
    }
    const relayed = (): Promise<boolean> =>
      until('all events to be relayed', () => log.unrelayed(1).length === 0, backMs)
    const seen = new Map<number, AuditEvent>()
    const reading = (async () => {
      for await (const { event, acknowledge } of subscription) {
        if (event.source === log.source) seen.set(event.sequence, event)
        acknowledge()
      }
    })()
    await using _relaying = new Relay(log, writer)
    append()
    await relayed()
    // The leader first: what it confirmed must be with the others.
    const leader = await until('the consumer to have a leader', () => at().leaderOf(consumer), backMs)
    for (const node of [leader, ...at().nodes.filter((each) => each !== leader)]) {
      await node.kill()
      append()
      await relayed()
      await node.restart()
      append()
      await relayed()
      await at().untilWhole()
    }
    await until('all events to have arrived', () => seen.size === 70, backMs)
    await subscription[Symbol.asyncDispose]()
    await reading
    const chain = [...seen.values()].toSorted((a, b) => a.sequence - b.sequence)
    expect(faultsIn(chain)).toEqual([])
    expect(chain.at(-1)?.hash).toBe(log.head().hash)
  })
}

function open(urls: readonly string[]): Promise<Transport> {
  return openTransport(urls, { name: 'test', heartbeatSeconds, confirmTimeoutMs: 5000 })
}

async function isTaken(by: Transport, address: Address): Promise<boolean> {
  try {
    await using _mailbox = await by.open(address, () => {})
    return false
  } catch (error) {
    if (error instanceof AddressInUse) return true
    throw error
  }
}

/** Somebody who receives, and by whom. */
interface Receiver extends AsyncDisposable {
  readonly address: Address
  /** Messages before that are lost, or returned. */
  untilReachedBy(sender: Transport): Promise<boolean>
}

/** Opens a mailbox on one node, whose owner knows the others too. */
async function openOn(first: Broker, others: readonly Broker[]): Promise<Receiver> {
  await using stack = new AsyncDisposableStack()
  const cables = await Promise.all(others.map((other) => startTcpProxy(portOf(other))))
  for (const cable of cables) {
    stack.use(cable)
    cable.cut()
  }
  const behind = cables.map(({ port }, at) => others[at]!.url.replace(/\d+$/, String(port)))
  const transport = stack.use(await open([first.url, ...behind]))
  const received = new Set<string>()
  const address = anAgent()
  await transport.open(address, (message) => received.add(text(message)))
  for (const cable of cables) cable.mend()
  const disposal = stack.move()
  return {
    address,
    untilReachedBy(sender) {
      const message = randomUUID()
      return until(
        'a message to arrive',
        async () => {
          // Whether it is confirmed is another question: a copy of it may wait where nobody reads it any more.
          await Promise.race([
            sender.send(address, bytes(message)).catch(() => {}),
            until('it to arrive', () => received.has(message), { timeoutMs: 1000 }).catch(() => {}),
          ])
          return received.has(message)
        },
        backMs,
      )
    },
    [Symbol.asyncDispose]: () => disposal.disposeAsync(),
  }
}
