import { digest, systemClock, type Clock } from '@filo/protocol'
import { randomUUID } from 'node:crypto'
import type { Plan } from '../plan/plan.ts'
import type { Effect } from '../plan/undo.ts'
import { fold, type RunState } from '../run/run.ts'
import { execute, type RunWatcher, type SessionOptions } from './executor.ts'
import type { Journal, RunRecord } from './journal.ts'
import type { Link } from './link.ts'
import { newRunId } from './run-id.ts'

/** The run is being carried out by another process of this coordinator. */
export class RunInUse extends Error {
  override name = 'RunInUse'
}

/** The name of a plan: the SHA-256 of its canonical JSON (P1). */
export function planHash(plan: Plan): string {
  return digest(plan)
}

/** Makes a run of a plan, durably; nothing is done yet. */
export function orderRun(
  journal: Journal,
  plan: Plan,
  operator: string,
  reason: string | undefined,
  clock: Clock = systemClock,
): RunRecord {
  const now = clock.wall()
  const record: RunRecord = {
    run: newRunId(now),
    plan,
    planHash: planHash(plan),
    operator,
    reason,
    orderedAt: now.toISOString(),
  }
  const { verb, selection, undoes } = plan.intention
  journal.createRun(record, {
    type: 'filo.run.ordered',
    subject: record.run,
    data: {
      run: record.run,
      operator,
      ...(reason !== undefined && { reason }),
      plan: record.planHash,
      verb,
      selection,
      ...(undoes !== undefined && { undoes }),
    },
  })
  return record
}

/**
 * Carries a run on, from wherever its journal says that it is. Throws RunInUse when another process does so already;
 * the lock of a process that died is free.
 */
export async function carryOut(
  journal: Journal,
  link: Link,
  record: RunRecord,
  options: SessionOptions,
  watcher: RunWatcher,
  interrupt: AbortSignal,
): Promise<RunState> {
  using lock = journal.lock(record.run)
  if (lock === undefined) throw new RunInUse(`${record.run} is being carried out by another process`)
  const world = { clock: systemClock, journal, link, newId: randomUUID }
  return await execute(world, record, options, watcher, interrupt)
}

/** The state of a run by its journal. */
export function stateOf(journal: Journal, record: RunRecord): RunState {
  return fold(record.plan, journal.events(record.run))
}

/** What a run changed, in the order in which it did: what `undo` leads back from. */
export function effectsOf(journal: Journal, record: RunRecord): Effect[] {
  const effects: Effect[] = []
  for (const event of journal.events(record.run)) {
    if (event.type !== 'done' || event.outcome !== 'changed') continue
    const step = record.plan.steps[event.step]!
    if (step.kind === 'start' || step.kind === 'stop') {
      effects.push({ kind: step.kind, instance: `${step.service}@${step.host}` })
    }
  }
  return effects
}
