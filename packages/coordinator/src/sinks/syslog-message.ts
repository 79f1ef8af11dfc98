import { hostname } from 'node:os'
import type { AuditEvent } from '@filo/protocol'

// RFC 5424, The Syslog Protocol.

/** Section 6.2.1: security and authorization messages, where sudo(8) and sshd(8) write too. */
const facility = { name: 'authpriv', code: 10 }

/** Section 6.2.1. */
const error = { name: 'err', code: 3 }
const warning = { name: 'warning', code: 4 }
const severities = {
  failure: error,
  unknown: warning,
  refused: warning,
  success: { name: 'notice', code: 5 },
}

/** The enterprise number that RFC 5612 sets aside for documentation: Filo has none of its own. */
const structuredDataId = 'filo@32473'

function severityOf(event: AuditEvent): (typeof severities)['success'] {
  return severities[event.data.outcome ?? 'success']
}

/** As logger(1) takes it: `authpriv.notice`. */
export function priorityName(event: AuditEvent): string {
  return `${facility.name}.${severityOf(event).name}`
}

/** One event as one syslog message; the whole event is its text. */
export function syslogMessage(event: AuditEvent): string {
  const header = `<${facility.code * 8 + severityOf(event).code}>1 ${event.time} ${field(hostname(), 255)} filo ${process.pid} ${field(event.type, 32)}`
  return `${header} ${structuredData(event)} ${JSON.stringify(event)}`
}

function structuredData(event: AuditEvent): string {
  const parameters = {
    source: event.source,
    sequence: String(event.sequence),
    subject: event.subject,
    ...(event.data.run !== undefined && { run: event.data.run }),
  }
  const text = Object.entries(parameters).map(([name, value]) => ` ${name}="${escape(value)}"`)
  return `[${structuredDataId}${text.join('')}]`
}

/** Section 6.3.3: these three, and no others. */
function escape(value: string): string {
  return value.replaceAll(/["\\\]]/g, String.raw`\$&`)
}

/** Section 6: printable US-ASCII without blanks, cut to what a field may have. */
function field(text: string, length: number): string {
  return text.replaceAll(/[^!-~]/g, '_').slice(0, length) || '-'
}
