import { join } from 'node:path'
import type { AuditEvent } from '@filo/protocol'
import { beforeEach, expect, test } from 'vitest'
import type { BrokerCluster } from './support/cluster-of-nodes.ts'
import { startCluster } from './support/cluster.ts'
import { entriesOf } from './support/entries-of.ts'
import { openForFile } from './support/fleet-of-file.ts'
import type { Fleet } from './support/fleet.ts'
import { expectAllStoppedInOrder, twelveServices } from './support/layers.ts'
import { until } from './support/until.ts'

// Whole runs over three nodes that are one broker. Whatever node coordinator, agents and consumers are at: each of the
// three dies while the run is under way, and comes back.

let cluster: BrokerCluster
let fleet: Fleet
openForFile(startCluster, twelveServices, (opened) => {
  cluster = opened.broker
  fleet = opened.fleet
})
beforeEach(async () => {
  for (const name of Object.keys(twelveServices)) fleet.services.letGo(name)
  await fleet.bringUp()
})

const patience = ['--yes', '--patience', '60s']

test('a stop goes on while each node in turn is killed and comes back, and no event of it is lost', async () => {
  const { services } = fleet
  const trail = join(fleet.path, 'trail.jsonl')
  await using follower = fleet.start(['audit', 'follow', '--to', trail], { timeoutMs: 300_000 })
  await follower.untilSays(/following as/)
  const held = ['web2', 'mail2', 'app2']
  for (const name of held) services.hold(name)
  await using stop = fleet.start(['stop', ...patience], { timeoutMs: 300_000 })
  for (const [at, name] of held.entries()) {
    await services.untilAsked(name, 'stop')
    const node = cluster.nodes[at]!
    await node.kill()
    services.letGo(name)
    await until(`${name} to be down`, () => services.effects().includes(`${name} down`))
    await node.restart()
    await cluster.untilWhole()
  }
  const ended = await stop.ended
  if (ended.code !== 0) expect(await fleet.filo('resume', ...patience)).toMatchObject({ code: 0 })
  expectAllStoppedInOrder(services)
  expect(services.requests(), 'no script ran twice').toHaveLength(12)

  const journal = join(fleet.path, '.state', 'test', 'journal.db')
  const run = await fleet.newestRun()
  const { hash: end } = entriesOf(journal).at(-1)!
  // The last that an agent writes of a run is that it was given back.
  const isEnd = ({ type, hash, data }: AuditEvent): boolean =>
    hash === end || (type === 'filo.claim.released' && data.run === run)
  await until('the ends of all chains', () => entriesOf(trail).filter(isEnd).length >= fleet.agents.size + 1)
  follower.signal('SIGINT')
  await follower.ended
  const agents = [...fleet.agents.values()]
  for (const agent of agents) await agent.stop()
  const ledgers = agents.map(({ stateDir }) => join(stateDir, 'ledger.db'))
  const allowed = ['--allow', 'beginning', '--allow', 'repeats']
  const verified = await fleet.filo('audit', 'verify', trail, journal, ...ledgers, ...allowed)
  for (const agent of agents) await agent.start()
  expect(verified, verified.stdout).toMatchObject({ code: 0 })
})

test('with one node down for good, a fleet is stopped and started', async () => {
  const { services } = fleet
  const [node] = cluster.nodes
  await node!.kill()
  try {
    expect(await fleet.filo('stop', ...patience)).toMatchObject({ code: 0 })
    expectAllStoppedInOrder(services)
    expect(await fleet.filo('start', ...patience)).toMatchObject({ code: 0 })
  } finally {
    await node!.restart()
  }
})
