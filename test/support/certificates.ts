import { execFile } from 'node:child_process'
import { copyFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { requireProgram } from './packages.ts'

const run = promisify(execFile)

/** A certificate and its private key, in files (PEM). */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

export interface Wanted {
  /** Common name of the subject. */
  readonly name: string
  /** For which names and addresses, as openssl writes them: `DNS:localhost`, `IP:127.0.0.1`. */
  readonly for?: readonly string[]
  /** From now on; negative for one that has expired. */
  readonly hours?: number
}

/** An authority of a test's own, with all that it signs in one directory. */
export interface Authority {
  /** The file of its own certificate (PEM). */
  readonly ca: string
  issue(wanted: Wanted): Promise<Certificate>
}

/** Makes an authority by openssl(1), which every Debian has. */
export async function makeAuthority(dir: string, name: string): Promise<Authority> {
  const openssl = await requireProgram('openssl', 'openssl')
  const at = (file: string): string => join(dir, file)
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const [ca, caKey] = [at(`${name}.pem`), at(`${name}.key`)]
  await run(openssl, [
    ...['req', '-x509', ...newKey, '-subj', `/CN=${name}`, '-days', '30'],
    ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign', '-keyout', caKey, '-out', ca],
  ])
  let issued = 0
  return {
    ca,
    async issue({ name: subject, for: names = [], hours = 24 * 30 }) {
      const file = at(`${name}-${++issued}`)
      const made: Certificate = { cert: `${file}.pem`, key: `${file}.key` }
      await run(openssl, [
        ...['req', '-new', ...newKey, '-subj', `/CN=${subject}`],
        ...['-keyout', made.key, '-out', `${file}.csr`],
      ])
      // Only ca(1) of OpenSSL 3.0 sets both ends of the time.
      writeFileSync(`${file}.index`, '')
      const conf = [
        '[ca]\ndefault_ca = it',
        `[it]\ndatabase = ${file}.index\nnew_certs_dir = ${dir}\nrand_serial = yes\ndefault_md = sha256`,
        'policy = any\nunique_subject = no',
        '[any]\ncommonName = supplied',
        '[extensions]\nextendedKeyUsage = serverAuth, clientAuth',
        ...(names.length === 0 ? [] : [`subjectAltName = ${names.join(', ')}`]),
      ]
      writeFileSync(`${file}.conf`, `${conf.join('\n')}\n`)
      const now = Date.now()
      const [start, end] =
        hours > 0
          ? [now - 3_600_000, now + hours * 3_600_000]
          : [now - 720 * 3_600_000, now + hours * 3_600_000]
      await run(openssl, [
        ...['ca', '-batch', '-notext', '-config', `${file}.conf`, '-extensions', 'extensions'],
        ...['-cert', ca, '-keyfile', caKey, '-in', `${file}.csr`, '-out', made.cert],
        ...['-startdate', asn1Time(start), '-enddate', asn1Time(end)],
      ])
      return made
    },
  }
}

/** Puts another file in the place of one that may be in use, as those do that renew certificates. */
export function replaceFile(file: string, by: string): void {
  copyFileSync(by, `${file}.new`)
  renameSync(`${file}.new`, file)
}

/** As ca(1) takes it: YYYYMMDDHHMMSSZ. */
function asn1Time(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
}
