import type { Ending, Observation } from '@filo/protocol'
import { isHostStep, isServiceStep, stepName, type Plan } from '../plan/plan.ts'
import { decide } from './decide.ts'
import { interpretAftermath, interpretEnding, interpretObservation, interpretProof } from './interpret.ts'
import { interpretReturn, interpretSilence, interpretStayed } from './host-step.ts'
import type { FailurePolicy, Proof, RunEvent } from './run-event.ts'
import { beginning, evolve, goalOf, type RunState } from './run.ts'
import { actionOf, ledger, opened, seen } from './scene.ts'
import { judgeWaiver } from './waiver.ts'

// Runs that are driven by dice, mostly along what they decide themselves: for tests that no run may break.

const sightings: Observation[] = [
  seen('running'),
  seen('stopped'),
  seen('failed', 'no'),
  seen('failed', 'yes'),
  seen('starting'),
  seen('stopping'),
  seen('stopped', 'unknown'),
  seen('unknown', 'unknown'),
  seen('missing', 'unknown'),
]
const endings: Ending['outcome'][] = [
  'changed',
  'changed',
  'unchanged',
  'failed',
  'interrupted',
  'unproven',
  'overdue',
]
const phases = [
  'sent',
  'done',
  'failed',
  'unknown',
  'sealed',
  'running',
  'drifted',
  'waived',
  'amended',
] as const

/** A run at the mercy of dice. */
export class Play {
  readonly plan: Plan
  readonly events: RunEvent[] = []
  readonly state: RunState
  nowMs = 0
  readonly #dice: Iterator<number>
  #actions = 0
  #answers = 0
  /** By host: how often its agent was started. */
  readonly #lives = new Map<string, number>()

  constructor(plan: Plan, dice: Iterator<number>) {
    this.plan = plan
    this.state = beginning(plan)
    this.#dice = dice
  }

  roll(sides: number): number {
    return this.#dice.next().value! % sides
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.roll(items.length)]!
  }

  /** One thing that may happen to a run. */
  move(): void {
    const kind = this.roll(39)
    const { session, ended, inFlight } = this.state
    const step = this.roll(this.plan.steps.length)
    if (session === 0 || kind === 0 || (ended !== null && kind < 30)) this.openSession()
    else if (kind < 18) this.obey()
    else if (kind < 28) this.answer(inFlight.size > 0 ? this.pick([...inFlight]) : step)
    else if (kind < 32) this.look(step)
    else if (kind < 34) this.nowMs += this.pick([1, 500, 11_000, 61_000])
    else if (kind < 36) this.changeHost(this.plan.steps[step]!.host)
    else if (kind < 37) this.waive(step)
    else this.lose(step)
  }

  /** What follows from the run's own decisions and answers must be possible. */
  take(...events: RunEvent[]): void {
    for (const event of events) {
      evolve(this.state, event)
      this.events.push(event)
    }
  }

  /** What is seen of a step's instance: mostly what the step wants. */
  see(step: number): Observation {
    const planned = this.plan.steps[step]!
    return isServiceStep(planned) && this.roll(3) > 0 ? seen(goalOf(planned)) : this.pick(sightings)
  }

  openSession(): void {
    this.nowMs = this.roll(3) * 1000
    this.take(opened(this.state.session + 1, this.pick<FailurePolicy>(['hold', 'continue']), this.nowMs))
    for (const host of this.state.hosts.keys()) if (this.roll(8) > 0) this.claim(host)
  }

  claim(host: string): void {
    const life = this.#lives.get(host) ?? 0
    this.take({
      type: 'claimed',
      host,
      grant: life + 1,
      ledger,
      incarnation: lifeId(life),
      boot: bootOf(life),
    })
  }

  obey(): void {
    const { state } = this
    const decision = decide(state, this.nowMs)
    if (decision.end !== null) return this.take({ type: 'session-ended', outcome: decision.end })
    const [unneeded] = decision.unneeded
    if (unneeded !== undefined) {
      this.take({ type: 'done', step: unneeded, outcome: 'unneeded', reason: 'nothing to do' })
    } else if (decision.send.length > 0) {
      const step = this.pick(decision.send)
      const host = state.hosts.get(this.plan.steps[step]!.host)!
      if (host.kind !== 'claimed') throw new Error(`${stepName(this.plan.steps[step]!)} is sent to nobody`)
      const action = actionOf((this.#actions += 1))
      const going = { boot: host.boot, since: '2026-11-20T03:00:00.000Z' }
      const { grant, ledger: by } = host
      const sent: RunEvent = { type: 'sent', step, action, grant, ledger: by, atMs: this.nowMs }
      this.take(isHostStep(this.plan.steps[step]!) ? { ...sent, going } : sent)
    } else if (decision.observe.length > 0) this.look(this.pick(decision.observe))
    else this.nowMs += 1000
  }

  answer(step: number): void {
    const { action } = this.state.steps[step]!
    if (action === undefined) return
    const outcome = this.pick(endings)
    const observation = this.roll(8) > 0 ? { observation: this.see(step) } : {}
    const ending: Ending = { outcome, reason: `${outcome} ${this.roll(2)}`, durationMs: 5, ...observation }
    const id = this.roll(8) > 0 ? action.id : actionOf(this.roll(this.#actions + 1))
    const answered = { ...this.#life(step), isFromMemory: this.roll(4) === 0 }
    this.take(...interpretEnding(this.state, step, id, ending, answered, this.nowMs))
  }

  look(index: number): void {
    const step = this.plan.steps[index]!
    if (!isServiceStep(step)) return
    const { session } = this.state
    const askedAtMs = this.nowMs - this.pick([0, 0, 0, 4000, 15_000])
    const proof: Proof = { ...this.#life(index), session, askedAtMs, observation: this.see(index) }
    this.take(...interpretObservation(this.state, step.service, step.host, proof))
    for (const [other, one] of this.plan.steps.entries()) {
      if (!stepName(one).endsWith(` ${step.service}@${step.host}`)) continue
      if (one.kind === 'prove')
        this.take(...interpretProof(this.state, other, this.pick([0, this.nowMs]), proof))
      const action = this.state.steps[other]!.action?.id
      if (action !== undefined && this.roll(4) === 0) {
        this.take(...interpretAftermath(this.state, other, action, proof))
      }
    }
  }

  changeHost(host: string): void {
    const kind = this.roll(12)
    const hostStep = this.state.hostSteps.get(host)
    const holder = {
      run: 'r2',
      grant: 9,
      coordinator: ledger,
      operator: 'bob',
      since: '2026-11-20T03:00:00.000Z',
    }
    if (kind < 3) {
      this.take({ type: 'silent', host, reason: 'no answer', atMs: this.nowMs })
      this.nowMs += this.pick([0, 6000])
      this.take(...interpretSilence(this.state, host, this.nowMs))
    } else if (kind === 3)
      this.take({ type: 'claim-refused', host, reason: 'held', holder: this.pick([holder, null]) })
    else if (kind === 4) this.take({ type: 'fenced', host, holder: this.pick([holder, null]) })
    else {
      const life = (this.#lives.get(host) ?? 0) + (kind < 9 ? 1 : 0)
      this.#lives.set(host, life)
      const boot = bootOf(life)
      const before = this.state.boots.get(host)
      const isAskedFor = hostStep !== undefined && this.state.steps[hostStep]!.action?.going?.boot === before
      if (before !== undefined && before !== boot && !isAskedFor) {
        this.take({ type: 'rebooted', host, boot, seenAt: '2026-11-20T03:00:00.000Z' })
      }
      this.claim(host)
      if (hostStep !== undefined) {
        this.take(...interpretReturn(this.state, hostStep, boot))
        this.take(...interpretStayed(this.state, hostStep, this.nowMs))
      }
    }
  }

  waive(step: number): void {
    const verdict = judgeWaiver(this.state, stepName(this.plan.steps[step]!))
    if (verdict.kind === 'refused') return
    this.take({ type: 'waived', step: verdict.step, operator: 'alice', reason: 'I looked' })
  }

  /** What silence, seals and interruptions do. */
  lose(step: number): void {
    const { phase, action } = this.state.steps[step]!
    if (this.roll(8) === 0) this.take({ type: 'stopping', why: 'interrupted', operator: 'alice' })
    if (action === undefined || (phase !== 'sent' && phase !== 'unknown')) return
    const at = { step, action: action.id, reason: 'lost' }
    if (isHostStep(this.plan.steps[step]!) && this.roll(3) > 0) {
      const hasLeft = this.roll(2) === 0
      this.take({ type: 'going-down', step, action: action.id, hasLeft, atMs: this.nowMs })
    } else if (this.roll(2) === 0)
      this.take({ type: 'sealed', ...at, retryAtMs: this.nowMs + this.roll(2) * 1000 })
    else if (phase === 'sent') this.take({ type: 'unknown', ...at, atMs: this.nowMs })
    else this.take({ type: 'running', step, action: action.id })
  }

  /** An event about a step that no run would write, or hardly. */
  forgery(step: number): RunEvent {
    const type = this.pick(phases)
    const action = this.state.steps[step]?.action?.id
    const at = {
      step,
      action: action !== undefined && this.roll(3) > 0 ? action : actionOf(9999),
      reason: 'forged',
    }
    const proof = {
      ...this.#life(0),
      session: this.state.session,
      askedAtMs: 0,
      observation: this.pick(sightings),
    }
    const ending: Ending = { outcome: 'failed', reason: 'forged', durationMs: 1 }
    switch (type) {
      case 'sent':
        return { type, step, action: at.action, grant: 1, ledger, atMs: this.nowMs }
      case 'done':
        return { type, ...at, outcome: 'changed', proof }
      case 'failed':
        return { type, ...at }
      case 'unknown':
        return { type, ...at, atMs: this.nowMs }
      case 'sealed':
        return { type, ...at, retryAtMs: this.nowMs }
      case 'running':
        return { type, step, action: at.action }
      case 'drifted':
        return { type, step, reason: 'forged', proof }
      case 'waived':
        return { type, step, operator: 'alice', reason: 'forged' }
      case 'amended':
        return { type, step, action: at.action, ending }
    }
  }

  #life(step: number): Pick<Proof, 'incarnation' | 'boot' | 'answer'> {
    const life = this.#lives.get(this.plan.steps[step]!.host) ?? 0
    // Answers overtake each other.
    const answer = (this.#answers += 1) - this.pick([0, 0, 0, 2])
    return { incarnation: lifeId(life), boot: bootOf(life), answer: Math.max(1, answer) }
  }
}

/** Every other start of an agent is one with a boot. */
function bootOf(life: number): string {
  return lifeId(life >> 1)
}

function lifeId(life: number): string {
  return `00000000-0000-4000-9000-${String(life).padStart(12, '0')}`
}
