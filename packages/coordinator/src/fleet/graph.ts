import type { Fleet, Need, Service } from './fleet.ts'
import { buildTopology, type Topology } from './topology.ts'

/** A fleet's needs for other programs. Every service of a stage also needs all services of the stage before. */
export interface FleetGraph {
  readonly fleet: string
  readonly nodes: readonly {
    readonly service: string
    readonly hosts: readonly string[]
    readonly enough?: number
    readonly keep: boolean
  }[]
  readonly edges: readonly ({ readonly from: string; readonly to: string } & Omit<Need, 'service'>)[]
  readonly stages: readonly { readonly name: string; readonly services: readonly string[] }[]
}

export function fleetGraph(fleet: Fleet): FleetGraph {
  const services = [...fleet.services.values()]
  return {
    fleet: fleet.name,
    nodes: services.map(({ name, hosts, enough, keep }) => ({
      service: name,
      hosts,
      ...(enough !== undefined && { enough }),
      keep,
    })),
    edges: services.flatMap((service) =>
      service.needs.map(({ service: to, scope, strength }) => ({ from: service.name, to, scope, strength })),
    ),
    stages: fleet.stages,
  }
}

/**
 * The needs between services as a Mermaid flowchart; stages are boxes with an arrow from each to the one before.
 * Ids are numbers, as some names (`end`) mean something to Mermaid; names hold no character that does.
 */
export function serviceFlowchart(fleet: Fleet): string {
  const ids = new Map([...fleet.services.keys()].map((name, index) => [name, `s${index}`]))
  const lines = ['flowchart TD']
  const node = (service: Service) => `${ids.get(service.name)}["${labelOf(service)}"]`
  const staged = new Set(fleet.stages.flatMap((stage) => stage.services))
  for (const [index, stage] of fleet.stages.entries()) {
    lines.push(`  subgraph stage${index}["stage ${stage.name}"]`)
    for (const name of stage.services) lines.push(`    ${node(fleet.services.get(name)!)}`)
    lines.push('  end')
    if (index > 0) lines.push(`  stage${index} --> stage${index - 1}`)
  }
  for (const service of fleet.services.values())
    if (!staged.has(service.name)) lines.push(`  ${node(service)}`)
  for (const service of fleet.services.values()) {
    for (const need of service.needs) {
      const label = need.scope === 'same-host' ? '|same host|' : ''
      lines.push(`  ${ids.get(service.name)} ${arrow(need.strength)}${label} ${ids.get(need.service)}`)
    }
  }
  return `${lines.join('\n')}\n`
}

/** The needs between instances, boxed by host. What stands for several instances is a round node of its own. */
export function hostFlowchart(fleet: Fleet): string {
  const topology = buildTopology(fleet)
  const lines = ['flowchart TD']
  const onHost = new Map([...fleet.hosts.keys()].map((host): [string, string[]] => [host, []]))
  for (const [number, { host, service }] of topology.instances.entries()) {
    onHost.get(host)!.push(`    n${number}["${service.name}"]`)
  }
  for (const [index, [host, nodes]] of [...onHost].entries()) {
    if (nodes.length > 0) lines.push(`  subgraph host${index}["${host}"]`, ...nodes, '  end')
  }
  for (const [index, join] of topology.joins.entries()) {
    lines.push(`  n${topology.instances.length + index}(("${joinLabel(join)}"))`)
  }
  for (let node = 0; node < topology.instances.length + topology.joins.length; node += 1) {
    for (const needed of topology.needs.of(node)) lines.push(`  n${node} ${arrow('hard')} n${needed}`)
    for (const before of topology.follows.of(node)) lines.push(`  n${node} ${arrow('order')} n${before}`)
  }
  return `${lines.join('\n')}\n`
}

function labelOf({ name, hosts, keep }: Service): string {
  const where = hosts.length === 1 ? hosts[0] : `${hosts.length} hosts`
  return `${name}<br/>${where}${keep ? '<br/>kept' : ''}`
}

function joinLabel({ of, enough, members }: Topology['joins'][number]): string {
  if ('stage' in of) return `stage ${of.stage}`
  return enough === members ? `all ${of.service}` : `${enough} of ${members} ${of.service}`
}

function arrow(strength: Need['strength']): string {
  return strength === 'hard' ? '-->' : '-.->'
}
