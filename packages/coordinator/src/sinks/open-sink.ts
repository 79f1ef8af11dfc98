import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Writable } from 'node:stream'
import { FileSink, type Rotation } from './file-sink.ts'
import { SinkLost, type Sink, type Trouble } from './sink.ts'
import { StreamSink } from './stream-sink.ts'
import { LocalSyslogSink, TcpSyslogSink, UdpSyslogSink } from './syslog-sink.ts'
import { parseSecret, WebhookSink } from './webhook-sink.ts'

export interface SinkOptions {
  /** `-`, a path, `syslog:`, `syslog+udp://host:port`, `syslog+tcp://host:port`, or an http(s) URL. */
  readonly to: string
  readonly rotation: Rotation
  /** The file with a webhook's secret. */
  readonly secretFile: string | undefined
  readonly cwd: string
  readonly stdout: Writable
}

/** IANA: syslog over UDP; over TCP there is no port of its own, and 601 is that of RFC 3195. */
const udpPort = 514
const tcpPort = 601

/** Throws SinkLost, in words for an administrator, where it cannot work. */
export async function openSink(options: SinkOptions, trouble: Trouble): Promise<Sink> {
  const { to } = options
  if (to === '-') return new StreamSink(options.stdout)
  if (to === 'syslog:') return new LocalSyslogSink(trouble)
  if (!/^[a-z+]+:/.test(to)) return await FileSink.open(resolve(options.cwd, to), options.rotation)
  const url = URL.parse(to)
  const port = url === null || url.port === '' ? undefined : Number(url.port)
  switch (url?.protocol) {
    case 'syslog+udp:':
      return new UdpSyslogSink(hostOf(url), port ?? udpPort, trouble)
    case 'syslog+tcp:':
      return new TcpSyslogSink(hostOf(url), port ?? tcpPort, trouble)
    case 'https:':
    case 'http:':
      return new WebhookSink(to, readSecret(options), trouble)
    case undefined:
    default:
      throw new SinkLost(
        `"${to}" is nowhere that events can go; expected -, a file, syslog:, syslog+udp://HOST, syslog+tcp://HOST or https://…`,
      )
  }
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '')
}

function readSecret({ secretFile, cwd }: SinkOptions): Buffer | undefined {
  if (secretFile === undefined) return undefined
  const path = resolve(cwd, secretFile)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new SinkLost(`the secret cannot be read: ${(error as Error).message}`)
  }
  const secret = parseSecret(text)
  if (secret === undefined) {
    throw new SinkLost(
      `${path} holds no secret; expected whsec_ and at least 24 bytes in base64: (printf whsec_; openssl rand -base64 32)`,
    )
  }
  return secret
}
