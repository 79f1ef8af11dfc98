import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { startRabbitmqCluster } from '../../../test/support/rabbitmq-cluster.ts'
import { openAmqp } from './amqp.ts'
import { describeCluster, describeFrozenNode } from './testing-cluster.ts'

describeCluster('a cluster of three RabbitMQ nodes', startRabbitmqCluster, (cluster) => {
  describeFrozenNode(cluster, 90_000)

  test('keeps what waits for a consumer on all three', async () => {
    const [node] = cluster().nodes
    await using transport = await openAmqp([node!.url], { name: 'test' })
    const consumer = randomUUID()
    await using _subscription = await transport.subscribe(consumer, {})
    const listed = await node!.ctl('list_queues', 'name', 'members', '--formatter', 'json')
    const queues = JSON.parse(listed) as { name: string; members: string[] }[]
    const { members } = queues.find(({ name }) => name === `filo.events.${consumer}`)!
    expect(members.toSorted()).toEqual(
      cluster()
        .nodes.map(({ node: name }) => name)
        .toSorted(),
    )
  })
})
