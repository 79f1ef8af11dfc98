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
