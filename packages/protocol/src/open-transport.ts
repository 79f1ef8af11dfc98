import { BrokerUnavailable } from './errors.ts'
import { TlsUnusable, type TlsFiles } from './tls-files.ts'
import type { Transport } from './transport.ts'

export interface TransportOptions {
  /** What an administrator sees of this process in the broker's list of connections: `filo-agent mail1`. */
  readonly name: string
  /** Whether a mailbox will be opened next: what that takes is begun at once. */
  readonly willReceive?: true
  /** For URLs that ask for TLS. The files are looked at while they are in use: what is new in them is used from then on. */
  readonly tls?: TlsFiles | undefined
  /** How often each side shows that it is alive; three of these without a sign end a connection. */
  readonly heartbeatSeconds?: number
  /** How long a message may wait for the broker's confirm before its fate is Ambiguous. */
  readonly confirmTimeoutMs?: number
}

/** Whether all URLs of a list are of one kind of broker, and which. */
function schemeOf(urls: readonly string[]): 'amqp' | 'nats' | undefined {
  if (urls.length === 0) return undefined
  if (urls.every((url) => /^amqps?:\/\//.test(url))) return 'amqp'
  return urls.every((url) => /^natss?:\/\//.test(url)) ? 'nats' : undefined
}

/** Whether a URL is one of `amqps://` or `natss://`. */
export function asksForTls(url: string): boolean {
  return /^(amqp|nats)s:\/\//.test(url)
}

/**
 * Connects to the first broker of a list that answers; the others are for when it is lost. Loads only the
 * library that the URLs ask for. Throws BrokerUnavailable, TlsUnusable; never with a password in its message.
 */
export async function openTransport(urls: readonly string[], options: TransportOptions): Promise<Transport> {
  if (options.tls !== undefined && !urls.every(asksForTls)) {
    throw new TlsUnusable(
      'there are files of TLS for a broker whose URL does not ask for it: amqps:// or natss://',
    )
  }
  switch (schemeOf(urls)) {
    case 'amqp': {
      const { openAmqp } = await import('./amqp.ts')
      return openAmqp(urls, options)
    }
    case 'nats': {
      const { openNats } = await import('./nats.ts')
      return openNats(urls, options)
    }
    case undefined:
      throw new BrokerUnavailable(
        'a broker is one or several URLs that begin with amqp:// or amqps://, or with nats:// or natss://',
      )
  }
}
