import type { AuditEvent } from '@filo/protocol'

/** Where audit events go for somebody else to keep. */
export interface Sink extends AsyncDisposable {
  /**
   * Resolves when the event is kept, as far as the other side tells; only then it is acknowledged. Events are kept in
   * the order of the calls, and several may be under way. Throws SinkLost where trying again is of no use.
   */
  keep(event: AuditEvent): Promise<void>
}

/** Nothing can be kept there any more, and what was not kept comes again to whoever follows next. */
export class SinkLost extends Error {
  override name = 'SinkLost'
}

/** What is told to a person about a sink that cannot be reached for now. */
export type Trouble = (words: string) => void
