import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { digest, makeKeyPair, type InstanceName } from '@filo/protocol'
import { Journal, type RunRecord } from '../../../packages/coordinator/src/engine/journal.ts'
import { orderRun } from '../../../packages/coordinator/src/engine/orders.ts'
import { hostDefinition, type Fleet } from '../../../packages/coordinator/src/fleet/fleet.ts'
import { buildTopology } from '../../../packages/coordinator/src/fleet/topology.ts'
import { planFor } from '../../../packages/coordinator/src/plan/plan-for.ts'
import type { Intention, Plan } from '../../../packages/coordinator/src/plan/plan.ts'
import { Coordinator } from './coordinator.ts'
import { Dice } from './dice.ts'
import { FakeHost } from './fake-host.ts'
import { FakeService } from './fake-service.ts'
import { Network } from './network.ts'
import { Oracle } from './oracle.ts'
import { randomFleet } from './random-fleet.ts'
import { Life, VirtualTime } from './virtual-time.ts'

const verbs: readonly Intention['verb'][] = ['stop', 'stop', 'start', 'restart']

/** A fleet, a run of it that has been ordered, and everything that may go wrong with them. */
export class Scene implements Disposable {
  readonly dice: Dice
  readonly time = new VirtualTime()
  readonly network: Network
  readonly services = new Map<InstanceName, FakeService>()
  readonly hosts: readonly FakeHost[]
  readonly oracle: Oracle
  readonly coordinator: Coordinator
  /** Another operator with another run of the same fleet. */
  readonly rival: Coordinator
  readonly #journal: Journal

  constructor(seed: number, dir: string) {
    this.dice = new Dice(seed)
    const { time, dice } = this
    this.network = new Network(time, dice)
    const fleet = randomFleet(dice)
    const keys = makeKeyPair()
    const trusted = (id: string) => (id === keys.verifying.id ? keys.verifying : undefined)
    const hostKeys = new Map([...fleet.hosts.keys()].map((host) => [host, makeKeyPair()]))
    this.hosts = [...hostKeys].map(([host, pair]) => {
      const identity = { key: pair.signing, trusted }
      return new FakeHost(this, hostDefinition(fleet, host), identity, (effect) => this.oracle.judge(effect))
    })
    const verb = dice.pick(verbs)
    this.#fill(fleet, verb)
    mkdirSync(join(dir, 'locks'), { recursive: true })
    const journalDir = {
      root: dir,
      keys: dir,
      locks: join(dir, 'locks'),
      journal: ':memory:',
      host: () => dir,
    }
    this.#journal = Journal.open(journalDir, new Life(time).clock, () => dice.id())
    const record = this.#order(fleet, verb)
    const verifying = new Map([...hostKeys].map(([host, pair]) => [host, pair.verifying]))
    const identity = { fleet: fleet.name, operator: 'alice@admin1', key: keys.signing, hosts: verifying }
    const fault = (words: string): void => this.oracle.fault(words)
    this.coordinator = new Coordinator(this, this.#journal, record, identity, fault)
    const other = this.#order(fleet, dice.pick(verbs))
    this.rival = new Coordinator(this, this.#journal, other, { ...identity, operator: 'eve@admin3' }, fault)
    this.oracle = new Oracle(
      fleet,
      this.services,
      () => time.nowMs,
      (instance) => this.coordinator.isWaived(instance),
    )
  }

  [Symbol.dispose](): void {
    for (const host of this.hosts) host[Symbol.dispose]()
    this.coordinator.kill()
    this.rival.kill()
    this.#journal[Symbol.dispose]()
  }

  /** Before a stop most of the fleet runs; before a start most of it does not. */
  #fill(fleet: Fleet, verb: Intention['verb']): void {
    const ups = new Set<string>()
    for (const [name, { hosts, needs }] of fleet.services) {
      const isServed = needs.every(({ service }) => ups.has(service))
      const isUp = verb === 'start' ? this.dice.happens(0.2) : isServed && this.dice.happens(0.95)
      if (isUp) ups.add(name)
      for (const host of hosts) {
        const service = new FakeService(`${name}@${host}`, isUp, this.time, this.dice)
        this.services.set(service.name, service)
        this.hosts.find((one) => one.name === host)!.services.set(name, service)
      }
    }
  }

  #order(fleet: Fleet, verb: Intention['verb']): RunRecord {
    const observations = new Map([...this.services].map(([name, { state }]) => [name, { state }]))
    const names = [...this.services.keys()]
    const selection = this.dice.happens(0.4) ? [this.dice.pick(names)] : []
    const only = selection.length > 0 && this.dice.happens(0.5)
    const topology = buildTopology(fleet)
    const plan = (choice: Pick<Intention, 'verb' | 'selection' | 'only'>): Plan | undefined => {
      const planned = planFor(topology, { ...choice, labels: [] }, { digest, observations })
      return planned.kind === 'plan' ? planned.plan : undefined
    }
    const wanted = plan({ verb, selection, only }) ?? plan({ verb: 'stop', selection: [], only: false })!
    return orderRun(this.#journal, wanted, 'alice@admin1', undefined, new Life(this.time).clock)
  }
}
