import { createServer as createHttpServer, type Server } from 'node:http'
import { createServer, type AddressInfo, type Server as NetServer, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { freePort } from '../../../test/support/free-port.ts'
import { probeReady } from './probe.ts'

const never = new AbortController().signal
const timeoutMs = 2000

const servers: (Server | NetServer)[] = []
const sockets = new Set<Socket>()

afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve))
})

async function listen(server: Server | NetServer, host = '127.0.0.1'): Promise<number> {
  servers.push(server)
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port: 0, host }, resolve)
  })
  return (server.address() as AddressInfo).port
}

async function serve(status: number, headers: Record<string, string> = {}): Promise<string> {
  const server = createHttpServer((_, response) => response.writeHead(status, headers).end('body'))
  return `http://127.0.0.1:${await listen(server)}/health`
}

test('a port that accepts connections is ready, over IPv4, by name and over IPv6 in brackets', async () => {
  const port = await listen(createServer())
  expect(await probeReady({ tcp: `127.0.0.1:${port}` }, never, timeoutMs)).toEqual({
    ready: true,
    detail: `tcp 127.0.0.1:${port}: accepts connections`,
  })
  expect(await probeReady({ tcp: `localhost:${port}` }, never, timeoutMs)).toMatchObject({ ready: true })
  const port6 = await listen(createServer(), '::1')
  expect(await probeReady({ tcp: `[::1]:${port6}` }, never, timeoutMs)).toMatchObject({ ready: true })
})

test('a port that nobody listens on is not ready, and says so', async () => {
  const port = await freePort()
  expect(await probeReady({ tcp: `127.0.0.1:${port}` }, never, timeoutMs)).toEqual({
    ready: false,
    detail: `tcp 127.0.0.1:${port}: ECONNREFUSED`,
  })
})

test.each([
  '5432',
  'localhost',
  'localhost:',
  ':5432',
  '::1:5432',
  'localhost:0',
  'localhost:65536',
  '[::1]',
])('%j is not host:port, and not ready', async (tcp) => {
  expect(await probeReady({ tcp }, never, timeoutMs)).toEqual({
    ready: false,
    detail: `tcp ${tcp}: not host:port`,
  })
})

test.each([
  [200, true],
  [204, true],
  [302, false],
  [404, false],
  [503, false],
])('an answer of %i is ready: %s', async (status, ready) => {
  const url = await serve(status, { location: await serve(200) })
  expect(await probeReady({ http: url }, never, timeoutMs)).toEqual({
    ready,
    detail: `http ${url}: ${status}`,
  })
})

test('a server that never answers is not ready when the time is up', async () => {
  const port = await listen(createServer())
  const startedAt = performance.now()
  const seen = await probeReady({ http: `http://127.0.0.1:${port}/` }, never, 200)
  expect(seen).toEqual({ ready: false, detail: `http http://127.0.0.1:${port}/: no answer in time` })
  expect(performance.now() - startedAt).toBeLessThan(timeoutMs)
})

test('a body without end is not read', async () => {
  const server = createHttpServer((_, response) => {
    response.writeHead(200).write('x'.repeat(1024))
  })
  const port = await listen(server)
  expect(await probeReady({ http: `http://127.0.0.1:${port}/` }, never, timeoutMs)).toMatchObject({
    ready: true,
  })
})

function sh(script: string): string[] {
  return ['/bin/sh', '-c', script]
}

test('a command is ready when it exits 0, and otherwise says why not', async () => {
  expect(await probeReady({ command: sh('exit 0') }, never, timeoutMs)).toMatchObject({ ready: true })
  expect(await probeReady({ command: sh('echo no queue >&2; exit 2') }, never, timeoutMs)).toEqual({
    ready: false,
    detail: '/bin/sh: exit status 2 (no queue)',
  })
  expect(await probeReady({ command: sh('sleep 30') }, never, 200)).toEqual({
    ready: false,
    detail: '/bin/sh: no answer in time',
  })
})

test('all that are declared must pass, and what failed is told', async () => {
  const url = await serve(200)
  const tcp = `127.0.0.1:${await freePort()}`
  expect(await probeReady({ http: url, tcp, command: ['/bin/false'] }, never, timeoutMs)).toEqual({
    ready: false,
    detail: `tcp ${tcp}: ECONNREFUSED; /bin/false: exit status 1`,
  })
})

test('once it is aborted nothing is ready', async () => {
  const port = await listen(createServer())
  const aborted = AbortSignal.abort()
  const url = await serve(200)
  expect(
    await probeReady({ tcp: `127.0.0.1:${port}`, http: url, command: ['/bin/true'] }, aborted, timeoutMs),
  ).toMatchObject({
    ready: false,
  })
})
