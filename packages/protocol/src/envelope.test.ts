import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import {
  formatSigningKey,
  formatVerifyingKey,
  makeKeyPair,
  parseSigningKey,
  parseVerifyingKey,
  seal,
  shownKey,
  spellKey,
  unsealAnswer,
  unsealCommand,
  type Unsealed,
} from './envelope.ts'
import { limits } from './limits.ts'
import type { Command, Message } from './messages.ts'

const keys = makeKeyPair()
const trusted = (id: string) => (id === keys.verifying.id ? keys.verifying : undefined)
const command: Command = {
  type: 'observe',
  body: {
    fleet: 'lists',
    host: 'mail1',
    coordinator: randomUUID(),
    operator: 'alice@admin1',
    nonce: randomUUID(),
    head: null,
    services: ['mta'],
    settle: false,
  },
}

/** The envelope of the command with something in it changed. */
function changed(change: (envelope: Record<string, never>) => unknown): Uint8Array {
  const envelope = JSON.parse(Buffer.from(seal(command, keys.signing).bytes).toString()) as Record<
    string,
    never
  >
  return Buffer.from(JSON.stringify(change(envelope)))
}

function why(opened: Unsealed<Message>): string {
  return opened.kind === 'rejected' ? opened.why : 'accepted'
}

test('what was sealed is opened unchanged, with the hash that an answer quotes', () => {
  const { bytes, hash } = seal(command, keys.signing)
  expect(unsealCommand(bytes, trusted)).toEqual({
    kind: 'message',
    message: command,
    key: keys.verifying,
    hash,
  })
})

test('a message is not taken for one of another type, though its bytes are the same', () => {
  const release = changed((envelope) => ({ ...envelope, payloadType: 'application/vnd.filo.release+json' }))
  expect(why(unsealCommand(release, trusted))).toBe('bad-signature')
  expect(why(unsealAnswer(seal(command, keys.signing).bytes, trusted))).toBe('unknown-type')
})

test.each<[string, Uint8Array, string]>([
  ['not JSON', Buffer.from('{'), 'malformed'],
  ['not UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'malformed'],
  ['too large', Buffer.alloc(limits.messageBytes + 1, ' '), 'too-large'],
  ['too deep', Buffer.from('['.repeat(30_000)), 'malformed'],
  [
    'three signatures',
    changed((one) => ({ ...one, signatures: Array(3).fill(one['signatures']![0]) })),
    'malformed',
  ],
  ['an unknown member', changed((one) => ({ ...one, extra: 1 })), 'malformed'],
  [
    'base64 of another spelling',
    changed((one) => ({ ...one, payload: `${String(one['payload'])}\n` })),
    'malformed',
  ],
  [
    'base64url',
    changed((one) => ({ ...one, payload: String(one['payload']).replace('e', '-') })),
    'malformed',
  ],
  ['another type of JSON', changed(() => ['x']), 'malformed'],
  [
    'a type of nobody',
    changed((one) => ({ ...one, payloadType: 'application/vnd.filo.constructor+json' })),
    'unknown-type',
  ],
])('an envelope that is %s is rejected', (_, bytes, expected) => {
  expect(why(unsealCommand(bytes, trusted))).toBe(expected)
})

test('a signature of a key that is not trusted, or over other bytes, is rejected', () => {
  expect(why(unsealCommand(seal(command, makeKeyPair().signing).bytes, trusted))).toBe('unknown-key')
  const other = Buffer.from(JSON.stringify({ ...command.body, host: 'db1' })).toString('base64')
  expect(
    why(
      unsealCommand(
        changed((one) => ({ ...one, payload: other })),
        trusted,
      ),
    ),
  ).toBe('bad-signature')
})

test('of two signatures each receiver goes by the one whose key it knows, and no other makes up for a bad one', () => {
  const before = makeKeyPair()
  const { bytes } = seal(command, makeKeyPair().signing, keys.signing)
  expect(unsealCommand(bytes, trusted)).toMatchObject({ kind: 'message', key: { id: keys.verifying.id } })
  const trustedBefore = (id: string) => (id === before.verifying.id ? before.verifying : undefined)
  expect(why(unsealCommand(bytes, trustedBefore))).toBe('unknown-key')
  const swapped = JSON.parse(Buffer.from(bytes).toString()) as { signatures: { sig: string }[] }
  const [one, other] = swapped.signatures
  ;[one!.sig, other!.sig] = [other!.sig, one!.sig]
  expect(why(unsealCommand(Buffer.from(JSON.stringify(swapped)), trusted))).toBe('bad-signature')
})

test('a key is shown by a message that it has signed, and is no more than shown', () => {
  const shown = (publicKey: unknown) => {
    const payload = Buffer.from(JSON.stringify({ publicKey })).toString('base64')
    return shownKey(changed((one) => ({ ...one, payload })))?.id
  }
  expect(shown(spellKey(keys.verifying))).toBe(keys.verifying.id)
  expect(shown('AAAA')).toBeUndefined()
  expect(shown(1)).toBeUndefined()
  expect(shown(formatVerifyingKey(keys.verifying))).toBeUndefined()
  expect(shownKey(Buffer.from('{'))).toBeUndefined()
  expect(shownKey(Buffer.alloc(limits.messageBytes + 1, ' '))).toBeUndefined()
})

test('a key that is trusted says nothing that the schema does not know', () => {
  const body = { ...command.body, argv: ['/bin/sh'] }
  const { bytes } = seal({ type: 'observe', body }, keys.signing)
  expect(why(unsealCommand(bytes, trusted))).toBe('bad-schema')
})

test('keys survive their files, and a private key is not taken for a public one', () => {
  const pem = formatSigningKey(keys.signing)
  expect(parseSigningKey(pem).id).toBe(keys.signing.id)
  expect(parseVerifyingKey(formatVerifyingKey(keys.verifying)).id).toBe(keys.verifying.id)
  expect(() => parseVerifyingKey(pem)).toThrow('a private key where a public key is expected')
  expect(() => parseSigningKey('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----')).toThrow(
    /DECODER|asn1|unsupported/i,
  )
})
