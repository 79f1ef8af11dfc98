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
  // Of Node's checks of the broker's certificate.
  [
    /ERR_TLS_CERT_ALTNAME_INVALID/,
    'its certificate is for another name than the URL has; use one of those, or have it issued for this one too',
  ],
  [/CERT_HAS_EXPIRED/, 'its certificate has expired; have it issued anew at the broker'],
  [/CERT_NOT_YET_VALID/, 'its certificate is not valid yet; is the clock right, here and there?'],
  [
    /SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|CERT_UNTRUSTED|INVALID_CA/,
    'its certificate is signed by no authority that is trusted here; name the file of its authority: tls: { ca: … } of the broker',
  ],
  // Alerts (RFC 8446, section 6.2), by which the broker tells what it thinks of ours.
  [
    /ALERT_CERTIFICATE_REQUIRED/,
    'it asks for a certificate, and was shown none; name its files: tls: { cert: …, key: … } of the broker',
  ],
  [/ALERT_CERTIFICATE_EXPIRED/, 'by its clock the certificate that it was shown has expired'],
  [
    /ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN|UNSUPPORTED_CERTIFICATE|HANDSHAKE_FAILURE)/,
    'it does not trust the certificate that it was shown, or was shown none: that must be signed by an authority which the broker trusts (tls: { cert: …, key: … } of the broker)',
  ],
  [/ALERT_CERTIFICATE_REVOKED/, 'the certificate that it was shown has been revoked'],
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
  if (message?.includes('--use-system-ca')) return `${code}: ${message.replace(/; if the root CA.*/, '')}`
  // OpenSSL's messages are places in its own sources.
  return code.startsWith('ERR_SSL') || !message ? code : `${code}: ${message}`
}
