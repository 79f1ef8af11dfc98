import { startNats } from './nats.ts'
import { startRabbitmq } from './rabbitmq.ts'

/** A broker of a test's own, of the kind that FILO_TEST_BROKER names: `rabbitmq`, the default, or `nats`. */
export interface Broker extends AsyncDisposable {
  readonly url: string
  /** Carries out what `filo broker setup` has written. */
  grant(setup: string): Promise<void>
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

export function startBroker(): Promise<Broker> {
  const kind = process.env['FILO_TEST_BROKER'] ?? 'rabbitmq'
  if (kind === 'rabbitmq') return startRabbitmq()
  if (kind === 'nats') return startNats()
  throw new Error(`FILO_TEST_BROKER is "${kind}"; expected rabbitmq or nats`)
}
