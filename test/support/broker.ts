import { startNats } from './nats.ts'
import { startRabbitmq } from './rabbitmq.ts'

/** A broker of a test's own, of the kind that FILO_TEST_BROKER names: `rabbitmq`, the default, or `nats`. */
export interface Broker extends AsyncDisposable {
  readonly url: string
  /** Carries out what `filo broker setup` has written. */
  grant(setup: string): Promise<void>
  /** In which rabbitmqctl speaks to it; absent for what has no such program here. */
  readonly ctlEnvironment?: Readonly<Record<string, string>>
  /** SIGKILL, as a machine that loses power; resolves when it is gone. */
  kill(): Promise<void>
  /** SIGSTOP: connections stay open and nothing answers. */
  freeze(): Promise<void>
  thaw(): Promise<void>
  /** An orderly end. */
  stop(): Promise<void>
  /** Runs again after `kill` or `stop`, with the same data and port; resolves when it serves. */
  restart(): Promise<void>
}

export type BrokerKind = 'rabbitmq' | 'nats'

/** The kind that FILO_TEST_BROKER names. */
export function brokerKind(): BrokerKind {
  const kind = process.env['FILO_TEST_BROKER'] ?? 'rabbitmq'
  if (kind === 'rabbitmq' || kind === 'nats') return kind
  throw new Error(`FILO_TEST_BROKER is "${kind}"; expected rabbitmq or nats`)
}

export function startBroker(): Promise<Broker> {
  return brokerKind() === 'nats' ? startNats() : startRabbitmq()
}
