import { Redactor, type HostDefinition } from '@filo/protocol'
import { pino } from 'pino'
import { Agent, type AgentIdentity } from '../../../packages/agent/src/agent.ts'
import { Ledger } from '../../../packages/agent/src/ledger.ts'
import { noPolicy } from '../../../packages/agent/src/policy.ts'
import { Observer } from '../../../packages/agent/src/observer.ts'
import type { Dice } from '../../support/dice.ts'
import type { Machine } from '../world/machine.ts'
import type { Network } from '../world/network.ts'
import { ProcessEnded, type Process } from '../world/process.ts'
import { Scripts } from '../world/script.ts'
import type { Service } from '../world/service.ts'
import { managersFor, probeFor, processesFor, type Surroundings } from './managers.ts'

const log = pino({ level: 'silent' })
/** Starts a process on a machine; `root` is what its paths begin with. */
export type StartProcess = (
  name: string,
  machine: Machine,
  onEnd: () => void,
) => { readonly process: Process; readonly root: string }

/** What a host is given by the world. */
export interface HostWorld {
  readonly dice: Dice
  readonly network: Network
  readonly startProcess: StartProcess
  readonly onLook: Surroundings['onLook']
  readonly onEffect: (host: Host, effect: Parameters<Surroundings['onEffect']>[0]) => void
}

/** A host with the real agent over services that are none; its agent can be killed at any moment. */
export class Host {
  readonly name: string
  readonly machine: Machine
  readonly services = new Map<string, Service>()
  /** How long it takes to look, at least and at most, milliseconds. */
  lookMs: readonly [number, number] = [1, 800]
  /** How soon an agent that has ended is started again. */
  startsAgainAfterMs = (): number => 1000
  readonly #world: HostWorld
  readonly #identity: AgentIdentity
  readonly #definition: HostDefinition
  readonly #scripts: Scripts
  readonly #hooksDone = new Set<string>()
  /** What its agent is configured with, from the next start on. */
  #configured: HostDefinition
  #process: Process | undefined
  #agent: { readonly agent: Promise<Agent>; readonly ledger: Ledger } | undefined
  #isOff = false

  constructor(world: HostWorld, machine: Machine, definition: HostDefinition, identity: AgentIdentity) {
    this.name = definition.host
    this.machine = machine
    this.#world = world
    this.#definition = definition
    this.#configured = definition
    this.#identity = identity
    this.#scripts = new Scripts(machine.time)
  }

  /** The process of its agent, where there is one. */
  get process(): Process | undefined {
    return this.#process?.isOver === true ? undefined : this.#process
  }

  /** Starts the agent, where none runs. */
  startAgent(): void {
    if (this.process !== undefined || this.#isOff) return
    const { process, root } = this.#world.startProcess(`agent of ${this.name}`, this.machine, () => {
      // Its service manager starts it again.
      this.machine.time.after(this.startsAgainAfterMs(), () => this.startAgent())
    })
    this.#process = process
    try {
      this.#open(process, root)
    } catch (error) {
      if (error instanceof Error && !('errcode' in error) && !(error instanceof ProcessEnded)) throw error
      process.end()
    }
  }

  /** The boot that it is in; undefined while it is off. */
  get boot(): string | undefined {
    return this.#isOff ? undefined : this.machine.boot
  }

  /** Its agent is told to end. */
  async endAgent(): Promise<void> {
    const process = this.process
    const running = this.#agent
    if (process === undefined || running === undefined) return
    const ended = Promise.withResolvers<void>()
    process.cross(() => {
      const dispose = async (): Promise<void> => {
        await (await running.agent)[Symbol.asyncDispose]()
        running.ledger[Symbol.dispose]()
        process.end()
        ended.resolve()
      }
      dispose().catch(() => process.end())
    })
    await ended.promise
  }

  killAgent(): void {
    this.process?.kill()
  }

  /** The agent is started again with another definition of a service; or with its own again. */
  reconfigure(edit: ((definition: HostDefinition) => HostDefinition) | undefined): void {
    this.#configured = edit === undefined ? this.#definition : edit(this.#definition)
    this.killAgent()
  }

  get isConfiguredAsPlanned(): boolean {
    return this.#configured === this.#definition
  }

  /** It goes down, orderly or not, and comes up again some time later with a new boot. */
  reboot(outageMs: number): void {
    if (this.#isOff) return
    this.#isOff = true
    this.#process?.end()
    this.#scripts.endAll()
    for (const service of this.services.values()) service.powerOff()
    this.machine.time.after(outageMs, () => {
      this.#isOff = false
      this.machine.reboot()
      for (const service of this.services.values()) {
        if (service.isEnabled) this.machine.time.after(500, () => service.touch(true, 'its host has booted'))
      }
      this.startAgent()
    })
  }

  /** The disk that its ledger was on is lost. */
  loseDisk(): void {
    this.#process?.end()
    this.machine.disk.replace()
  }

  #open(process: Process, root: string): void {
    const { network, onLook, onEffect, dice } = this.#world
    const around: Surroundings = {
      host: this.name,
      dice,
      services: this.services,
      scripts: this.#scripts,
      lookMs: () => this.lookMs,
      hooksDone: this.#hooksDone,
      onLook,
      onEffect: (effect) => onEffect(this, effect),
    }
    const ledger = Ledger.open(`${root}/ledger.db`, this.name, process.clock, () => dice.id())
    const managers = managersFor(process, around)
    const world = {
      clock: process.clock,
      observer: new Observer(managers, probeFor(process, around), process.clock),
      managers,
      processes: processesFor(process, around),
      transport: network.connect(process),
      log,
      redactor: new Redactor(),
      boot: this.machine.boot,
      outputDir: '',
      policy: () => noPolicy,
    }
    this.#agent = { ledger, agent: Agent.open(world, this.#configured, this.#identity, ledger) }
  }
}
