import type { InstanceName } from '@filo/protocol'
import type { Intention } from './plan.ts'

/** A start or stop that is done. */
export interface Effect {
  readonly kind: 'start' | 'stop'
  readonly instance: InstanceName
  /** Whether it took effect: the instance was not already where the step wanted it. */
  readonly isChange: boolean
}

export type Undo =
  | { readonly kind: 'intention'; readonly intention: Intention }
  /** The run changed nothing that it did not also change back. */
  | { readonly kind: 'nothing' }

/**
 * P5. The way back from a run, given what it did, in that order: it starts exactly what that run
 * stopped and did not start again, or stops exactly what it started. `only`, so that nothing else is touched: what
 * these need must be running, or what needs these stopped, without help.
 */
export function undoIntention(run: string, effects: readonly Effect[]): Undo {
  const changed = new Map<InstanceName, 'started' | 'stopped'>()
  for (const { kind, instance, isChange } of effects) {
    const now = kind === 'start' ? 'started' : 'stopped'
    // What was stopped and is started again is back where it was, and the other way round; by whomever it was started:
    // it may have come up with its host.
    if (changed.has(instance) && changed.get(instance) !== now) changed.delete(instance)
    else if (isChange) changed.set(instance, now)
  }
  const stopped = [...changed.keys()].filter((instance) => changed.get(instance) === 'stopped')
  // No verb both leaves something stopped and something started, so that one verb leads back.
  const selection = stopped.length > 0 ? stopped : [...changed.keys()]
  if (selection.length === 0) return { kind: 'nothing' }
  const verb = stopped.length > 0 ? 'start' : 'stop'
  return { kind: 'intention', intention: { verb, selection, labels: [], only: true, undoes: run } }
}
