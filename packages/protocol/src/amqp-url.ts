import type { Options } from 'amqplib'
import { BrokerUnavailable } from './errors.ts'

/** A broker's address, taken apart, and as it may be shown: without the password. */
export interface AmqpUrl {
  readonly shown: string
  readonly connect: Options.Connect
}

export function parseAmqpUrl(text: string): AmqpUrl {
  // The URL class puts its input into the error, and with it the password: that error goes no further.
  const url = URL.parse(text)
  const username = decode(url?.username)
  const password = decode(url?.password)
  if (url === null || url.hostname === '' || username === undefined || password === undefined) {
    throw new BrokerUnavailable(
      'the URL of the broker is not of the form amqp://user:password@host:port/vhost',
    )
  }
  const protocol = url.protocol.slice(0, -1)
  const vhost = url.pathname.slice(1)
  return {
    shown: `${protocol}://${username === '' ? '' : `${username}@`}${url.host}${url.pathname}`,
    connect: {
      protocol,
      hostname: url.hostname.replace(/^\[|\]$/g, ''),
      ...(url.port !== '' && { port: Number(url.port) }),
      ...((username !== '' || password !== '') && { username, password }),
      // As it stands: amqplib decodes this part itself.
      ...(vhost !== '' && { vhost }),
    },
  }
}

function decode(part: string | undefined): string | undefined {
  try {
    return part === undefined ? undefined : decodeURIComponent(part)
  } catch {
    return undefined
  }
}

const explanations: readonly (readonly [pattern: RegExp, words: string])[] = [
  [/ECONNREFUSED/, 'connection refused; is the broker running there?'],
  [/ENOTFOUND|EAI_AGAIN/, 'no such host'],
  [/EHOSTUNREACH|ENETUNREACH/, 'no route to the host'],
  [/ETIMEDOUT/, 'no answer'],
  [/ACCESS.REFUSED.*(Login|authentication)|ACCESS-REFUSED/i, 'user name or password refused'],
  [/Expected ConnectionOpenOk/, 'logged in, but the virtual host does not exist or this user may not use it'],
  [
    /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)/i,
    'its TLS certificate is not trusted; name the file of its authority in NODE_EXTRA_CA_CERTS',
  ],
  [/WRONG_VERSION_NUMBER|ERR_SSL|EPROTO/, 'it does not speak TLS on this port; amqp:// instead of amqps://?'],
  [/closed abruptly during opening/, 'it hung up during the handshake; amqp:// to a TLS port?'],
  [/ECONNRESET|EPIPE|Unexpected close/, 'the broker hung up'],
  [/Heartbeat timeout/, 'the broker gave no sign of life for two heartbeats'],
]

/** Why the broker cannot be had, in words for an operator, with the original ones for whom they help. */
export function explain(error: unknown): string {
  const original = describe(error)
  const words = explanations.find(([pattern]) => pattern.test(original))?.[1]
  return words === undefined ? original : `${words} (${original})`
}

function describe(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: string }
  if (typeof code !== 'string' || message?.includes(code)) return message ?? String(error)
  // OpenSSL's messages are places in its own sources.
  return code.startsWith('ERR_SSL') || !message ? code : `${code}: ${message}`
}
