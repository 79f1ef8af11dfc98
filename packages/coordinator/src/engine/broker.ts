import { openTransport, type Transport, type TransportOptions } from '@filo/protocol'
import type { Broker } from '../fleet/fleet.ts'
import { brokerFor } from './accounts.ts'
import type { StateDir } from './state-dir.ts'

/**
 * Connects to the broker of a fleet as its coordinator: with the account and the files of TLS that it has for it. Throws
 * BrokerUnavailable, TlsUnusable.
 */
export function openBroker(
  dir: StateDir,
  { urls, tls }: Broker,
  options: Omit<TransportOptions, 'tls'>,
): Promise<Transport> {
  return openTransport(brokerFor(dir, urls, 'coordinator'), { ...options, tls })
}
