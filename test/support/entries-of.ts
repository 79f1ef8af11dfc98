import type { AuditEvent } from '@filo/protocol'
import { auditDocument } from '../../packages/coordinator/src/cli/audit-documents.ts'

/** All events of a journal, a ledger or a consumer's file, as they stand there. */
export function entriesOf(path: string): AuditEvent[] {
  return [...auditDocument(path).entries].map(({ text }) => JSON.parse(text) as AuditEvent)
}
