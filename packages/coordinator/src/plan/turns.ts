import { knotsOf } from '../fleet/knots.ts'
import type { Topology } from '../fleet/topology.ts'

// A host that boots starts by itself what is enabled there. So its reboot is a start of all that it runs, and comes
// after the start of what those need on other hosts; unless that in turn waits for the host: then it comes before.

/** What is laid next on the way back: the start or proof of an instance, or the reboot of a host. */
export type Turn =
  | { readonly kind: 'instance'; readonly instance: number }
  | {
      readonly kind: 'host'
      readonly host: string
      /** What its services need elsewhere: instances and joins of the topology. */
      readonly needs: readonly number[]
    }

/** The turns of all instances in start order, and of the hosts that are rebooted, each after what it waits for. */
export function turnsOf(
  topology: Topology,
  hosts: ReadonlySet<string>,
  isStarted: (instance: number) => boolean,
): Turn[] {
  const { instances, joins } = topology
  if (hosts.size === 0) return [...instances.keys()].map((instance) => ({ kind: 'instance', instance }))
  const size = instances.length + joins.length
  const nodes = new Map([...hosts].map((host, at) => [host, size + at]))
  const names = [...hosts]
  const residents = Map.groupBy(
    [...instances.keys()].filter((instance) => nodes.has(instances[instance]!.host) && isStarted(instance)),
    (instance) => instances[instance]!.host,
  )
  const knots = knotsOf(size + names.length, successorsOf)
  const knotOf = new Map(knots.flatMap((knot, at) => knot.map((node) => [node, at] as const)))
  return knots.flatMap((knot) =>
    // In a knot a host does not wait for its services' needs, and everything else waits for the host.
    [...knot.filter((node) => node >= size), ...knot.filter((node) => node < instances.length)].map(turnOf),
  )

  function turnOf(node: number): Turn {
    if (node < size) return { kind: 'instance', instance: node }
    const needs = needsOfHost(node).filter((needed) => knotOf.get(needed) !== knotOf.get(node))
    return { kind: 'host', host: names[node - size]!, needs }
  }

  function needsOfHost(node: number): number[] {
    const needs = (residents.get(names[node - size]!) ?? []).flatMap((one) => [...topology.needs.of(one)])
    return [...new Set(needs)]
  }

  function successorsOf(node: number): number[] {
    if (node >= size) return needsOfHost(node)
    const before = [...topology.needs.of(node), ...topology.follows.of(node)]
    return node < instances.length && isStarted(node) ? [...before, ...hostsUnder(node)] : before
  }

  /** The hosts that have to be up for an instance to be started: its own, and those that its hooks run on. */
  function hostsUnder(instance: number): number[] {
    const { host, service } = instances[instance]!
    const starting = service.hooks.filter(({ definition }) => definition.at.endsWith('_start'))
    const all = new Set([host, ...starting.map((hook) => hook.host ?? host)])
    return [...all].flatMap((one) => nodes.get(one) ?? [])
  }
}
