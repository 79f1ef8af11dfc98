import { instanceName, judge, type Clock, type Ending, type Observation, type Report } from '@filo/protocol'
import { auditOf } from '../run/audit.ts'
import { decide, outcomeOf, proofAgeMs } from '../run/decide.ts'
import {
  interpretAftermath,
  interpretEnding,
  interpretObservation,
  interpretProof,
  type Answered,
} from '../run/interpret.ts'
import { evolve, fold, goalOf, type RunState } from '../run/run.ts'
import type { FailurePolicy, Proof, RunEvent, RunOutcome } from '../run/run-event.ts'
import { judgeWaiver } from '../run/waiver.ts'
import type { Journal, RunRecord, RunRequest } from './journal.ts'
import { Hosts, knownOtherwise, type HostWord } from './hosts.ts'
import { Inbox } from './inbox.ts'
import type { Heard, Link } from './link.ts'
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
}

/** How long the loop sleeps when nothing arrives: time alone opens and closes gates. */
const tickMs = 100
/** How often requests of operators are looked for. */
const requestsEveryMs = 250

/**
 * Carries out a session of a run, to its end. The caller holds the run's lock. An aborted `interrupt` sends nothing
 * new and waits for what is in flight. Throws when the journal cannot be written: then nothing more is sent.
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
  readonly #standstill: Standstill
  /** Events that are folded and not yet appended. */
  #fresh: RunEvent[] = []
  /** When a `prove` step was first asked for in this session. */
  readonly #firstAskedMs = new Map<number, number>()
  /** The newest grant of each host in this session; that a host was silent since does not void it. */
  readonly #granted = new Map<string, { readonly ledger: string; readonly grant: number }>()
  /** When an action that came to nothing visible was heard to be over. */
  readonly #overAtMs = new Map<string, number>()
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
    this.#state = fold(record.plan, world.journal.events(record.run))
    this.#inbox = new Inbox(world.clock)
    this.#hosts = new Hosts(world, record, options.takeOver, (word) => this.#inbox.push(word))
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
    } finally {
      interrupt.removeEventListener('abort', onInterrupt)
    }
    return this.#state
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
      this.#note({ type: 'sent', step, action, grant: host.grant, ledger: host.ledger, atMs: nowMs })
      return { step, action, grant: host.grant }
    })
    const isStuck = this.#state.inFlight.size === 0 && this.#standstill.isReached(nowMs)
    const end = isStuck ? outcomeOf(this.#state) : decision.end
    if (end !== null) this.#note({ type: 'session-ended', outcome: end })
    this.#flush()
    for (const { step, action, grant } of sending) this.#hosts.act(step, action, grant)
    for (const step of decision.observe) {
      if (!this.#firstAskedMs.has(step)) this.#firstAskedMs.set(step, nowMs)
    }
    this.#hosts.observe(decision.observe, nowMs)
    this.#hosts.tend(this.#state, nowMs)
    return end
  }

  #note(event: RunEvent): void {
    evolve(this.#state, event)
    this.#standstill.note(event, this.#nowMs)
    this.#fresh.push(event)
  }

  #flush(): void {
    if (this.#fresh.length === 0) return
    const events = this.#fresh
    this.#fresh = []
    const { run, plan } = this.#record
    const drafts = events.map((event) => auditOf(run, plan, event)).filter((draft) => draft !== undefined)
    this.#world.journal.append(run, events, drafts)
    this.#watcher.onEvents(this.#state, events)
  }

  #interpret(item: Item): void {
    switch (item.kind) {
      case 'interrupt':
        if (this.#state.stopping !== null) return
        return this.#note({
          type: 'stopping',
          why: 'interrupted',
          operator: this.#world.link.identity.operator,
        })
      case 'claim-heard':
        return this.#interpretClaim(item.host, item.heard)
      case 'observe-heard':
        return this.#interpretObservations(item.host, item.services, item.heard)
      case 'inquire-heard':
        return this.#interpretInquiry(item.step, item.action, item.heard)
      case 'act-heard':
        return this.#interpretActAnswer(item)
      case 'act-lost':
        return this.#becomeUnknown(item.step, item.action, item.reason)
    }
  }

  #interpretClaim(host: string, heard: Heard): void {
    const known = this.#state.hosts.get(host)
    // Whoever is fenced stays so: an answer from before, or silence, does not give the host back.
    if (known?.kind === 'fenced') return
    if (heard.kind === 'silent') {
      if (known?.kind === 'silent' && known.reason === heard.reason) return
      return this.#note({ type: 'silent', host, reason: heard.reason, atMs: heard.askedAtMs })
    }
    if (heard.kind === 'refusal') {
      const { reason, detail, holder } = heard.refusal
      if (known?.kind === 'claimed' && reason === 'claimed')
        return this.#note({ type: 'fenced', host, holder })
      return this.#note({ type: 'claim-refused', host, reason: detail, holder })
    }
    const { holder, ledger, incarnation, boot } = heard.report
    if (holder === null || ledger === null) return
    const isSame =
      known?.kind === 'claimed' &&
      known.grant === holder.grant &&
      known.incarnation === incarnation &&
      known.ledger === ledger
    if (isSame) return
    if (this.#wasTakenOver(host, ledger, holder.grant)) {
      void this.#hosts.giveBack(host, holder.grant)
      return this.#note({ type: 'fenced', host, holder: null })
    }
    const reason = this.#hosts.objectionTo(host, heard.report.definitions)
    if (reason !== undefined) {
      // The way out is a new plan, which must not find the host held by this one.
      void this.#hosts.giveBack(host, holder.grant)
      return this.#note({ type: 'claim-refused', host, reason, holder: null })
    }
    this.#note({ type: 'claimed', host, grant: holder.grant, ledger, incarnation, boot })
  }

  /** R8: a ledger that gives us a second grant has given the host to somebody else in between, who has ended. */
  #wasTakenOver(host: string, ledger: string, grant: number): boolean {
    const before = this.#granted.get(host)
    this.#granted.set(host, { ledger, grant })
    return before?.ledger === ledger && before.grant !== grant
  }

  #interpretObservations(host: string, services: readonly string[], heard: Heard): void {
    // The host is asked for itself again: its answer, or its silence, says what this one means.
    if (heard.kind === 'silent') return this.#hosts.claimSoon(host)
    if (heard.kind === 'refusal') return
    const { report } = heard
    const seen = new Map(report.observations.map((sighted) => [sighted.service, sighted]))
    for (const service of services) {
      const sighted = seen.get(service)
      // The agent cannot have looked earlier than that, however long the question was on its way.
      const askedAtMs = heard.askedAtMs + (sighted?.lookedAfterMs ?? 0)
      const isAsPlanned = sighted?.definition === this.#record.plan.services[service]?.definition
      const observation =
        isAsPlanned && sighted
          ? this.#inTime(service, sighted.observation, askedAtMs)
          : unseeable(this.#world.clock, knownOtherwise(host, [service]))
      const { incarnation, boot, answer } = report
      const proof: Proof = { session: this.#state.session, askedAtMs, incarnation, boot, answer, observation }
      for (const event of interpretObservation(this.#state, service, host, proof)) this.#note(event)
      for (const step of this.#hosts.proveStepsOf(instanceName(service, host))) {
        const first = this.#firstAskedMs.get(step)
        if (first === undefined) continue
        for (const event of interpretProof(this.#state, step, first, proof)) this.#note(event)
      }
    }
  }

  /** What took longer to see than it may be relied on proves nothing, however often it is asked for (R3). */
  #inTime(service: string, observation: Observation, askedAtMs: number): Observation {
    const tookMs = this.#nowMs - askedAtMs
    if (tookMs <= proofAgeMs + (this.#record.plan.services[service]?.settleMs ?? 0)) return observation
    const seconds = Math.round(tookMs / 1000)
    const detail = `it was seen ${observation.state}, but to look took ${seconds} s: too long to rely on it`
    return unseeable(this.#world.clock, detail)
  }

  #interpretActAnswer({ step, action, answer }: Extract<HostWord, { kind: 'act-heard' }>): void {
    if (answer.type === 'progress') {
      return this.#watcher.onProgress(step, answer.body.phase, answer.body.lines)
    }
    if (answer.type === 'result') {
      if (answer.body.action !== action) return
      const { ending, isRepeated: isFromMemory } = answer.body
      return this.#takeEnding(step, action, ending, { ...answer.body, isFromMemory })
    }
    const { reason, detail, sealed, holder } = answer.body
    const { host } = this.#record.plan.steps[step]!
    if (reason === 'grant') {
      const isOurs = holder === null || holder.coordinator === this.#world.link.identity.coordinator
      if (isOurs) this.#hosts.claimSoon(host)
      else if (this.#state.hosts.get(host)?.kind === 'claimed') this.#note({ type: 'fenced', host, holder })
    }
    if (reason === 'storage' && !sealed) return this.#becomeUnknown(step, action, detail)
    // A refusal that bars nothing says nothing of what another copy of the command may have done; nor does that of
    // a ledger which is new (R6).
    const isSameLedger = answer.body.ledger === this.#state.steps[step]!.action?.ledger
    if (!sealed || !isSameLedger || !this.#isWaitedFor(step, action)) return
    if (passing.has(reason)) {
      const retryAtMs = this.#nowMs + (reason === 'beacon' ? 0 : retryMs)
      return this.#note({ type: 'sealed', step, action, reason: detail, retryAtMs })
    }
    if (reason === 'definition' || reason === 'unknown-service') {
      // The agent was restarted with another configuration, and its next grant would say the same.
      this.#note({ type: 'sealed', step, action, reason: detail, retryAtMs: this.#nowMs })
      const { service } = this.#record.plan.steps[step]!
      return this.#note({
        type: 'claim-refused',
        host,
        reason: knownOtherwise(host, [service]),
        holder: null,
      })
    }
    this.#note({ type: 'failed', step, action, reason: `the agent refused (${reason}): ${detail}` })
  }

  #interpretInquiry(step: number, action: string, heard: Heard): void {
    if (!this.#isWaitedFor(step, action)) return
    const { host } = this.#record.plan.steps[step]!
    if (heard.kind !== 'report') {
      const reason = heard.kind === 'silent' ? heard.reason : heard.refusal.detail
      if (heard.kind === 'silent') this.#hosts.claimSoon(host)
      return this.#becomeUnknown(step, action, reason)
    }
    const { report } = heard
    const told = report.actions.find((one) => one.action === action)
    if (told === undefined) return
    const isOverdue = told.status === 'overdue'
    if (told.status === 'started' || isOverdue) {
      const isUnknown = this.#state.steps[step]!.phase === 'unknown'
      if (isUnknown && !isOverdue) this.#note({ type: 'running', step, action })
      return
    }
    if (told.status === 'finished' && told.ending !== undefined) {
      this.#takeEnding(step, action, told.ending, { ...report, isFromMemory: true })
      if (told.ending.outcome === 'unproven') this.#lookForAftermath(step, action)
      return
    }
    const sent = this.#state.steps[step]!.action!
    const isSameLedger = report.ledger === sent.ledger
    if (told.status === 'sealed' && isSameLedger) {
      return this.#note({
        type: 'sealed',
        step,
        action,
        reason: 'it never started, and now never will',
        retryAtMs: this.#nowMs,
      })
    }
    if (told.status === 'never-heard' && isSameLedger) {
      return this.#hosts.seal(step, action, sent.grant)
    }
    const why = isSameLedger ? 'no longer remembers' : 'has a new ledger and no memory of'
    this.#becomeUnknown(step, action, `the agent of ${host} ${why} what was asked before`)
    this.#resolveByObservation(step, action, report)
  }

  #takeEnding(step: number, action: string, ending: Ending, answered: Answered): void {
    const nowMs = this.#nowMs
    for (const event of interpretEnding(this.#state, step, action, ending, answered, nowMs)) this.#note(event)
  }

  /** R4: an action that is over and could not be seen to its end is resolved by what is seen since. */
  #lookForAftermath(step: number, action: string): void {
    const planned = this.#record.plan.steps[step]!
    if (planned.kind === 'hook' || !this.#isWaitedFor(step, action)) return
    const nowMs = this.#nowMs
    const overAtMs = this.#overAtMs.get(action) ?? nowMs
    this.#overAtMs.set(action, overAtMs)
    const proof = this.#state.instances.get(instanceName(planned.service, planned.host))?.proof
    const isSince = proof?.session === this.#state.session && proof.askedAtMs >= overAtMs
    const events = isSince ? interpretAftermath(this.#state, step, action, proof) : []
    for (const event of events) this.#note(event)
    if (events.length === 0) this.#hosts.observe([step], nowMs)
  }

  /**
   * R6: of a ledger that is new nothing is believed but what its agent sees itself. A command from before can no
   * longer start there, for its beacon was another process's.
   */
  #resolveByObservation(step: number, action: string, report: Report): void {
    const planned = this.#record.plan.steps[step]!
    if (planned.kind === 'hook') return
    const nowMs = this.#nowMs
    const proof = this.#state.instances.get(instanceName(planned.service, planned.host))?.proof
    const isOfThisLife = proof?.incarnation === report.incarnation && nowMs - proof.askedAtMs <= proofAgeMs
    if (proof === undefined || !isOfThisLife) return this.#hosts.observe([step], nowMs)
    const { observation } = proof
    const settleMs = this.#record.plan.services[planned.service]?.settleMs ?? 0
    if (judge(observation, goalOf(planned)!, settleMs) !== 'proves') return this.#hosts.observe([step], nowMs)
    this.#note({ type: 'done', step, action, outcome: 'observed', reason: observation.detail, proof })
  }

  #becomeUnknown(step: number, action: string, reason: string): void {
    const { phase } = this.#state.steps[step]!
    if (phase !== 'sent' || !this.#isWaitedFor(step, action)) return
    this.#note({ type: 'unknown', step, action, reason, atMs: this.#nowMs })
  }

  #isWaitedFor(step: number, action: string): boolean {
    const { phase, action: newest } = this.#state.steps[step]!
    return (phase === 'sent' || phase === 'unknown') && newest?.id === action
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

/** Refusals that may be gone in a moment; others are told to the operator at once. */
const passing: ReadonlySet<string> = new Set(['beacon', 'busy', 'grant', 'storage', 'sealed'])
const retryMs = 1000

function unseeable(clock: Clock, detail: string): Observation {
  const seenAt = clock.wall().toISOString()
  return { state: 'unknown', live: 'unknown', detail, manager: 'command', heldMs: 0, seenAt }
}
