import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { BrokerKind } from '../../../test/support/broker.ts'
import {
  makeAuthority,
  replaceFile,
  type Authority,
  type Certificate,
} from '../../../test/support/certificates.ts'
import { tempDir } from '../../../test/support/temp-dir.ts'
import { startTlsBroker, type TlsBroker } from '../../../test/support/tls-broker.ts'
import { until } from '../../../test/support/until.ts'
import { BrokerUnavailable } from './errors.ts'
import { openTransport } from './open-transport.ts'
import { anAgent, anAgentsSource, anEvent, bytes, text } from './testing.ts'
import type { TlsFiles } from './tls-files.ts'
import type { Transport, TransportStatus } from './transport.ts'

/** A broker that asks for certificates, and a client, with their files in one directory. */
interface Setting extends AsyncDisposable {
  readonly broker: TlsBroker
  readonly ours: Authority
  readonly others: Authority
  /** What the broker uses, and what a client does; in files that can be replaced. */
  readonly served: Files
  readonly files: Files
  /** Why the broker cannot be had so. */
  refusal(this: void, tls: TlsFiles, url?: string): Promise<string>
  /** The broker shows another certificate until this is disposed. */
  serving(this: void, pair: Certificate): Promise<AsyncDisposable>
  /** A transport with our files, and what it reports. */
  watch(this: void): Promise<Watched>
}

type Files = Certificate & { readonly ca: string }

interface Watched extends AsyncDisposable {
  readonly transport: Transport
  readonly statuses: readonly TransportStatus[]
}

/** What TLS with certificates on both sides promises, of every transport over a network. */
export function describeTls(kind: BrokerKind): void {
  describe(`TLS to ${kind}`, () => {
    let setting: Setting
    beforeAll(async () => {
      setting = await openSetting(kind)
    })
    afterAll(() => setting?.[Symbol.asyncDispose]())
    describeTrust(kind, () => setting)
    describeRenewal(() => setting)
  })
}

async function openSetting(kind: BrokerKind): Promise<Setting> {
  const dir = tempDir()
  const ours = await makeAuthority(dir.path, 'ours')
  const others = await makeAuthority(dir.path, 'others')
  /** A certificate of our authority, in files of its own. */
  const deploy = async (name: string, names: readonly string[]): Promise<Files> => {
    const at = (what: string): string => join(dir.path, `${name}.${what}`)
    const files = { ca: at('ca'), cert: at('cert'), key: at('key') }
    replaceFiles(files, { ca: ours.ca, ...(await ours.issue({ name, for: names })) })
    return files
  }
  const served = await deploy('served', ['DNS:localhost'])
  const files = await deploy('files', [])
  const broker = await startTlsBroker(kind, served.ca, served)
  return {
    broker,
    ours,
    others,
    served,
    files,
    async refusal(tls, url = broker.tlsUrl) {
      const refused: unknown = await openTransport([url], { name: 'test', tls }).then(
        (transport) => transport[Symbol.asyncDispose](),
        (error: unknown) => error,
      )
      expect(refused).toBeInstanceOf(BrokerUnavailable)
      return (refused as Error).message
    },
    async serving(pair) {
      const before = keep(served)
      replaceFiles(served, pair)
      await broker.reload()
      return {
        async [Symbol.asyncDispose]() {
          before[Symbol.dispose]()
          await broker.reload()
        },
      }
    },
    async watch() {
      const transport = await openTransport([broker.tlsUrl], {
        name: 'test',
        tls: files,
        confirmTimeoutMs: 60_000,
      })
      const statuses: TransportStatus[] = []
      transport.onStatus((status) => statuses.push(status))
      return { transport, statuses, [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose]() }
    },
    async [Symbol.asyncDispose]() {
      await broker[Symbol.asyncDispose]()
      dir[Symbol.dispose]()
    },
  }
}

function replaceFiles(files: Files, by: Partial<Files>): void {
  for (const what of ['ca', 'cert', 'key'] as const) {
    if (by[what] !== undefined) replaceFile(files[what], by[what])
  }
}

/** Puts the pair back when it is disposed. */
function keep({ cert, key }: Files): Disposable {
  const before = [cert, key].map((file) => [file, readFileSync(file)] as const)
  return {
    [Symbol.dispose]() {
      for (const [file, content] of before) writeFileSync(file, content)
    },
  }
}

function describeTrust(kind: BrokerKind, at: () => Setting): void {
  test('a client is let in by a certificate of the authority that the broker knows, and knows the broker by its own', async () => {
    const { broker, files } = at()
    await using transport = await openTransport([broker.tlsUrl], { name: 'test', tls: files })
    const address = anAgent()
    const received: string[] = []
    await transport.open(address, (message) => received.push(text(message)))
    await transport.send(address, bytes('x'))
    await until('the message', () => received.includes('x'))
    expect((await transport.weaknesses()).filter((one) => one.text.includes('certificate'))).toEqual([])
  })

  test('a client without a certificate is refused, and told so', async () => {
    const { files, refusal } = at()
    expect(await refusal({ ca: files.ca })).toMatch(/was shown none.*tls: \{ cert: …, key: … \}/)
  })

  test('a client with a certificate of another authority is refused, and told so', async () => {
    const { files, others, refusal } = at()
    const foreign = await others.issue({ name: 'files' })
    expect(await refusal({ ca: files.ca, ...foreign })).toMatch(
      /must be signed by an authority which the broker trusts/,
    )
  })

  test('a broker whose certificate is of another authority is not trusted', async () => {
    const { files, others, refusal } = at()
    expect(await refusal({ ...files, ca: others.ca })).toMatch(
      /signed by no authority that is trusted here.*tls: \{ ca: … \}/,
    )
    expect(await refusal({ cert: files.cert, key: files.key })).toMatch(
      /signed by no authority that is trusted here/,
    )
  })

  test('a broker whose certificate is for another name is not trusted', async () => {
    const { broker, files, refusal } = at()
    const byAddress = broker.tlsUrl.replace('localhost', '127.0.0.1')
    expect(await refusal(files, byAddress)).toMatch(/certificate is for another name than the URL has/)
  })

  test('a broker is known by its address where its certificate is for that', async () => {
    const { broker, files, ours, serving } = at()
    await using _served = await serving(await ours.issue({ name: 'served', for: ['IP:127.0.0.1'] }))
    const byAddress = broker.tlsUrl.replace('localhost', '127.0.0.1')
    await using transport = await openTransport([byAddress], { name: 'test', tls: files })
    expect(transport.peer()).toBeDefined()
  })

  test('a broker whose certificate has expired is not trusted; one that soon will be is pointed out', async () => {
    const { broker, files, ours, refusal, serving } = at()
    const lasting = { name: 'served', for: ['DNS:localhost'] }
    await using _served = await serving(await ours.issue({ ...lasting, hours: -1 }))
    expect(await refusal(files)).toMatch(/its certificate has expired/)
    await using _again = await serving(await ours.issue({ ...lasting, hours: 49 }))
    await using transport = await openTransport([broker.tlsUrl], { name: 'test', tls: files })
    expect((await transport.weaknesses()).map((one) => one.text).join()).toMatch(
      /broker's certificate expires in 2 days/,
    )
  })

  // NATS goes by certificates in another way, and Filo's accounts have passwords there.
  if (kind !== 'rabbitmq') return
  test('a client whose URL has no user is who its certificate names, where RabbitMQ goes by that', async () => {
    const { broker, files, ours, refusal } = at()
    const url = broker.tlsUrl.replace('guest:guest@', '')
    const guest = await ours.issue({ name: 'guest' })
    await using transport = await openTransport([url], { name: 'test', tls: { ca: files.ca, ...guest } })
    expect(transport.peer()).toBeDefined()
    expect(await refusal(files, url)).toMatch(/user name or password refused.* EXTERNAL/)
  })
}

function describeRenewal(at: () => Setting): void {
  test('a pair that is replaced is used from then on: nothing is lost by it that was to be confirmed, and no mailbox', async () => {
    const { files, ours, watch } = at()
    await using loop = await watch()
    const source = anAgentsSource()
    const address = anAgent()
    const received: string[] = []
    await loop.transport.open(address, (message) => received.push(text(message)))
    const publishing: Promise<void>[] = []
    replaceFiles(files, await ours.issue({ name: 'files' }))
    await until('the connections to be replaced', async () => {
      publishing.push(loop.transport.publish(anEvent(source, publishing.length + 1)))
      return loop.statuses.some(({ kind: status }) => status === 'renewed')
    })
    await Promise.all(publishing)
    await until('a message', async () => {
      await loop.transport.send(address, bytes('after'))
      return received.includes('after')
    })
    expect(loop.statuses.map(({ kind: status }) => status)).toEqual(['renewed'])
  })

  test('of a pair that is half replaced nothing is used, and it is told once; the whole is used when it is there', async () => {
    const { files, ours, watch } = at()
    await using loop = await watch()
    const next = await ours.issue({ name: 'files' })
    replaceFile(files.cert, next.cert)
    await until('it to be told', () => loop.statuses.length > 0)
    expect(loop.statuses).toEqual([
      { kind: 'outdated', reason: expect.stringContaining('do not belong together') },
    ])
    await loop.transport.publish(anEvent(anAgentsSource(), 1))
    replaceFile(files.key, next.key)
    await until('the connections to be replaced', () => loop.statuses.length > 1)
    expect(loop.statuses.map(({ kind: status }) => status)).toEqual(['outdated', 'renewed'])
  })

  test('a connection that works is not given up for a pair that the broker does not take', async () => {
    const { files, others, watch } = at()
    await using loop = await watch()
    using _before = keep(files)
    replaceFiles(files, await others.issue({ name: 'files' }))
    await until('it to be told', () => loop.statuses.length > 0)
    expect(loop.statuses).toEqual([
      {
        kind: 'outdated',
        reason: expect.stringMatching(/the broker cannot be had: .*must be signed by an authority/),
      },
    ])
    await loop.transport.publish(anEvent(anAgentsSource(), 1))
  })

  test('of a broker with a new authority who has files of that is let in again, and nobody else', async () => {
    const { broker, files, others, served, refusal, watch } = at()
    await using loop = await watch()
    const own = await others.issue({ name: 'served', for: ['DNS:localhost'] })
    const next = await others.issue({ name: 'files' })
    const address = anAgent()
    const received: string[] = []
    await loop.transport.open(address, (message) => received.push(text(message)))
    replaceFiles(served, { ...own, ca: others.ca })
    await broker.restart()
    expect(await refusal({ ...files, ca: others.ca })).toMatch(
      /must be signed by an authority which the broker trusts/,
    )
    replaceFiles(files, { ...next, ca: others.ca })
    await until(
      'the message',
      async () => {
        await loop.transport.send(address, bytes('back'))
        return received.includes('back')
      },
      { timeoutMs: 30_000, intervalMs: 100 },
    )
    const kinds = loop.statuses.map(({ kind: status }) => status)
    expect(kinds.filter((status) => status !== 'outdated')).toEqual(['disconnected', 'connected'])
  })
}
