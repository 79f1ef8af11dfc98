import { digest, readBootId, systemClock, type Clock } from '@filo/protocol'
import { randomUUID } from 'node:crypto'
import type { Plan } from '../plan/plan.ts'
import type { Effect } from '../plan/undo.ts'
import { fold, type RunState } from '../run/run.ts'
import { execute, type RunWatcher, type SessionOptions } from './executor.ts'
import type { Journal, RunOwner, RunRecord } from './journal.ts'
import type { Link } from './link.ts'
import { newRunId } from './run-id.ts'

/** The run is being carried out by another process of this coordinator. */
export class RunInUse extends Error {
  override name = 'RunInUse'
  readonly run: string
  readonly owner: RunOwner | undefined

  constructor(run: string, owner: RunOwner | undefined) {
    super(`${run} is being carried out by another process`)
    this.run = run
    this.owner = owner
  }
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
 * Carries a run on, from wherever its journal says that it is. Throws RunInUse when another process does so already,
 * unless it is to be taken over; the lock of a process that died is free. Throws RunTakenOver.
 */
export async function carryOut(
  journal: Journal,
  link: Link,
  record: RunRecord,
  options: SessionOptions,
  watcher: RunWatcher,
  interrupt: AbortSignal,
): Promise<RunState> {
  const { run } = record
  using lock = options.takeOver === 'any' ? journal.takeLock(run) : journal.lock(run)
  if (lock === undefined) throw new RunInUse(run, journal.owner(run))
  const world = { clock: systemClock, journal, link, newId: randomUUID, boot: readBootId() }
  return await execute(world, record, options, watcher, interrupt)
}

/** The state of a run by its journal. */
export function stateOf(journal: Journal, record: RunRecord): RunState {
  return fold(record.plan, journal.events(record.run))
}

/** What a run did, in that order: what `undo` leads back from. */
export function effectsOf(journal: Journal, record: RunRecord): Effect[] {
  const effects: Effect[] = []
  for (const event of journal.events(record.run)) {
    if (event.type !== 'done') continue
    const step = record.plan.steps[event.step]!
    if (step.kind === 'start' || step.kind === 'stop') {
      const isChange = event.outcome === 'changed'
      effects.push({ kind: step.kind, instance: `${step.service}@${step.host}`, isChange })
    }
  }
  return effects
}
