import {
  instanceName,
  judge,
  powerName,
  type ActionRecord,
  type Clock,
  type Ending,
  type Observation,
  type Progress,
  type Report,
} from '@filo/protocol'
import { isHostStep, isServiceStep, settleMsOf } from '../plan/plan.ts'
import { ownMachine } from '../plan/own-machine.ts'
import { proofAgeMs } from '../run/decide.ts'
import {
  interpretAftermath,
  interpretEnding,
  interpretObservation,
  interpretProof,
  type Answered,
} from '../run/interpret.ts'
import { interpretReturn, interpretSilence, interpretStayed, isAwaitedAway } from '../run/host-step.ts'
import { goalOf, type RunState } from '../run/run.ts'
import type { Proof, RunEvent } from '../run/run-event.ts'
import { knownOtherwise, type Hosts, type HostWord } from './hosts.ts'
import type { RunRecord } from './journal.ts'
import type { Heard, Link } from './link.ts'

// What the hosts' words mean to the run. What can be said without knowing who was asked what is said by the pure
// run/interpret.ts; here is what depends on the conversation: whose grant, which ledger, what to ask next.
//
// R4. An answer that says nothing makes nothing; silence makes unknown.
// R6. Only the ledger that gave the grant is believed about what never started.
// R8. Who has lost a host to another run does not go on with it.

/** What the answers are taken into: the run's state, changed by events only. */
export interface Proceedings {
  readonly state: RunState
  readonly note: (event: RunEvent) => void
  /** When this turn of the loop began, by the session's clock. */
  readonly nowMs: () => number
  /** When a `prove` step was first asked for in this session; undefined where it was not. */
  readonly firstAskedMs: (step: number) => number | undefined
}

/** Takes the words of hosts into a session of a run. */
export class Answers {
  readonly #clock: Clock
  readonly #link: Link
  readonly #ownBoot: string
  readonly #record: RunRecord
  readonly #hosts: Hosts
  readonly #proceedings: Proceedings
  /** The newest grant of each host in this session; that a host was silent since does not void it. */
  readonly #granted = new Map<string, { readonly ledger: string; readonly grant: number }>()
  /** When an action that came to nothing visible was heard to be over. */
  readonly #overAtMs = new Map<string, number>()

  constructor(
    { clock, link, boot }: { readonly clock: Clock; readonly link: Link; readonly boot: string },
    record: RunRecord,
    hosts: Hosts,
    proceedings: Proceedings,
  ) {
    this.#clock = clock
    this.#link = link
    this.#ownBoot = boot
    this.#record = record
    this.#hosts = hosts
    this.#proceedings = proceedings
  }

  /** Signs of life change nothing: they are for whoever watches. */
  take(word: HostWord): void {
    switch (word.kind) {
      case 'claim-heard':
        return this.#takeClaim(word.host, word.heard)
      case 'observe-heard':
        return this.#takeObservations(word.host, word.services, word.heard)
      case 'inquire-heard':
        return this.#takeInquiry(word.step, word.action, word.heard)
      case 'act-heard':
        return this.#takeActAnswer(word)
      case 'act-lost':
        return this.#becomeUnknown(word.step, word.action, word.reason)
    }
  }

  get #state(): RunState {
    return this.#proceedings.state
  }

  get #nowMs(): number {
    return this.#proceedings.nowMs()
  }

  #note(event: RunEvent): void {
    this.#proceedings.note(event)
  }

  #takeClaim(host: string, heard: Heard): void {
    const known = this.#state.hosts.get(host)
    // Whoever is fenced stays so: an answer from before, or silence, does not give the host back.
    if (known?.kind === 'fenced') return
    if (heard.kind === 'silent') {
      const isNews = known?.kind !== 'silent' || known.reason !== heard.reason
      if (isNews) this.#note({ type: 'silent', host, reason: heard.reason, atMs: heard.askedAtMs })
      for (const event of interpretSilence(this.#state, host, this.#nowMs)) this.#note(event)
      if (this.#state.gone.has(host)) this.#hosts.forget(host)
      return
    }
    if (heard.kind === 'refusal') {
      const { reason, detail, holder } = heard.refusal
      if (known?.kind === 'claimed' && reason === 'claimed')
        return this.#note({ type: 'fenced', host, holder })
      if (reason === 'policy' || reason === 'rights') return this.#noteForbidden(host, detail)
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
    const reason = this.#objectionTo(host, heard.report)
    if (reason !== undefined) {
      // The way out is a new plan, which must not find the host held by this one.
      void this.#hosts.giveBack(host, holder.grant)
      return this.#note({ type: 'claim-refused', host, reason, holder: null })
    }
    this.#noteReboot(host, heard.report)
    this.#note({ type: 'claimed', host, grant: holder.grant, ledger, incarnation, boot })
    const hostStep = this.#state.hostSteps.get(host)
    if (hostStep !== undefined) this.#hosts.inquireSoon(hostStep)
  }

  #noteForbidden(host: string, reason: string): void {
    this.#note({ type: 'claim-refused', host, reason, holder: null, isForbidden: true })
  }

  #objectionTo(host: string, { definitions, boot }: Report): string | undefined {
    const hostStep = this.#record.plan.steps[this.#state.hostSteps.get(host) ?? -1]
    if (hostStep !== undefined && isHostStep(hostStep) && boot === this.#ownBoot) {
      return ownMachine(host, hostStep.kind)
    }
    return this.#hosts.objectionTo(host, definitions)
  }

  /** A boot that no step of the run was to bring about; of those that were asked for their own step tells. */
  #noteReboot(host: string, { boot, clock: seenAt }: Report): void {
    const before = this.#state.boots.get(host)
    if (before === undefined || before === boot) return
    const hostStep = this.#state.hostSteps.get(host) ?? -1
    const { phase, action } = this.#state.steps[hostStep] ?? {}
    // What was started on the word that it had rebooted ended with the boot, if that came only now.
    const isLate = phase === 'waived' && this.#record.plan.steps[hostStep]!.kind === 'reboot'
    const isAskedFor = action?.going?.boot === before && phase !== 'failed' && phase !== 'sealed' && !isLate
    if (!isAskedFor) this.#note({ type: 'rebooted', host, boot, seenAt })
  }

  /** R8: a ledger that gives us a second grant has given the host to somebody else in between, who has ended. */
  #wasTakenOver(host: string, ledger: string, grant: number): boolean {
    const before = this.#granted.get(host)
    this.#granted.set(host, { ledger, grant })
    return before?.ledger === ledger && before.grant !== grant
  }

  #takeObservations(host: string, services: readonly string[], heard: Heard): void {
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
          : unseeable(this.#clock, knownOtherwise(host, [service]))
      const { incarnation, boot, answer } = report
      const proof: Proof = { session: this.#state.session, askedAtMs, incarnation, boot, answer, observation }
      for (const event of interpretObservation(this.#state, service, host, proof)) this.#note(event)
      for (const step of this.#hosts.proveStepsOf(instanceName(service, host))) {
        const first = this.#proceedings.firstAskedMs(step)
        if (first === undefined) continue
        for (const event of interpretProof(this.#state, step, first, proof)) this.#note(event)
      }
    }
  }

  /** What took longer to see than it may be relied on proves nothing, however often it is asked for (R3). */
  #inTime(service: string, observation: Observation, askedAtMs: number): Observation {
    const tookMs = this.#nowMs - askedAtMs
    if (tookMs <= proofAgeMs + settleMsOf(this.#record.plan, service)) return observation
    const seconds = Math.round(tookMs / 1000)
    const detail = `it was seen ${observation.state}, but to look took ${seconds} s: too long to rely on it`
    return unseeable(this.#clock, detail)
  }

  #takeActAnswer({ step, action, answer }: Extract<HostWord, { kind: 'act-heard' }>): void {
    if (answer.type === 'progress') return this.#takeProgress(step, action, answer.body.phase)
    if (answer.type === 'result') {
      if (answer.body.action !== action) return
      const { ending, isRepeated: isFromMemory } = answer.body
      return this.#takeEnding(step, action, ending, { ...answer.body, isFromMemory })
    }
    const { reason, detail, sealed, holder } = answer.body
    const { host } = this.#record.plan.steps[step]!
    if (reason === 'grant') {
      const isOurs = holder === null || holder.coordinator === this.#link.identity.coordinator
      if (isOurs) this.#hosts.claimSoon(host)
      else if (this.#state.hosts.get(host)?.kind === 'claimed') this.#note({ type: 'fenced', host, holder })
    }
    if (reason === 'boot') this.#hosts.claimSoon(host)
    if (reason === 'storage' && !sealed) return this.#becomeUnknown(step, action, detail)
    // A refusal that bars nothing says nothing of what another copy of the command may have done; nor does that of
    // a ledger which is new (R6).
    const isSameLedger = answer.body.ledger === this.#state.steps[step]!.action?.ledger
    if (!sealed || !isSameLedger || !this.#isWaitedFor(step, action)) return
    if (passing.has(reason)) {
      const retryAtMs = this.#nowMs + (reason === 'beacon' ? 0 : retryMs)
      return this.#note({ type: 'sealed', step, action, reason: detail, retryAtMs })
    }
    if (reason === 'policy') {
      // What forbids it now forbids it until somebody there, or the clock there, says otherwise.
      this.#note({ type: 'sealed', step, action, reason: detail, retryAtMs: this.#nowMs })
      return this.#noteForbidden(host, detail)
    }
    if (reason === 'definition' || reason === 'unknown-service') {
      // The agent was restarted with another configuration, and its next grant would say the same.
      this.#note({ type: 'sealed', step, action, reason: detail, retryAtMs: this.#nowMs })
      const planned = this.#record.plan.steps[step]!
      const name = isHostStep(planned) ? powerName : planned.service
      return this.#note({
        type: 'claim-refused',
        host,
        reason: knownOtherwise(host, [name]),
        holder: null,
      })
    }
    this.#note({ type: 'failed', step, action, reason: `the agent refused (${reason}): ${detail}` })
  }

  #takeInquiry(step: number, action: string, heard: Heard): void {
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
    for (const event of this.#interpretBoot(step, told, report)) this.#note(event)
    if (!this.#isWaitedFor(step, action)) return
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

  /** What it means for a host step from which boot its host answers, where its ledger has no ending that says so. */
  #interpretBoot(step: number, { status, ending }: ActionRecord, { boot, ledger }: Report): RunEvent[] {
    if (!isHostStep(this.#record.plan.steps[step]!) || ending?.outcome === 'changed') return []
    const action = this.#state.steps[step]!.action!
    if (boot !== action.going?.boot) return interpretReturn(this.#state, step, boot)
    const isForgotten = status === 'forgotten' || ledger !== action.ledger
    const isOver = isForgotten || ending?.outcome === 'unproven'
    return isOver ? interpretStayed(this.#state, step, this.#nowMs) : []
  }

  /** Of most actions it changes nothing. Of a host that goes down it tells that silence is to be expected. */
  #takeProgress(step: number, action: string, phase: Progress['phase']): void {
    const planned = this.#record.plan.steps[step]!
    if (!isHostStep(planned) || !this.#isWaitedFor(step, action)) return
    if (phase !== 'waiting' && phase !== 'leaving') return
    const hasLeft = phase === 'leaving'
    // It receives nothing any more: whether it is gone is known as soon as it is asked.
    if (hasLeft) this.#hosts.claimSoon(planned.host)
    const { goingDown } = this.#state.steps[step]!
    if (goingDown === undefined || (hasLeft && !goingDown.hasLeft)) {
      this.#note({ type: 'going-down', step, action, hasLeft, atMs: this.#nowMs })
    }
  }

  #takeEnding(step: number, action: string, ending: Ending, answered: Answered): void {
    const nowMs = this.#nowMs
    for (const event of interpretEnding(this.#state, step, action, ending, answered, nowMs)) this.#note(event)
  }

  /** R4: an action that is over and could not be seen to its end is resolved by what is seen since. */
  #lookForAftermath(step: number, action: string): void {
    const planned = this.#record.plan.steps[step]!
    if (!isServiceStep(planned) || !this.#isWaitedFor(step, action)) return
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
    if (!isServiceStep(planned)) return
    const nowMs = this.#nowMs
    const proof = this.#state.instances.get(instanceName(planned.service, planned.host))?.proof
    const isOfThisLife = proof?.incarnation === report.incarnation && nowMs - proof.askedAtMs <= proofAgeMs
    if (proof === undefined || !isOfThisLife) return this.#hosts.observe([step], nowMs)
    const { observation } = proof
    const settleMs = settleMsOf(this.#record.plan, planned.service)
    if (judge(observation, goalOf(planned), settleMs) !== 'proves') return this.#hosts.observe([step], nowMs)
    this.#note({ type: 'done', step, action, outcome: 'observed', reason: observation.detail, proof })
  }

  #becomeUnknown(step: number, action: string, reason: string): void {
    const { phase } = this.#state.steps[step]!
    if (phase !== 'sent' || !this.#isWaitedFor(step, action)) return
    if (isAwaitedAway(this.#state, step, this.#nowMs)) return
    this.#note({ type: 'unknown', step, action, reason: this.#whyUnknown(step, reason), atMs: this.#nowMs })
  }

  /** Of a host that was told to go down silence means something else than of others. */
  #whyUnknown(step: number, reason: string): string {
    const planned = this.#record.plan.steps[step]!
    const { action, goingDown, awayUntilMs = 0 } = this.#state.steps[step]!
    if (!isHostStep(planned)) return reason
    const since = `it was told to ${planned.kind} at ${action!.going!.since}`
    if (goingDown === undefined) return `${reason}; ${since}, and has not said that it does`
    return this.#nowMs < awayUntilMs ? reason : `${reason}; ${since}, and its ${planned.kind}_timeout is over`
  }

  #isWaitedFor(step: number, action: string): boolean {
    const { phase, action: newest } = this.#state.steps[step]!
    return (phase === 'sent' || phase === 'unknown') && newest?.id === action
  }
}

/** Refusals that may be gone in a moment; others are told to the operator at once. */
const passing: ReadonlySet<string> = new Set(['beacon', 'boot', 'busy', 'grant', 'storage', 'sealed'])
const retryMs = 1000

function unseeable(clock: Clock, detail: string): Observation {
  const seenAt = clock.wall().toISOString()
  return { state: 'unknown', live: 'unknown', detail, manager: 'command', heldMs: 0, seenAt }
}
