import { isUtf8 } from 'node:buffer'
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto'
import * as z from 'zod'
import { sha256 } from './digest.ts'
import { limits } from './limits.ts'
import { answers, commands, type Answer, type Command, type Message } from './messages.ts'
import type { Sha256 } from './names.ts'

// E1. Nothing is parsed before its size is known, and nothing of a payload before its signature is checked.
// E2. The signature covers the exact bytes and their type (DSSE v1, https://github.com/secure-systems-lab/dsse):
//     no canonicalisation, and a message of one type is never taken for another.
// E3. Base64 has one spelling: a second encoding of the same bytes is refused.

/** An Ed25519 key that signs (RFC 8032). */
export interface SigningKey {
  readonly id: Sha256
  readonly privateKey: KeyObject
}

/** An Ed25519 key that verifies. Its id is the SHA-256 of its SPKI DER form. */
export interface VerifyingKey {
  readonly id: Sha256
  readonly publicKey: KeyObject
}

export interface KeyPair {
  readonly signing: SigningKey
  readonly verifying: VerifyingKey
}

export function makeKeyPair(): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return { signing: signingKey(privateKey), verifying: verifyingKey(publicKey) }
}

/** The public key that belongs to a private one. */
export function publicKeyOf({ privateKey }: SigningKey): VerifyingKey {
  return verifyingKey(createPublicKey(privateKey))
}

export function signingKey(privateKey: KeyObject): SigningKey {
  if (privateKey.asymmetricKeyType !== 'ed25519') throw new TypeError('not an Ed25519 key')
  return { id: verifyingKey(createPublicKey(privateKey)).id, privateKey }
}

export function verifyingKey(publicKey: KeyObject): VerifyingKey {
  if (publicKey.asymmetricKeyType !== 'ed25519') throw new TypeError('not an Ed25519 key')
  return { id: sha256(publicKey.export({ type: 'spki', format: 'der' })), publicKey }
}

/** Reads a private key from PEM (PKCS #8). Throws on anything that is not Ed25519. */
export function parseSigningKey(pem: string): SigningKey {
  return signingKey(createPrivateKey(pem))
}

/** Reads a public key from PEM (SPKI). Throws on anything that is not Ed25519. */
export function parseVerifyingKey(pem: string): VerifyingKey {
  // createPublicKey also takes a private key and derives the public one: a private key has no place here.
  if (pem.includes('PRIVATE KEY')) throw new TypeError('a private key where a public key is expected')
  return verifyingKey(createPublicKey(pem))
}

export function formatSigningKey(key: SigningKey): string {
  return key.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
}

export function formatVerifyingKey(key: VerifyingKey): string {
  return key.publicKey.export({ type: 'spki', format: 'pem' }) as string
}

const typePrefix = 'application/vnd.filo.'
const typeSuffix = '+json'

const Envelope = z.strictObject({
  payloadType: z.string().max(80),
  payload: z.string(),
  /** Two while the key of who speaks is being replaced: each receiver goes by the one that it knows. */
  signatures: z
    .array(z.strictObject({ keyid: z.string().length(64), sig: z.string().length(88) }))
    .min(1)
    .max(2),
})

/** A message on its way out: the bytes to send, and the hash of its payload that an answer will quote. */
export interface Sealed {
  readonly bytes: Uint8Array
  readonly hash: Sha256
}

/** Signs a message, by each key that its receivers may know. Throws RangeError when it is larger than `limits.messageBytes`: that is a bug of the caller. */
export function seal(message: Message, ...keys: readonly SigningKey[]): Sealed {
  const payload = Buffer.from(JSON.stringify(message.body))
  const payloadType = typePrefix + message.type + typeSuffix
  const signed = preAuthenticationEncoding(payloadType, payload)
  const envelope: z.infer<typeof Envelope> = {
    payloadType,
    payload: payload.toString('base64'),
    signatures: keys.map(({ id, privateKey }) => ({
      keyid: id,
      sig: sign(null, signed, privateKey).toString('base64'),
    })),
  }
  const bytes = Buffer.from(JSON.stringify(envelope))
  if (bytes.length > limits.messageBytes) {
    throw new RangeError(
      `a ${message.type} of ${bytes.length} bytes is over the limit of ${limits.messageBytes}`,
    )
  }
  return { bytes, hash: sha256(payload) }
}

/** Why bytes that arrived are no message; each is counted by whoever receives. */
export type Unsealable =
  | 'too-large'
  | 'malformed'
  | 'unknown-type'
  | 'unknown-key'
  | 'bad-signature'
  | 'bad-schema'

export type Unsealed<M extends Message> =
  | { readonly kind: 'message'; readonly message: M; readonly key: VerifyingKey; readonly hash: Sha256 }
  | { readonly kind: 'rejected'; readonly why: Unsealable }

/** The key of that id if it is trusted to say this. */
export type TrustedKey = (id: string) => VerifyingKey | undefined

/** Opens an envelope that should hold a command. Checks in order of cost (DESIGN section 7); never throws. */
export function unsealCommand(bytes: Uint8Array, trusted: TrustedKey): Unsealed<Command> {
  return unseal(bytes, trusted, commands) as Unsealed<Command>
}

/** Opens an envelope that should hold an answer. */
export function unsealAnswer(bytes: Uint8Array, trusted: TrustedKey): Unsealed<Answer> {
  return unseal(bytes, trusted, answers) as Unsealed<Answer>
}

function unseal(
  bytes: Uint8Array,
  trusted: TrustedKey,
  schemas: Record<string, z.ZodType>,
): Unsealed<Message> {
  if (bytes.length > limits.messageBytes) return rejected('too-large')
  const envelope = Envelope.safeParse(parseJson(bytes))
  if (!envelope.success) return rejected('malformed')
  const { payloadType, payload, signatures } = envelope.data
  if (!payloadType.startsWith(typePrefix) || !payloadType.endsWith(typeSuffix))
    return rejected('unknown-type')
  const type = payloadType.slice(typePrefix.length, -typeSuffix.length)
  if (!Object.hasOwn(schemas, type)) return rejected('unknown-type')
  const known = signatures.map(({ keyid, sig }) => ({ key: trusted(keyid), sig })).find(({ key }) => key)
  if (known?.key === undefined) return rejected('unknown-key')
  const { key } = known
  const content = strictBase64(payload)
  const sig = strictBase64(known.sig)
  if (content === undefined || sig === undefined) return rejected('malformed')
  if (!verify(null, preAuthenticationEncoding(payloadType, content), key.publicKey, sig))
    return rejected('bad-signature')
  const body = schemas[type]!.safeParse(parseJson(content))
  if (!body.success) return rejected('bad-schema')
  return { kind: 'message', message: { type, body: body.data } as Message, key, hash: sha256(content) }
}

/**
 * The command that an answer says it answers, although nothing vouches for that: good for telling an operator why a
 * host is not believed, and for nothing else.
 */
export function claimedReply(bytes: Uint8Array): string | undefined {
  if (bytes.length > limits.messageBytes) return undefined
  const envelope = Envelope.safeParse(parseJson(bytes))
  const content = envelope.success ? strictBase64(envelope.data.payload) : undefined
  const claimed = content && z.object({ inReplyTo: z.string() }).safeParse(parseJson(content))
  return claimed?.success ? claimed.data.inReplyTo : undefined
}

/**
 * The key by which an answer shows itself to be signed, although nobody vouches for whose it is: good for showing its
 * fingerprint to an operator, who compares it with what the host itself shows, and for nothing before that.
 */
export function shownKey(bytes: Uint8Array): VerifyingKey | undefined {
  if (bytes.length > limits.messageBytes) return undefined
  const envelope = Envelope.safeParse(parseJson(bytes))
  const content = envelope.success ? strictBase64(envelope.data.payload) : undefined
  const shown = content && z.object({ publicKey: z.string() }).safeParse(parseJson(content))
  if (!shown?.success) return undefined
  try {
    const der = strictBase64(shown.data.publicKey)
    return der && verifyingKey(createPublicKey({ key: der, format: 'der', type: 'spki' }))
  } catch {
    return undefined
  }
}

/** A public key as a message has it. */
export function spellKey({ publicKey }: VerifyingKey): string {
  return publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
}

function rejected(why: Unsealable): { readonly kind: 'rejected'; readonly why: Unsealable } {
  return { kind: 'rejected', why }
}

/** DSSE's PAE: lengths and a version before the parts, so that no two pairs of type and bytes encode alike. */
function preAuthenticationEncoding(type: string, payload: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `), payload])
}

function strictBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

/** JSON of bounded depth, or undefined. Depth is bounded first: JSON.parse itself would recurse. */
function parseJson(bytes: Uint8Array): unknown {
  if (!isUtf8(bytes)) return undefined
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  if (hasMoreThan(text, limits.jsonDepth) && deeperThan(text, limits.jsonDepth)) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Whether there are so many brackets that it may be that deep: to look at each character takes much longer. */
function hasMoreThan(text: string, limit: number): boolean {
  let count = 0
  for (const bracket of ['{', '[']) {
    for (let at = text.indexOf(bracket); at >= 0 && count <= limit; at = text.indexOf(bracket, at + 1))
      count++
  }
  return count > limit
}

function deeperThan(text: string, limit: number): boolean {
  let depth = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (inString) {
      if (char === '\\') at++
      else if (char === '"') inString = false
    } else if (char === '"') inString = true
    else if (char === '[' || char === '{') {
      if (++depth > limit) return true
    } else if (char === ']' || char === '}') depth--
  }
  return false
}
