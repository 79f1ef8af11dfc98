import { AuditTrail, type Allowance, type AuditFault, type TrailVerdict } from '@filo/protocol'
import { auditDocument, ownDocuments, Unreadable, type OpenDocument } from './audit-documents.ts'
import type { Colors, Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { loadFleet } from './load-fleet.ts'
import { printJson, printLines } from './print.ts'
import { formatTable } from './table.ts'

/**
 * Checks audit chains offline: those of the files, or the journal's of this fleet. Exits with 0 where all is as it was
 * written, 2 where something is not, 3 where a file could not be read and nothing else is wrong.
 */
export function verifyAudit(
  context: Context,
  files: readonly string[],
  { allow }: { readonly allow: readonly Allowance[] },
): ExitCode {
  const trail = new AuditTrail(allow)
  const documents =
    files.length === 0 ? ownDocuments(loadFleet(context)) : files.map((file) => () => [auditDocument(file)])
  const unread = takeAll(trail, documents)
  const verdict = trail.conclude()
  if (verdict.chains.length === 0 && verdict.faults.length === 0 && unread.length === 0) {
    throw new Exit(exitCodes.nothingMatched, 'there is no audit event in it: nothing was verified')
  }
  if (context.format === 'json') {
    printJson(context.stdout, { ...verdict, unread: unread.map(({ message }) => message) })
  } else printLines(context.stdout, verdictView(verdict, context.stdout.colors))
  for (const { message, isLocked } of unread) {
    context.stderr.write(`filo: ${message}\n${isLocked ? lockedAdvice : ''}`)
  }
  if (verdict.faults.length > 0) return exitCodes.failed
  return unread.length > 0 ? exitCodes.unknown : exitCodes.done
}

const lockedAdvice =
  'The agent that runs has its ledger to itself. Stop it for that long (systemctl stop filo-agent; no service is touched), ' +
  'or verify what a consumer has written: filo audit verify FILE\n'

/** What could not be read does not keep the rest from being verified. */
function takeAll(trail: AuditTrail, documents: readonly OpenDocument[]): Unreadable[] {
  const unread: Unreadable[] = []
  for (const open of documents) {
    try {
      for (const document of open()) trail.take(document)
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error
      unread.push(error)
    }
  }
  return unread
}

/** A row for each chain, then what is wrong: the first of it first. */
export function verdictView({ chains, faults }: TrailVerdict, colors: Colors): string[] {
  const rows = chains.map(({ document, source, first, last, repeats, isIntact }) => [
    source,
    `${first}–${last}`,
    isIntact ? { text: 'intact', paint: colors.green } : { text: 'broken', paint: colors.red },
    `${document}${repeats === 0 ? '' : ` (${repeats} came again)`}`,
  ])
  const table = chains.length === 0 ? [] : formatTable(['source', 'entries', 'is', 'in'], rows)
  if (faults.length === 0) return table
  return [...table, '', ...faults.map((fault) => colors.red(sentenceOf(fault)))]
}

/** `/agents/mail1 number 7 (audit.jsonl, line 9) is not what was hashed` */
function sentenceOf({ document, place, source, sequence, why }: AuditFault): string {
  const entry = source === undefined ? 'an entry' : `${source} number ${sequence ?? '?'}`
  return `${entry} (${document}, ${place}) ${why}`
}
