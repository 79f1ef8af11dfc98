/** A plan as it stands in the journal, read by the checker's own eyes. */
export interface PlanRead {
  readonly services: Readonly<Record<string, { readonly settleMs: number }>>
  readonly steps: readonly StepRead[]
  readonly joins: readonly WaitsRead[]
}

interface WaitsRead {
  readonly needs: readonly number[]
  readonly follows: readonly number[]
  readonly enough?: number
}

export interface StepRead extends WaitsRead {
  readonly kind: 'start' | 'stop' | 'prove' | 'hook' | 'reboot' | 'halt'
  /** Not of a reboot or halt. */
  readonly service: string
  readonly host: string
  readonly goal?: 'running' | 'stopped'
  readonly at?: string
  readonly of?: string
}

/** What a step wants its instance to be. */
export function goalOf({ kind, goal }: StepRead): 'running' | 'stopped' | undefined {
  if (kind === 'start') return 'running'
  if (kind === 'stop') return 'stopped'
  return kind === 'prove' ? goal : undefined
}

export function isHostStep({ kind }: StepRead): boolean {
  return kind === 'reboot' || kind === 'halt'
}

/** The instance that a step is about; of a reboot or halt none, which nothing else is called. */
export function instanceOf({ service, host, of }: StepRead): string {
  return `${service ?? ''}@${of ?? host}`
}

export function titleOf(step: StepRead): string {
  if (isHostStep(step)) return `${step.kind} ${step.host}`
  return `${step.kind === 'hook' ? step.at! : step.kind} ${instanceOf(step)}`
}

/** The `prove` steps of which some others may stand in: all that wait for them ask for fewer than they name. */
export function spareSteps({ steps, joins }: PlanRead): ReadonlySet<number> {
  const isLenient = (join: WaitsRead): boolean => join.enough !== undefined && join.enough < join.needs.length
  const spare = new Set<number>()
  for (const [at, step] of steps.entries()) {
    if (step.kind !== 'prove') continue
    const waiters = [...steps, ...joins].filter(
      (node) => node.needs.includes(at) || node.follows.includes(at),
    )
    const isSpare = waiters.length > 0 && waiters.every((node) => isLenient(node) && node.needs.includes(at))
    if (isSpare) spare.add(at)
  }
  return spare
}
