import { openTransport, type AuditEvent } from '@filo/protocol'
import type { Context } from './context.ts'
import { endingSignal } from './ending-signal.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { loadFleet } from './load-fleet.ts'

/**
 * Prints audit events as JSON lines until it is told to end. Each is acknowledged once it has been written: after
 * a crash the last ones may come again, told apart by `source` and `sequence`, and none is missed.
 */
export async function followAudit(
  context: Context,
  { consumer, type, host }: { readonly consumer: string; readonly type?: string; readonly host?: string },
): Promise<ExitCode> {
  const { fleet, dir, file } = loadFleet(context)
  if (fleet.broker === 'local') {
    throw new Exit(
      exitCodes.refused,
      `${file} says "broker: local", and without a broker there is no event log to follow. ` +
        `The events are in the table audit_event of ${dir.journal} and of ${dir.host('HOST')}/ledger.db`,
    )
  }
  const ending = endingSignal()
  await using transport = await openTransport(fleet.broker, { name: `filo audit ${consumer}` })
  transport.onStatus((status) => {
    if (status.kind === 'disconnected') context.stderr.write(`filo: the broker is lost: ${status.reason}\n`)
    if (status.kind === 'connected') context.stderr.write('filo: the broker is back\n')
  })
  const filter = { ...(type !== undefined && { type }), ...(host !== undefined && { host }) }
  await using events = await transport.subscribe(consumer, filter, ending)
  for await (const delivery of events) {
    if (!(await writeEvent(delivery.event))) break
    delivery.acknowledge()
  }
  return exitCodes.done
}

/** Resolves when the system has taken the line; false when the reader is gone. */
async function writeEvent(event: AuditEvent): Promise<boolean> {
  return await new Promise((resolve) => {
    process.stdout.write(`${JSON.stringify(event)}\n`, (error) => resolve(!error))
  })
}
