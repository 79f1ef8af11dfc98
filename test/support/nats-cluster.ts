import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { urlOf, type BrokerCluster } from './cluster-of-nodes.ts'
import { freePort } from './free-port.ts'
import { startNats, type Nats } from './nats.ts'
import { until } from './until.ts'

const names = ['n1', 'n2', 'n3'] as const

/** The machine's NATS server three times, with JetStream in all of them. */
export async function startNatsCluster(): Promise<BrokerCluster<Nats>> {
  await using stack = new AsyncDisposableStack()
  const ports: number[] = []
  for (const _ of names) ports.push(await freePort())
  const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(', ')
  const starting = names.map(async (name, at) => {
    const cluster = `cluster { name: filo, listen: "127.0.0.1:${ports[at]}", routes: [${routes}] }`
    return stack.use(await startNats([`server_name: ${name}`, cluster]))
  })
  const started = await Promise.allSettled(starting)
  for (const outcome of started) if (outcome.status === 'rejected') throw outcome.reason
  const nodes = await Promise.all(starting)
  const ask = async <Answer>(
    what: (manager: Awaited<ReturnType<typeof jetstreamManager>>) => Promise<Answer>,
  ) => {
    const servers = nodes.map(({ url }) => new URL(url).host)
    const connection = await connect({ servers, user: 'filo', pass: 'filo' })
    try {
      return await what(await jetstreamManager(connection, { timeout: 1000 }))
    } finally {
      await connection.close()
    }
  }
  // A leader alone may not know of the others yet.
  const isWhole = (): Promise<boolean> =>
    ask(async (manager) => {
      await manager.streams.add({ name: 'trial', subjects: ['trial'], num_replicas: names.length })
      return await manager.streams.delete('trial')
    })
  await until('JetStream to be on all three', isWhole, { intervalMs: 100 })
  const disposal = stack.move()
  return {
    nodes,
    url: urlOf(nodes),
    async leaderOf() {
      const { cluster } = await ask((manager) => manager.streams.info('FILO_EVENTS'))
      return nodes[names.findIndex((name) => name === cluster?.leader)]!
    },
    async untilWhole() {
      const isOnAll = async (): Promise<boolean> => {
        const { cluster } = await ask((manager) => manager.streams.info('FILO_EVENTS'))
        const others = cluster?.replicas ?? []
        return (
          others.length === names.length - 1 && others.every(({ current, offline }) => current && !offline)
        )
      }
      await until('the events to be on all servers', isOnAll, { timeoutMs: 120_000, intervalMs: 200 })
    },
    [Symbol.asyncDispose]: () => disposal.disposeAsync(),
  }
}
