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
import { managersFor, probeFor, processesFor, type PowerManner, type Surroundings } from './managers.ts'

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
  /** `going`: its own command takes it down. */
  #power: 'on' | 'going' | 'off' = 'on'
  /** Counts what takes it down or up. */
  #turns = 0
  /** How it takes a request to go down, by shares. */
  powerManners: readonly (readonly [PowerManner, number])[] = []

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
    if (this.process !== undefined || this.#power !== 'on') return
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

  /** The boot that it is in; undefined while it is off, or about to be. */
  get boot(): string | undefined {
    return this.#power === 'on' ? this.machine.boot : undefined
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

  /** It loses its power, and has it again some time later. */
  crash(outageMs: number): void {
    this.#powerOff()
    this.#later(outageMs, () => this.switchOn())
  }

  /** Its own command takes it down in order: its agent is told to end, and some time later it is off. */
  goDown(verb: 'reboot' | 'halt', afterMs: number): void {
    if (this.#power !== 'on') return
    this.#later(afterMs, () => {
      this.#power = 'going'
      void this.endAgent()
      this.#later(this.#world.dice.between(50, 20_000), () => {
        this.#powerOff()
        if (verb === 'reboot') this.#later(this.#world.dice.between(3000, 40_000), () => this.switchOn())
      })
    })
  }

  /** It boots, if it was off. */
  switchOn(): void {
    if (this.#power !== 'off') return
    this.#turns += 1
    this.#power = 'on'
    this.machine.reboot()
    for (const service of this.services.values()) {
      if (service.isEnabled) this.#later(500, () => service.touch(true, 'its host has booted'))
    }
    this.startAgent()
  }

  #powerOff(): void {
    this.#turns += 1
    this.#power = 'off'
    this.#process?.end()
    this.#scripts.endAll()
    for (const service of this.services.values()) service.powerOff()
  }

  /** Unless its power has been turned off or on before. */
  #later(ms: number, task: () => void): void {
    const turn = this.#turns
    this.machine.time.after(ms, () => {
      if (turn === this.#turns) task()
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
      powerManner: () => dice.weigh([['obeys', 0], ...this.powerManners]),
      goDown: (verb, afterMs) => this.goDown(verb, afterMs),
      crash: () => this.crash(dice.between(3000, 40_000)),
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
