import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { openHost } from '@filo/agent'
import {
  Redactor,
  limits,
  makeKeyPair,
  MemoryBroker,
  seal,
  sha256,
  systemClock,
  type Answer,
  type Command,
  type HostDefinition,
  type KeyPair,
  type Message,
  readBootId,
} from '@filo/protocol'
import * as fc from 'fast-check'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { Link } from '../packages/coordinator/src/engine/link.ts'
import { Peer } from './support/peer.ts'
import { tempDir } from './support/temp-dir.ts'
import { until } from './support/until.ts'

// Whatever arrives that is not a signed word of the right sender has no effect, crashes nobody, and is counted.

const messages = 10_000
const seed = 20_261_120

/** Ways to spoil bytes that were a good message. None leaves it good. */
const spoil = {
  cut: (bytes: Buffer, at: number) => bytes.subarray(0, at % bytes.length),
  flip: (bytes: Buffer, at: number) => {
    const spoilt = Buffer.from(bytes)
    spoilt[at % bytes.length]! ^= 1 << (at % 7)
    return spoilt
  },
  relabel: (bytes: Buffer) => Buffer.from(bytes.toString().replace(/vnd\.filo\.\w+/, 'vnd.filo.release')),
  pad: (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(limits.messageBytes)]),
  deepen: (_: Buffer, at: number) => Buffer.from('['.repeat(17 + (at % 10_000))),
  pollute: (bytes: Buffer) => Buffer.from(bytes.toString().replace('{', '{"__proto__":{"trusted":true},')),
  repeatKey: (bytes: Buffer) => Buffer.from(bytes.toString().replace('{', '{"signatures":[],"x":1,')),
  respell: (bytes: Buffer) => Buffer.from(bytes.toString().replace(/"payload":"(.)/, '"payload":" $1')),
} satisfies Record<string, (bytes: Buffer, at: number) => Buffer>

const spoilt = (good: readonly Buffer[]): fc.Arbitrary<Buffer> =>
  fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc
      .tuple(fc.constantFrom(...good), fc.constantFrom(...Object.values(spoil)), fc.nat())
      .map(([bytes, change, at]) => change(bytes, at)),
  )

/** A body with one field taken away, of another type, or added: signed all the same, by the right key. */
function misshapen(message: Message, keys: KeyPair): fc.Arbitrary<Buffer> {
  const fields = Object.keys(message.body)
  return (
    fc
      .tuple(fc.constantFrom(...fields), fc.constantFrom(undefined, null, -1.5, {}, [[]], 'x'.repeat(2000)))
      // A hook may be absent; an agent without a ledger says null, and so does a coordinator without a journal.
      .filter(
        ([field, value]) =>
          !(value === undefined && field === 'hook') &&
          !(value === null && (field === 'ledger' || (field === 'head' && message.type === 'act'))),
      )
      .map(([field, value]) => {
        const body = { ...message.body, [field]: value }
        return Buffer.from(seal({ type: message.type, body } as unknown as Message, keys.signing).bytes)
      })
  )
}

function sample(arbitrary: fc.Arbitrary<Buffer>): Buffer[] {
  return fc.sample(arbitrary, { numRuns: messages, seed })
}

function sum(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((total, count) => total + count, 0)
}

test(`${messages} random and spoilt messages to an agent have no effect, and each is counted`, async () => {
  using dir = tempDir()
  const effect = join(dir.path, 'effect')
  const definition: HostDefinition = {
    fleet: 'test',
    host: 'h1',
    services: [
      {
        service: 'web',
        manager: {
          kind: 'command',
          start: ['/usr/bin/touch', effect],
          stop: ['/usr/bin/touch', effect],
          status: ['/bin/false'],
        },
        startTimeoutMs: 1000,
        stopTimeoutMs: 1000,
        settleMs: 0,
      },
    ],
    hooks: [],
  }
  const broker = new MemoryBroker()
  const keys = makeKeyPair()
  const peer = await new Peer(broker.connect(), definition, keys).open()
  const stranger = new Peer(broker.connect(), definition, keys)
  await using agent = await openHost({
    definition,
    identity: {
      key: keys.signing,
      trusted: (id) => (id === peer.keys.verifying.id ? peer.keys.verifying : undefined),
    },
    transport: broker.connect(),
    stateDir: join(dir.path, 'state'),
    isActing: true,
    isRelayed: false,
    boot: readBootId(),
    log: pino({ level: 'silent' }),
  })
  const claimed = await peer.claim()
  const action = { ...peer.action('stop', 'web', claimed), hook: undefined }
  const body = {
    fleet: 'test',
    host: 'h1',
    coordinator: peer.id,
    operator: 'x',
    nonce: randomUUID(),
    head: null,
    run: peer.run,
    ...action,
  }
  const act = { type: 'act', body } as unknown as Command
  const good = [
    seal(act, peer.keys.signing).bytes,
    peer.seal('claim', { takeOver: 'any', definitions: [], tasks: [], beacon: claimed.beacon }),
    peer.seal('seal', { action: randomUUID(), grant: 1 }),
  ].map((bytes) => Buffer.from(bytes))
  const wrong = [
    stranger.seal('act', action),
    peer.seal('act', { ...action, host: 'h2' }),
    peer.seal('act', { ...action, fleet: 'other' }),
  ].map((bytes) => Buffer.from(bytes))
  const rubbish = sample(fc.oneof(spoilt(good), misshapen(act, peer.keys), fc.constantFrom(...wrong)))
  for (const bytes of rubbish)
    await broker
      .connect()
      .send({ agent: 'h1' }, bytes.subarray(0, limits.messageBytes))
      .catch(() => {})
  const heard = peer.heard.length
  await until('every message to be counted', () => sum(agent.rejected) === messages, { timeoutMs: 60_000 })
  expect(peer.heard).toHaveLength(heard)
  expect(existsSync(effect)).toBe(false)
  // It is as well as before.
  expect((await peer.claim()).holder).toEqual(claimed.holder)
})

test(`${messages} random, spoilt and forged answers to a coordinator make nothing of it, and each is counted`, async () => {
  const broker = new MemoryBroker()
  const transport = broker.connect()
  const own = makeKeyPair()
  const keys = { h1: makeKeyPair(), h2: makeKeyPair() }
  const coordinator = randomUUID()
  const hosts = new Map([
    ['h1', keys.h1.verifying],
    ['h2', keys.h2.verifying],
  ])
  const identity = {
    fleet: 'test',
    coordinator,
    operator: 'x',
    keys: [own.signing],
    audit: null,
    redactor: new Redactor(),
    hosts,
  }
  await using link = await Link.open(transport, identity, systemClock, randomUUID)
  const asked: Uint8Array[] = []
  const mailbox = await transport.open({ agent: 'h1' }, (bytes) => asked.push(bytes))
  onTestFinished(() => mailbox[Symbol.asyncDispose]())
  const heard: string[] = []
  const content = {
    run: 'r20260101-000000-test',
    step: 's',
    action: randomUUID(),
    verb: 'stop',
    service: 'web',
  } as const
  const rest = { definition: '0'.repeat(64), grant: 1, beacon: '' }
  await link.act('h1', { ...content, ...rest }, (answer) => heard.push(answer.type))
  await until('the command', () => asked.length === 1)
  const payload = Buffer.from(
    (JSON.parse(Buffer.from(asked[0]!).toString()) as { payload: string }).payload,
    'base64',
  )
  const inReplyTo = sha256(payload)
  const resultFrom = (host: string, changed: Record<string, unknown> = {}): Answer => ({
    type: 'result',
    body: {
      fleet: 'test',
      host,
      coordinator,
      inReplyTo,
      incarnation: randomUUID(),
      boot: randomUUID(),
      ledger: randomUUID(),
      answer: 1,
      beacon: '',
      clock: new Date(0).toISOString(),
      head: { sequence: 0, hash: '0'.repeat(64) },
      run: content.run,
      step: 's',
      action: content.action,
      isRepeated: false,
      ending: { outcome: 'changed', reason: '', durationMs: 1 },
      ...changed,
    },
  })
  const bytesOf = (answer: Answer, by: KeyPair): Buffer => Buffer.from(seal(answer, by.signing).bytes)
  const forged = [
    bytesOf(resultFrom('h1'), keys.h2), // a result of h1, signed by h2
    bytesOf(resultFrom('h2'), keys.h2), // h2 answers what h1 was asked
    bytesOf(resultFrom('h1'), own), // the coordinator's own key
    bytesOf(resultFrom('h1', { coordinator: randomUUID() }), keys.h1),
    bytesOf(resultFrom('h1', { inReplyTo: 'f'.repeat(64) }), keys.h1),
    bytesOf(resultFrom('h1', { fleet: 'other' }), keys.h1),
  ]
  const good = bytesOf(resultFrom('h1'), keys.h1)
  const rubbish = sample(
    fc.oneof(spoilt([good]), misshapen(resultFrom('h1'), keys.h1), fc.constantFrom(...forged)),
  )
  for (const bytes of rubbish)
    await transport.send({ coordinator }, bytes.subarray(0, limits.messageBytes)).catch(() => {})
  await until('every answer to be counted', () => sum(link.rejected) === messages, { timeoutMs: 60_000 })
  expect(heard).toEqual([])
  await transport.send({ coordinator }, good)
  await until('the good result', () => heard.length > 0)
  expect(heard).toEqual(['result'])
})

test('what is over the size limit is refused before it is parsed', () => {
  const keys = makeKeyPair()
  const body = { x: 'y'.repeat(limits.messageBytes) }
  expect(() => seal({ type: 'claim', body } as unknown as Command, keys.signing)).toThrow(RangeError)
})
