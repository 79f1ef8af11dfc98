import { instanceName, judge, type InstanceName, type Observation, type Sha256 } from '@filo/protocol'
import { isHostStep, isServiceStep, type Plan, type Step } from './plan.ts'

// What a plan would do, by one look at the fleet before it. Nothing is decided by it: the run looks again.

/** What was seen of a fleet before a plan; what `survey` of the engine gives. */
export interface Sights {
  readonly instances: ReadonlyMap<InstanceName, InstanceSight>
  readonly hosts: ReadonlyMap<string, HostSight>
}

type InstanceSight =
  | { readonly observation: Observation; readonly definition: Sha256 }
  | { readonly silence: string; readonly observation?: never }

type HostSight =
  | {
      readonly answered: true
      readonly heldBy?: { readonly run: string; readonly operator: string; readonly since: string }
    }
  | { readonly answered: false; readonly silence: string }

export interface Forecast {
  /** For each step of the plan, in its order. */
  readonly steps: readonly StepForecast[]
  readonly problems: readonly PlanProblem[]
}

/**
 * `change`: the step will act. `nothing`: it is already so. `hold`: what the step asks for is not so, and the plan
 * does not bring it about. `unclear`: nobody can say.
 */
export interface StepForecast {
  readonly kind: 'change' | 'nothing' | 'hold' | 'unclear'
  /** What the instance is doing now; absent where nobody says. */
  readonly now?: Observation['state']
}

/** What stands in the way of a plan, or what an administrator should know before it runs. */
export interface PlanProblem {
  readonly kind:
    | 'no-answer'
    | 'held'
    | 'unknown-service'
    | 'definition'
    | 'missing'
    | 'unknown'
    | 'hold'
    | 'warning'
  readonly host: string
  /** Absent where it is about the host as a whole. */
  readonly instance?: InstanceName
  readonly text: string
}

/** Predicts each step, and lists what is in its way. */
export function forecast(plan: Plan, sights: Sights): Forecast {
  const steps = forecastSteps(plan, sights)
  const problems = [...hostProblems(plan, sights), ...instanceProblems(plan, steps, sights)]
  return { steps, problems }
}

function forecastSteps(plan: Plan, sights: Sights): StepForecast[] {
  const stopsFirst = new Set(
    plan.steps.filter((step) => step.kind === 'stop').map((step) => instanceName(step.service, step.host)),
  )
  const forecasts = plan.steps.map((step): StepForecast => {
    if (isHostStep(step)) return { kind: sights.hosts.get(step.host)?.answered ? 'change' : 'unclear' }
    if (step.kind === 'hook') return { kind: 'unclear' }
    const name = instanceName(step.service, step.host)
    const observation = sights.instances.get(name)?.observation
    if (observation === undefined) return { kind: 'unclear' }
    const now = observation.state
    if (step.kind === 'start' && stopsFirst.has(name)) return { kind: 'change', now }
    const goal = step.kind === 'prove' ? step.goal : step.kind === 'start' ? 'running' : 'stopped'
    // Without the settle time: a look does not wait for it, and the run will.
    const verdict = judge(observation, goal, 0)
    if (verdict === 'silent') return { kind: 'unclear', now }
    if (verdict === 'proves') return { kind: 'nothing', now }
    return { kind: step.kind === 'prove' ? 'hold' : 'change', now }
  })
  // A hook runs exactly if the step that it belongs to has something to do.
  return plan.steps.map((step, index) =>
    step.kind === 'hook' ? { kind: forecasts[step.around]!.kind } : forecasts[index]!,
  )
}

function hostProblems(plan: Plan, { hosts }: Sights): PlanProblem[] {
  return [...new Set(plan.steps.map((step) => step.host))].flatMap((host): PlanProblem[] => {
    const sight = hosts.get(host)
    if (sight === undefined) return []
    if (!sight.answered) {
      const text = `${sight.silence}: what depends on it will be held. See: filo doctor`
      return [{ kind: 'no-answer', host, text }]
    }
    if (sight.heldBy === undefined) return []
    const { run, operator, since } = sight.heldBy
    const text = `held by ${run} of ${operator} since ${since}. See: filo show ${run}`
    return [{ kind: 'held', host, text }]
  })
}

function instanceProblems(plan: Plan, steps: readonly StepForecast[], sights: Sights): PlanProblem[] {
  const seen = new Set<InstanceName>()
  const left = leftToTheirBoots(plan)
  return plan.steps.flatMap((step, index): PlanProblem[] => {
    if (!isServiceStep(step)) return []
    const instance = instanceName(step.service, step.host)
    const isNew = !seen.has(instance)
    seen.add(instance)
    const sight = sights.instances.get(instance)
    const problem = (kind: PlanProblem['kind'], text: string): PlanProblem => ({
      kind,
      host: step.host,
      instance,
      text,
    })
    if (step.kind === 'prove' && steps[index]!.kind === 'hold') {
      return [problem('hold', notAsAsked(step, steps[index]!))]
    }
    if (!isNew || sight === undefined || !sights.hosts.get(step.host)?.answered) return []
    if (sight.observation === undefined) return [problem('unknown-service', sight.silence)]
    const { observation, definition } = sight
    if (definition !== plan.services[step.service]!.definition) {
      const text = `the agent of ${step.host} has another definition. Write it anew: filo agent-config ${step.host}`
      return [problem('definition', text)]
    }
    const { state, detail } = observation
    const told = [...(observation.warnings ?? []), ...(left.has(instance) ? [leftToItsBoot(state)] : [])]
    const warnings = told.map((text) => problem('warning', text))
    return state === 'missing' || state === 'unknown' ? [problem(state, detail), ...warnings] : warnings
  })
}

/** What the plan stops and does not start again although it boots its host. */
function leftToTheirBoots({ steps }: Plan): ReadonlySet<InstanceName> {
  const booting = new Set(steps.flatMap((step) => (step.kind === 'reboot' ? step.host : [])))
  const left = new Set<InstanceName>()
  for (const step of steps) {
    if (!isServiceStep(step) || !booting.has(step.host)) continue
    const name = instanceName(step.service, step.host)
    if (step.kind === 'stop') left.add(name)
    else left.delete(name)
  }
  return left
}

function leftToItsBoot(state: Observation['state']): string {
  return `it is ${state}, so the plan does not start it again; where it is enabled, it comes up with the boot all the same`
}

function notAsAsked({ goal }: Step & { kind: 'prove' }, { now }: StepForecast): string {
  return `it is ${now}, the plan needs it ${goal} and leaves it alone: the run would hold here`
}
