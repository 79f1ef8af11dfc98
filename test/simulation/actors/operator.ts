import { isDeepStrictEqual } from 'node:util'
import { execute, type SessionOptions } from '../../../packages/coordinator/src/engine/executor.ts'
import { Journal, RunTakenOver, type RunRecord } from '../../../packages/coordinator/src/engine/journal.ts'
import { Link, type LinkIdentity } from '../../../packages/coordinator/src/engine/link.ts'
import { orderRun } from '../../../packages/coordinator/src/engine/orders.ts'
import { stepName, type Plan } from '../../../packages/coordinator/src/plan/plan.ts'
import { auditOf } from '../../../packages/coordinator/src/run/audit.ts'
import { blockersOf } from '../../../packages/coordinator/src/run/blockers.ts'
import { decide } from '../../../packages/coordinator/src/run/decide.ts'
import { fold, type RunState } from '../../../packages/coordinator/src/run/run.ts'
import type { FailurePolicy, RunOutcome } from '../../../packages/coordinator/src/run/run-event.ts'
import { judgeWaiver } from '../../../packages/coordinator/src/run/waiver.ts'
import type { Clock } from '@filo/protocol'
import type { Dice } from '../../support/dice.ts'
import type { StartProcess } from './host.ts'
import type { Machine } from '../world/machine.ts'
import type { Network } from '../world/network.ts'
import { ProcessEnded, type Process } from '../world/process.ts'

/** What became of a session: it came to its end, or its process was killed, or fell over a disk, or went on for ever. */
export type SessionEnd = RunOutcome | 'killed' | 'broken' | 'in use' | 'taken over' | 'endless'

/** What an operator is given by the world. */
export interface OperatorWorld {
  readonly dice: Dice
  readonly network: Network
  readonly startProcess: StartProcess
  /** Something is wrong with the product itself. */
  readonly onFault: (words: string) => void
  /** An operator gives their word for a step. */
  readonly onWaiver: (run: string, step: number) => void
}

interface Session {
  readonly process: Process
  readonly interrupt: AbortController
  /** Resolves once the session is over, unless its process has ended. */
  end: SessionEnd | undefined
}

const longestSessionMs = 2 * 3600 * 1000

/** An operator with a run: orders it, and carries it on in sessions of the real executor, each in a process of its own. */
export class Operator {
  readonly name: string
  readonly machine: Machine
  readonly #world: OperatorWorld
  readonly #identity: Omit<LinkIdentity, 'coordinator' | 'audit'>
  /** What reads the journal and leaves requests in it: never killed. */
  readonly #desk: Journal
  readonly #clock: Clock
  #record: RunRecord
  #session: Session | undefined
  /** Of the run that they are at. */
  #sessions = 0

  constructor(
    world: OperatorWorld,
    machine: Machine,
    identity: Omit<LinkIdentity, 'coordinator' | 'audit'>,
    plan: Plan,
  ) {
    this.name = identity.operator
    this.machine = machine
    this.#world = world
    this.#identity = identity
    const { process, root } = world.startProcess(`desk of ${this.name}`, machine, () => {})
    this.#clock = process.clock
    this.#desk = openJournal(process, root, world.dice)
    this.#record = orderRun(this.#desk, plan, this.name, undefined, process.clock)
  }

  /** The run that they are at. */
  get record(): RunRecord {
    return this.#record
  }

  /** Leaves the run that they were at as it is, and orders another. */
  order(plan: Plan): void {
    this.#atDesk(() => {
      this.#record = orderRun(this.#desk, plan, this.name, undefined, this.#clock)
      this.#sessions = 0
    })
  }

  /** The process of the session that goes on. */
  get process(): Process | undefined {
    const session = this.#session
    return session === undefined || session.end !== undefined || session.process.isOver
      ? undefined
      : session.process
  }

  get hasBegun(): boolean {
    return this.#sessions > 0
  }

  /** Carries the run on, and lets time pass until that session is over. */
  async carryOn(policy: FailurePolicy, takeOver?: 'any'): Promise<SessionEnd> {
    const { time } = this.machine
    const session = this.begin(policy, takeOver ?? (this.#sessions === 0 ? 'no' : 'run'))
    const { process } = session
    const isOver = (): boolean => session.end !== undefined || process.isOver
    let leftMs = longestSessionMs
    while (!isOver() && leftMs > 0) {
      const beganMs = time.nowMs
      await time.passUntil(() => isOver() || process.isHeld, leftMs)
      leftMs -= time.nowMs - beganMs
      if (process.isHeld) await this.#waitFor(process)
    }
    if (session.end !== undefined) return session.end
    if (process.isOver) return 'killed'
    process.end()
    return 'endless'
  }

  /** Somebody who looks at a terminal in which nothing moves waits, or ends it. */
  async #waitFor(process: Process): Promise<void> {
    const { time } = this.machine
    const isLong = process.nowMs - time.nowMs > 120_000
    if (isLong && this.#world.dice.happens(0.5)) {
      await time.passUntil(() => process.isOver, 120_000)
      process.kill()
    } else await time.passUntil(() => process.isOver || !process.isHeld, process.nowMs - time.nowMs + 1)
  }

  /** Opens a session that goes on as time passes. */
  begin(policy: FailurePolicy, takeOver: SessionOptions['takeOver']): Session {
    this.#sessions += 1
    const { process, root } = this.#world.startProcess(`coordinator of ${this.name}`, this.machine, () => {})
    const session: Session = { process, interrupt: new AbortController(), end: undefined }
    this.#session = session
    const patienceMs = this.#world.dice.between(4, 20) * 1000
    this.#carry(session, root, { policy, patienceMs, takeOver }).then(
      (end) => {
        session.end = end
        process.end()
      },
      (error: unknown) => {
        if (process.isOver) return
        session.end = error instanceof RunTakenOver ? 'taken over' : 'broken'
        process.end()
        // A journal that cannot be written ends the session, as it should; anything else is a bug.
        if (session.end === 'broken' && !isDiskError(error))
          this.#world.onFault(error instanceof Error ? String(error.stack) : String(error))
      },
    )
    return session
  }

  kill(): void {
    this.process?.kill()
  }

  interrupt(): void {
    const session = this.#session
    session?.process.cross(() => session.interrupt.abort())
  }

  ask(request: 'cancel' | 'abort'): void {
    this.#atDesk(() =>
      this.#desk.request(this.record.run, { kind: request, operator: this.name, reason: '' }),
    )
  }

  /** Gives their word for a step, whatever has become of it; to the session that goes on, where there is one. */
  vouch(step: number): void {
    const { run, plan } = this.record
    if (this.process === undefined) return void this.waive(step)
    this.#world.onWaiver(run, step)
    const request = { kind: 'waive' as const, step: stepName(plan.steps[step]!), operator: this.name }
    this.#atDesk(() => this.#desk.request(run, { ...request, reason: 'I looked' }))
  }

  state(): RunState {
    return fold(this.record.plan, this.#desk.events(this.record.run))
  }

  /** What a report would say is in the way. */
  blockers(): ReturnType<typeof blockersOf> {
    return blockersOf(this.state(), true)
  }

  /** An operator who has looked waives a step; false where that is refused. Nobody carries the run out meanwhile. */
  waive(step: number): boolean {
    const { run, plan } = this.record
    const verdict = judgeWaiver(this.state(), stepName(plan.steps[step]!))
    if (verdict.kind === 'refused') return false
    this.#world.onWaiver(run, step)
    const event = { type: 'waived' as const, step: verdict.step, operator: this.name, reason: 'I looked' }
    this.#atDesk(() => this.#desk.append(run, [event], [auditOf(run, plan, event)!]))
    return true
  }

  async #carry(session: Session, root: string, options: SessionOptions): Promise<SessionEnd> {
    const { process, interrupt } = session
    const { dice, network } = this.#world
    const newId = (): string => dice.id()
    using journal = openJournal(process, root, dice)
    using lock =
      options.takeOver === 'any' ? journal.takeLock(this.record.run) : journal.lock(this.record.run)
    if (lock === undefined) return 'in use'
    const identity = { ...this.#identity, coordinator: newId(), audit: journal.audit }
    await using link = await Link.open(network.connect(process), identity, process.clock, newId)
    const world = { clock: process.clock, journal, link, newId, boot: this.machine.boot }
    const watcher = { onEvents: () => {}, onProgress: () => {} }
    const state = await execute(world, this.record, options, watcher, interrupt.signal)
    this.#compareWithFold(state, process.clock.sinceBoot())
    return state.ended!
  }

  /** R2. */
  #compareWithFold(live: RunState, nowMs: number): void {
    const folded = this.state()
    const { gates: _live, ...plain } = live
    const { gates: _folded, ...again } = folded
    if (!isDeepStrictEqual(plain, again))
      this.#world.onFault('R2: the fold of the journal is not the live state')
    const open = (state: RunState): RunState => ({ ...state, ended: null })
    if (!isDeepStrictEqual(decide(open(live), nowMs), decide(open(folded), nowMs))) {
      this.#world.onFault('R2: the fold of the journal decides otherwise than the live state')
    }
  }

  #atDesk(task: () => void): void {
    try {
      task()
    } catch (error) {
      // They are told that it could not be written, and do it again some other time.
      if (!isDiskError(error)) throw error
    }
  }
}

function openJournal(process: Process, root: string, dice: Dice): Journal {
  const dir = { locks: `${root}/locks`, journal: `${root}/journal.db` }
  return Journal.open(dir, process.clock, () => dice.id())
}

function isDiskError(error: unknown): boolean {
  return error instanceof ProcessEnded || (error instanceof Error && 'errcode' in error)
}
