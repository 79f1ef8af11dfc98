import type { Clock } from '@filo/protocol'
import { isHostStep } from '../plan/plan.ts'
import { auditOf } from '../run/audit.ts'
import { decide, outcomeOf } from '../run/decide.ts'
import { evolve, fold, type RunState } from '../run/run.ts'
import type { FailurePolicy, RunEvent, RunOutcome } from '../run/run-event.ts'
import { judgeWaiver } from '../run/waiver.ts'
import { Answers } from './answers.ts'
import { Hosts, type HostWord } from './hosts.ts'
import { Inbox } from './inbox.ts'
import type { Journal, RunRecord, RunRequest } from './journal.ts'
import type { Link } from './link.ts'
import { Standstill } from './standstill.ts'

// One loop with one writer: take what arrived, fold it, ask `decide` what may be done, append all of it in one
// transaction, then send. Questions run side by side; events are recorded one after another.
//
// R1. Nothing leaves before the events that led to it are on disk.
// R2. The state is only ever changed by events that are appended.

/** How the operator wants the run to be carried out. */
export interface SessionOptions {
  readonly policy: FailurePolicy
  /** How long silent hosts and unknown steps are asked again before the session ends, milliseconds. */
  readonly patienceMs: number
  /** `run` when the run is resumed: from its dead coordinator; `any`: from whoever holds a host. */
  readonly takeOver: 'no' | 'run' | 'any'
}

/** Who watches the run go by. */
export interface RunWatcher {
  /** Something happened; `state` is only valid during the call. */
  onEvents(state: RunState, events: readonly RunEvent[]): void
  /** An action gave a sign of life. */
  onProgress(step: number, phase: string, lines: readonly string[]): void
}

export interface ExecutorWorld {
  readonly clock: Clock
  readonly journal: Journal
  readonly link: Link
  readonly newId: () => string
  /** The boot of the machine that this process runs on: a run does not end it. */
  readonly boot: string
}

/** How long the loop sleeps when nothing arrives: time alone opens and closes gates. */
const tickMs = 100
/** How often requests of operators are looked for. */
const requestsEveryMs = 250

/**
 * Carries out a session of a run, to its end. The caller holds the run's lock. An aborted `interrupt` sends nothing
 * new and waits for what is in flight. Throws when the journal cannot be written, and RunTakenOver where another
 * process has become the owner meanwhile: then nothing more is sent.
 */
export async function execute(
  world: ExecutorWorld,
  record: RunRecord,
  options: SessionOptions,
  watcher: RunWatcher,
  interrupt: AbortSignal,
): Promise<RunState> {
  const session = new Session(world, record, options, watcher)
  return await session.carryOut(interrupt)
}

type Item = HostWord | { readonly kind: 'interrupt' }

class Session {
  readonly #world: ExecutorWorld
  readonly #record: RunRecord
  readonly #watcher: RunWatcher
  readonly #options: SessionOptions
  readonly #state: RunState
  readonly #inbox: Inbox<Item>
  readonly #hosts: Hosts
  readonly #answers: Answers
  readonly #standstill: Standstill
  /** Events that are folded and not yet appended. */
  #fresh: RunEvent[] = []
  /** When a `prove` step was first asked for in this session. */
  readonly #firstAskedMs = new Map<number, number>()
  #requestsAtMs = 0
  /**
   * When this turn of the loop began, by the boot clock: it goes on while the machine is suspended, so that a proof
   * from before is old after it has woken up.
   */
  #nowMs: number

  constructor(world: ExecutorWorld, record: RunRecord, options: SessionOptions, watcher: RunWatcher) {
    this.#world = world
    this.#record = record
    this.#options = options
    this.#nowMs = world.clock.sinceBoot()
    this.#watcher = watcher
    const { coordinator, operator } = world.link.identity
    // First, so that nothing of an earlier owner comes after what is read.
    world.journal.own(record.run, {
      coordinator,
      operator,
      pid: process.pid,
      since: world.clock.wall().toISOString(),
    })
    this.#state = fold(record.plan, world.journal.events(record.run))
    this.#inbox = new Inbox(world.clock)
    this.#hosts = new Hosts(world, record, options.takeOver, (word) => this.#inbox.push(word))
    this.#answers = new Answers(world, record, this.#hosts, {
      state: this.#state,
      note: (event) => this.#note(event),
      nowMs: () => this.#nowMs,
      firstAskedMs: (step) => this.#firstAskedMs.get(step),
    })
    this.#standstill = new Standstill(record.plan, options.patienceMs, this.#nowMs)
  }

  async carryOut(interrupt: AbortSignal): Promise<RunState> {
    const { link } = this.#world
    const onInterrupt = (): void => this.#inbox.push({ kind: 'interrupt' })
    interrupt.addEventListener('abort', onInterrupt, { once: true })
    if (interrupt.aborted) onInterrupt()
    this.#note({
      type: 'session-opened',
      session: this.#state.session + 1,
      coordinator: link.identity.coordinator,
      operator: link.identity.operator,
      policy: this.#options.policy,
      patienceMs: this.#options.patienceMs,
      atMs: this.#nowMs,
    })
    this.#refuseStaleRequests()
    try {
      for (;;) {
        const outcome = this.#turn()
        if (outcome !== null) break
        const items = await this.#inbox.take(tickMs)
        this.#nowMs = this.#world.clock.sinceBoot()
        for (const item of items) this.#interpret(item)
      }
      await this.#hosts.release()
      this.#noteReleased()
    } finally {
      interrupt.removeEventListener('abort', onInterrupt)
    }
    return this.#state
  }

  /** The last that the agents said of their chains: nothing else would keep it. */
  #noteReleased(): void {
    const { journal } = this.#world
    const { run } = this.#record
    if (journal.audit.hasHeard) {
      journal.append(run, [], [{ type: 'filo.run.released', subject: run, data: { run } }])
    }
  }

  /** Decides, makes it durable, and then does it. Gives the outcome when the session is over. */
  #turn(): RunOutcome | null {
    const nowMs = (this.#nowMs = this.#world.clock.sinceBoot())
    if (nowMs >= this.#requestsAtMs) this.#takeRequests(nowMs)
    let decision = decide(this.#state, nowMs)
    while (decision.unneeded.length > 0) {
      for (const step of decision.unneeded) {
        const reason = 'there is nothing to do for it'
        this.#note({ type: 'done', step, outcome: 'unneeded', reason })
      }
      decision = decide(this.#state, nowMs)
    }
    const sending = decision.send.map((step) => {
      const host = this.#state.hosts.get(this.#record.plan.steps[step]!.host)
      if (host?.kind !== 'claimed') throw new Error('a step may only be sent to a host that is claimed')
      const action = this.#world.newId()
      const { grant, ledger, boot } = host
      const sent: RunEvent = { type: 'sent', step, action, grant, ledger, atMs: nowMs }
      const since = this.#world.clock.wall().toISOString()
      this.#note(isHostStep(this.#record.plan.steps[step]!) ? { ...sent, going: { boot, since } } : sent)
      return { step, action, grant, boot }
    })
    const isStuck = this.#standstill.isReached(nowMs) && this.#state.inFlight.size === 0
    const end = isStuck ? outcomeOf(this.#state) : decision.end
    if (end !== null) this.#note({ type: 'session-ended', outcome: end })
    this.#flush()
    for (const { step, action, grant, boot } of sending) this.#hosts.act(step, action, grant, boot)
    for (const step of decision.observe) {
      if (!this.#firstAskedMs.has(step)) this.#firstAskedMs.set(step, nowMs)
    }
    this.#hosts.observe(decision.observe, nowMs)
    this.#hosts.tend(this.#state, nowMs)
    return end
  }

  #note(event: RunEvent): void {
    evolve(this.#state, event)
    this.#standstill.note(event)
    this.#fresh.push(event)
  }

  #flush(): void {
    if (this.#fresh.length === 0) return
    const events = this.#fresh
    this.#fresh = []
    const { run, plan } = this.#record
    const drafts = events.map((event) => auditOf(run, plan, event)).filter((draft) => draft !== undefined)
    this.#world.journal.append(run, events, drafts, this.#world.link.identity.coordinator)
    this.#watcher.onEvents(this.#state, events)
  }

  #interpret(item: Item): void {
    if (item.kind === 'interrupt') {
      if (this.#state.stopping !== null) return
      const { operator } = this.#world.link.identity
      return this.#note({ type: 'stopping', why: 'interrupted', operator })
    }
    if (item.kind === 'act-heard' && item.answer.type === 'progress') {
      const { phase, lines } = item.answer.body
      this.#watcher.onProgress(item.step, phase, lines)
    }
    this.#answers.take(item)
  }

  /** What was asked of a session that ended before it heard of it is not asked of this one. */
  #refuseStaleRequests(): void {
    const { journal } = this.#world
    const detail = 'the process that carried the run out ended before it heard of it; ask again'
    for (const { id } of journal.requests(this.#record.run)) journal.answer(id, { accepted: false, detail })
  }

  #takeRequests(nowMs: number): void {
    this.#requestsAtMs = nowMs + requestsEveryMs
    const { journal } = this.#world
    for (const request of journal.requests(this.#record.run)) {
      const answer = this.#carry(request)
      this.#flush()
      journal.answer(request.id, answer)
    }
  }

  #carry(request: RunRequest): { accepted: boolean; detail: string } {
    const { operator, reason } = request
    switch (request.kind) {
      case 'cancel':
        this.#cancel(request)
        return { accepted: true, detail: 'nothing new is sent; what is in flight is awaited' }
      case 'abort':
        for (const step of this.#state.inFlight) this.#hosts.abort(this.#state, step)
        this.#cancel(request)
        return { accepted: true, detail: 'nothing new is sent; what is in flight is cut short' }
      case 'waive': {
        const verdict = judgeWaiver(this.#state, request.step)
        if (verdict.kind === 'refused') return { accepted: false, detail: verdict.detail }
        this.#note({ type: 'waived', step: verdict.step, operator, reason })
        return { accepted: true, detail: verdict.detail }
      }
    }
  }

  #cancel({ operator, reason }: RunRequest): void {
    if (this.#state.stopping !== null) return
    this.#note({ type: 'stopping', why: 'cancelled', operator, ...(reason !== '' && { reason }) })
  }
}
