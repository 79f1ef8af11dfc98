import type { RunEvent, StepEvent } from '../../../packages/coordinator/src/run/run-event.ts'
import { isContradictionOf, isProofOf, type Evidence, type Proof } from './evidence.ts'
import { Gate } from './gate.ts'
import { goalOf, instanceOf, isHostStep, spareSteps, titleOf, type PlanRead, type StepRead } from './plan.ts'
import { longMs } from '../world/time.ts'

// What a run's journal may hold, told from DESIGN alone: the table of a step's life, and for each event the signed
// words that make it true. Of the product only the types of events are used.

export type Phase = 'waiting' | 'sent' | 'done' | 'failed' | 'unknown' | 'sealed' | 'drifted' | 'waived'

const mayCome: Readonly<Record<string, readonly Phase[]>> = {
  sent: ['waiting', 'sealed', 'failed', 'drifted'],
  done: ['waiting', 'sent', 'unknown', 'sealed'],
  failed: ['waiting', 'sent', 'unknown'],
  unknown: ['waiting', 'sent', 'unknown'],
  sealed: ['sent', 'unknown'],
  running: ['unknown'],
  'going-down': ['sent', 'unknown'],
  drifted: ['done'],
  waived: ['waiting', 'unknown', 'sealed', 'failed', 'drifted', 'done'],
  amended: ['done', 'failed', 'sealed', 'drifted', 'waived'],
}

/** How long after its last word the agent of a halted host must be silent. */
const goneAfterMs = 5000

export interface StepNote {
  phase: Phase
  session: number
  action: string | undefined
  ledger: string
  sentAtMs: number
  attempts: number
  /** Of a reboot or halt: the boot that is to end, and whether the agent has said that it does. */
  going: string | undefined
  isGoingDown: boolean
}

export type HostNote =
  | {
      readonly kind: 'claimed'
      readonly grant: number
      readonly ledger: string
      readonly incarnation: string
      readonly boot: string
    }
  | { readonly kind: 'unclaimed' | 'silent' | 'refused' | 'fenced' }

/** An action, as the journal tells of it. */
export interface Sending {
  readonly step: number
  readonly atMs: number
  /** Whether it is believed never to start. */
  readonly isSealed: boolean
}

export interface InstanceNote {
  /** The newest that the journal holds, by when it was said. */
  proof: Proof | undefined
  /** The step that was last sent or settled. */
  current: number | undefined
}

/** What the checker knows beside the journal of the run. */
export interface RunWitness {
  readonly evidence: Evidence
  readonly violate: (rule: string, words: string) => void
  /** When an action took effect, if it did. */
  readonly effectAt: (action: string) => number | undefined
  /** True time. */
  readonly nowMs: () => number
  /** The boot that a host is in; undefined while it is off. */
  readonly bootOf: (host: string) => string | undefined
  readonly hasWaived: (run: string, step: number) => boolean
  readonly gaveGrant: (host: string, ledger: string, grant: number, run: string) => boolean
}

/** A run, as its journal alone tells it. */
export class RunBook {
  readonly run: string
  readonly plan: PlanRead
  readonly steps: readonly StepNote[]
  readonly hosts = new Map<string, HostNote>()
  readonly instances = new Map<string, InstanceNote>()
  /** Of each host what was granted first in this session. */
  readonly #granted = new Map<string, { readonly ledger: string; readonly grant: number }>()
  /** The boot that each host last answered from. */
  readonly #boots = new Map<string, string>()
  readonly spare: ReadonlySet<number>
  session = 0
  policy = 'hold'
  isStopping = false
  ended: string | null = null
  readonly #witness: RunWitness
  readonly #gate: Gate
  readonly #sendings = new Map<string, Sending>()
  /** A step that the last event has contradicted: the next one must say so. */
  #owedDrift: number | undefined

  constructor(run: string, plan: PlanRead, witness: RunWitness) {
    this.run = run
    this.plan = plan
    this.#witness = witness
    this.steps = plan.steps.map(() => ({
      phase: 'waiting',
      session: 0,
      action: undefined,
      ledger: '',
      sentAtMs: 0,
      attempts: 0,
      going: undefined,
      isGoingDown: false,
    }))
    for (const step of plan.steps) {
      this.hosts.set(step.host, { kind: 'unclaimed' })
      if (goalOf(step) === undefined) continue
      this.instances.set(instanceOf(step), { proof: undefined, current: undefined })
    }
    this.spare = spareSteps(plan)
    this.#gate = new Gate(this, witness)
  }

  /** What the journal says of an action; undefined where it says nothing. */
  sending(action: string): Sending | undefined {
    return this.#sendings.get(action)
  }

  isWaived(instance: string): boolean {
    return this.plan.steps.some(
      (step, at) => this.steps[at]!.phase === 'waived' && instanceOf(step) === instance,
    )
  }

  /** Takes what was appended in one transaction, at a true time. */
  take(events: readonly RunEvent[], atMs: number): void {
    for (const event of events) {
      this.#settleDebt(event)
      this.#takeOne(event, atMs)
    }
    this.#settleDebt(undefined)
  }

  #violate(rule: string, words: string): void {
    this.#witness.violate(rule, `${this.run}: ${words}`)
  }

  #settleDebt(next: RunEvent | undefined): void {
    const owed = this.#owedDrift
    this.#owedDrift = undefined
    if (owed === undefined || (next?.type === 'drifted' && next.step === owed)) return
    this.#violate('R3', `${titleOf(this.plan.steps[owed]!)} is contradicted, and no drift is noted`)
  }

  #takeOne(event: RunEvent, atMs: number): void {
    if (this.ended !== null && event.type !== 'session-opened' && event.type !== 'waived') {
      this.#violate('R2', `${event.type} after the session has ended`)
    }
    switch (event.type) {
      case 'session-opened':
        return this.#openSession(event)
      case 'session-ended':
        return this.#endSession(event.outcome)
      case 'claimed': {
        const { host, grant, ledger, incarnation, boot } = event
        if (!this.#witness.gaveGrant(host, ledger, grant, this.run)) {
          this.#violate('R8', `${host} is noted as claimed by grant ${grant}, which its ledger did not give`)
        }
        // Who gets a host twice has lost it in between.
        const first = this.#granted.get(host)
        if (first?.ledger === ledger && first.grant !== grant)
          this.#violate('R8', `${host} is held by grant ${grant}, and was by grant ${first.grant} before`)
        this.#granted.set(host, { ledger, grant })
        this.hosts.set(host, { kind: 'claimed', grant, ledger, incarnation, boot })
        this.#boots.set(host, boot)
        return
      }
      case 'silent':
      case 'fenced':
        this.hosts.set(event.host, { kind: event.type })
        return
      case 'claim-refused':
        this.hosts.set(event.host, { kind: 'refused' })
        return
      case 'observed':
        return this.#observe(`${event.service}@${event.host}`, event.proof)
      case 'stopping':
        this.isStopping = true
        return
      case 'rebooted':
        return
      default:
        return this.#takeStep(event, atMs)
    }
  }

  #openSession(event: Extract<RunEvent, { type: 'session-opened' }>): void {
    if (event.session !== this.session + 1)
      this.#violate('R2', `session ${event.session} follows ${this.session}`)
    this.session = event.session
    this.policy = event.policy
    this.isStopping = false
    this.ended = null
    this.#granted.clear()
    for (const host of this.hosts.keys()) this.hosts.set(host, { kind: 'unclaimed' })
    for (const [at, note] of this.steps.entries()) {
      note.attempts = 0
      if (note.phase === 'sent') this.#enter(note, 'unknown')
      const isLookedAt = this.plan.steps[at]!.kind === 'prove'
      if (isLookedAt && note.phase !== 'done' && note.phase !== 'waived') this.#enter(note, 'waiting')
    }
  }

  /** R7: what is in flight is awaited. R10: the outcome is the worst of the steps. */
  #endSession(outcome: string): void {
    this.ended = outcome
    const phases = new Set<Phase>()
    for (const [at, { phase }] of this.steps.entries()) if (!this.spare.has(at)) phases.add(phase)
    if (phases.has('sent')) this.#violate('R7', 'a session ends with something in flight')
    const isBad = phases.has('failed') || phases.has('drifted')
    const isDoubtful = isBad || phases.has('unknown') || phases.has('sent')
    const isOpen = isDoubtful || phases.has('waiting') || phases.has('sealed')
    const hasWaivers = this.steps.some(({ phase }) => phase === 'waived')
    const isTooGood =
      (outcome === 'succeeded' && (isOpen || hasWaivers)) ||
      (outcome === 'waived' && isOpen) ||
      ((outcome === 'cancelled' || outcome === 'refused') && isDoubtful) ||
      (outcome === 'unresolved' && isBad)
    if (isTooGood) this.#violate('R10', `the session ends as ${outcome} with steps ${[...phases].join(', ')}`)
    if (outcome === 'succeeded' || outcome === 'waived') this.#checkBoots(outcome)
  }

  /** R10: what was proven of a host that has booted since without being told to was seen again. */
  #checkBoots(outcome: string): void {
    for (const [instance, { proof, current }] of this.instances) {
      if (current === undefined || proof === undefined || this.spare.has(current)) continue
      const step = this.plan.steps[current]!
      const isToldTo = this.plan.steps.some((one) => isHostStep(one) && one.host === step.host)
      if (this.steps[current]!.phase !== 'done' || (isToldTo && step.kind === 'stop')) continue
      // An agent may tell how an action ended before it is claimed in its new boot.
      const isOfLast = [this.#boots.get(step.host), this.#witness.bootOf(step.host)].includes(proof.boot)
      if (!isOfLast)
        this.#violate(
          'R10',
          `the session ends as ${outcome}, and ${instance} was last seen before ${step.host} booted`,
        )
    }
  }

  #observe(instance: string, proof: Proof): void {
    const note = this.instances.get(instance)!
    this.#checkOrigin(instance, proof)
    if (note.proof !== undefined && this.#saidAt(proof) < this.#saidAt(note.proof)) {
      this.#violate('R3', `${instance}: an older observation is taken for a newer one`)
    }
    note.proof = proof
    const { current } = note
    const goal = current === undefined ? undefined : goalOf(this.plan.steps[current]!)
    if (current === undefined || goal === undefined || this.steps[current]!.phase !== 'done') return
    if (isContradictionOf(goal, proof.observation) && !this.#isPast(current)) this.#owedDrift = current
  }

  /** Whether what a step had stopped may be back: its host goes down, or has booted, and the plan starts it again. */
  #isPast(at: number): boolean {
    const step = this.plan.steps[at]!
    const hostStep = this.plan.steps.findIndex((one) => isHostStep(one) && one.host === step.host)
    if (step.kind !== 'stop' || hostStep === -1) return false
    const { phase } = this.steps[hostStep]!
    if (phase === 'sent' || phase === 'unknown') return true
    const isStartedAgain = this.plan.steps.some(
      (one) => one.kind === 'start' && instanceOf(one) === instanceOf(step),
    )
    return (phase === 'done' || phase === 'waived') && isStartedAgain
  }

  /** Whether a run has halted a host, or somebody has given their word that it did. */
  isGone(host: string): boolean {
    return this.plan.steps.some((step, at) => {
      const { phase } = this.steps[at]!
      return step.kind === 'halt' && step.host === host && (phase === 'done' || phase === 'waived')
    })
  }

  /** Whether a host is expected to be silent: its agent has said that it goes down. */
  isGoingDown(host: string): boolean {
    return this.plan.steps.some((step, at) => {
      const { phase, isGoingDown } = this.steps[at]!
      return isHostStep(step) && step.host === host && phase === 'sent' && isGoingDown
    })
  }

  #takeStep(event: StepEvent, atMs: number): void {
    const step = this.plan.steps[event.step]!
    const note = this.steps[event.step]!
    if (!mayCome[event.type]!.includes(note.phase)) {
      this.#violate('R4', `${titleOf(step)} is ${note.phase} and becomes ${event.type}`)
    }
    if (event.type === 'sent') {
      this.#gate.checkSending(event, step, note, atMs)
      note.action = event.action
      note.ledger = event.ledger
      note.sentAtMs = atMs
      note.attempts += 1
      this.#sendings.set(event.action, { step: event.step, atMs, isSealed: false })
      note.going = event.going?.boot
      note.isGoingDown = false
      if (goalOf(step) !== undefined) this.instances.get(instanceOf(step))!.current = event.step
      return this.#enter(note, 'sent')
    }
    if ('action' in event && event.action !== undefined && event.action !== note.action) {
      this.#violate('R4', `${titleOf(step)}: ${event.type} of another action than its newest`)
    }
    this.#checkEvidence(event, step, note)
    if (event.type === 'done' && step.kind === 'halt') this.#checkLeave(step, note, atMs)
    // Of what was written long before a disk shows it nobody knows any more how the host was then.
    const isOfNow = this.#witness.nowMs() - atMs < longMs
    if (event.type === 'done' && isHostStep(step) && isOfNow) this.#checkDown(step, note)
    if ('proof' in event && event.proof !== undefined) this.#keep(step, event.step, event.proof)
    if (event.type === 'going-down') note.isGoingDown = true
    if (event.type === 'amended' || event.type === 'going-down') return
    this.#enter(note, event.type === 'running' ? 'sent' : event.type)
  }

  #keep(step: StepRead, at: number, proof: Proof): void {
    const instance = instanceOf(step)
    const note = this.instances.get(instance)!
    this.#checkOrigin(instance, proof)
    note.current = at
    if (note.proof === undefined || this.#saidAt(proof) >= this.#saidAt(note.proof)) note.proof = proof
  }

  #enter(note: StepNote, phase: Phase): void {
    note.phase = phase
    note.session = this.session
  }

  #saidAt(proof: Proof): number {
    return this.#witness.evidence.answer(proof)?.atMs ?? 0
  }

  /** R10: what the journal takes for seen was said by the agent that it names, and seen by it. */
  #checkOrigin(instance: string, proof: Proof): void {
    const { evidence } = this.#witness
    const answer = evidence.answer(proof)
    const { observation: seen } = proof
    if (answer === undefined)
      return this.#violate('R10', `${instance}: an observation that no agent has made`)
    const look = evidence.lookBehind(seen)
    const isClaim = isProofOf('running', seen, 0) || isProofOf('stopped', seen, 0)
    if (look === undefined) {
      if (isClaim) this.#violate('R10', `${instance} is taken for ${seen.state}, and nobody has looked`)
      return
    }
    const isAsSeen = look.sighting.state === seen.state && look.sighting.live === seen.live
    if (
      look.instance !== instance ||
      look.process.machine !== answer.process.machine ||
      (isClaim && !isAsSeen)
    ) {
      this.#violate('R10', `${instance} is taken for ${seen.state}, which is not what was seen`)
    }
  }

  /** R4, R6, R10: nobody's silence, and only an agent's own word, makes a step more than unknown. */
  #checkEvidence(event: StepEvent, step: StepRead, note: StepNote): void {
    const said = event.type === 'unknown' ? [] : this.#witness.evidence.words(note.action ?? '')
    const isSaid = (...words: readonly string[]): boolean => said.some(({ is }) => words.includes(is))
    const lacks = (rule: string, what: string): void =>
      this.#violate(rule, `${titleOf(step)} becomes ${event.type}, and ${what}`)
    switch (event.type) {
      case 'done':
        return this.#checkDone(event, step, isSaid, lacks)
      case 'failed':
        // That a host has not gone, or is up again, its agent says by answering at all.
        if (isHostStep(step) && event.ending === undefined) return
        if (event.action !== undefined && event.proof === undefined) {
          if (!isSaid('failed', 'interrupted', 'changed', 'unchanged', 'refused', 'sealed'))
            lacks('R4', 'no agent says so')
        }
        return
      case 'sealed': {
        const isOfItsLedger = said.some(({ is, ledger }) => is === 'sealed' && ledger === note.ledger)
        if (!isOfItsLedger) lacks('R6', 'the ledger that gave the grant has not sealed it')
        this.#sendings.set(event.action, { step: event.step, atMs: note.sentAtMs, isSealed: true })
        if (this.#witness.effectAt(event.action) !== undefined) lacks('R6', 'it did take effect')
        return
      }
      case 'running':
        if (!isSaid('started', 'overdue')) lacks('R4', 'no agent says that it runs')
        return
      case 'drifted':
        if (isProofOf(goalOf(step)!, event.proof.observation, this.settleMsOf(step)))
          lacks('R3', 'nothing contradicts it')
        return
      case 'waived':
        if (!this.#witness.hasWaived(this.run, event.step)) lacks('R4', 'no operator has waived it')
        return
      default:
    }
  }

  #checkDone(
    event: Extract<StepEvent, { type: 'done' }>,
    step: StepRead,
    isSaid: (...words: readonly string[]) => boolean,
    lacks: (rule: string, what: string) => void,
  ): void {
    const goal = goalOf(step)
    if (isHostStep(step)) return
    if (event.outcome === 'changed' || event.outcome === 'unchanged') {
      if (!isSaid(event.outcome)) lacks('R4', `no agent says that it is ${event.outcome}`)
    } else if (event.outcome === 'observed' && goal === undefined) lacks('R4', 'there is nothing to observe')
    if (goal === undefined) return
    if (event.proof === undefined) return lacks('R10', 'there is no observation beside it')
    if (!isProofOf(goal, event.proof.observation, this.settleMsOf(step)))
      lacks('R10', 'what was seen does not prove it')
    const effectAtMs = event.action === undefined ? undefined : this.#witness.effectAt(event.action)
    const look = this.#witness.evidence.lookBehind(event.proof.observation)
    if (effectAtMs !== undefined && look !== undefined && look.beganMs < effectAtMs) {
      lacks('R3', 'it was seen before the action took effect')
    }
  }

  /** R10: a host that is said to have gone down has. */
  #checkDown(step: StepRead, { going }: StepNote): void {
    const boot = this.#witness.bootOf(step.host)
    const isUp = boot === going || (step.kind === 'halt' && boot !== undefined)
    if (isUp) this.#violate('R10', `${titleOf(step)} becomes done, and the host is up, in boot ${boot}`)
  }

  /** R4: silence alone could be a cut cable, and so could that of a question from before its last word. */
  #checkLeave(step: StepRead, { action }: StepNote, atMs: number): void {
    const leave = this.#witness.evidence.words(action ?? '').find(({ is }) => is === 'leaving')
    if (leave === undefined)
      this.#violate('R4', `${titleOf(step)} is done, and its agent has not taken leave`)
    else if (atMs - leave.atMs < goneAfterMs)
      this.#violate(
        'R4',
        `${titleOf(step)} is done ${Math.round(atMs - leave.atMs)} ms after its agent took leave`,
      )
  }

  settleMsOf({ service }: StepRead): number {
    return this.plan.services[service]?.settleMs ?? 0
  }
}
