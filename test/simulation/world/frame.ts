import { createHash } from 'node:crypto'
import { addressName, type Address } from '@filo/protocol'
import type { Process } from './process.ts'

/** A message as it goes by, read by eyes of its own: nothing of the product has a say in what it holds. */
export interface Frame {
  /** Undefined where somebody made it up. */
  readonly from: Process | undefined
  readonly to: string
  readonly bytes: Uint8Array
  readonly isAnswer: boolean
  /** The host that it is to or from. */
  readonly host: string
  /** `claim`, `report` … */
  readonly type: string
  readonly body: Readonly<Record<string, unknown>>
  /** SHA-256 of its payload: what an answer quotes of its command. */
  readonly hash: string
  readonly sentAtMs: number
}

export function readFrame(
  from: Process | undefined,
  to: Address,
  bytes: Uint8Array,
  sentAtMs: number,
): Frame {
  const envelope = JSON.parse(Buffer.from(bytes).toString()) as { payloadType: string; payload: string }
  const payload = Buffer.from(envelope.payload, 'base64')
  const body = JSON.parse(payload.toString()) as Record<string, unknown>
  return {
    from,
    to: addressName(to),
    bytes,
    isAnswer: 'coordinator' in to,
    host: body['host'] as string,
    type: /filo\.(\w+)\+json$/.exec(envelope.payloadType)![1]!,
    body,
    hash: createHash('sha256').update(payload).digest('hex'),
    sentAtMs,
  }
}

/** An envelope (DSSE), made without the product. */
export function makeFrame(
  to: Address,
  type: string,
  body: Readonly<Record<string, unknown>>,
  signWith: { readonly id: string; readonly sign: (bytes: Buffer) => Buffer },
): Frame {
  const payload = Buffer.from(JSON.stringify(body))
  const payloadType = `application/vnd.filo.${type}+json`
  const beginning = `DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `
  const sig = signWith.sign(Buffer.concat([Buffer.from(beginning), payload])).toString('base64')
  const envelope = {
    payloadType,
    payload: payload.toString('base64'),
    signatures: [{ keyid: signWith.id, sig }],
  }
  return readFrame(undefined, to, Buffer.from(JSON.stringify(envelope)), 0)
}
