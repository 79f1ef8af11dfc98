import type { Standing } from './gates.ts'

/** Where a step stands (DESIGN section 6). A step never reached stays `waiting`: a resume carries on with it. */
export type Phase = 'waiting' | 'sent' | 'done' | 'failed' | 'unknown' | 'sealed' | 'drifted' | 'waived'

/** Whether there is nothing more to be done for a step in this phase, unless it drifts. */
export function isSettled(phase: Phase): boolean {
  return phase === 'done' || phase === 'waived'
}

/** Whether something may still be sent or observed for a step in this phase. */
export function isUnsettled(phase: Phase): boolean {
  return phase === 'waiting' || phase === 'sealed' || phase === 'failed' || phase === 'drifted'
}

/** What each phase means to those that wait for the step. */
export const standings: Record<Phase, Standing> = {
  waiting: { met: false, ended: false },
  sent: { met: false, ended: false },
  unknown: { met: false, ended: false },
  sealed: { met: false, ended: false },
  failed: { met: false, ended: true },
  drifted: { met: false, ended: true },
  done: { met: true, ended: true },
  waived: { met: true, ended: true },
}
