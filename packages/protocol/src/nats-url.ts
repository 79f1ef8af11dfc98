import type { NodeConnectionOptions } from '@nats-io/transport-node'
import { explainWith, parseBrokerUrl, type BrokerUrl, type Explanation } from './broker-url.ts'
import { BrokerUnavailable } from './errors.ts'

/** The servers of a list as the client library takes them, and as they may be shown: without the password. */
export interface NatsServers {
  readonly shown: string
  readonly urls: readonly BrokerUrl[]
  readonly connect: NodeConnectionOptions
}

/**
 * The library takes one user and one choice of TLS for all servers of its list: they belong to one cluster, and so
 * must their URLs. Throws BrokerUnavailable.
 */
export function parseNatsUrls(texts: readonly string[]): NatsServers {
  const urls = texts.map((text) => parseBrokerUrl(text, 'nats://user:password@host:port'))
  const [first] = urls
  if (first === undefined) throw new BrokerUnavailable('there is no URL of a broker')
  const { scheme, username, password } = first
  if (urls.some((url) => url.scheme !== scheme || url.username !== username || url.password !== password)) {
    throw new BrokerUnavailable(
      'the URLs of the brokers differ in more than the host: servers of one NATS cluster share user, password and TLS',
    )
  }
  const servers = urls.map(({ hostname, port = 4222 }) =>
    hostname.includes(':') ? `[${hostname}]:${port}` : `${hostname}:${port}`,
  )
  return {
    shown: urls.map(({ shown }) => shown).join(', '),
    urls,
    connect: {
      servers,
      ...(scheme === 'natss' && { tls: {} }),
      ...credentials(username, password),
    },
  }
}

/** A user alone is a token, as in all of NATS's own tools. */
function credentials(username: string, password: string): NodeConnectionOptions {
  if (username === '') return {}
  return password === '' ? { token: username } : { user: username, pass: password }
}

const explanations: readonly Explanation[] = [
  [/authorization violation/i, 'user name or password refused'],
  [/server does not support .?tls/i, 'it does not speak TLS on this port; nats:// instead of natss://?'],
  [/^timeout$/i, 'no answer'],
]

/** Why the broker cannot be had, in words for an operator, with the original ones for whom they help. */
export function explainNats(error: unknown): string {
  const { cause, message } = error as { cause?: unknown; message?: string }
  return explainWith(explanations, cause instanceof Error && message !== cause.message ? cause : error)
}
