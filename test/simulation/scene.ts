import { digest, Redactor, type InstanceName } from '@filo/protocol'
import { hostDefinition, type Fleet } from '../../packages/coordinator/src/fleet/fleet.ts'
import { buildTopology } from '../../packages/coordinator/src/fleet/topology.ts'
import { planFor } from '../../packages/coordinator/src/plan/plan-for.ts'
import type { Intention, Plan } from '../../packages/coordinator/src/plan/plan.ts'
import { Host, type StartProcess } from './actors/host.ts'
import { Operator } from './actors/operator.ts'
import { Checker } from './checker/checker.ts'
import { nameOfMishap } from './faults/repertoire.ts'
import { Phases, type LiveSession } from './faults/phases.ts'
import { schemeCalled, schemeNames, type Scheme, type SchemeName } from './faults/schemes.ts'
import { randomFleet } from './fleet.ts'
import { coordinatorKeys, hostKeys } from './keys.ts'
import { setAmbient } from './stand-ins/ambient.ts'
import type { Tally } from './tally.ts'
import { Trace } from './trace.ts'
import { Dice } from '../support/dice.ts'
import type { File } from './world/disk.ts'
import { Machine } from './world/machine.ts'
import { Network } from './world/network.ts'
import { Process } from './world/process.ts'
import { Service } from './world/service.ts'
import { Time } from './world/time.ts'

const verbs: readonly Intention['verb'][] = [
  'stop',
  'stop',
  'start',
  'start',
  'restart',
  'restart',
  'reboot',
  'halt',
]
/** How often it is looked who owes a word. */
const timelinessEveryMs = 500

/** A fleet, a run of it that has been ordered, and everything that may go wrong with them. */
export class Scene implements Disposable {
  readonly dice: Dice
  /** What goes wrong together, if anything does. */
  readonly scheme: Scheme | undefined
  readonly time = new Time()
  readonly trace: Trace
  readonly network: Network
  readonly services = new Map<InstanceName, Service>()
  readonly hosts: readonly Host[]
  readonly checker: Checker
  readonly phases: Phases
  readonly operator: Operator
  /** Another operator with another run of the same fleet. */
  readonly rival: Operator
  /** Nothing goes wrong any more. */
  isCalm = false
  /** Called when things on a host have come to another phase. */
  onPhase: (host: Host, phase: ReturnType<Phases['of']>) => void = () => {}
  readonly #fleet: Fleet
  readonly #tally: Tally
  readonly #machines: Machine[] = []
  readonly #operators: Operator[] = []
  readonly #processes = new Map<string, Process>()
  readonly #watched = new Set<File>()

  constructor(seed: number, tally: Tally, scheme: SchemeName | undefined, isTraced: boolean) {
    this.dice = new Dice(seed)
    this.#tally = tally
    this.trace = new Trace(this.time, isTraced)
    const { time, dice } = this
    const entropy = dice.fork()
    setAmbient({ time, entropy, signsInEarnest: seed % 32 === 0, find: (path) => this.#find(path) })
    this.network = new Network(time, dice.fork(), {
      onSent: (frame) =>
        this.#passBy(
          frame.host,
          () => this.checker.onSent(frame),
          () => this.phases.noteFrame(frame, false),
        ),
      onDelivered: (frame, to) =>
        this.#passBy(
          frame.host,
          () => this.checker.onDelivered(frame, to),
          () => this.phases.noteFrame(frame, true),
        ),
      onMishap: (mishap, host) => this.count(nameOfMishap(mishap), host, `a message of ${host} is ${mishap}`),
    })
    const thrown = dice.happens(0.4) ? dice.pick(schemeNames) : undefined
    const chosen = scheme ?? thrown
    this.scheme = chosen && schemeCalled(chosen)
    const fleet = randomFleet(dice, this.scheme?.fleet)
    this.#fleet = fleet
    const choice = this.scheme?.verbs ?? verbs
    const verb = dice.pick(choice)
    const trusted = (id: string) => coordinatorKeys.find(({ verifying }) => verifying.id === id)?.verifying
    this.hosts = [...fleet.hosts.keys()].map((host, at) => {
      const identity = { key: hostKeys(at).signing, trusted }
      return new Host(this.#hostWorld(), this.#addMachine(host), hostDefinition(fleet, host), identity)
    })
    this.#fill(fleet, verb)
    const bootOf = (host: string): string | undefined => this.host(host).boot
    this.checker = new Checker({ time, fleet, services: this.services, trace: this.trace, bootOf })
    this.phases = new Phases(
      this.checker,
      () => this.liveSessions(),
      (host, phase) => this.onPhase(this.host(host), phase),
    )
    const verifying = new Map(this.hosts.map(({ name }, at) => [name, hostKeys(at).verifying]))
    const world = {
      dice: dice.fork(),
      network: this.network,
      startProcess: this.#startProcess,
      onFault: (words: string) => this.checker.violate('R2', words),
      onWaiver: (run: string, step: number) => this.checker.onWaiver(run, step),
    }
    const admin = this.#addMachine('admin1')
    const other = dice.happens(0.5) ? admin : this.#addMachine('admin2')
    const redactor = new Redactor()
    const identify = (at: number, operator: string) => {
      return { fleet: fleet.name, operator, keys: [coordinatorKeys[at]!.signing], redactor, hosts: verifying }
    }
    this.operator = new Operator(world, admin, identify(0, 'alice@admin1'), this.plan(verb))
    this.rival = new Operator(world, other, identify(1, 'eve@admin2'), this.plan(dice.pick(choice), 0.7))
    this.#operators.push(this.operator, this.rival)
  }

  [Symbol.dispose](): void {
    for (const process of this.#processes.values()) process.end()
    for (const { disk } of this.#machines) disk.close()
    setAmbient(undefined)
  }

  get fleetName(): string {
    return this.#fleet.name
  }

  host(name: string): Host {
    return this.hosts.find((host) => host.name === name)!
  }

  /** A plan for things as they are now. @param some the chance that it is not of the whole fleet */
  plan(verb: Intention['verb'] = this.dice.pick(verbs), some = 0.4): Plan {
    const observations = new Map([...this.services].map(([name, { state }]) => [name, { state }]))
    const names = [...this.services.keys()]
    const isOfHosts = verb === 'reboot' || verb === 'halt'
    const one = this.dice.happens(some) ? [this.dice.pick(names)] : []
    const selection = isOfHosts ? this.#someHosts() : one
    const only = !isOfHosts && selection.length > 0 && this.dice.happens(0.5)
    const topology = buildTopology(this.#fleet)
    const plan = (choice: Pick<Intention, 'verb' | 'selection' | 'only'>): Plan | undefined => {
      const planned = planFor(topology, { ...choice, labels: [] }, { digest, observations })
      return planned.kind === 'plan' ? planned.plan : undefined
    }
    const first = [this.services.keys().next().value!]
    return (
      plan({ verb, selection, only }) ??
      plan({ verb: 'stop', selection: [], only: false }) ??
      plan({ verb: 'stop', selection: first, only: false })!
    )
  }

  /** Those hosts are switched on that are off and that the operator's run has not halted. */
  switchOn(): void {
    const book = this.checker.runs.get(this.operator.record.run)
    for (const host of this.hosts) if (book?.isGone(host.name) !== true) host.switchOn()
  }

  #someHosts(): string[] {
    const all = this.hosts.map(({ name }) => `@${name}`)
    const some = all.filter(() => this.dice.happens(0.4))
    return some.length > 0 ? some : [this.dice.pick(all)]
  }

  liveSessions(): LiveSession[] {
    return this.#operators.flatMap(({ process, record }) =>
      process === undefined ? [] : [{ process, run: record.run }],
    )
  }

  /** Counts a fault that has struck while things on a host had come so far, and tells of it. */
  count(fault: string, host: string, words: string, phase = this.phases.of(host)): void {
    this.#tally.count(fault, phase)
    this.trace.tell(`FAULT ${words} (${phase})`)
  }

  /** Another operator begins their run, once; false where they have. */
  readonly beginRival = (takeOver: 'no' | 'any'): boolean => {
    if (this.rival.hasBegun) return false
    const thrown = this.dice.pick(['hold', 'continue'] as const)
    this.rival.begin(this.scheme?.policy ?? thrown, takeOver)
    return true
  }

  loseLedger(host: Host): void {
    host.loseDisk()
    this.checker.forget(host.name)
  }

  /** Looks who owes a word, every so often, for as long as it returns true. */
  watchTime(goesOn: () => boolean): void {
    const look = (): void => {
      if (!goesOn()) return
      const agents = this.hosts.flatMap(({ name, process }) =>
        process === undefined ? [] : [[name, process] as const],
      )
      const sessions = this.liveSessions()
      this.checker.expectTimeliness(sessions, new Map(agents))
      const isIdle = sessions.every(({ process }) => process.isHeld)
      const untilMs = Math.min(...sessions.map(({ process }) => process.nowMs))
      this.time.after(isIdle && sessions.length > 0 ? untilMs - this.time.nowMs : timelinessEveryMs, look)
    }
    this.time.after(timelinessEveryMs, look)
  }

  #passBy(host: string, ...tasks: readonly (() => void)[]): void {
    for (const task of tasks) task()
    this.phases.review(host)
  }

  #hostWorld() {
    return {
      dice: this.dice.fork(),
      network: this.network,
      startProcess: this.#startProcess,
      onLook: (look: Parameters<Checker['onLook']>[0]) => this.checker.onLook(look),
      onEffect: (
        host: Host,
        { instance, verb, script }: Parameters<ConstructorParameters<typeof Host>[0]['onEffect']>[1],
      ) => {
        this.checker.onEffect(host.name, instance, verb, script)
        this.phases.review(host.name)
        void script.over.then(() => this.phases.review(host.name))
      },
    }
  }

  readonly #startProcess: StartProcess = (name, machine, onEnd) => {
    const id = `p${this.#processes.size}`
    const process = new Process(`${name} ${id}`, machine, () => {
      this.trace.tell(`${process.name} has ended`)
      onEnd()
    })
    this.#processes.set(id, process)
    return { process, root: `file:${id}:` }
  }

  #addMachine(name: string): Machine {
    const machine = new Machine(name, this.time, this.dice.fork())
    this.#machines.push(machine)
    return machine
  }

  #find(path: string): { process: Process; file: File } {
    const [, id, name] = path.split(':') as [string, string, string]
    const process = this.#processes.get(id)!
    const file = process.machine.disk.open(name)
    if (!this.#watched.has(file)) {
      this.#watched.add(file)
      const kind = name.endsWith('ledger.db') ? 'ledger' : name.endsWith('journal.db') ? 'journal' : undefined
      if (kind !== undefined) this.#watch(file, kind, process.machine.name)
    }
    return { process, file }
  }

  #watch(file: File, kind: 'ledger' | 'journal', machine: string): void {
    this.checker.watch(file, kind, machine)
    const { onCommit } = file
    file.onCommit = (process, rows, begunAtMs) => {
      onCommit(process, rows, begunAtMs)
      for (const { name } of this.hosts) if (kind === 'journal' || name === machine) this.phases.review(name)
    }
  }

  /** Before a stop most of the fleet runs; before a start most of it does not. */
  #fill(fleet: Fleet, verb: Intention['verb']): void {
    const { dice, time } = this
    const ups = new Set<string>()
    for (const [name, { hosts, needs, definition }] of fleet.services) {
      const isServed = needs.every(({ service }) => ups.has(service))
      const isUp = verb === 'start' ? dice.happens(0.2) : isServed && dice.happens(0.95)
      if (isUp) ups.add(name)
      for (const host of hosts) {
        const onChange = (service: Service, why: string): void =>
          this.trace.tell(`${service.name} is ${service.state}${service.isLive ? '' : ', not live'}: ${why}`)
        const kind = definition.manager.kind === 'systemd' ? 'systemd' : 'lsb'
        const service = new Service(`${name}@${host}`, kind, isUp, { time, dice: dice.fork(), onChange })
        service.isEnabled = dice.happens(0.3)
        if (definition.ready !== undefined) service.readyAfterMs = dice.pick([0, 500, 4000])
        this.services.set(service.name, service)
        this.host(host).services.set(name, service)
      }
    }
  }
}
