import { openTransport, type Delivery, type EventFilter } from '@filo/protocol'
import { openSink } from '../sinks/open-sink.ts'
import { SinkLost, type Sink } from '../sinks/sink.ts'
import { brokerFor } from '../engine/accounts.ts'
import type { Context } from './context.ts'
import { endingSignal } from './ending-signal.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { loadFleet } from './load-fleet.ts'

export interface FollowOptions extends EventFilter {
  readonly consumer: string
  /** Where to; see `openSink`. */
  readonly to: string
  /** Bytes after which a file is put aside, and how many of those are kept. */
  readonly rotate: number
  readonly keep: number
  /** The file with a webhook's secret. */
  readonly secret?: string
}

/** Events that are on their way to a sink at once; the event log gives no more before they are kept. */
const inFlight = 64

/**
 * Hands audit events on until it is told to end. Each is acknowledged once it has been kept: after a crash the last ones
 * may come again, told apart by `source` and `sequence`, and none is missed.
 */
export async function followAudit(context: Context, options: FollowOptions): Promise<ExitCode> {
  const { fleet, dir, file } = loadFleet(context)
  if (fleet.broker === 'local') {
    throw new Exit(
      exitCodes.refused,
      `${file} says "broker: local", and without a broker there is no event log to follow. ` +
        `The events are in the table audit_event of ${dir.journal} and of ${dir.host('HOST')}/ledger.db`,
    )
  }
  const { consumer, to, rotate, keep, secret, ...filter } = options
  const ending = endingSignal()
  const say = (words: string): void => context.stderr.write(`filo: ${words}\n`)
  await using sink = await openSink(
    {
      to,
      rotation: { bytes: rotate, keep },
      secretFile: secret,
      cwd: context.cwd,
      stdout: process.stdout,
    },
    say,
  ).catch((error: unknown) => {
    if (error instanceof SinkLost) throw new Exit(exitCodes.configuration, error.message)
    throw error
  })
  await using transport = await openTransport(brokerFor(dir, fleet.broker, 'coordinator'), {
    name: `filo audit ${consumer}`,
  })
  transport.onStatus((status) => {
    if (status.kind === 'disconnected') say(`the broker is lost: ${status.reason}`)
    if (status.kind === 'connected') say('the broker is back')
  })
  const stop = new AbortController()
  await using events = await transport.subscribe(consumer, filter, AbortSignal.any([ending, stop.signal]))
  say(`following as "${consumer}"; Ctrl-C ends it`)
  try {
    await handOn(events, sink, () => stop.abort())
  } catch (error) {
    if (!(error instanceof SinkLost) || ending.aborted) throw error
    // A reader that is gone, as that of a pipe into head(1), has had what it wanted.
    if (to === '-') return exitCodes.done
    throw new Exit(
      exitCodes.internalError,
      `${error.message}. What was not kept comes again: filo audit follow --consumer ${consumer}`,
    )
  }
  return exitCodes.done
}

/** Ends with the events; throws what the sink throws, once nothing is on its way any more. */
async function handOn(events: AsyncIterable<Delivery>, sink: Sink, stop: () => void): Promise<void> {
  const keeping = new Set<Promise<void>>()
  let lost: unknown
  for await (const delivery of events) {
    const kept = sink
      .keep(delivery.event)
      .then(() => delivery.acknowledge())
      .catch((error: unknown) => {
        lost ??= error
        stop()
      })
      .finally(() => keeping.delete(kept))
    keeping.add(kept)
    if (keeping.size >= inFlight) await Promise.race(keeping)
  }
  await Promise.all(keeping)
  if (lost !== undefined) throw lost
}
