import { isDeepStrictEqual } from 'node:util'
import type { InstanceName } from '@filo/protocol'
import { execute, type SessionOptions } from '../../../packages/coordinator/src/engine/executor.ts'
import type { Journal, RunRecord } from '../../../packages/coordinator/src/engine/journal.ts'
import { Link, type LinkIdentity } from '../../../packages/coordinator/src/engine/link.ts'
import { stepName } from '../../../packages/coordinator/src/plan/plan.ts'
import { decide } from '../../../packages/coordinator/src/run/decide.ts'
import { fold, type RunState } from '../../../packages/coordinator/src/run/run.ts'
import type { FailurePolicy, RunOutcome } from '../../../packages/coordinator/src/run/run-event.ts'
import { auditOf } from '../../../packages/coordinator/src/run/audit.ts'
import { judgeWaiver } from '../../../packages/coordinator/src/run/waiver.ts'
import type { Dice } from './dice.ts'
import type { Network } from './network.ts'
import { Life, type VirtualTime } from './virtual-time.ts'

/** What became of a session: it came to its end, its process was killed, or it went on for ever. */
export type SessionEnd = RunOutcome | 'killed' | 'endless'

interface OpenSession {
  readonly life: Life
  readonly link: Link
  /** When it has come to its end. */
  state: RunState | undefined
  error: unknown
}

const longestSessionMs = 2 * 3600 * 1000

/** The operator's side of one run: sessions of the real executor, each in a process that may be killed. */
export class Coordinator {
  readonly record: RunRecord
  readonly #world: { readonly time: VirtualTime; readonly dice: Dice; readonly network: Network }
  readonly #journal: Journal
  readonly #identity: Omit<LinkIdentity, 'coordinator'>
  readonly #fault: (words: string) => void
  #sessions = 0
  #life: Life | undefined
  #interrupt = new AbortController()

  constructor(
    world: { readonly time: VirtualTime; readonly dice: Dice; readonly network: Network },
    journal: Journal,
    record: RunRecord,
    identity: Omit<LinkIdentity, 'coordinator'>,
    fault: (words: string) => void,
  ) {
    this.#world = world
    this.#journal = journal
    this.record = record
    this.#identity = identity
    this.#fault = fault
  }

  /** Orders the run, or resumes it, and lets time pass until that session is over. */
  async carryOn(policy: FailurePolicy): Promise<SessionEnd> {
    const session = await this.begin(policy, this.#sessions === 0 ? 'no' : 'run')
    const isOver = await this.#world.time.passUntil(
      () => session.state !== undefined || session.error !== undefined || session.life.isOver,
      longestSessionMs,
    )
    if (session.life.isOver) return 'killed'
    this.kill()
    if (!isOver) return 'endless'
    if (session.state === undefined) throw session.error
    await session.link[Symbol.asyncDispose]()
    this.#compareWithFold(session.state)
    return session.state.ended!
  }

  /** Opens a session that goes on as time passes. */
  async begin(policy: FailurePolicy, takeOver: SessionOptions['takeOver']): Promise<OpenSession> {
    const { time, dice, network } = this.#world
    const life = (this.#life = new Life(time))
    this.#interrupt = new AbortController()
    this.#sessions += 1
    const newId = (): string => dice.id()
    const identity = { ...this.#identity, coordinator: newId() }
    const link = await Link.open(network.connect(life), identity, life.clock, newId)
    const world = { clock: life.clock, journal: this.#mortalJournal(life), link, newId }
    const options = { policy, patienceMs: dice.between(10, 60) * 1000, takeOver }
    const watcher = { onEvents: () => {}, onProgress: () => {} }
    const session: OpenSession = { life, link, state: undefined, error: undefined }
    execute(world, this.record, options, watcher, this.#interrupt.signal).then(
      (state) => (session.state = state),
      (error: unknown) => {
        session.error = error
        this.#fault(String(error))
      },
    )
    return session
  }

  get hasBegun(): boolean {
    return this.#sessions > 0
  }

  kill(): void {
    this.#life?.end()
    this.#life = undefined
  }

  interrupt(): void {
    this.#interrupt.abort()
  }

  ask(request: 'cancel' | 'abort'): void {
    this.#journal.request(this.record.run, { kind: request, operator: 'bob@admin2', reason: '' })
  }

  state(): RunState {
    return fold(this.record.plan, this.#journal.events(this.record.run))
  }

  /** An operator who has looked waives a step; false where that is refused. Nobody carries the run out meanwhile. */
  waive(step: number): boolean {
    const { run, plan } = this.record
    const verdict = judgeWaiver(this.state(), stepName(plan.steps[step]!))
    if (verdict.kind === 'refused') return false
    const event = { type: 'waived' as const, step: verdict.step, operator: 'bob@admin2', reason: 'I looked' }
    this.#journal.append(run, [event], [auditOf(run, plan, event)!])
    return true
  }

  isWaived(instance: InstanceName): boolean {
    const { steps } = this.record.plan
    const state = this.state()
    return steps.some(
      (step, at) => `${step.service}@${step.host}` === instance && state.steps[at]!.phase === 'waived',
    )
  }

  /** A journal whose process may be killed between what it has made durable and what it was to do next. */
  #mortalJournal(life: Life): Journal {
    const { dice } = this.#world
    const journal = this.#journal
    return new Proxy(journal, {
      get: (_, key: keyof Journal) => {
        const member: unknown = journal[key]
        if (key !== 'append') return typeof member === 'function' ? (member.bind(journal) as unknown) : member
        return (...args: Parameters<Journal['append']>) => {
          if (life.isOver) return
          journal.append(...args)
          if (this.mayDie && dice.happens(0.02)) life.end()
        }
      },
    })
  }

  /** Whether the process is killed now and then just after it has written. */
  mayDie = true

  /** R2. */
  #compareWithFold(live: RunState): void {
    const folded = this.state()
    const { gates: _live, ...plain } = live
    const { gates: _folded, ...again } = folded
    if (!isDeepStrictEqual(plain, again)) this.#fault('the fold of the journal is not the live state')
    const { nowMs } = this.#world.time
    if (
      !isDeepStrictEqual(decide({ ...live, ended: null }, nowMs), decide({ ...folded, ended: null }, nowMs))
    ) {
      this.#fault('the fold of the journal decides otherwise than the live state')
    }
  }
}
