import { Relay, selects, systemClock, type AuditLog, type EventFilter, type Transport } from '@filo/protocol'
import { openBroker } from '../engine/broker.ts'
import { fleetKeys, openLink } from '../engine/connection.ts'
import { KeyError } from '../engine/keys.ts'
import { Follower, type FollowerWorld } from '../follow/follower.ts'
import { Keeper } from '../follow/keeper.ts'
import { PlacesInUse, Places } from '../follow/places.ts'
import { nobody, sourcesOf } from '../follow/sources.ts'
import { openSink } from '../sinks/open-sink.ts'
import { SinkLost, type Sink } from '../sinks/sink.ts'
import { openJournal } from './connection.ts'
import type { Context } from './context.ts'
import { endingSignal } from './ending-signal.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { loadFleet, type LoadedFleet } from './load-fleet.ts'

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

/** How long another process that follows as the same consumer is left alone before it is looked for again. */
const standByMs = 1000
/** How long what is on its way to be kept is waited for at the end. */
const partingMs = 3000
/** How long events about gaps may take to the broker; what is left is relayed by the next command. */
const drainMs = 3000

/**
 * Hands audit events on until it is told to end. Each is acknowledged once it has been kept: after a crash the last ones
 * may come again, told apart by `source` and `sequence`, and none is missed: what the broker did not deliver is asked for
 * from its source.
 */
export async function followAudit(context: Context, options: FollowOptions): Promise<ExitCode> {
  const loaded = loadFleet(context)
  const { fleet, dir, file } = loaded
  if (fleet.broker === 'local') {
    throw new Exit(
      exitCodes.refused,
      `${file} says "broker: local", and without a broker there is no event log to follow. ` +
        `The events are in the table audit_event of ${dir.journal} and of ${dir.host('HOST')}/ledger.db`,
    )
  }
  const { consumer, to } = options
  const ending = endingSignal()
  const say = (words: string): void => context.stderr.write(`filo: ${words}\n`)
  using places = await openPlaces(loaded, consumer, say, ending)
  if (places === undefined) return exitCodes.done
  await using sinks = new AsyncDisposableStack()
  const sink = sinks.use(await openSinkOf(context, options, say))
  await using transport = await openBroker(dir, fleet.broker, {
    name: `filo audit ${consumer}`,
    willReceive: true,
  })
  transport.onStatus((status) => {
    if (status.kind === 'disconnected') say(`the broker is lost: ${status.reason}`)
    if (status.kind === 'connected') say('the broker is back')
    if (status.kind === 'outdated' || status.kind === 'expiring') say(`TLS: ${status.reason}`)
  })
  const stop = new AbortController()
  // By host alone: what else is left out makes no gap in the numbers of a source, as long as it is seen here.
  const { host } = options
  const keeper = new Keeper(
    places,
    sink,
    (event) => selects(options, event),
    () => stop.abort(),
  )
  await using sources = await openSources(context, loaded, transport, host, say)
  const { operator } = context
  await using follower = await Follower.open({
    ...sources,
    consumer,
    operator,
    places,
    keeper,
    say,
    clock: systemClock,
  })
  const signal = AbortSignal.any([ending, stop.signal])
  await using events = await transport.subscribe(consumer, host === undefined ? {} : { host }, signal)
  say(`following as "${consumer}"; Ctrl-C ends it`)
  try {
    for await (const delivery of events) follower.take(delivery)
    const drained = follower.drain()
    await within(partingMs, drained)
    // A webhook that is down may be so for hours: what it has not taken by now is given up, and comes again.
    await sinks.disposeAsync()
    await drained
  } catch (error) {
    if (!(error instanceof SinkLost)) throw error
    // A reader that is gone, as that of a pipe into head(1), has had what it wanted.
    if (to === '-' || ending.aborted) return exitCodes.done
    throw new Exit(
      exitCodes.internalError,
      `${error.message}. What was not kept comes again: filo audit follow --consumer ${consumer}`,
    )
  }
  return exitCodes.done
}

/** Waits while another process has the consumer's place; undefined when told to end meanwhile. */
async function openPlaces(
  { dir }: LoadedFleet,
  consumer: string,
  say: (words: string) => void,
  ending: AbortSignal,
): Promise<Places | undefined> {
  for (let attempt = 1; !ending.aborted; attempt += 1) {
    try {
      return Places.open(dir.consumer(consumer))
    } catch (error) {
      if (!(error instanceof PlacesInUse)) throw error
      if (attempt === 1) say(`another process follows as "${consumer}"; this one stands by until that ends`)
    }
    await systemClock.sleep(standByMs, ending).catch(() => {})
  }
  return undefined
}

async function openSinkOf(
  { cwd }: Context,
  { to, rotate, keep, secret }: FollowOptions,
  say: (words: string) => void,
): Promise<Sink> {
  try {
    const rotation = { bytes: rotate, keep }
    return await openSink({ to, rotation, secretFile: secret, cwd, stdout: process.stdout }, say)
  } catch (error) {
    if (error instanceof SinkLost) throw new Exit(exitCodes.configuration, error.message)
    throw error
  }
}

/** Who can be asked for what is missing, and where it is recorded. Without the coordinator's key, nobody and nowhere. */
async function openSources(
  { operator }: Context,
  loaded: LoadedFleet,
  transport: Transport,
  host: string | undefined,
  say: (words: string) => void,
): Promise<Pick<FollowerWorld, 'sources' | 'note'> & AsyncDisposable> {
  await using stack = new AsyncDisposableStack()
  try {
    const keys = fleetKeys(loaded)
    const journal = stack.use(openJournal(loaded))
    const link = stack.use(await openLink({ fleet: loaded.fleet, operator, journal }, keys, transport))
    const hosts = host === undefined ? [...loaded.fleet.hosts.keys()] : [host]
    const agents = hosts.map((each) => `/agents/${each}`)
    const { audit } = journal
    const sources = sourcesOf(link, audit, host === undefined ? [audit.source, ...agents] : agents)
    let relaying = Promise.resolve()
    stack.defer(() => relaying)
    const disposal = stack.move()
    return {
      sources,
      note(draft) {
        journal.note(draft)
        relaying = relaying.then(() => relay(journal.audit, transport))
      },
      [Symbol.asyncDispose]: () => disposal.disposeAsync(),
    }
  } catch (error) {
    if (!(error instanceof KeyError)) throw error
    say(`without the coordinator's key no agent can be asked for what the broker may lose: ${error.message}`)
    return {
      sources: nobody("there is no coordinator's key here to ask with"),
      note: () => {},
      async [Symbol.asyncDispose]() {},
    }
  }
}

/** Resolves once a promise has, or when the time is up. */
async function within(timeoutMs: number, promise: Promise<void>): Promise<void> {
  const waiting = new AbortController()
  const timeUp = systemClock.sleep(timeoutMs, waiting.signal).catch(() => {})
  await Promise.race([promise, timeUp]).finally(() => waiting.abort('it is over'))
}

async function relay(audit: AuditLog, transport: Transport): Promise<void> {
  await using relaying = new Relay(audit, transport)
  await relaying.drain(drainMs)
}
