import { execFile } from 'node:child_process'
import { createSocket, type Socket as DatagramSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { promisify } from 'node:util'
import type { AuditEvent } from '@filo/protocol'
import { Attempts } from './attempts.ts'
import type { Sink, Trouble } from './sink.ts'
import { priorityName, syslogMessage } from './syslog-message.ts'

const run = promisify(execFile)
const connectTimeoutMs = 5000
const writeTimeoutMs = 10_000

/**
 * The machine's own syslog, by logger(1): Node has no datagram sockets of the Unix domain. Kept when the socket has
 * taken it.
 */
export class LocalSyslogSink implements Sink {
  readonly #attempts: Attempts
  readonly #socket: string

  constructor(trouble: Trouble, socket = '/dev/log') {
    this.#attempts = new Attempts('the local syslog', trouble)
    this.#socket = socket
  }

  keep(event: AuditEvent): Promise<void> {
    const argv = [
      '--rfc5424',
      '--socket',
      this.#socket,
      '--socket-errors=on',
      '--tag',
      'filo',
      '--size',
      '64KiB',
    ]
    return this.#attempts.keep(async () => {
      await run('logger', [
        ...argv,
        ...['--priority', priorityName(event), '--msgid', event.type.slice(0, 32)],
        ...['--', JSON.stringify(event)],
      ])
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#attempts[Symbol.asyncDispose]()
  }
}

/** RFC 5426. A datagram is sent and never confirmed: what the network loses is lost to that syslog. */
export class UdpSyslogSink implements Sink {
  readonly #host: string
  readonly #port: number
  readonly #attempts: Attempts
  readonly #socket: DatagramSocket

  constructor(host: string, port: number, trouble: Trouble) {
    this.#host = host
    this.#port = port
    this.#attempts = new Attempts(`syslog at ${host}:${port}`, trouble)
    this.#socket = createSocket(host.includes(':') ? 'udp6' : 'udp4').unref()
  }

  keep(event: AuditEvent): Promise<void> {
    const bytes = Buffer.from(syslogMessage(event))
    return this.#attempts.keep(
      () =>
        new Promise((resolve, reject) => {
          this.#socket.send(bytes, this.#port, this.#host, (error) => {
            if (error === null) resolve()
            else reject(error)
          })
        }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#attempts[Symbol.asyncDispose]()
    this.#socket.close()
  }
}

/**
 * RFC 6587, octet counting. Kept when the system has taken it: syslog over TCP confirms nothing, and what was on its
 * way when a connection broke may be lost to that syslog.
 */
export class TcpSyslogSink implements Sink {
  readonly #host: string
  readonly #port: number
  readonly #attempts: Attempts
  #socket: Socket | undefined

  constructor(host: string, port: number, trouble: Trouble) {
    this.#host = host
    this.#port = port
    this.#attempts = new Attempts(`syslog at ${host}:${port}`, trouble)
  }

  keep(event: AuditEvent): Promise<void> {
    const message = Buffer.from(syslogMessage(event))
    const frame = Buffer.concat([Buffer.from(`${message.length} `), message])
    return this.#attempts.keep(async () => {
      const socket = await this.#connected()
      await new Promise<void>((resolve, reject) => {
        const onClose = (): void => reject(new Error('the connection was closed'))
        const timer = setTimeout(() => socket.destroy(), writeTimeoutMs)
        socket.once('close', onClose)
        socket.write(frame, (error) => {
          clearTimeout(timer)
          socket.off('close', onClose)
          if (error) reject(error)
          else resolve()
        })
      })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#attempts[Symbol.asyncDispose]()
    this.#socket?.destroy()
  }

  async #connected(): Promise<Socket> {
    if (this.#socket !== undefined && this.#socket.writable) return this.#socket
    const socket = connect(this.#port, this.#host)
    socket.on('error', () => {})
    // Nothing is ever said there; reading notices that the other side has gone.
    socket.resume()
    try {
      await once(socket, 'connect', { signal: AbortSignal.timeout(connectTimeoutMs) })
    } catch (error) {
      socket.destroy()
      throw error
    }
    return (this.#socket = socket)
  }
}
