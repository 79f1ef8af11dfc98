import { hostOf, type AuditHead, type AuditLog } from '@filo/protocol'
import type { Link, Recalled } from '../engine/link.ts'

/** How long a host's agent is waited for, milliseconds: what comes after in its chain waits for that long too. */
const answerTimeoutMs = 5000

/** Those who write the trail, as far as they can be asked what they have written. */
export interface Sources {
  /** Those that can be asked. */
  readonly names: readonly string[]
  /** The chain of this coordinator, where there is one. */
  readonly own: AuditLog | undefined
  /** The entries of a source after one number and up to another: the first of them, as many as come at once. Never throws. */
  recall(source: string, after: number, through: number): Promise<Recalled>
  /** How a source's chain ends; undefined where nobody says. Never throws. */
  head(source: string): Promise<AuditHead | undefined>
  /** Nobody answers any more, nor what was asked before. */
  close(): Promise<void>
}

/** The fleet's agents, by their coordinator's key, and the coordinator's own journal. */
export function sourcesOf(link: Link, own: AuditLog, names: readonly string[]): Sources {
  return {
    names,
    own,
    async recall(source, after, through) {
      if (source === own.source) return { kind: 'entries', entries: own.between({ after, through }) }
      const host = hostOf({ source })
      if (host === undefined) return { kind: 'silent', reason: `the journal of ${source} is not here` }
      return await link.recall(host, { after, through }, answerTimeoutMs)
    },
    async head(source) {
      if (source === own.source) return own.head()
      const host = hostOf({ source })
      if (host === undefined) return undefined
      const heard = await link.ask(host, 'observe', { services: [], settle: false }, answerTimeoutMs)
      return heard.kind === 'report' ? heard.report.head : undefined
    },
    close: () => link[Symbol.asyncDispose](),
  }
}

/** Where there is no key that agents obey, nobody can be asked. */
export function nobody(reason: string): Sources {
  return {
    names: [],
    own: undefined,
    recall: async () => ({ kind: 'silent', reason }),
    head: async () => undefined,
    close: async () => {},
  }
}
