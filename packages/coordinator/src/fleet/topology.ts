import { instanceName, type InstanceName } from '@filo/protocol'
import { Adjacency, EdgeList } from './adjacency.ts'
import type { Fleet, Service } from './fleet.ts'

// P8. All-to-all needs between k and m instances are one join: k + m edges. A service with several instances has
// one join, which everyone who needs all of it shares; a stage has one over its services.

/**
 * A fleet as a graph of instances and joins, both dense integers: instances first. Instances are numbered in an
 * order in which they could be started one by one, so that stopping is counting down.
 */
export interface Topology {
  readonly fleet: Fleet
  readonly instances: readonly Instance[]
  /** Joins by number, from `instances.length`. */
  readonly joins: readonly TopologyJoin[]
  /** What each node needs. From a join, the nodes it stands for. */
  readonly needs: Adjacency
  readonly neededBy: Adjacency
  /** What each instance starts after if both are in the plan. Joins lead on by `needs`. */
  readonly follows: Adjacency
  readonly followedBy: Adjacency
  readonly numbers: ReadonlyMap<InstanceName, number>
}

export interface Instance {
  readonly name: InstanceName
  readonly service: Service
  readonly host: string
}

export interface TopologyJoin {
  readonly of: { readonly service: string } | { readonly stage: string }
  /** How many of its nodes must run for it to be satisfied. */
  readonly enough: number
  /** How many nodes it stands for. */
  readonly members: number
}

/** Linear in instances and needs. */
export function buildTopology(fleet: Fleet): Topology {
  const instances = startOrder(fleet).flatMap((service) =>
    service.hosts.map((host): Instance => ({ name: instanceName(service.name, host), service, host })),
  )
  const numbers = new Map(instances.map((instance, number) => [instance.name, number]))
  const joins: TopologyJoin[] = []
  const needs = new EdgeList()
  const follows = new EdgeList()
  const stageBefore = stagesBefore(fleet)
  const services = new Map<string, number>()
  const stages = new Map<number, number>()

  for (const [number, { service, host }] of instances.entries()) {
    for (const need of service.needs) {
      const edges = need.strength === 'hard' ? needs : follows
      const sameHost = need.scope === 'same-host'
      edges.add(number, sameHost ? instanceOf(need.service, host) : allOf(need.service))
    }
    const stage = stageBefore.get(service.name)
    if (stage !== undefined) needs.add(number, stageNode(stage))
  }
  const size = instances.length + joins.length
  return {
    fleet,
    instances,
    joins,
    needs: Adjacency.forward(size, needs),
    neededBy: Adjacency.backward(size, needs),
    follows: Adjacency.forward(size, follows),
    followedBy: Adjacency.backward(size, follows),
    numbers,
  }

  function instanceOf(service: string, host: string): number {
    return numbers.get(instanceName(service, host))!
  }

  /** The node that stands for a service: its only instance, or a join. */
  function allOf(name: string): number {
    const { hosts, enough } = fleet.services.get(name)!
    const found = services.get(name)
    if (found !== undefined) return found
    const members = hosts.map((host) => instanceOf(name, host))
    const node = nodeFor(members, {
      of: { service: name },
      enough: enough ?? members.length,
      members: members.length,
    })
    services.set(name, node)
    return node
  }

  function stageNode(index: number): number {
    const found = stages.get(index)
    if (found !== undefined) return found
    const stage = fleet.stages[index]!
    const members = stage.services.map(allOf)
    const node = nodeFor(members, {
      of: { stage: stage.name },
      enough: members.length,
      members: members.length,
    })
    stages.set(index, node)
    return node
  }

  function nodeFor(members: readonly number[], join: TopologyJoin): number {
    if (members.length === 1) return members[0]!
    const node = instances.length + joins.length
    joins.push(join)
    for (const member of members) needs.add(node, member)
    return node
  }
}

/** For each service of a stage, the number of the stage before. */
function stagesBefore(fleet: Fleet): Map<string, number> {
  return new Map(
    fleet.stages
      .slice(1)
      .flatMap((stage, index) => stage.services.map((service) => [service, index] as const)),
  )
}

/** Services so that each comes after all it needs, those of equal standing in the order of the file. */
function startOrder(fleet: Fleet): Service[] {
  const services = [...fleet.services.values()]
  const number = new Map(services.map((service, index) => [service.name, index]))
  const size = services.length + fleet.stages.length
  const edges = new EdgeList()
  const stageBefore = stagesBefore(fleet)
  for (const [index, service] of services.entries()) {
    for (const need of service.needs) edges.add(index, number.get(need.service)!)
    const stage = stageBefore.get(service.name)
    if (stage !== undefined) edges.add(index, services.length + stage)
  }
  for (const [index, stage] of fleet.stages.entries()) {
    for (const service of stage.services) edges.add(services.length + index, number.get(service)!)
  }
  const open = new Int32Array(size)
  for (const node of edges.from) open[node]! += 1
  const dependents = Adjacency.backward(size, edges)
  const order: number[] = []
  for (let node = 0; node < size; node += 1) if (open[node] === 0) order.push(node)
  // The list grows while it is read: a queue, first in, first out.
  for (const node of order) {
    for (const dependent of dependents.of(node)) {
      open[dependent]! -= 1
      if (open[dependent] === 0) order.push(dependent)
    }
  }
  if (order.length < size) throw new Error('a fleet with a cycle of needs has been accepted')
  return order.filter((node) => node < services.length).map((node) => services[node]!)
}
