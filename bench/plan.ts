import { writeFileSync } from 'node:fs'
import { digest } from '@filo/protocol'
import { buildTopology } from '../packages/coordinator/src/fleet/topology.ts'
import { planFor } from '../packages/coordinator/src/plan/plan-for.ts'
import { fleetOf } from './fleet-of.ts'
import { spread, type Spread } from './spread.ts'

// How long it takes to validate a fleet and to plan its stop: from the text of the file to the steps.

/** One instance for each service, every need written out: the largest file for its number of instances. */
function scattered(instances: number): string {
  return layered(instances, 1, (needs) => `[${needs.join(', ')}]`)
}

/** Services on ten hosts each, which need the one on the same host: needs that no join can stand for. */
function sameHost(instances: number): string {
  return layered(
    instances,
    10,
    (needs) => `[${needs.map((service) => `{ service: ${service}, scope: same-host }`).join(', ')}]`,
  )
}

/** Services on ten hosts each, which need all instances of others: ten times as many pairs as needs. */
function allToAll(instances: number): string {
  return layered(instances, 10, (needs) => `[${needs.join(', ')}]`)
}

const needsEach = 6
const layers = 10

/** Ten layers; each service needs six of the layer below, so that needs are five times the instances and more. */
function layered(instances: number, hostsEach: number, needsText: (services: string[]) => string): string {
  const services = Math.ceil(instances / hostsEach)
  const hosts = Math.max(hostsEach, Math.ceil(instances / 100))
  const perLayer = Math.ceil(services / layers)
  const lines = ['fleet: bench', 'broker: local', 'hosts:']
  for (let host = 0; host < hosts; host += 1) lines.push(`  h${host}:`)
  lines.push('services:')
  const groups = Math.floor(hosts / hostsEach)
  for (let service = 0; service < services; service += 1) {
    const layer = Math.floor(service / perLayer)
    const column = service % perLayer
    // Services of one column are on the same hosts, and so are those a multiple of `groups` columns away.
    const first = (column % groups) * hostsEach
    const on = Array.from({ length: hostsEach }, (_, index) => `h${first + index}`)
    lines.push(
      `  s${service}:`,
      `    hosts: ${hostsEach === 1 ? on[0] : `[${on.join(', ')}]`}`,
      `    systemd: s${service}.service`,
    )
    if (layer === 0) continue
    const below = new Set<number>()
    for (let need = 0; need < needsEach; need += 1) {
      const target =
        hostsEach === 1 ? (column * 7 + need * 13) % perLayer : (column + need * groups) % perLayer
      below.add((layer - 1) * perLayer + target)
    }
    lines.push(`    needs: ${needsText([...below].map((each) => `s${each}`))}`)
  }
  return `${lines.join('\n')}\n`
}

const shapes = { scattered, 'same-host': sameHost, 'all-to-all': allToAll }
const sizes = [100, 1_000, 10_000, 100_000]
const rounds = 5

interface Row {
  readonly shape: string
  readonly instances: number
  /** Needs from instance to instance, however few edges stand for them. */
  readonly needs: number
  readonly edges: number
  readonly fileBytes: number
  readonly steps: number
  readonly validateMs: Spread
  readonly planMs: Spread
}

export async function main(args: string[]): Promise<void> {
  const most = Number(args.find((arg) => /^\d+$/.test(arg)) ?? sizes.at(-1))
  const out = args.find((arg) => arg.endsWith('.json'))
  const rows: Row[] = []
  for (const [shape, write] of Object.entries(shapes)) {
    for (const size of sizes.filter((each) => each <= most)) {
      const row = measure(shape, write(size))
      rows.push(row)
      console.log(line(row))
    }
  }
  if (out !== undefined) writeFileSync(out, `${JSON.stringify(rows, undefined, 2)}\n`)
  else console.log(JSON.stringify(rows))
}

function measure(shape: string, text: string): Row {
  const validate: number[] = []
  const plan: number[] = []
  let counts = { instances: 0, needs: 0, edges: 0, steps: 0 }
  for (let round = 0; round < rounds; round += 1) {
    const began = performance.now()
    const topology = buildTopology(fleetOf(text))
    const validated = performance.now()
    const intention = { verb: 'stop', selection: [], labels: [], only: false } as const
    const planned = planFor(topology, { ...intention, selection: [], labels: [] }, { digest })
    const ended = performance.now()
    if (planned.kind !== 'plan') throw new Error('the generated fleet cannot be planned')
    validate.push(validated - began)
    plan.push(ended - validated)
    counts = {
      instances: topology.instances.length,
      needs: needsOf(topology),
      edges: topology.needs.edges,
      steps: planned.plan.steps.length,
    }
  }
  return { shape, ...counts, fileBytes: text.length, validateMs: spread(validate), planMs: spread(plan) }
}

function needsOf(topology: ReturnType<typeof buildTopology>): number {
  const { instances, joins, needs } = topology
  const stands = (node: number): number =>
    node < instances.length ? 1 : joins[node - instances.length]!.members
  let count = 0
  for (const instance of instances.keys()) for (const node of needs.of(instance)) count += stands(node)
  return count
}

function line(row: Row): string {
  const time = ({ median, min, max }: Spread) => `${median} ms (${min} to ${max})`
  return (
    `${row.shape.padEnd(11)}${String(row.instances).padStart(7)} instances ${String(row.needs).padStart(8)} needs ` +
    `${String(row.edges).padStart(7)} edges  validate ${time(row.validateMs).padEnd(32)} plan ${time(row.planMs)}`
  )
}
