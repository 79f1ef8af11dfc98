import { createHmac } from 'node:crypto'
import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import type { AuditEvent } from '@filo/protocol'
import { anEvent } from '@filo/protocol/testing'
import { expect, onTestFinished, test } from 'vitest'
import { freePort } from '../../../../test/support/free-port.ts'
import { requireProgram } from '../../../../test/support/packages.ts'
import { tempDir } from '../../../../test/support/temp-dir.ts'
import { until } from '../../../../test/support/until.ts'
import { FileSink } from './file-sink.ts'
import { openSink } from './open-sink.ts'
import type { Sink } from './sink.ts'
import { LocalSyslogSink } from './syslog-sink.ts'

const source = '/agents/mail1'
const secret = `whsec_${Buffer.from('0123456789abcdef01234567').toString('base64')}`

function aFolder(): string {
  const dir = tempDir()
  onTestFinished(() => dir[Symbol.dispose]())
  return dir.path
}

async function open(to: string, troubles: string[] = [], more: { secretFile?: string } = {}): Promise<Sink> {
  const sink = await openSink(
    {
      to,
      rotation: { bytes: 1 << 20, keep: 2 },
      secretFile: more.secretFile,
      cwd: '/',
      stdout: new PassThrough(),
    },
    (words) => troubles.push(words),
  )
  onTestFinished(() => sink[Symbol.asyncDispose]())
  return sink
}

function keepAll(sink: Sink, count: number): Promise<void[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => sink.keep(anEvent(source, index + 1))))
}

function eventsIn(path: string): AuditEvent[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as AuditEvent)
}

test('a file has every event that was kept, in order, over as many files as are kept', async () => {
  const path = join(aFolder(), 'audit.jsonl')
  await using sink = await FileSink.open(path, { bytes: 64 * 1024, keep: 3 })
  for (let round = 0; round < 20; round += 1) {
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => sink.keep(anEvent(source, round * 20 + index + 1))),
    )
  }
  const files = [3, 2, 1].map((number) => `${path}.${number}`).filter((file) => existsSync(file))
  expect(files.length).toBeGreaterThan(1)
  const sequences = [...files, path].flatMap((file) => eventsIn(file).map((event) => event.sequence))
  expect(sequences).toEqual(
    Array.from({ length: sequences.length }, (_, index) => 401 - sequences.length + index),
  )
  expect(readdirSync(join(path, '..')).length).toBeLessThanOrEqual(4)
})

test('a line that a crash cut short is taken away, and the event that comes again stands once', async () => {
  const path = join(aFolder(), 'audit.jsonl')
  {
    await using sink = await FileSink.open(path, { bytes: 1 << 20, keep: 1 })
    await keepAll(sink, 3)
  }
  appendFileSync(path, JSON.stringify(anEvent(source, 4)).slice(0, 100))
  await using sink = await FileSink.open(path, { bytes: 1 << 20, keep: 1 })
  await sink.keep(anEvent(source, 4))
  expect(eventsIn(path).map((event) => event.sequence)).toEqual([1, 2, 3, 4])
})

test('a file that cannot be written is refused in words', async () => {
  await expect(open('/proc/nowhere/audit.jsonl')).rejects.toThrow(
    '/proc/nowhere/audit.jsonl cannot be written',
  )
  await expect(open('ftp://a')).rejects.toThrow('"ftp://a" is nowhere that events can go')
})

test('the local syslog gets each event, with its priority and its structured data', async () => {
  const socat = await requireProgram('socat', 'socat')
  await requireProgram('logger', 'bsdutils')
  const path = join(aFolder(), 'log')
  const receiver = spawn(socat, ['-u', `UNIX-RECV:${path}`, '-'], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void receiver.kill())
  let heard = ''
  receiver.stdout.on('data', (bytes: Buffer) => (heard += bytes.toString()))
  await until('the socket', () => existsSync(path))
  await using sink = new LocalSyslogSink(() => {}, path)
  await sink.keep(anEvent(source, 1))
  await sink.keep(anEvent(source, 2, 'filo.action.refused', { data: { outcome: 'refused' } }))
  await until('both messages', () => heard.includes('"sequence":2'))
  expect(heard).toMatch(/^<85>1 .* filo .*"sequence":1/m)
  expect(heard).toContain('<84>1 ')
})

test('syslog over UDP gets each event as RFC 5424 has it', async () => {
  const server = createSocket('udp4')
  onTestFinished(() => void server.close())
  server.bind(0, '127.0.0.1')
  await once(server, 'listening')
  const heard = once(server, 'message') as Promise<[Buffer]>
  const sink = await open(`syslog+udp://127.0.0.1:${server.address().port}`)
  const about = { subject: 'a"b]c\\d', data: { run: 'r1' } }
  await sink.keep(anEvent(source, 1, 'filo.action.finished', about))
  const [bytes] = await heard
  const text = bytes.toString().replace(/ \S+ filo \d+ /, ' HOST filo PID ')
  expect(text.slice(0, text.indexOf('{'))).toMatchInlineSnapshot(
    `"<85>1 2026-11-20T03:00:00.000Z HOST filo PID filo.action.finished [filo@32473 source="/agents/mail1" sequence="1" subject="a\\"b\\]c\\\\d" run="r1"] "`,
  )
  expect(JSON.parse(text.slice(text.indexOf('{')))).toEqual(anEvent(source, 1, 'filo.action.finished', about))
})

test('syslog over TCP is waited for, told of once, and gets all events in order', async () => {
  const port = await freePort()
  const troubles: string[] = []
  const sink = await open(`syslog+tcp://127.0.0.1:${port}`, troubles)
  const kept = keepAll(sink, 50)
  await until('the trouble to be told', () => troubles.length > 0)
  let heard = ''
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('data', (bytes) => (heard += bytes.toString()))
  })
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  server.listen(port, '127.0.0.1')
  await kept
  await until('all frames', () => frames(heard).length === 50)
  expect(
    frames(heard).map((frame) => (JSON.parse(frame.slice(frame.indexOf('{'))) as AuditEvent).sequence),
  ).toEqual(Array.from({ length: 50 }, (_, index) => index + 1))
  expect(troubles).toEqual([
    expect.stringMatching(/takes no events; they wait: connect ECONNREFUSED/),
    expect.stringMatching(/takes events again$/),
  ])
})

/** RFC 6587, section 3.4.1. */
function frames(bytes: string): string[] {
  const found: string[] = []
  for (let at = 0; ;) {
    const [head, length] = /^(\d+) /.exec(bytes.slice(at)) ?? []
    if (head === undefined || bytes.length < at + head.length + Number(length)) return found
    found.push(bytes.slice(at + head.length, at + head.length + Number(length)))
    at += head.length + Number(length)
  }
}

test('a webhook gets each event once it says yes, signed so that it can be checked', async () => {
  const answers = [500, 302, 204, 200]
  const requests: { request: IncomingMessage; body: string }[] = []
  const server = createHttpServer((request, response) => {
    let body = ''
    request.on('data', (bytes: Buffer) => (body += bytes.toString()))
    request.on('end', () => {
      requests.push({ request, body })
      response.writeHead(answers.shift() ?? 200, { location: '/elsewhere' }).end()
    })
  })
  onTestFinished(() => void server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const secretFile = join(aFolder(), 'secret')
  writeFileSync(secretFile, `${secret}\n`)
  const sink = await open(`http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, [], {
    secretFile,
  })
  await keepAll(sink, 2)
  expect(
    requests.map(({ request, body }) => [request.url, (JSON.parse(body) as AuditEvent).sequence]),
  ).toEqual([
    ['/hook', 1],
    ['/hook', 1],
    ['/hook', 1],
    ['/hook', 2],
  ])
  for (const { request, body } of requests) {
    const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': signature } = request.headers
    const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
    const expected = createHmac('sha256', key)
      .update(`${String(id)}.${String(time)}.${body}`)
      .digest('base64')
    expect(signature).toBe(`v1,${expected}`)
    expect(request.headers['content-type']).toBe('application/cloudevents+json; charset=utf-8')
  }
})

test('a secret that is none is refused, with how to make one', async () => {
  const secretFile = join(aFolder(), 'secret')
  writeFileSync(secretFile, 'hunter2')
  await expect(open('https://example.net', [], { secretFile })).rejects.toThrow('openssl rand -base64 32')
})
