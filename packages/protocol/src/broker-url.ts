import { BrokerUnavailable } from './errors.ts'

/** A broker's address, taken apart, and as it may be shown: without the password. */
export interface BrokerUrl {
  readonly shown: string
  /** `amqp`, `natss` and so on. */
  readonly scheme: string
  readonly hostname: string
  /** Undefined where the scheme's own is meant. */
  readonly port: number | undefined
  /** Both empty where the URL has none. */
  readonly username: string
  readonly password: string
  /** Behind the host, without its first slash and as it stands. */
  readonly path: string
}

/** Throws BrokerUnavailable, which says the `form` that was expected and repeats nothing of the text. */
export function parseBrokerUrl(text: string, form: string): BrokerUrl {
  // The URL class puts its input into the error, and with it the password: that error goes no further.
  const url = URL.parse(text)
  const username = decode(url?.username)
  const password = decode(url?.password)
  if (url === null || url.hostname === '' || username === undefined || password === undefined) {
    throw new BrokerUnavailable(`the URL of the broker is not of the form ${form}`)
  }
  const scheme = url.protocol.slice(0, -1)
  return {
    shown: `${scheme}://${username === '' ? '' : `${username}@`}${url.host}${url.pathname}`,
    scheme,
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? undefined : Number(url.port),
    username,
    password,
    path: url.pathname.slice(1),
  }
}

function decode(part: string | undefined): string | undefined {
  try {
    return part === undefined ? undefined : decodeURIComponent(part)
  } catch {
    return undefined
  }
}

/** What a broker's or the system's words mean to an administrator. */
export type Explanation = readonly [pattern: RegExp, words: string]

const common: readonly Explanation[] = [
  [/ECONNREFUSED/, 'connection refused; is the broker running there?'],
  [/ENOTFOUND|EAI_AGAIN/, 'no such host'],
  [/EHOSTUNREACH|ENETUNREACH/, 'no route to the host'],
  [/ETIMEDOUT/, 'no answer'],
  [
    /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)/i,
    'its TLS certificate is not trusted; name the file of its authority in NODE_EXTRA_CA_CERTS',
  ],
]

const last: readonly Explanation[] = [[/ECONNRESET|EPIPE|Unexpected close/, 'the broker hung up']]

/** Why a broker cannot be had, in words for an operator, with the original ones for whom they help. */
export function explainWith(own: readonly Explanation[], error: unknown): string {
  const original = describe(error)
  const words = [...common, ...own, ...last].find(([pattern]) => pattern.test(original))?.[1]
  return words === undefined ? original : `${words} (${original})`
}

function describe(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: string }
  if (typeof code !== 'string' || message?.includes(code)) return message ?? String(error)
  // OpenSSL's messages are places in its own sources.
  return code.startsWith('ERR_SSL') || !message ? code : `${code}: ${message}`
}
