import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { digest } from '@filo/protocol'
import { buildTopology } from '../packages/coordinator/src/fleet/topology.ts'
import { planDocument } from '../packages/coordinator/src/cli/plan.ts'
import { explain } from '../packages/coordinator/src/plan/explain.ts'
import { planFor } from '../packages/coordinator/src/plan/plan-for.ts'
import { fleetOf } from './fleet-of.ts'
import { describeMachine, machineLine } from './machine.ts'
import { optionsOf, writeJson } from './options.ts'
import { spread, type Spread } from './spread.ts'

// How long it takes to validate a fleet and to plan its stop: from the text of the file to the steps.

/** One instance for each service, every need written out: the largest file for its number of instances. */
function scattered(instances: number): string {
  return layered(instances, 1, 6, (needs) => `[${needs.join(', ')}]`)
}

/** The same with twice as many needs: ten edges for each instance. */
function dense(instances: number): string {
  return layered(instances, 1, 12, (needs) => `[${needs.join(', ')}]`)
}

/** Services on ten hosts each, which need the one on the same host: needs that no join can stand for. */
function sameHost(instances: number): string {
  return layered(
    instances,
    10,
    6,
    (needs) => `[${needs.map((service) => `{ service: ${service}, scope: same-host }`).join(', ')}]`,
  )
}

/** Services on ten hosts each, which need all instances of others: ten times as many pairs as needs. */
function allToAll(instances: number): string {
  return layered(instances, 10, 6, (needs) => `[${needs.join(', ')}]`)
}

const layers = 10

/** Ten layers; each service needs some of the layer below. */
function layered(
  instances: number,
  hostsEach: number,
  needsEach: number,
  needsText: (services: string[]) => string,
): string {
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

const shapes = { scattered, dense, 'same-host': sameHost, 'all-to-all': allToAll }
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
  /** Of `validateMs`, from the fleet to its graph. */
  readonly topologyMs: Spread
  readonly planMs: Spread
  /** Explaining one step, in the midst of the plan. */
  readonly explainMs: Spread
  /** The plan as JSON. */
  readonly jsonMs: Spread
  /** What `filo plan --json` prints: with the explanation of every step, the hash of it all, and indented. */
  readonly documentMs: Spread
  /** The most memory that the process ever had, MiB. */
  readonly peakMiB: number
}

/** Each round is a process of its own, as each command is: it begins with no code compiled, and its memory is its own. */
export async function main(args: string[]): Promise<void> {
  const values = optionsOf(args, {
    most: String(sizes.at(-1)),
    shape: Object.keys(shapes).join(','),
    size: '',
  })
  if (values.size !== '') {
    const shape = values.shape as keyof typeof shapes
    console.log(JSON.stringify(measure(shapes[shape](Number(values.size)))))
    return
  }
  const rows: Row[] = []
  for (const shape of values.shape.split(',')) {
    for (const size of sizes.filter((each) => each <= Number(values.most))) {
      // As bin/filo does.
      const flags = ['--min-semi-space-size=16']
      const own = [...flags, fileURLToPath(new URL('main.ts', import.meta.url)), 'plan', '--shape', shape]
      const all = Array.from({ length: rounds }, (): Round => {
        const printed = execFileSync(process.execPath, [...own, '--size', String(size)], { encoding: 'utf8' })
        return JSON.parse(printed) as Round
      })
      rows.push(rowOf(shape, all))
      console.log(line(rows.at(-1)!))
    }
  }
  const machine = describeMachine()
  console.log(machineLine(machine))
  writeJson({ machine, rows }, values.json)
}

type Times = Record<'validate' | 'topology' | 'plan' | 'explain' | 'json' | 'document', number>

/** One round, as one command has it. */
interface Round {
  readonly counts: Pick<Row, 'instances' | 'needs' | 'edges' | 'steps' | 'fileBytes'>
  readonly ms: Times
  readonly peakMiB: number
}

function measure(text: string): Round {
  const ms: Times = { validate: 0, topology: 0, plan: 0, explain: 0, json: 0, document: 0 }
  const timed = <Value>(what: keyof Times, body: () => Value): Value => {
    const began = performance.now()
    const value = body()
    ms[what] = performance.now() - began
    return value
  }
  const topology = timed('validate', () => {
    const fleet = fleetOf(text)
    return timed('topology', () => buildTopology(fleet))
  })
  const intention = { verb: 'stop' as const, selection: [], labels: [], only: false }
  const planned = timed('plan', () => planFor(topology, intention, { digest }))
  if (planned.kind !== 'plan') throw new Error('the generated fleet cannot be planned')
  const { plan } = planned
  timed('explain', () => explain(plan, plan.steps.length >> 1))
  timed('json', () => JSON.stringify(plan).length)
  timed('document', () => JSON.stringify(planDocument(plan, undefined), undefined, 2).length)
  const counts = {
    instances: topology.instances.length,
    needs: needsOf(topology),
    edges: topology.needs.edges,
    steps: plan.steps.length,
    fileBytes: text.length,
  }
  return { counts, ms, peakMiB: Math.round(process.resourceUsage().maxRSS / 1024) }
}

function rowOf(shape: string, all: readonly Round[]): Row {
  const of = (what: keyof Times): Spread => spread(all.map(({ ms }) => ms[what]))
  return {
    shape,
    ...all[0]!.counts,
    validateMs: of('validate'),
    topologyMs: of('topology'),
    planMs: of('plan'),
    explainMs: of('explain'),
    jsonMs: of('json'),
    documentMs: of('document'),
    peakMiB: Math.max(...all.map(({ peakMiB }) => peakMiB)),
  }
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
    `${String(row.edges).padStart(7)} edges  validate ${time(row.validateMs)} topology ${time(row.topologyMs)} plan ${time(row.planMs)} explain ${time(row.explainMs)} json ${time(row.jsonMs)} document ${time(row.documentMs)} ${row.peakMiB} MiB`
  )
}
