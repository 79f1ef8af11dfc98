import type { Colors } from './context.ts'
import { listing } from '../fleet/listing.ts'
import { reasonFor } from '../plan/explain.ts'
import type { Forecast, PlanProblem, StepForecast } from '../plan/forecast.ts'
import { stepName, type Intention, type Plan, type Step } from '../plan/plan.ts'
import { formatTable, type Cell } from './table.ts'

export interface PlanViewOptions {
  readonly colors: Colors
  /** Width of the terminal; absent where lines need not be cut. */
  readonly columns?: number
}

/** A plan for people: what it is, its steps in order with what each waits for, and what is in its way. */
export function planView(
  plan: Plan,
  forecast: Forecast | undefined,
  { colors, columns }: PlanViewOptions,
): string[] {
  const waits = new Waits(plan)
  const heading = ['#', 'step', 'after', ...(forecast ? ['now', 'would'] : []), 'why']
  const rows = plan.steps.map((step, index): Cell[] => [
    String(index + 1),
    stepName(step),
    waits.of(step),
    ...(forecast ? forecastCells(step, forecast.steps[index]!, colors) : []),
    { text: reasonFor(plan, index), paint: colors.dim },
  ])
  return [
    colors.bold(summary(plan, forecast)),
    '',
    ...formatTable(heading, rows, columns),
    ...(forecast ? problemLines(forecast.problems, colors) : []),
  ]
}

/** `stop the whole fleet lists: 6 steps on 4 hosts; 4 would act, 2 have nothing to do`. */
function summary(plan: Plan, forecast: Forecast | undefined): string {
  const hosts = new Set(plan.steps.map((step) => step.host)).size
  const size = `${counted(plan.steps.length, 'step')} on ${counted(hosts, 'host')}`
  const head = `${describeIntention(plan.intention, plan.fleet)}: ${size}`
  if (forecast === undefined) return `${head}; nobody was asked (--offline)`
  const tally = (kind: StepForecast['kind']) => forecast.steps.filter((step) => step.kind === kind).length
  if (tally('nothing') === plan.steps.length) return `${head}; all of it is already so`
  const tallies = [
    [tally('change'), 'would act'],
    [tally('nothing'), 'already so'],
    [tally('hold'), 'would hold'],
    [tally('unclear'), 'unclear'],
  ] as const
  const parts = tallies.filter(([count]) => count > 0).map(([count, words]) => `${count} ${words}`)
  return `${head}; ${parts.join(', ')}`
}

/** `stop mta@mail1 (and nothing else)`, as it was typed. */
export function describeIntention(
  { verb, selection, labels, only, undoes }: Intention,
  fleet: string,
): string {
  const all = verb === 'reboot' || verb === 'halt' ? 'all' : `the whole fleet ${fleet}`
  const what = selection.length === 0 ? all : selection.join(' ')
  const where = labels.length === 0 ? '' : ` on hosts with ${labels.join(' and ')}`
  // It names each instance that the run changed, which may be thousands.
  if (undoes !== undefined) return `the way back from ${undoes}: ${verb} ${listing(selection, 4)}`
  return `${verb} ${what}${where}${only ? ' (--only)' : ''}`
}

export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

function forecastCells(step: Step, { kind, now }: StepForecast, colors: Colors): Cell[] {
  const acts = step.kind === 'hook' ? 'run' : step.kind
  switch (kind) {
    case 'change':
      return [now ?? '', { text: acts, paint: colors.bold }]
    case 'nothing':
      return [now ?? '', { text: step.kind === 'prove' ? 'is proven' : 'nothing to do', paint: colors.dim }]
    case 'hold':
      return [now ?? '', { text: 'hold', paint: colors.red }]
    case 'unclear':
      return [now ?? '', { text: 'unclear', paint: colors.yellow }]
  }
}

function problemLines(problems: readonly PlanProblem[], colors: Colors): string[] {
  if (problems.length === 0) return []
  const lines = problems.map(({ kind, host, instance, text }) => {
    const paint = kind === 'warning' ? colors.yellow : colors.red
    return `  ${paint(instance ?? host)}: ${text}`
  })
  return ['', 'To know before it runs:', ...lines]
}

/** What steps wait for, as step numbers from 1; those behind a join are gathered once for all who share it. */
class Waits {
  readonly #plan: Plan
  readonly #texts = new Map<string, string>()

  constructor(plan: Plan) {
    this.#plan = plan
  }

  of({ needs, follows }: Step): string {
    const refs = [...needs, ...follows]
    const key = refs.join()
    const known = this.#texts.get(key)
    if (known !== undefined) return known
    const text = this.#describe(refs)
    this.#texts.set(key, text)
    return text
  }

  #describe(refs: readonly number[]): string {
    const { steps, joins } = this.#plan
    const all = new Set<number>()
    const some: string[] = []
    const queue = [...refs]
    const seen = new Set(queue)
    // The list grows while it is read.
    for (const ref of queue) {
      if (ref < steps.length) {
        all.add(ref + 1)
        continue
      }
      const { needs, follows, enough } = joins[ref - steps.length]!
      const inputs = [...needs, ...follows]
      if (enough !== undefined) some.push(`${enough} of ${this.#describe(inputs)}`)
      else {
        for (const input of inputs) {
          if (!seen.has(input)) queue.push(input)
          seen.add(input)
        }
      }
    }
    return [...ranges([...all].toSorted((a, b) => a - b)), ...some].join(', ')
  }
}

/** `1-3, 7`. */
function ranges(numbers: readonly number[]): string[] {
  const texts: string[] = []
  for (let at = 0; at < numbers.length;) {
    let end = at
    while (numbers[end + 1] === numbers[end]! + 1) end += 1
    texts.push(end === at ? `${numbers[at]}` : `${numbers[at]}-${numbers[end]}`)
    at = end + 1
  }
  return texts
}
