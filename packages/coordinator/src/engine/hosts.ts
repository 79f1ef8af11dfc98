import {
  hookName,
  instanceName,
  limits,
  powerName,
  type Clock,
  type InstanceName,
  type Sha256,
  type Task,
} from '@filo/protocol'
import { isHostStep, settleMsOf, stepName, type Plan, type Step } from '../plan/plan.ts'
import { isDueHost } from '../run/hosts.ts'
import { type RunState } from '../run/run.ts'
import type { RunRecord } from './journal.ts'
import type { ActAnswer, Content, Heard, Link } from './link.ts'

/** What was heard of a host, for the executor's loop. */
export type HostWord =
  | { readonly kind: 'claim-heard'; readonly host: string; readonly heard: Heard }
  | {
      readonly kind: 'observe-heard'
      readonly host: string
      readonly services: readonly string[]
      readonly heard: Heard
    }
  | { readonly kind: 'inquire-heard'; readonly step: number; readonly action: string; readonly heard: Heard }
  | { readonly kind: 'act-heard'; readonly step: number; readonly action: string; readonly answer: ActAnswer }
  | { readonly kind: 'act-lost'; readonly step: number; readonly action: string; readonly reason: string }

/** How long a claim, an inquiry, a seal may take. An agent answers these at once, or not at all. */
const answerTimeoutMs = 5000
/** An observation may wait for a slow status command; the services' settle time comes on top. */
const observeTimeoutMs = 20_000
const releaseTimeoutMs = 2000
const releaseAgainMs = 100
/** Silence after which a claim is renewed: a third of the lease, so that a lost message costs nothing (R8). */
const renewAfterMs = 10_000
const claimAgainMs = 1000
/** Until then somebody else may have got the host, or given it back, between an answer and the next claim. */
const claimAttempts = 4
/** R11: silence about an action after which it is asked about; and how often once it is unknown. */
const inquireAfterMs = 10_000
const inquireAgainMs = 2000
/** How soon an observation that proved nothing is asked for again. */
const observeAgainMs = 500
const tendEveryMs = 100

interface HostLine {
  readonly definitions: ReadonlyMap<string, Sha256>
  /** Its steps, by their numbers. */
  readonly steps: readonly number[]
  beacon: string | undefined
  incarnation: string | undefined
  /** Over when the answer to a claim is there, or known not to come. */
  claiming: Promise<void> | undefined
  /** What we were given and have not given back, as far as we know; that the host was silent since does not void it. */
  grant: number | undefined
  claimAtMs: number
}

/** The executor's conversations with the hosts of a plan: who is asked what, when, and when again. */
export class Hosts {
  readonly #link: Link
  readonly #clock: Clock
  readonly #run: string
  readonly #plan: Plan
  readonly #takeOver: 'no' | 'run' | 'any'
  readonly #hear: (word: HostWord) => void
  readonly #lines = new Map<string, HostLine>()
  readonly #proveSteps = new Map<InstanceName, number[]>()
  /** Per instance: when it may be observed again; Infinity while an answer is awaited. */
  readonly #observeAtMs = new Map<InstanceName, number>()
  /** Per step in flight or unknown: when it is asked about; Infinity while an answer is awaited. */
  readonly #inquireAtMs = new Map<number, number>()
  /** Per step what was sent last in this session. */
  readonly #newestAction = new Map<number, string>()
  #tendAtMs = 0
  #isOver = false

  constructor(
    { link, clock }: { readonly link: Link; readonly clock: Clock },
    { run, plan }: RunRecord,
    takeOver: 'no' | 'run' | 'any',
    hear: (word: HostWord) => void,
  ) {
    this.#link = link
    this.#clock = clock
    this.#run = run
    this.#plan = plan
    this.#takeOver = takeOver
    this.#hear = hear
    const steps = Map.groupBy(plan.steps.keys(), (index) => plan.steps[index]!.host)
    for (const [host, definitions] of definitionsByHost(plan)) {
      this.#lines.set(host, {
        definitions,
        steps: steps.get(host)!,
        beacon: undefined,
        incarnation: undefined,
        claiming: undefined,
        grant: undefined,
        claimAtMs: 0,
      })
    }
    plan.steps.forEach((step, index) => {
      if (step.kind !== 'prove') return
      const name = instanceName(step.service, step.host)
      this.#proveSteps.set(name, [...(this.#proveSteps.get(name) ?? []), index])
    })
  }

  proveStepsOf(name: InstanceName): readonly number[] {
    return this.#proveSteps.get(name) ?? []
  }

  /** What is wrong with the definitions that a host's agent has, if the plan relies on others. */
  objectionTo(host: string, told: Readonly<Record<string, Sha256>>): string | undefined {
    const wanted = [...this.#lines.get(host)!.definitions]
    const wrong = wanted.filter(([name, digest]) => told[name] !== digest).map(([name]) => name)
    return wrong.length === 0 ? undefined : knownOtherwise(host, wrong)
  }

  /** Sends an action that the journal has as sent. @param boot the one that a reboot or halt is to end */
  act(step: number, action: string, grant: number, boot: string): void {
    const planned = this.#plan.steps[step]!
    if (planned.kind === 'prove') throw new Error('a prove step has no action')
    const line = this.#lines.get(planned.host)!
    this.#inquireAtMs.set(step, this.#clock.sinceBoot() + inquireAfterMs)
    this.#newestAction.set(step, action)
    const attempt = { run: this.#run, step: stepName(planned), action, grant, beacon: line.beacon ?? '' }
    const content = { ...attempt, ...this.#taskOf(planned, boot) }
    this.#link
      .act(planned.host, content, (answer) => {
        this.#keepBeacon(planned.host, answer.body)
        // A late word of an earlier attempt is none of this one.
        const isOfNewest = this.#newestAction.get(step) === action
        if (isOfNewest) this.#inquireAtMs.set(step, this.#clock.sinceBoot() + inquireAfterMs)
        this.#hear({ kind: 'act-heard', step, action, answer })
      })
      .catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error)
        this.#inquireAtMs.set(step, this.#clock.sinceBoot())
        this.#hear({ kind: 'act-lost', step, action, reason })
      })
  }

  #taskOf(step: Exclude<Step, { kind: 'prove' }>, boot: string) {
    if (isHostStep(step)) return { verb: step.kind, boot, definition: step.definition }
    const { service } = step
    if (step.kind === 'hook') return { verb: step.kind, service, hook: step.at, definition: step.definition }
    return { verb: step.kind, service, definition: this.#plan.services[service]!.definition }
  }

  /** Observes the instances of these steps, each host asked once for all of its own. */
  observe(steps: readonly number[], nowMs: number): void {
    const byHost = new Map<string, string[]>()
    for (const index of steps) {
      const step = this.#plan.steps[index]!
      if (isHostStep(step)) throw new Error('a host is not observed, but asked for')
      const { service, host } = step
      const name = instanceName(service, host)
      if ((this.#observeAtMs.get(name) ?? 0) > nowMs) continue
      this.#observeAtMs.set(name, Number.POSITIVE_INFINITY)
      const services = byHost.get(host)
      if (services === undefined) byHost.set(host, [service])
      else services.push(service)
    }
    for (const [host, all] of byHost) {
      for (let at = 0; at < all.length; at += limits.servicesPerMessage) {
        const services = all.slice(at, at + limits.servicesPerMessage)
        const settleMs = Math.max(...services.map((service) => settleMsOf(this.#plan, service)))
        const timeoutMs = observeTimeoutMs + settleMs
        void this.#ask(host, 'observe', { services, settle: true }, timeoutMs).then((heard) => {
          const againMs = this.#clock.sinceBoot() + observeAgainMs
          for (const service of services) this.#observeAtMs.set(instanceName(service, host), againMs)
          this.#hear({ kind: 'observe-heard', host, services, heard })
        })
      }
    }
  }

  /** Asks what time makes due: claims and their renewal, and what became of actions. */
  tend(state: RunState, nowMs: number): void {
    if (nowMs < this.#tendAtMs) return
    this.#tendAtMs = nowMs + tendEveryMs
    for (const [host, line] of this.#lines) {
      const known = state.hosts.get(host)!
      if (!isDueHost(state, host)) continue
      if (known.kind === 'refused' || known.kind === 'fenced') continue
      if (line.claiming === undefined && nowMs >= line.claimAtMs) this.#claim(host, line, state)
    }
    for (const step of state.inFlight) this.#inquireWhenDue(state, step, nowMs)
    for (const step of state.unknown) this.#inquireWhenDue(state, step, nowMs)
  }

  /** Claims a host again without waiting for its renewal: something about it has changed. */
  claimSoon(host: string): void {
    const line = this.#lines.get(host)!
    line.claimAtMs = Math.min(line.claimAtMs, this.#clock.sinceBoot())
    this.#tendAtMs = 0
  }

  /** Asks about an action without waiting for its turn: something about its host has changed. */
  inquireSoon(step: number): void {
    const atMs = this.#inquireAtMs.get(step) ?? 0
    // A question that is under way sets the time of the next one itself.
    if (Number.isFinite(atMs)) this.#inquireAtMs.set(step, 0)
    this.#tendAtMs = 0
  }

  /** A host that has gone down gives nothing back. */
  forget(host: string): void {
    this.#lines.get(host)!.grant = undefined
  }

  /** Bars an action of which the agent has never heard. */
  seal(step: number, action: string, grant: number): void {
    const { host } = this.#plan.steps[step]!
    this.#inquireAtMs.set(step, Number.POSITIVE_INFINITY)
    void this.#ask(host, 'seal', { run: this.#run, action, grant }, answerTimeoutMs).then((heard) => {
      this.#inquireAtMs.set(step, this.#clock.sinceBoot() + inquireAgainMs)
      this.#hear({ kind: 'inquire-heard', step, action, heard })
    })
  }

  /** Cuts an action short; what becomes of it is heard as its result. */
  abort(state: RunState, step: number): void {
    const { host } = this.#plan.steps[step]!
    const { action } = state.steps[step]!
    const known = state.hosts.get(host)
    if (action === undefined || known?.kind !== 'claimed') return
    const content = { run: this.#run, action: action.id, grant: known.grant }
    void this.#ask(host, 'abort', content, answerTimeoutMs)
  }

  /**
   * Gives all hosts back, those too whose grant is still under way. A host that does not hear of it in time gives
   * itself back when the lease ends.
   */
  async release(): Promise<void> {
    this.#isOver = true
    const given = [...this.#lines].map(async ([host, { grant }]) => {
      if (grant !== undefined) await this.giveBack(host, grant)
    })
    const claiming = [...this.#lines.values()].map((line) => line.claiming)
    const bound = new AbortController()
    const timeUp = this.#clock.sleep(releaseTimeoutMs, bound.signal).catch(() => {})
    await Promise.race([Promise.all([...given, ...claiming]), timeUp])
    bound.abort('it is over')
  }

  /**
   * An answer is not awaited: whatever is said to the agent from now on comes after it, and if it is lost the lease
   * ends by itself.
   */
  async giveBack(host: string, grant: number): Promise<void> {
    this.#lines.get(host)!.grant = undefined
    const deadlineMs = this.#clock.sinceBoot() + releaseTimeoutMs
    for (;;) {
      try {
        return await this.#link.tell(host, 'release', { run: this.#run, grant })
      } catch {
        // An agent that is being restarted hears nothing for a moment.
        if (this.#clock.sinceBoot() >= deadlineMs) return
        await this.#clock.sleep(releaseAgainMs)
      }
    }
  }

  #claim(host: string, line: HostLine, state: RunState): void {
    line.claimAtMs = Number.POSITIVE_INFINITY
    // Once it is ours it is only renewed: what took over a host does so once, and what its policy forbids from then on
    // it refuses when it is asked to do it.
    const isFirst = line.incarnation === undefined
    const takeOver = isFirst ? this.#takeOver : 'no'
    const tasks = isFirst ? this.#tasksOn(line, state) : []
    line.claiming = this.#claimAll(host, line, takeOver, tasks).then(async (heard) => {
      line.claiming = undefined
      const isHeard = heard.kind !== 'silent'
      line.claimAtMs = Math.min(
        line.claimAtMs,
        this.#clock.sinceBoot() + (isHeard ? renewAfterMs : claimAgainMs),
      )
      if (heard.kind === 'report') line.incarnation = heard.report.incarnation
      const grant = heard.kind === 'report' ? heard.report.holder?.grant : undefined
      if (grant !== undefined) line.grant = grant
      if (this.#isOver && grant !== undefined) await this.giveBack(host, grant)
      else this.#hear({ kind: 'claim-heard', host, heard })
    })
  }

  /** What the host is still going to be asked to do. */
  #tasksOn(line: HostLine, state: RunState): Task[] {
    return line.steps.flatMap((index): Task[] => {
      const step = this.#plan.steps[index]!
      const { phase } = state.steps[index]!
      const isToCome = phase !== 'sent' && phase !== 'unknown' && phase !== 'done' && phase !== 'waived'
      if (step.kind === 'prove' || !isToCome) return []
      if (isHostStep(step)) return [{ verb: step.kind }]
      const { service } = step
      return [step.kind === 'hook' ? { verb: 'hook', service, hook: step.at } : { verb: step.kind, service }]
    })
  }

  /** One claim for each batch of definitions and tasks; the last answer, with the digests of all. */
  async #claimAll(
    host: string,
    line: HostLine,
    takeOver: 'no' | 'run' | 'any',
    allTasks: readonly Task[],
  ): Promise<Heard> {
    const names = [...line.definitions.keys()]
    let told: Record<string, Sha256> = {}
    for (let at = 0; ; at += limits.servicesPerMessage) {
      const definitions = names.slice(at, at + limits.servicesPerMessage)
      const tasks = allTasks.slice(at, at + limits.servicesPerMessage)
      const heard = await this.#claimOnce(host, line, { run: this.#run, takeOver, definitions, tasks })
      if (heard.kind !== 'report') return heard
      // Also where the next batch is refused: then it has to be given back.
      if (heard.report.holder !== null) line.grant = heard.report.holder.grant
      told = { ...told, ...heard.report.definitions }
      const isLast = at + limits.servicesPerMessage >= Math.max(names.length, allTasks.length)
      if (isLast) return { ...heard, report: { ...heard.report, definitions: told } }
    }
  }

  /** A host gives itself only to who quotes a new beacon of its agent, which a first answer tells. */
  async #claimOnce(host: string, line: HostLine, content: Omit<Content<'claim'>, 'beacon'>): Promise<Heard> {
    for (let attempt = 1; ; attempt += 1) {
      const heard = await this.#ask(host, 'claim', { ...content, beacon: line.beacon ?? '' }, answerTimeoutMs)
      const isOutdated = heard.kind === 'refusal' && heard.refusal.reason === 'beacon'
      if (!isOutdated) return heard
      if (attempt < claimAttempts) continue
      const { askedAtMs, refusal } = heard
      return {
        kind: 'silent',
        cause: 'no-answer',
        reason: `${host} gives itself to others: ${refusal.detail}`,
        askedAtMs,
      }
    }
  }

  #inquireWhenDue(state: RunState, step: number, nowMs: number): void {
    const { host } = this.#plan.steps[step]!
    const { action } = state.steps[step]!
    if (action === undefined || nowMs < (this.#inquireAtMs.get(step) ?? 0)) return
    const known = state.hosts.get(host)!
    if (known.kind === 'unclaimed' || known.kind === 'silent') {
      const reason = known.kind === 'unclaimed' ? `${host} has not answered yet` : known.reason
      // What is unknown already is asked about as soon as its host answers.
      if (!state.inFlight.has(step)) return
      this.#inquireAtMs.set(step, nowMs + inquireAgainMs)
      this.#hear({ kind: 'act-lost', step, action: action.id, reason })
      return
    }
    this.#inquireAtMs.set(step, Number.POSITIVE_INFINITY)
    const content = { run: this.#run, actions: [action.id] }
    void this.#ask(host, 'inquire', content, answerTimeoutMs).then((heard) => {
      this.#inquireAtMs.set(step, this.#clock.sinceBoot() + inquireAgainMs)
      this.#hear({ kind: 'inquire-heard', step, action: action.id, heard })
    })
  }

  readonly #ask: Link['ask'] = async (host, type, content, timeoutMs) => {
    const heard = await this.#link.ask(host, type, content, timeoutMs)
    if (heard.kind === 'silent') return heard
    this.#keepBeacon(host, heard.kind === 'report' ? heard.report : heard.refusal)
    // Every question that was answered renewed the claim.
    const line = this.#lines.get(host)!
    if (line.claiming === undefined) line.claimAtMs = Math.max(line.claimAtMs, heard.askedAtMs + renewAfterMs)
    return heard
  }

  /** Keeps the newest beacon, and notices that an agent has been restarted. */
  #keepBeacon(host: string, voice: { readonly beacon: string; readonly incarnation: string }): void {
    const line = this.#lines.get(host)!
    line.beacon = voice.beacon
    if (line.incarnation !== undefined && line.incarnation !== voice.incarnation) this.claimSoon(host)
  }
}

/** Why a host's agent must not act by these definitions for the plan, and what to type. */
export function knownOtherwise(host: string, definitions: readonly string[]): string {
  const known = definitions.map((name) => (name === powerName ? 'how to reboot and halt it' : name))
  return `the agent of ${host} knows ${known.join(', ')} otherwise or not at all: write it its configuration anew (filo agent-config ${host})`
}

function definitionsByHost(plan: Plan): Map<string, Map<string, Sha256>> {
  const hosts = new Map<string, Map<string, Sha256>>()
  for (const step of plan.steps) {
    let definitions = hosts.get(step.host)
    if (definitions === undefined) hosts.set(step.host, (definitions = new Map()))
    if (isHostStep(step)) definitions.set(powerName, step.definition)
    else if (step.kind === 'hook') definitions.set(hookName(step.service, step.at), step.definition)
    else definitions.set(step.service, plan.services[step.service]!.definition)
  }
  return hosts
}
