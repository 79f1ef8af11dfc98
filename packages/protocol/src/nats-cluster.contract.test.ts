import { expect, test } from 'vitest'
import { freePort } from '../../../test/support/free-port.ts'
import { startNatsCluster } from '../../../test/support/nats-cluster.ts'
import { startNats } from '../../../test/support/nats.ts'
import { until } from '../../../test/support/until.ts'
import { openNats } from './nats.ts'
import { describeCluster, describeFrozenNode, describeRollingKill } from './testing-cluster.ts'

describeCluster('a cluster of three NATS servers', startNatsCluster, (cluster) => {
  describeFrozenNode(cluster, 0)
  describeRollingKill(cluster)

  test('keeps each event on all three, and nobody is warned of one replica', async () => {
    await using transport = await openNats(
      cluster().nodes.map(({ url }) => url),
      { name: 'test' },
    )
    const weaknesses = await until('the stream to have a leader', () => transport.weaknesses(), {
      timeoutMs: 90_000,
    })
    expect(weaknesses.map(({ text }) => text)).toEqual([expect.stringContaining('before they are on disk')])
  })
})

test('where a cluster is too small for three replicas there is one, of which everybody is warned', async () => {
  const ports = [await freePort(), await freePort()]
  const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(', ')
  const start = (at: number) =>
    startNats([
      `server_name: n${at}`,
      `cluster { name: filo, listen: "127.0.0.1:${ports[at]}", routes: [${routes}] }`,
    ])
  const starting = [start(0), start(1)] as const
  await using first = await starting[0]
  await using _second = await starting[1]
  await using transport = await openNats([first.url], { name: 'test' })
  const weaknesses = await until('JetStream to have a leader', () => transport.weaknesses(), {
    timeoutMs: 60_000,
  })
  expect(weaknesses.map(({ text }) => text)).toContainEqual(expect.stringContaining('has one replica'))
})
