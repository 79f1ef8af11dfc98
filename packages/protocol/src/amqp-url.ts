import type { Options } from 'amqplib'
import { explainWith, parseBrokerUrl, type Explanation } from './broker-url.ts'

/** A broker's address for amqplib, and as it may be shown: without the password. */
export interface AmqpUrl {
  readonly shown: string
  readonly connect: Options.Connect
}

export function parseAmqpUrl(text: string): AmqpUrl {
  const { shown, scheme, hostname, port, username, password, path } = parseBrokerUrl(
    text,
    'amqp://user:password@host:port/vhost',
  )
  return {
    shown,
    connect: {
      protocol: scheme,
      hostname,
      ...(port !== undefined && { port }),
      ...((username !== '' || password !== '') && { username, password }),
      // As it stands: amqplib decodes this part itself.
      ...(path !== '' && { vhost: path }),
    },
  }
}

const explanations: readonly Explanation[] = [
  [/ACCESS.REFUSED.*(Login|authentication)|ACCESS-REFUSED/i, 'user name or password refused'],
  [/Expected ConnectionOpenOk/, 'logged in, but the virtual host does not exist or this user may not use it'],
  [/WRONG_VERSION_NUMBER|ERR_SSL|EPROTO/, 'it does not speak TLS on this port; amqp:// instead of amqps://?'],
  [/closed abruptly during opening/, 'it hung up during the handshake; amqp:// to a TLS port?'],
  [/Heartbeat timeout/, 'the broker gave no sign of life for two heartbeats'],
]

/** Why the broker cannot be had, in words for an operator, with the original ones for whom they help. */
export function explain(error: unknown): string {
  return explainWith(explanations, error)
}
