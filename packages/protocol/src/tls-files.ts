import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import * as z from 'zod'

// T1. What is used is whole: certificate and key belong together, and are valid now. Files that are being replaced, one
//     after the other, are read again until they are.

const path = z.string().min(1)

/** The files (PEM) of TLS to a broker. */
export const TlsFiles = z
  .strictObject({
    /** The authorities, one of which must have signed the broker's certificate; where absent those that Node knows. */
    ca: path.optional(),
    /** What is shown to the broker, followed by what it takes to get from it to an authority. */
    cert: path.optional(),
    key: path.optional(),
  })
  .refine(({ cert, key }) => (cert === undefined) === (key === undefined), {
    error: 'cert and key, or neither',
  })
export type TlsFiles = z.infer<typeof TlsFiles>

/** The same files by other paths. */
export function mapFiles(files: TlsFiles, map: (path: string) => string): TlsFiles {
  const mapped = Object.entries(files).map(([what, file]) => [what, file && map(file)])
  return Object.fromEntries(mapped) as TlsFiles
}

/** The same with their contents, checked. */
export interface TlsMaterial {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  /** Which certificate is the next to expire, and when. */
  readonly expiring?: Expiry
}

export interface Expiry {
  readonly file: string
  readonly at: Date
}

/** A file of TLS that cannot be used; the message names it, and says what to do. */
export class TlsUnusable extends Error {
  override name = 'TlsUnusable'
}

/** More than all public authorities together. */
const mostBytes = 2 * 1024 * 1024

/** Reads and checks what TLS takes. Throws TlsUnusable. */
export function readTls({ ca, cert, key }: TlsFiles): TlsMaterial {
  const now = Date.now()
  const authorities = ca === undefined ? undefined : readCertificates(ca, now)
  const own = cert === undefined || key === undefined ? undefined : readPair(cert, key, now)
  const expiries = [authorities?.expiry, own?.expiry].filter((one) => one !== undefined)
  const [expiring] = expiries.toSorted((one, other) => one.at.getTime() - other.at.getTime())
  return {
    ...(authorities && { ca: authorities.pem }),
    ...(own && { cert: own.pem, key: own.keyPem }),
    ...(expiring && { expiring }),
  }
}

/** `mail1.pem expires in 3 days, at 2026-11-30T22:00:00.000Z`, where that is within `days`. */
export function expiresSoon({ file, at }: Expiry, days: number): string | undefined {
  const left = (at.getTime() - Date.now()) / 86_400_000
  if (left > days) return undefined
  const when = left < 0 ? 'has expired' : `expires in ${Math.floor(left)} days`
  return `${file} ${when}, at ${at.toISOString()}`
}

interface Certificates {
  readonly pem: string
  readonly all: readonly X509Certificate[]
  readonly expiry: Expiry
}

/** Some of a list of authorities may be past their time, while they are being replaced; of them the last counts. */
function readCertificates(file: string, now: number): Certificates {
  const pem = readText(file, 'authorities')
  const all = certificatesIn(file, pem)
  const last = all.reduce((one, other) => (other.validToDate > one.validToDate ? other : one))
  refuseUntimely(file, last, now)
  return { pem, all, expiry: { file, at: last.validToDate } }
}

function readPair(file: string, keyFile: string, now: number): Certificates & { readonly keyPem: string } {
  const pem = readText(file, 'certificate')
  const all = certificatesIn(file, pem)
  const keyPem = readText(keyFile, 'key')
  const key = parseKey(keyFile, keyPem)
  const [own] = all
  if (!own!.checkPrivateKey(key)) {
    const isLater = all.some((one) => one.checkPrivateKey(key))
    throw new TlsUnusable(
      isLater
        ? `${file}: the certificate of ${keyFile} must be the first in it, those of authorities come after`
        : `${file} and ${keyFile} do not belong together: the key is of another certificate`,
    )
  }
  refuseUntimely(file, own!, now)
  return { pem, keyPem, all, expiry: { file, at: own!.validToDate } }
}

function certificatesIn(file: string, pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g)
  if (blocks === null) {
    throw new TlsUnusable(
      `${file} is not PEM: there is no "-----BEGIN CERTIFICATE-----" to an "-----END CERTIFICATE-----" in it; ` +
        `from DER: openssl x509 -inform der -in ${file}`,
    )
  }
  try {
    return blocks.map((block) => new X509Certificate(block))
  } catch (error) {
    throw new TlsUnusable(
      `${file} is damaged: a certificate in it cannot be read (${(error as Error).message})`,
      {
        cause: error,
      },
    )
  }
}

function parseKey(file: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch (error) {
    const isEncrypted = /^(?:-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED)/m.test(pem)
    throw new TlsUnusable(
      isEncrypted
        ? `${file} asks for a passphrase, and nobody is there to type it; without one: openssl pkey -in ${file}`
        : `${file} is no private key in PEM (${(error as Error).message})`,
      { cause: error },
    )
  }
}

function refuseUntimely(file: string, { validFromDate, validToDate }: X509Certificate, now: number): void {
  if (validToDate.getTime() < now) {
    throw new TlsUnusable(`${file} expired at ${validToDate.toISOString()}: have it issued anew`)
  }
  if (validFromDate.getTime() > now) {
    throw new TlsUnusable(
      `${file} is valid from ${validFromDate.toISOString()} on, and here it is ${new Date(now).toISOString()}: is this clock right?`,
    )
  }
}

function readText(file: string, what: string): string {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch (error) {
    throw new TlsUnusable(`the ${what} for TLS cannot be read: ${(error as Error).message}`, { cause: error })
  }
  if (bytes.length > mostBytes)
    throw new TlsUnusable(`${file} has ${bytes.length} bytes, and is no PEM of ours`)
  return bytes.toString('latin1')
}
