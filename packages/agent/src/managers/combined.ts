import type { Live, State } from '@filo/protocol'

/**
 * Many, at least one, seen as one: where all are, and otherwise what is under way before what is at rest. What is at
 * rest in part neither runs nor is stopped: it has failed to be either. Live is what any of them may be.
 */
export function combine(seen: readonly { readonly state: State; readonly live: Live }[]): {
  state: State
  live: Live
} {
  const states = new Set(seen.map(({ state }) => state))
  const lives = new Set(seen.map(({ live }) => live))
  const [common] = states
  const underWay = (['unknown', 'stopping', 'starting'] as const).find((state) => states.has(state))
  return {
    state: states.size === 1 ? common! : (underWay ?? 'failed'),
    live: lives.has('yes') ? 'yes' : lives.has('unknown') ? 'unknown' : 'no',
  }
}
