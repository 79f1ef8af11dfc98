import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeAuthority, type Authority, type Certificate } from '../../../test/support/certificates.ts'
import { tempDir, type TempDir } from '../../../test/support/temp-dir.ts'
import { readTls, TlsUnusable, type TlsFiles } from './tls-files.ts'

// Files as openssl(1) writes them.

let dir: TempDir
let authority: Authority
let good: Certificate

beforeAll(async () => {
  dir = tempDir()
  authority = await makeAuthority(dir.path, 'authority')
  good = await authority.issue({ name: 'good', hours: 100 })
})
afterAll(() => dir[Symbol.dispose]())

function file(name: string, content: string): string {
  const path = join(dir.path, name)
  writeFileSync(path, content)
  return path
}

function fault(files: TlsFiles): string {
  try {
    readTls(files)
  } catch (error) {
    if (error instanceof TlsUnusable) return error.message.replaceAll(`${dir.path}/`, '')
    throw error
  }
  return 'none'
}

test('files that are whole are read, and it is told which of them is the first to expire', () => {
  const read = readTls({ ca: authority.ca, ...good })
  expect(read).toMatchObject({
    ca: readFileSync(authority.ca, 'latin1'),
    key: readFileSync(good.key, 'latin1'),
  })
  expect(read.expiring?.file).toBe(good.cert)
  expect(Math.round((read.expiring!.at.getTime() - Date.now()) / 3_600_000)).toBe(100)
})

test('of several authorities one that is valid is enough', async () => {
  const expired = await authority.issue({ name: 'old', hours: -1 })
  const both = readFileSync(expired.cert, 'latin1') + readFileSync(authority.ca, 'latin1')
  expect(fault({ ca: file('both.pem', both) })).toBe('none')
  expect(fault({ ca: expired.cert })).toMatch(/expired at/)
})

test('each file that cannot be used is named, with what to do about it', async () => {
  const expired = await authority.issue({ name: 'old', hours: -1 })
  const other = await authority.issue({ name: 'other' })
  const chain = readFileSync(authority.ca, 'latin1') + readFileSync(good.cert, 'latin1')
  const locked = join(dir.path, 'locked.key')
  await promisify(execFile)('openssl', [
    'pkey',
    '-in',
    good.key,
    '-aes256',
    '-passout',
    'pass:x',
    '-out',
    locked,
  ])
  const faults = {
    missing: fault({ ca: join(dir.path, 'none.pem') }),
    'not PEM': fault({ ca: file('der.pem', '\x30\x82') }),
    'cut off': fault({ ca: file('half.pem', readFileSync(authority.ca, 'latin1').slice(0, 300)) }),
    damaged: fault({
      ca: file('bad.pem', readFileSync(authority.ca, 'latin1').replace(/MII/, 'MIJ')),
    }).replace(/\(.*\)/, '(…)'),
    expired: fault(expired).replace(/at .*Z/, 'at …'),
    'key of another': fault({ ...good, key: other.key }),
    'wrong order': fault({ key: good.key, cert: file('chain.pem', chain) }),
    'no key': fault({ cert: good.cert, key: good.cert }).replace(/\(.*\)/, '(…)'),
    'with a passphrase': fault({ cert: good.cert, key: locked }),
  }
  expect(faults).toEqual({
    missing: "the authorities for TLS cannot be read: ENOENT: no such file or directory, open 'none.pem'",
    'not PEM':
      'der.pem is not PEM: there is no "-----BEGIN CERTIFICATE-----" to an "-----END CERTIFICATE-----" in it; from DER: openssl x509 -inform der -in der.pem',
    'cut off':
      'half.pem is not PEM: there is no "-----BEGIN CERTIFICATE-----" to an "-----END CERTIFICATE-----" in it; from DER: openssl x509 -inform der -in half.pem',
    damaged: 'bad.pem is damaged: a certificate in it cannot be read (…)',
    expired: expect.stringMatching(/^authority-\d+\.pem expired at …: have it issued anew$/),
    'key of another': expect.stringMatching(
      /^authority-1\.pem and authority-\d+\.key do not belong together: the key is of another certificate$/,
    ),
    'wrong order':
      'chain.pem: the certificate of authority-1.key must be the first in it, those of authorities come after',
    'no key': 'authority-1.pem is no private key in PEM (…)',
    'with a passphrase':
      'locked.key asks for a passphrase, and nobody is there to type it; without one: openssl pkey -in locked.key',
  })
})
