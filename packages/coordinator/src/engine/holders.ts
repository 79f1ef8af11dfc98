import type { Holder } from '@filo/protocol'
import type { Link } from './link.ts'

/** What a host's agent says of who holds the host. */
export type HostHold =
  | { readonly kind: 'free'; readonly host: string }
  | { readonly kind: 'held'; readonly host: string; readonly holder: Holder; readonly ageMs: number }
  | { readonly kind: 'silent'; readonly host: string; readonly silence: string }

/** Asks hosts who holds them, all side by side, and of nothing else; one that does not answer in time is silent. */
export async function askHolders(
  link: Link,
  hosts: Iterable<string>,
  timeoutMs: number,
): Promise<HostHold[]> {
  return await Promise.all(
    [...hosts].map(async (host): Promise<HostHold> => {
      const heard = await link.ask(host, 'observe', { services: [], settle: false }, timeoutMs)
      if (heard.kind === 'silent') return { kind: 'silent', host, silence: heard.reason }
      const { holder, clock } = heard.kind === 'report' ? heard.report : heard.refusal
      if (holder === null) return { kind: 'free', host }
      // By the host's own clock, which wrote `since` too: ours may be wrong.
      return { kind: 'held', host, holder, ageMs: Math.max(0, Date.parse(clock) - Date.parse(holder.since)) }
    }),
  )
}
