import type { Redactor } from '@filo/protocol'
import { pino, type DestinationStream, type Logger, type LoggerOptions } from 'pino'

/** A log in JSON lines, in which no secret stands: what failed may quote what a service said. */
export function openLog(redactor: Redactor, options: LoggerOptions, destination: DestinationStream): Logger {
  return pino({ ...options, hooks: { streamWrite: (line) => redactor.redactJson(line) } }, destination)
}
