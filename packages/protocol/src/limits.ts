/**
 * R13: a limit on everything that a peer, a service or a file can make large. One place, so that a reader can
 * see all of them, and so that documents and tests cannot disagree with the code.
 */
export const limits = {
  /** An envelope as it travels, bytes. Checked before anything is parsed. */
  messageBytes: 64 * 1024,
  /** What is kept of a process's output: this much from its beginning and as much from its end, bytes. */
  outputHeadBytes: 8 * 1024,
  outputTailBytes: 8 * 1024,
  /** Services named in one command; more are asked for in several. */
  servicesPerMessage: 64,
  /** Actions asked about in one `inquire`. */
  actionsPerMessage: 16,
  /** Entries of an audit chain told again in one answer: so many, and of so many bytes as JSON. */
  entriesPerMessage: 64,
  entriesBytesPerMessage: 40 * 1024,
  /** A sentence for a person: a detail, a reason. Characters. */
  textChars: 500,
  /** Lines of output in one `progress`, and the length of each. */
  progressLines: 20,
  progressLineChars: 400,
  /** Processes named as holding a service. */
  processesNamed: 8,
  /** Ends of other sources' chains that one audit event keeps; more wait for the next. */
  headsPerEvent: 50,
  /** Nesting of a JSON document that came from outside. */
  jsonDepth: 16,
  /** Messages that wait in one mailbox, bytes. More are refused to their senders. */
  mailboxQueueBytes: 64 * 1024 * 1024,
  /** Audit events that wait for one consumer, bytes. The oldest make room: the source still has them. */
  eventQueueBytes: 256 * 1024 * 1024,
} as const

/** Cuts a text for a person to `chars`, and says so. */
export function cut(text: string, chars: number = limits.textChars): string {
  if (text.length <= chars) return text
  const kept = text.slice(0, chars - 16)
  // A cut between the two halves of a surrogate pair would make a string that is no valid Unicode.
  return `${kept.replace(/[\uD800-\uDBFF]$/, '')}… (cut)`
}

/** Throws RangeError: a message that is too large is never handed to a broker. */
export function refuseIfTooLarge(bytes: Uint8Array): void {
  if (bytes.length > limits.messageBytes) {
    throw new RangeError(`a message of ${bytes.length} bytes is over the limit of ${limits.messageBytes}`)
  }
}
