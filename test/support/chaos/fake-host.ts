import { DatabaseSync } from 'node:sqlite'
import { type HostDefinition, type InstanceName } from '@filo/protocol'
import { pino } from 'pino'
import { Agent, type AgentIdentity } from '../../../packages/agent/src/agent.ts'
import type { Acted } from '../../../packages/agent/src/exec.ts'
import { Ledger } from '../../../packages/agent/src/ledger.ts'
import type { Manager } from '../../../packages/agent/src/managers/manager.ts'
import { Observer, type Managers } from '../../../packages/agent/src/observer.ts'
import type { Dice } from './dice.ts'
import type { FakeService } from './fake-service.ts'
import type { Network } from './network.ts'
import { Life, type VirtualTime } from './virtual-time.ts'

/** What was done to a service or by a hook, seen from outside the agent. */
export interface Effect {
  readonly instance: InstanceName
  readonly verb: 'start' | 'stop' | 'hook'
  /** The action that the agent's ledger has open for it; none is a fault. */
  readonly action: string | undefined
}

const log = pino({ level: 'silent' })
const boot = '22222222-2222-4222-8222-222222222222'
let databases = 0

/** A host with the real agent over services that are none, in which the agent can be killed at any moment. */
export class FakeHost {
  readonly name: string
  /** How long it takes to look, at least and at most, milliseconds. */
  lookMs: readonly [number, number] = [1, 800]
  /** By service. */
  readonly services = new Map<string, FakeService>()
  readonly #time: VirtualTime
  readonly #dice: Dice
  readonly #network: Network
  readonly #definition: HostDefinition
  readonly #identity: AgentIdentity
  readonly #onEffect: (effect: Effect) => void
  /** Keeps the ledger while no agent has it open. */
  #disk: DatabaseSync
  #ledgerPath: string
  #running: { readonly life: Life; readonly ledger: Ledger; readonly agent: Promise<Agent> } | undefined

  constructor(
    { time, dice, network }: { time: VirtualTime; dice: Dice; network: Network },
    definition: HostDefinition,
    identity: AgentIdentity,
    onEffect: (effect: Effect) => void,
  ) {
    this.name = definition.host
    this.#time = time
    this.#dice = dice
    this.#network = network
    this.#definition = definition
    this.#identity = identity
    this.#onEffect = onEffect
    ;({ path: this.#ledgerPath, disk: this.#disk } = newDisk())
  }

  get isUp(): boolean {
    return this.#running !== undefined
  }

  async boot(): Promise<void> {
    if (this.#running !== undefined) return
    const life = new Life(this.#time)
    const ledger = Ledger.open(this.#ledgerPath, this.name, life.clock, () => this.#dice.id())
    const managers = this.#managers(life, ledger)
    const world = {
      clock: life.clock,
      observer: new Observer(managers, async () => ({ ready: true, detail: '' }), life.clock),
      managers,
      processes: this.#processes(life, ledger),
      transport: this.#network.connect(life),
      log,
      boot,
      outputDir: '',
    }
    const agent = Agent.open(world, this.#definition, this.#identity, ledger)
    this.#running = { life, ledger, agent }
    await agent
  }

  /** The agent is told to end. Its process goes on for as long as anything in it does. */
  async end(): Promise<void> {
    const running = this.#running
    if (running === undefined) return
    this.#running = undefined
    const agent = await running.agent
    await agent[Symbol.asyncDispose]()
    running.ledger[Symbol.dispose]()
  }

  kill(): void {
    this.#running?.life.end()
    this.#running?.ledger[Symbol.dispose]()
    this.#running = undefined
  }

  /** The agent's disk is lost, and with it the ledger. */
  wipe(): void {
    this.kill()
    this.#disk.close()
    ;({ path: this.#ledgerPath, disk: this.#disk } = newDisk())
  }

  /** Whether nothing more can be written to the ledger. */
  fill(isFull: boolean): void {
    // Those who share a cache share its limit.
    const pages = this.#disk.prepare('pragma page_count').get()!['page_count']
    this.#disk.exec(`pragma max_page_count = ${isFull ? String(pages) : '1000000'}`)
  }

  [Symbol.dispose](): void {
    this.kill()
    this.#disk.close()
  }

  #managers(life: Life, ledger: Ledger): Managers {
    const request = (verb: 'start' | 'stop') => (definition: { name: string }) => {
      const service = this.services.get(definition.name)!
      if (life.isOver) return new Promise<never>(() => {})
      this.#onEffect({ instance: service.name, verb, action: openAction(ledger, definition.name) })
      return life.during(new Promise((resolve) => service.request(verb, resolve)))
    }
    const lsb: Manager = {
      kind: 'lsb',
      observe: async (definitions) => {
        await life.clock.sleep(this.#dice.between(...this.lookMs))
        return definitions.map((one) => this.services.get((one as { name: string }).name)!.sight())
      },
      start: request('start') as Manager['start'],
      stop: request('stop') as Manager['stop'],
    }
    // The fleets of this folder are of LSB services only.
    return { lsb } as unknown as Managers
  }

  #processes(life: Life, ledger: Ledger) {
    const act = async (argv: readonly string[]): Promise<Acted> => {
      const [, service = '', at = ''] = argv
      const action = openAction(ledger, service, at)
      this.#onEffect({ instance: `${service}@${this.name}`, verb: 'hook', action })
      await life.clock.sleep(this.#dice.between(5, 2000))
      const code = this.#dice.happens(0.1) ? 1 : 0
      return {
        exit: { kind: 'exited', code },
        output: { head: '', tail: '', droppedBytes: 0 },
        durationMs: 1,
      }
    }
    return {
      act,
      look: async () => ({ exit: { kind: 'exited' as const, code: 0 }, stdout: '', stderr: '' }),
      isGroupAlive: () => false,
      isLeaderAlive: () => false,
      killGroup: () => false,
    }
  }
}

/** The action that a ledger has open for a service or its hook; none once it is closed. */
function openAction(ledger: Ledger, service: string, hook?: string): string | undefined {
  try {
    return ledger.openActions().find((one) => one.service === service && one.hook === hook)?.action
  } catch {
    return undefined
  }
}

/** A database of its own in memory: it lasts as long as somebody has it open. */
function newDisk(): { path: string; disk: DatabaseSync } {
  databases += 1
  const path = `file:chaos-${databases}?mode=memory&cache=shared`
  return { path, disk: new DatabaseSync(path) }
}
