import type { RunReport } from '../run/report.ts'

/** Exit codes (DESIGN section 9); those from 64 on are sysexits(3). `filo status` alone follows LSB instead. */
export const exitCodes = {
  /** Done and proven; nothing to do counts. */
  done: 0,
  internalError: 1,
  /** A step failed. */
  failed: 2,
  /** Something is unknown or did not answer. */
  unknown: 3,
  nothingMatched: 4,
  /** Cancelled, or waiting for an operator, and nothing failed or is unknown. */
  resumable: 5,
  /** `plan --detailed-exitcode`: there are changes to make. */
  changes: 6,
  /** Done, with waivers. */
  waived: 7,
  usage: 64,
  /** The fleet file or the plan is refused. */
  refused: 65,
  brokerUnavailable: 69,
  /** Held by another run or another process. */
  inUse: 75,
  notPermitted: 77,
  configuration: 78,
  /** Interrupted, after an orderly end. */
  interrupted: 130,
} as const
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** Ends the command with words for the operator: what happened, what it means, what to type next. */
export class Exit extends Error {
  override name = 'Exit'
  readonly code: ExitCode

  constructor(code: ExitCode, words: string) {
    super(words)
    this.code = code
  }
}

/** What a command that carried out a run exits with. When several apply: 130, 2, 3, 5, 7, 0. */
export function exitCodeOf({ outcome, stopped, blockers }: RunReport): ExitCode {
  if (outcome === 'succeeded') return exitCodes.done
  if (outcome === 'waived') return exitCodes.waived
  // Ctrl-C that came too late to keep anything from being done has interrupted nothing.
  if (stopped?.why === 'interrupted') return exitCodes.interrupted
  switch (outcome) {
    case 'failed':
      return exitCodes.failed
    case 'unresolved':
    case 'interrupted':
      return exitCodes.unknown
    case 'refused':
      if (blockers.some(({ is, heldBy }) => heldBy || is === 'fenced')) return exitCodes.inUse
      return blockers.some(({ isForbidden }) => isForbidden)
        ? exitCodes.notPermitted
        : exitCodes.configuration
    case 'cancelled':
    case 'ordered':
    case 'running':
      return exitCodes.resumable
  }
}
