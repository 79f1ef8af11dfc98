import { urlOf, type BrokerCluster } from './cluster-of-nodes.ts'
import { startRabbitmqNodes } from './rabbitmq-node.ts'
import { requireRabbitmq, type Rabbitmq } from './rabbitmq.ts'
import { until } from './until.ts'

/** The machine's RabbitMQ three times, or Debian's package where root can install it; never in containers. */
export async function startRabbitmqCluster(): Promise<BrokerCluster<Rabbitmq>> {
  const nodes = await startRabbitmqNodes(await requireRabbitmq(), 3)
  return {
    nodes,
    url: urlOf(nodes),
    async leaderOf(consumer) {
      const living = await Promise.any(nodes.map(async (node) => (await node.ctl('await_startup'), node)))
      const listed = await living.ctl('list_queues', 'name', 'leader', '--formatter', 'json')
      const queues = JSON.parse(listed) as { name: string; leader: string }[]
      const leader = queues.find(({ name }) => name === `filo.events.${consumer}`)?.leader
      return nodes.find(({ node }) => node === leader)!
    },
    async untilWhole() {
      // What `rabbitmq-queues check_if_node_is_quorum_critical` looks at.
      const isWhole = async (): Promise<boolean> => {
        const listed = await nodes[0]!.ctl('list_queues', 'type', 'online', '--formatter', 'json')
        const queues = JSON.parse(listed) as { type: string; online: string[] }[]
        return queues.every(({ type, online }) => type !== 'quorum' || online.length === nodes.length)
      }
      await until('all queues to be on all nodes', isWhole, { timeoutMs: 120_000, intervalMs: 200 })
    },
    [Symbol.asyncDispose]: () => nodes[Symbol.asyncDispose](),
  }
}
