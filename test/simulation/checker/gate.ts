import type { StepEvent } from '../../../packages/coordinator/src/run/run-event.ts'
import { isProofOf } from './evidence.ts'
import { goalOf, instanceOf, titleOf, type StepRead } from './plan.ts'
import type { RunBook, RunWitness, StepNote } from './run-book.ts'

/** R3: how old the look may be on which a gate rests, beside the settle time. */
const proofAgeMs = 10_000
/** R13. */
const attemptsPerSession = 5
const actionsPerHost = 16

/** What must be so at the moment at which a step is sent. */
export class Gate {
  readonly #book: RunBook
  readonly #witness: RunWitness
  /** Of the step that is sent now: which steps before it are met. */
  readonly #met = new Map<number, boolean>()

  constructor(book: RunBook, witness: RunWitness) {
    this.#book = book
    this.#witness = witness
  }

  checkSending(
    event: Extract<StepEvent, { type: 'sent' }>,
    step: StepRead,
    note: StepNote,
    atMs: number,
  ): void {
    const violate = (rule: string, words: string): void =>
      this.#witness.violate(rule, `${this.#book.run}: ${titleOf(step)} is sent ${words}`)
    this.#met.clear()
    const { hosts, session, steps } = this.#book
    if (step.kind === 'prove') violate('R4', 'although it is only to be looked at')
    const isOld = (note.phase === 'failed' || note.phase === 'drifted') && note.session === session
    if (isOld) violate('R7', `again in the session in which it became ${note.phase}`)
    if (note.attempts >= attemptsPerSession) violate('R13', 'more often than a session may')
    const load = steps.filter(
      ({ phase }, at) => phase === 'sent' && this.#book.plan.steps[at]!.host === step.host,
    )
    if (load.length >= actionsPerHost) violate('R13', `beside ${load.length} others on its host`)
    const host = hosts.get(step.host)!
    if (host.kind !== 'claimed') violate('R8', `to a host that is ${host.kind}`)
    else if (host.grant !== event.grant || host.ledger !== event.ledger)
      violate('R8', 'under a grant that is not in force')
    this.#checkPolicy(violate)
    for (const before of step.follows)
      if (!this.#isEnded(before)) violate('R3', `before ${this.#name(before)} has ended`)
    for (const need of step.needs) {
      const lacking = this.#lacking(need, atMs, note.action === undefined ? undefined : instanceOf(step))
      if (lacking !== undefined) violate('R3', `although ${lacking}`)
    }
  }

  /** R7, R8. */
  #checkPolicy(violate: (rule: string, words: string) => void): void {
    const { steps, spare, session, policy, isStopping } = this.#book
    if (isStopping) violate('R7', 'after the run was told to stop')
    const due = [...this.#book.hosts].filter(([host]) => this.#isDue(host))
    if (due.some(([, { kind }]) => kind === 'fenced'))
      violate('R8', 'by a run that has lost a host to another')
    if (policy !== 'hold') return
    const unclaimed = due.find(([, { kind }]) => kind !== 'claimed')
    if (unclaimed !== undefined) violate('R7', `while ${unclaimed[0]} is ${unclaimed[1].kind}`)
    for (const [at, { phase, session: since }] of steps.entries()) {
      const isTrouble = (phase === 'failed' || phase === 'drifted') && since === session
      if (!spare.has(at) && (isTrouble || phase === 'unknown'))
        violate('R7', `while ${this.#name(at)} is ${phase}`)
    }
  }

  #isDue(host: string): boolean {
    if (this.#book.isGone(host)) return false
    const { kind } = this.#book.hosts.get(host)!
    if ((kind === 'silent' || kind === 'unclaimed') && this.#book.isGoingDown(host)) return false
    return this.#book.plan.steps.some(
      (step, at) => step.host === host && this.#book.steps[at]!.phase !== 'waived',
    )
  }

  /** Whether what a node needs is proven, apart from the age of proofs: then its own end counts. */
  #hasNeeds(node: number): boolean {
    return this.#book.plan.steps[node]!.needs.every((need) => this.#isMet(need))
  }

  /** Whether a node's own waits are over, apart from the age of proofs: then a waiver counts. */
  #isOpen(node: number): boolean {
    const { follows } = this.#book.plan.steps[node]!
    return this.#hasNeeds(node) && follows.every((before) => this.#isEnded(before))
  }

  #isMet(node: number): boolean {
    const join = this.#joinAt(node)
    if (join !== undefined) {
      const met = join.needs.filter((need) => this.#isMet(need)).length
      return (
        met >= (join.enough ?? join.needs.length) && join.follows.every((before) => this.#isEnded(before))
      )
    }
    // Of the many ways through a plan each node is judged once.
    const known = this.#met.get(node)
    if (known !== undefined) return known
    const { phase } = this.#book.steps[node]!
    const isMet = phase === 'done' ? this.#hasNeeds(node) : phase === 'waived' && this.#isOpen(node)
    this.#met.set(node, isMet)
    return isMet
  }

  #isEnded(node: number): boolean {
    const join = this.#joinAt(node)
    if (join !== undefined) return [...join.needs, ...join.follows].every((before) => this.#isEnded(before))
    const { phase } = this.#book.steps[node]!
    return phase === 'failed' || phase === 'drifted' || phase === 'done' || this.#isMet(node)
  }

  /**
   * What is missing of a proof, in words; undefined where nothing is.
   * @param begun an instance whose start has been sent before: that its own stop left it stopped is past
   */
  #lacking(node: number, atMs: number, begun: string | undefined): string | undefined {
    if (!this.#isMet(node)) return `${this.#name(node)} is not proven`
    const join = this.#joinAt(node)
    if (join !== undefined) {
      const lacking = join.needs
        .filter((need) => this.#isMet(need))
        .map((need) => this.#lacking(need, atMs, begun))
      const standing = lacking.filter((one) => one === undefined).length
      return standing >= (join.enough ?? join.needs.length)
        ? undefined
        : lacking.find((one) => one !== undefined)
    }
    const step = this.#book.plan.steps[node]!
    const goal = goalOf(step)
    if (goal === undefined || this.#book.steps[node]!.phase === 'waived' || instanceOf(step) === begun)
      return undefined
    // On a host that was halted nothing runs.
    if (this.#book.isGone(step.host) && goal === 'stopped') return undefined
    const flaw = this.#flawOf(step, goal, atMs)
    return flaw === undefined ? undefined : `${titleOf(step)} rests on a proof that ${flaw}`
  }

  /** What is wrong with the newest observation of a step's instance as a proof. */
  #flawOf(step: StepRead, goal: 'running' | 'stopped', atMs: number): string | undefined {
    const instance = instanceOf(step)
    const proof = this.#book.instances.get(instance)!.proof
    const settleMs = this.#book.settleMsOf(step)
    const host = this.#book.hosts.get(step.host)!
    if (proof === undefined) return 'does not exist'
    if (!isProofOf(goal, proof.observation, settleMs)) return `says ${proof.observation.state}`
    if (proof.session !== this.#book.session) return 'is of another session'
    if (host.kind !== 'claimed') return `is of a host that is ${host.kind}`
    if (proof.incarnation !== host.incarnation) return 'is of another process of the agent'
    if (proof.boot !== host.boot) return 'is of another boot of its host'
    const look = this.#witness.evidence.lookBehind(proof.observation)
    if (look === undefined) return 'nobody has seen'
    const ageMs = atMs - look.beganMs
    if (ageMs > proofAgeMs + settleMs) return `was seen ${Math.round(ageMs)} ms ago`
    const actedMs = this.#lastEffectMs(instance)
    if (look.beganMs < actedMs) return 'is older than the last action on it'
    const watchedMs = this.#witness.evidence.watchedMs(look)
    if (look.sighting.heldMs === undefined && watchedMs < settleMs)
      return `was watched for ${watchedMs} ms only`
    return undefined
  }

  #lastEffectMs(instance: string): number {
    const { plan, steps } = this.#book
    const times = plan.steps.map((step, at) => {
      const { action } = steps[at]!
      if (action === undefined || goalOf(step) === undefined || instanceOf(step) !== instance) return 0
      return this.#witness.effectAt(action) ?? 0
    })
    return Math.max(0, ...times)
  }

  #joinAt(node: number) {
    const { steps, joins } = this.#book.plan
    return joins[node - steps.length]
  }

  #name(node: number): string {
    const step = this.#book.plan.steps[node]
    return step === undefined ? `join ${node}` : titleOf(step)
  }
}
