import { fork } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { AuditEvent } from '@filo/protocol'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { Order } from '../bench/agents.ts'
import { startBroker, type Broker } from './support/broker.ts'
import { entriesOf } from './support/entries-of.ts'
import { schemaOf } from './support/event-schema.ts'
import { filo, startFilo, type RunningFilo } from './support/filo.ts'
import { openFleet } from './support/fleet.ts'
import { loseEvents } from './support/lose-events.ts'
import { tempDir } from './support/temp-dir.ts'
import { until } from './support/until.ts'

let broker: Broker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker[Symbol.asyncDispose]())

const hosts = Array.from({ length: 25 }, (_, at) => `h${at}`)
const servicesEach = 10
const inTime = { timeoutMs: 60_000, intervalMs: 200 }

/** A fleet of quick services, with the agents of all its hosts in one process; its directory. */
async function openManyHosts(): Promise<{ path: string; closeAgents: () => Promise<void> }> {
  const dir = tempDir()
  onTestFinished(() => dir[Symbol.dispose]())
  const up = join(dir.path, 'up')
  mkdirSync(up)
  const script = join(dir.path, 'service')
  writeFileSync(
    script,
    '#!/bin/sh\ncase $1 in start) : > "$2";; stop) rm "$2";; status) [ -e "$2" ] || exit 3;; esac\n',
  )
  chmodSync(script, 0o755)
  const services = hosts.flatMap((host) =>
    Array.from({ length: servicesEach }, (_, at) => {
      const name = `s${at}-${host}`
      const argv = ['start', 'stop', 'status'].map((verb) => `${verb}: [${script}, ${verb}, ${up}/${name}]`)
      return `  ${name}: { hosts: ${host}, command: { ${argv.join(', ')} } }`
    }),
  )
  const file = join(dir.path, 'filo.yaml')
  const hostEntries = hosts.map((host) => `${host}: {}`).join(', ')
  writeFileSync(
    file,
    ['fleet: test', `broker: ${broker.url}`, `hosts: { ${hostEntries} }`, 'services:', ...services, ''].join(
      '\n',
    ),
  )
  await succeed(dir.path, 'keys', 'init', '--hosts')
  const program = fileURLToPath(new URL('../bench/agents.ts', import.meta.url))
  const order: Order = {
    fleetFile: file,
    coordinatorState: join(dir.path, '.state'),
    ownState: join(dir.path, 'agents'),
    hosts,
  }
  const agents = fork(program, [JSON.stringify(order)])
  const ended = once(agents, 'exit')
  const closeAgents = async (): Promise<void> => {
    if (agents.connected) agents.disconnect()
    await ended
  }
  onTestFinished(closeAgents)
  await Promise.race([
    once(agents, 'message'),
    ended.then(([code]) => Promise.reject(new Error(`agents ended: ${code}`))),
  ])
  return { path: dir.path, closeAgents }
}

async function succeed(cwd: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await filo(args, { cwd, timeoutMs: 100_000 })
  if (code !== 0) throw new Error(`filo ${args.join(' ')} exited with ${code}:\n${stderr}\n${stdout}`)
  return stdout
}

/** Does it to all services, with the broker killed in the midst of it, and carries on until it is done. */
async function carryThrough(path: string, verb: 'start' | 'stop', done: () => number): Promise<void> {
  await using run = startFilo([verb, '--yes', '--patience', '60s'], { cwd: path, timeoutMs: 100_000 })
  await until(`a fifth of the ${verb}s`, () => done() >= (hosts.length * servicesEach) / 5, {
    timeoutMs: 60_000,
  })
  await broker.kill()
  await broker.restart()
  let { code } = await run.ended
  for (let more = 0; code !== 0 && more < 3; more += 1) {
    const [newest] = (await succeed(path, 'runs', '--jsonl')).split('\n')
    code = (await filo(['resume', JSON.parse(newest!).run, '--yes'], { cwd: path, timeoutMs: 100_000 })).code
  }
  expect(code, verb).toBe(0)
}

async function listen(server: Server): Promise<number> {
  onTestFinished(() => void server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** A syslog server, and what was sent to it. */
async function openSyslog(): Promise<{ url: string; events: () => AuditEvent[] }> {
  let heard = ''
  const server = createServer((socket) =>
    socket.setEncoding('utf8').on('data', (text: string) => (heard += text)),
  )
  const port = await listen(server)
  return {
    url: `syslog+tcp://127.0.0.1:${port}`,
    events: () =>
      Array.from(heard.matchAll(/\] (\{.*?\})(?=\d+ <|$)/gs), ([, text]) => JSON.parse(text!) as AuditEvent),
  }
}

/** A webhook, and what was posted to it: one of ten it refuses at first. */
async function openWebhook(): Promise<{ url: string; events: () => AuditEvent[] }> {
  const taken: AuditEvent[] = []
  let requests = 0
  const server = createHttpServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text: string) => (body += text))
    request.on('end', () => {
      requests += 1
      if (requests % 10 !== 0) taken.push(JSON.parse(body) as AuditEvent)
      response.writeHead(requests % 10 === 0 ? 503 : 204).end()
    })
  })
  const port = await listen(server)
  return { url: `http://127.0.0.1:${port}/`, events: () => taken }
}

/** All files that a consumer has written, the oldest first. */
function filesOf(path: string): string[] {
  const aside = globSync(`${path}.*`).toSorted(
    (a, b) => Number(b.split('.').at(-1)) - Number(a.split('.').at(-1)),
  )
  return existsSync(path) ? [...aside, path] : aside
}

function eventsIn(paths: readonly string[]): AuditEvent[] {
  return paths.flatMap((path) =>
    readFileSync(path, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as AuditEvent),
  )
}

/** The hashes of the events of each source, each once and in the order in which they came first. */
function bySource(events: readonly AuditEvent[]): Record<string, string[]> {
  const firsts = new Map<string, AuditEvent>()
  for (const event of events) {
    const name = `${event.source} ${event.sequence}`
    if (!firsts.has(name)) firsts.set(name, event)
  }
  const sources = Map.groupBy(firsts.values(), ({ source }) => source)
  return Object.fromEntries([...sources].map(([source, own]) => [source, own.map(({ hash }) => hash)]))
}

function follow(path: string, consumer: string, to: string, ...more: string[]): RunningFilo {
  const argv = ['audit', 'follow', '--consumer', consumer, '--to', to, ...more]
  const running = startFilo(argv, { cwd: path, timeoutMs: 300_000 })
  onTestFinished(() => running[Symbol.asyncDispose]())
  return running
}

async function newestRun(path: string): Promise<string> {
  const [newest] = (await succeed(path, 'runs', '--jsonl')).split('\n')
  return (JSON.parse(newest!) as { run: string }).run
}

test('after 500 actions and two deaths of the broker, every consumer has every chain whole and in order', async () => {
  const { path, closeAgents } = await openManyHosts()
  const [syslog, webhook] = [await openSyslog(), await openWebhook()]
  const [file, late] = [join(path, 'audit.jsonl'), join(path, 'late.jsonl')]
  const rotation = ['--rotate', '64KiB', '--keep', '100']
  const rotating = follow(path, 'file', file, ...rotation)
  const others = [follow(path, 'siem', syslog.url), follow(path, 'hook', webhook.url)]
  for (const one of [rotating, ...others]) await one.untilSays(/following as/)

  const isUp = (): number => globSync(join(path, 'up', '*')).length
  await carryThrough(path, 'start', isUp)
  rotating.signal('SIGKILL')
  await rotating.ended
  const latecomer = follow(path, 'late', late)
  await latecomer.untilSays(/following as/)
  const resumed = follow(path, 'file', file, ...rotation)
  await carryThrough(path, 'stop', () => hosts.length * servicesEach - isUp())

  const run = await newestRun(path)
  const written = (): AuditEvent[] => eventsIn(filesOf(file))
  const isGivenBack = (host: string, events: readonly AuditEvent[]): boolean => {
    const last = events.findLast(({ source }) => source === `/agents/${host}`)
    return last?.type === 'filo.claim.released' && last.data.run === run
  }
  const hasAll = (events: readonly AuditEvent[]): boolean => hosts.every((host) => isGivenBack(host, events))
  const consumers = [written, syslog.events, webhook.events, () => eventsIn([late])]
  for (const [at, events] of consumers.entries()) {
    await until(`the last events of all hosts to reach consumer ${at}`, () => hasAll(events()), inTime)
  }
  await closeAgents()
  const state = join(path, '.state', 'test')
  const sources = [join(state, 'journal.db'), ...globSync(join(path, 'agents', '*', 'ledger.db'))]
  const chains = sources.flatMap(entriesOf)
  const actions = chains.filter(({ type }) => type === 'filo.action.finished')
  expect(actions.filter(({ data }) => data.outcome === 'success').length).toBeGreaterThanOrEqual(500)
  const expected = bySource(chains)
  await until(
    'the end of the journal to reach all consumers',
    () =>
      consumers.every((events) =>
        events().some(
          ({ hash }) => hash === chains.findLast(({ source }) => source.startsWith('/coordinators/'))!.hash,
        ),
      ),
    inTime,
  )
  expect(bySource(consumers.flatMap((events) => events())), 'the union of all').toEqual(expected)
  for (const [at, events] of consumers.slice(0, 3).entries()) {
    expect(bySource(events()), `consumer ${at}`).toEqual(expected)
  }
  for (const [source, hashes] of Object.entries(bySource(eventsIn([late])))) {
    expect(hashes, `the latecomer's of ${source}`).toEqual(expected[source]!.slice(-hashes.length))
  }
  for (const one of [resumed, latecomer, ...others]) one.signal('SIGINT')
  await succeed(path, 'audit', 'verify', ...sources, ...filesOf(file), '--allow', 'repeats')
}, 300_000)

test('what the broker has lost is asked for from those who wrote it, and comes once they answer', async () => {
  await using fleet = await openFleet(broker.url, { db: {}, app: { needs: 'db' } })
  const [witnessed, path] = [join(fleet.path, 'witness.jsonl'), join(fleet.path, 'audit.jsonl')]
  const witness = follow(fleet.path, 'witness', witnessed)
  const first = follow(fleet.path, 'file', path)
  for (const one of [witness, first]) await one.untilSays(/following as/)
  const released = (file: string): number =>
    eventsIn(filesOf(file)).filter(({ type }) => type === 'filo.claim.released').length
  await succeed(fleet.path, 'start', '--yes')
  await until('the events of the start', () => released(path) === 2, inTime)
  first.signal('SIGINT')
  await first.ended

  await succeed(fleet.path, 'stop', '--yes')
  await until('the events of the stop', () => released(witnessed) === 4, inTime)
  await loseEvents(broker.url, 'file')
  await succeed(fleet.path, 'start', '--yes')
  await until('the events of the second start', () => released(witnessed) === 6, inTime)
  const app = fleet.agentOf('app')
  await app.stop()
  const second = follow(fleet.path, 'file', path)
  await second.untilSays(/\/agents\/db-host told numbers \d+ to \d+ again, which did not come by the broker/)
  await second.untilSays(/of \/agents\/app-host are missing: .*; it is asked again later/)
  await until('all that the agent of db wrote', () => released(path) === 5, inTime)
  const ledgers = [join(app.stateDir, 'ledger.db')]
  const told = await fleet.filo('audit', 'verify', path, ...ledgers)
  expect(told).toMatchObject({ code: 2 })
  expect(told.stdout).toMatch(
    /\/agents\/app-host number \d+ .* is missing: .* It was told to be missing by \/coordinators\//,
  )

  await app.start()
  await second.untilSays(/of \/agents\/app-host were missing, and have come after all/)
  await until('all that was missing', () => released(path) === 6, inTime)
  await until('the coordinator to have told of it', () =>
    [path, witnessed].every((file) => eventsIn([file]).some(({ type }) => type === 'filo.trail.completed')),
  )
  for (const event of eventsIn([path])) expect(schemaOf(event.type).safeParse(event).error).toBeUndefined()
  expect(hashesOf(eventsIn([path]))).toEqual(hashesOf(eventsIn([witnessed])))
  second.signal('SIGINT')
  await second.ended
  await app.stop()
  expect(await fleet.filo('audit', 'verify', path, ...ledgers)).toMatchObject({ code: 2 })
  await succeed(fleet.path, 'audit', 'verify', path, ...ledgers, '--allow', 'late', '--allow', 'repeats')
}, 240_000)

function hashesOf(events: readonly AuditEvent[]): string[] {
  return [...new Set(events.map(({ hash }) => hash))].toSorted()
}
