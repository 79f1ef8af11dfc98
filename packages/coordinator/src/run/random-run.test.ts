import { isDeepStrictEqual } from 'node:util'
import { instanceName, judge, type InstanceName } from '@filo/protocol'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { isServiceStep, settleMsOf, stepName, type Step } from '../plan/plan.ts'
import { attemptsPerSession, decide, outcomeOf, proofAgeMs, type Decision } from './decide.ts'
import { plans } from './random-plan.ts'
import { Play } from './random-run.ts'
import { reportOf } from './report.ts'
import { dueHosts } from './hosts.ts'
import { evolve, fold, goalOf, ImpossibleEvent, type RunState } from './run.ts'

// What must hold of every run of every plan, whatever its hosts answer, its operator does and its journal says: runs
// are driven by dice, mostly along what the run itself decides, and judged by rules written anew from DESIGN section 6.

/** As `toEqual` does, in a tenth of its time. */
function expectSame(one: unknown, other: unknown): void {
  if (!isDeepStrictEqual(one, other)) expect(one).toEqual(other)
}

/** All that is to be seen of a state, to compare it with another. */
function pictureOf({ plan, gates, ...state }: RunState): unknown {
  const nodes = [...plan.steps, ...plan.joins].map((_, node) => gates.isMet(node))
  return structuredClone({
    ...state,
    met: nodes,
    waysOpen: plan.steps.map((_, index) => gates.isOpen(index)),
  })
}

// ---- the rules, written anew ----------------------------------------------------------------------------------

/** Whether all that a step waits for is over. */
function isOpen(state: RunState, step: Pick<Step, 'needs' | 'follows'>): boolean {
  return step.needs.every((node) => isMet(state, node)) && step.follows.every((node) => isEnded(state, node))
}

function isMet(state: RunState, node: number): boolean {
  const { steps, joins } = state.plan
  if (node >= steps.length) {
    const { needs, follows, enough = needs.length } = joins[node - steps.length]!
    return (
      needs.filter((one) => isMet(state, one)).length >= enough && follows.every((one) => isEnded(state, one))
    )
  }
  const { phase } = state.steps[node]!
  const step = steps[node]!
  if (phase === 'done') return step.needs.every((need) => isMet(state, need))
  return phase === 'waived' && isOpen(state, step)
}

function isEnded(state: RunState, node: number): boolean {
  const { steps, joins } = state.plan
  if (node >= steps.length) {
    const { needs, follows } = joins[node - steps.length]!
    return [...needs, ...follows].every((one) => isEnded(state, one))
  }
  const { phase } = state.steps[node]!
  return phase === 'failed' || phase === 'drifted' || phase === 'done' || isMet(state, node)
}

/** What is kept beside the phases of the steps, taken from them anew. */
function keptOf(state: RunState): object {
  const where = (belongs: (phase: string, index: number) => boolean): number[] =>
    state.steps.flatMap(({ phase }, index) => (belongs(phase, index) ? [index] : []))
  const unsettled = new Set(['waiting', 'sealed', 'failed', 'drifted'])
  const isTrouble = (phase: string, index: number): boolean =>
    (phase === 'failed' || phase === 'drifted') && state.steps[index]!.session === state.session
  const due = state.plan.steps.filter((_, index) => state.steps[index]!.phase !== 'waived')
  return {
    open: where((phase, index) => unsettled.has(phase) && isOpen(state, state.plan.steps[index]!)),
    inFlight: where((phase) => phase === 'sent'),
    unknown: where((phase, index) => phase === 'unknown' && !state.spare.has(index)),
    troubled: where((phase, index) => isTrouble(phase, index) && !state.spare.has(index)),
    dueByHost: [...state.hosts.keys()].map((host) => due.filter((step) => step.host === host).length),
  }
}

function kept({ open, inFlight, unknown, troubled, dueByHost }: RunState): object {
  const sorted = (set: Set<number>): number[] => [...set].toSorted((one, other) => one - other)
  return {
    open: sorted(open),
    inFlight: sorted(inFlight),
    unknown: sorted(unknown),
    troubled: sorted(troubled),
    dueByHost: [...dueByHost.values()],
  }
}

/** The instance of a step that wants it somewhere. */
function instanceOf(step: Step): InstanceName | undefined {
  return isServiceStep(step) ? instanceName(step.service, step.host) : undefined
}

/** R3: whether the proof of a node that stands as met is good at this time. Nothing is asked of `past` any more. */
function isProven(state: RunState, node: number, past: InstanceName | undefined, nowMs: number): boolean {
  const { plan, instances, hosts, session } = state
  if (node >= plan.steps.length) {
    const { needs, enough = needs.length } = plan.joins[node - plan.steps.length]!
    return needs.filter((one) => isMet(state, one) && isProven(state, one, past, nowMs)).length >= enough
  }
  const step = plan.steps[node]!
  if (!isServiceStep(step) || state.steps[node]!.phase === 'waived') return true
  const name = instanceName(step.service, step.host)
  if (name === past) return true
  // On a host that has been halted nothing runs.
  if (state.gone.has(step.host)) return goalOf(step) === 'stopped'
  const instance = instances.get(name)
  const host = hosts.get(step.host)
  if (instance?.proof === undefined || host?.kind !== 'claimed') return false
  const { proof, lastAction } = instance
  const settleMs = settleMsOf(plan, step.service)
  return (
    proof.session === session &&
    nowMs - proof.askedAtMs <= proofAgeMs + settleMs &&
    proof.incarnation === host.incarnation &&
    proof.boot === host.boot &&
    (lastAction?.incarnation !== proof.incarnation || proof.answer >= lastAction.answer) &&
    judge(proof.observation, goalOf(step), settleMs) === 'proves'
  )
}

/** What is wrong with sending a step now; nothing if nothing is. */
function faultsOfSending(state: RunState, index: number, nowMs: number): string[] {
  const step = state.plan.steps[index]!
  const { phase, session, attempts, retryAtMs = nowMs, action } = state.steps[index]!
  const isAgain = (phase === 'failed' || phase === 'drifted') && session < state.session
  // A start that was sent has left behind it that its own stop left the instance stopped.
  const past = action === undefined ? undefined : instanceOf(step)
  const hosts = [...dueHosts(state)]
  const rules: Record<string, boolean> = {
    'it may have an action': phase === 'waiting' || phase === 'sealed' || isAgain,
    'its time has come': retryAtMs <= nowMs,
    'it was not tried too often': attempts < attemptsPerSession,
    'its host is ours': state.hosts.get(step.host)?.kind === 'claimed',
    'all that it waits for is over': isOpen(state, step),
    'all that it needs is proven': step.needs.every((node) => isProven(state, node, past, nowMs)),
    'nobody has stopped the run': state.stopping === null && state.ended === null,
    'no host was taken over': hosts.every(({ kind }) => kind !== 'fenced'),
    'nothing failed or is unknown':
      state.policy === 'continue' || state.troubled.size + state.unknown.size === 0,
    'every host has answered': state.policy === 'continue' || hosts.every(({ kind }) => kind === 'claimed'),
    'all that may have changed has been seen again': state.policy === 'continue' || state.reviews.size === 0,
    'it is an action': step.kind !== 'prove',
  }
  return Object.keys(rules).filter((rule) => !rules[rule])
}

function faultsOf(state: RunState, decision: Decision, nowMs: number): string[] {
  const { send, observe, unneeded, end } = decision
  const steps = [...send, ...unneeded].flatMap((index) =>
    faultsOfSending(state, index, nowMs).map(
      (fault) => `${stepName(state.plan.steps[index]!)}: not so: ${fault}`,
    ),
  )
  const isBusy = send.length + observe.length + unneeded.length + state.inFlight.size > 0
  return end !== null && isBusy ? [...steps, 'it ends in the middle'] : steps
}

/** R10: the best that may be said of a run. */
function bestOutcome({ steps, spare, reviews }: RunState): string[] {
  const phasesOf = new Set(steps.filter((_, index) => !spare.has(index)).map(({ phase }) => phase))
  if (phasesOf.has('failed') || phasesOf.has('drifted')) return ['failed']
  if (phasesOf.has('unknown') || phasesOf.has('sent')) return ['unresolved']
  if (phasesOf.has('waiting') || phasesOf.has('sealed'))
    return ['refused', 'unresolved', 'cancelled', 'failed']
  if (reviews.size > 0) return ['unresolved']
  return [steps.some(({ phase }) => phase === 'waived') ? 'waived' : 'succeeded']
}

const runs = fc.record({
  plan: plans,
  dice: fc.infiniteStream(fc.nat(1_000_000)),
  moves: fc.integer({ min: 5, max: 80 }),
})

/** Plays runs and looks at each after every so many moves. */
function everyRun(look: (play: Play) => void, apart = 1): void {
  fc.assert(
    fc.property(runs, ({ plan, dice, moves }) => {
      const play = new Play(plan, dice)
      for (let move = 0; move < moves; move += 1) {
        play.move()
        if (move % apart === 0) look(play)
      }
    }),
    { numRuns: 200 },
  )
}

test('whatever happens to a run, what it keeps beside its steps says the same as they do', () => {
  everyRun(({ state }) => expectSame(kept(state), keptOf(state)))
})

test('folding the journal as far as it goes gives the live state, after any event', () => {
  everyRun(({ plan, state, events }) => {
    expectSame(pictureOf(fold(plan, events)), pictureOf(state))
  }, 7)
})

const ofNewest: ReadonlySet<string> = new Set(['done', 'failed', 'unknown', 'sealed', 'running'])

test('an event that no run would write is refused and changes nothing, or is about the newest action', () => {
  everyRun((play) => {
    const step = play.roll(play.plan.steps.length + 1)
    const state = fold(play.plan, play.events)
    const newest = state.steps[step]?.action?.id
    const event = play.forgery(step)
    try {
      evolve(state, event)
      if (ofNewest.has(event.type)) expect(event).toMatchObject({ action: newest })
      expectSame(kept(state), keptOf(state))
    } catch (error) {
      if (!(error instanceof ImpossibleEvent)) throw error
      expectSame(pictureOf(state), pictureOf(play.state))
    }
  }, 6)
})

test('no step is sent whose needs are not proven, whose host is not held, or after trouble', () => {
  everyRun(({ state, nowMs }) => expectSame(faultsOf(state, decide(state, nowMs), nowMs), []))
})

test('to decide changes nothing', () => {
  everyRun(({ state, nowMs }) => {
    const before = pictureOf(state)
    expectSame(decide(state, nowMs), decide(state, nowMs))
    expectSame(pictureOf(state), before)
  }, 5)
})

test('an outcome is never better than the steps, and a report counts them all and says what to type', () => {
  const ordered = {
    run: 'r1',
    planHash: '0'.repeat(64),
    operator: 'alice',
    orderedAt: '2026-11-20T03:15:00.000Z',
  }
  everyRun(({ plan, state }) => {
    const outcome = outcomeOf(state)
    expect(bestOutcome(state)).toContain(outcome)
    const report = reportOf({ ...ordered, plan, reason: undefined }, state, false)
    const { steps, ...counts } = report.counts
    expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(steps)
    const isOver = report.outcome === 'succeeded' || report.outcome === 'waived'
    expect(report.next.length > 0).toBe(!isOver)
  }, 3)
})
