import { expect } from 'vitest'
import { until } from '../../support/until.ts'
import type { Host } from '../host.ts'
import type { Lab } from '../lab.ts'
import { unitEvents, type UnitEvent } from '../unit-events.ts'
import { list, subscriber, type Way } from './prepare.ts'

// What the platform says of itself, whatever Filo says: mail that arrives, the database's own log, systemd's journal.

/** Writes to the list, as somebody on the mail host, and waits for the list's copy. */
export async function tryTheList(lab: Lab, subject: string): Promise<void> {
  await writeToList(lab, subject)
  await untilArrived(lab, subject)
}

export async function writeToList(lab: Lab, subject: string): Promise<void> {
  const message = `From: ${subscriber}\\nTo: ${list}\\nSubject: ${subject}\\n\\nHello.\\n`
  await lab.host('mail').sh(`printf '${message}' | /usr/sbin/sendmail -f ${subscriber} ${list}`)
}

export async function untilArrived(lab: Lab, subject: string): Promise<void> {
  await until(
    `"${subject}" to come back from the list`,
    async () => (await lab.host('mail').attempt('cat', '/var/mail/alice')).stdout.includes(subject),
    { timeoutMs: 60_000, intervalMs: 100 },
  )
}

/** Sympa's pages. */
function pagesOf(lab: Lab): string {
  return `http://${lab.hosts.has('web') ? 'web' : 'app'}/sympa`
}

/** The status of the answer to a visitor of Sympa's pages: 502 while nobody is behind the HTTP server, 0 while there is none. */
export async function visit(lab: Lab): Promise<number> {
  const options = ['-s', '-o', '/dev/null', '-w', '%{http_code}', '--max-time', '30']
  return Number((await lab.host('mail').attempt('curl', ...options, pagesOf(lab))).stdout)
}

/** Visitors who come five times a second until they are sent home. */
export async function sendVisitors(lab: Lab): Promise<AsyncDisposable> {
  const mail = lab.host('mail')
  const loop = `while :; do curl -s -o /dev/null --max-time 2 ${pagesOf(lab)}; sleep 0.2; done`
  const pid = (await mail.sh(`setsid sh -c '${loop}' > /dev/null 2>&1 & echo $!`)).trim()
  return { [Symbol.asyncDispose]: async () => void (await mail.exec('kill', pid)) }
}

/**
 * Begins to watch a stop of the platform. When it is over, what this gives judges it by what the services wrote down: all went
 * down in order, and nobody was at the database when it did. Gives what else the units did meanwhile.
 */
export async function watchStop(lab: Lab, way: Way): Promise<() => Promise<readonly UnitEvent[]>> {
  const db = lab.host('db')
  const [began, mark] = [new Date(), await markDatabaseLog(db)]
  return async () => {
    const events = await unitEvents(lab, began)
    expectStopOrder(layersOf(way), events)
    await expectNobodyAtTheDatabase(db, mark)
    return events
  }
}

/** The same for a start: all came up in order. */
export function watchStart(lab: Lab, way: Way): () => Promise<void> {
  const began = new Date()
  return async () => expectStartOrder(layersOf(way), await unitEvents(lab, began))
}

/** The size of the database's log: from where to read on. */
export async function markDatabaseLog(db: Host): Promise<number> {
  return Number(await db.exec('stat', '-c', '%s', databaseLog))
}

const databaseLog = '/var/log/postgresql/postgresql-15-main.log'

/** By the database's log since `mark`: all clients from other hosts had left when it began to stop, and none came afterwards. */
export async function expectNobodyAtTheDatabase(db: Host, mark: number): Promise<void> {
  const log = (await db.exec('tail', '-c', `+${mark + 1}`, databaseLog)).split('\n')
  const stopBegan = log.findIndex((line) => line.includes('received fast shutdown request'))
  expect(stopBegan, log.join('\n')).toBeGreaterThanOrEqual(0)
  const restarted = log.findIndex((line, at) => at > stopBegan && line.includes('starting PostgreSQL'))
  const stopped = log.slice(stopBegan, restarted === -1 ? log.length : restarted)
  expect(stopped.filter((line) => /host=10\.77\./.test(line))).toEqual([])
}

/** Units in layers, each as `host/unit`; whatever is in a layer needs all of the layers before. */
export type Layers = readonly (readonly string[])[]

const daemons = ['sympa', 'sympa-archived', 'sympa-bounced', 'sympa-bulk', 'sympa-task_manager']

/** What of Sympa is a unit. An init script is one, whatever it starts. */
const unitsOfSympa: Readonly<Record<Way, readonly string[]>> = {
  systemd: [...daemons, 'sympa-automatic'],
  initscripts: ['sympa'],
  spawned: daemons,
}

/** The platform, the database first. */
function layersOf(way: Way): Layers {
  return [
    ['db/postgresql@15-main.service'],
    unitsOfSympa[way].map((name) => `app/${name}.service`),
    ['app/postfix@-.service', 'mail/postfix@-.service'],
    [way === 'spawned' ? 'app/apache2.service' : 'app/wwsympa.service'],
  ]
}

/** Every unit was stopped once, and was down before anything that it needs began to stop. */
function expectStopOrder(layers: Layers, events: readonly UnitEvent[]): void {
  expectOnce(layers, events, 'stopped')
  for (const [at, layer] of layers.entries()) {
    const above = layers.slice(at + 1).flat()
    const lastDown = Math.max(0, ...timesOf(events, above, ['stopped']))
    const firstGoing = Math.min(...timesOf(events, layer, ['stopping']))
    expect(firstGoing, `${layer.join()} began to stop before ${above.join()} was down`).toBeGreaterThan(
      lastDown,
    )
  }
}

/** Every unit was started once, and began when all that it needs was up. */
export function expectStartOrder(layers: Layers, events: readonly UnitEvent[]): void {
  expectOnce(layers, events, 'started')
  for (const [at, layer] of layers.entries()) {
    const below = layers.slice(0, at).flat()
    const lastUp = Math.max(0, ...timesOf(events, below, ['started']))
    const firstComing = Math.min(...timesOf(events, layer, ['starting', 'started']))
    expect(firstComing, `${layer.join()} began to start before ${below.join()} was up`).toBeGreaterThan(
      lastUp,
    )
  }
}

function expectOnce(layers: Layers, events: readonly UnitEvent[], what: UnitEvent['what']): void {
  const units = layers.flat()
  const seen = events.filter((event) => event.what === what).map(({ host, unit }) => `${host}/${unit}`)
  expect(seen.filter((unit) => units.includes(unit)).toSorted()).toEqual(units.toSorted())
}

function timesOf(
  events: readonly UnitEvent[],
  units: readonly string[],
  what: readonly UnitEvent['what'][],
): number[] {
  return events
    .filter((event) => units.includes(`${event.host}/${event.unit}`) && what.includes(event.what))
    .map(({ atUs }) => atUs)
}
