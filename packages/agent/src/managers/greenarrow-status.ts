import { cut, type GreenarrowMta, type State } from '@filo/protocol'
import type { Sighting } from './manager.ts'

// What `hvmail_init status` prints: a table of queues, two summary lines, a table of components.

export interface Queue {
  readonly name: string
  readonly isStarted: boolean
  readonly hasOkFile: boolean
  /** True also where the queue needs no RAM disk. */
  readonly hasRamdisk: boolean
}

export interface Component {
  readonly name: string
  /** `UP`, `DOWN`, or a word that is not known. */
  readonly primary: string
  /** Absent where the component keeps no log of its own. */
  readonly log?: string
}

export interface GreenarrowStatus {
  readonly overall: string
  readonly license: string
  readonly queues: readonly Queue[]
  readonly components: readonly Component[]
}

/** Reads the whole output, or nothing: half a table would prove what the other half contradicts. */
export function readGreenarrowStatus(text: string): GreenarrowStatus | undefined {
  const parts =
    /^\s*QUEUE\s+SERVICE\s+STARTED\s+OK\s+FILE\s+EXISTS\s+RAMDISK\s+ACTIVE\s+(?<queues>.*?)\s*OVERALL\s+STATUS:\s*(?<overall>\S+)\s+LICENSE:\s*(?<license>.*?)\s*SERVICES:\s+Name\s+Primary\s+Service\s+Status\s+Log\s+Service\s+Status\s+(?<components>.*?)\s*$/s.exec(
      text,
    )?.groups
  const queues = readAll(/([\w-]+)\s+(yes|no)\s+(yes|no)\s+(yes|no|n\/a)(?:\s+|$)/gy, parts?.['queues'])
  const components = readAll(/([a-z][\w.-]*)\s+([A-Z]+)(?:\s+([A-Z]+))?(?:\s+|$)/gy, parts?.['components'])
  if (parts === undefined || queues.length === 0 || components.length === 0) return undefined
  return {
    overall: parts['overall']!,
    license: parts['license']!,
    queues: queues.map(([, name, started, ok, ramdisk]) => ({
      name: name!,
      isStarted: started === 'yes',
      hasOkFile: ok === 'yes',
      hasRamdisk: ramdisk !== 'no',
    })),
    components: components.map(([, name, primary, log]) => ({
      name: name!,
      primary: primary!,
      ...(log !== undefined && { log }),
    })),
  }
}

/** The matches of a sticky pattern; none where they do not make up the whole text. */
function readAll(row: RegExp, text = ''): RegExpExecArray[] {
  const rows = [...text.matchAll(row)]
  return rows.reduce((length, [match]) => length + match.length, 0) === text.length ? rows : []
}

/** Components as daemontools sees them: the table does not tell what is ending, or keeps ending, from what runs. */
export type Supervised = ReadonlyMap<string, State>

/** How many components a detail has room for. */
const namedAtMost = 5

/** Whether the MTA runs, is stopped, or is neither, and which components are in the way of either. */
export function judgeMta(
  status: GreenarrowStatus,
  supervised: Supervised,
  definition: GreenarrowMta,
): Sighting {
  const strange = status.components.filter(({ primary, log = 'UP' }) => !isKnown(primary) || !isKnown(log))
  if (strange.length > 0) {
    const names = some(strange.map(({ name }) => name))
    return unknown(`hvmail_init status has words that are not known, of ${names}`)
  }
  const own = status.components.filter(({ name }) => !definition.apart.includes(name))
  const diskQueue = definition.diskQueue.slice(definition.diskQueue.lastIndexOf('/') + 1)
  const isEnding = supervised.get(diskQueue) === 'stopping'
  const license =
    status.license === 'current' ? {} : { warnings: [`GreenArrow's license: ${status.license}`] }
  const lacking = faultsOf(status, own, supervised, definition)
  const up = own.filter(({ primary }) => primary === 'UP')
  if (lacking.length === 0) {
    const detail = `up: ${up.length} of ${own.length} components, the others down by design`
    return { state: 'running', live: 'yes', detail, ...license }
  }
  const left = up.filter(({ name }) => !(name === diskQueue && isEnding))
  if (left.length > 0) {
    const detail = `neither up nor down: ${some(lacking)}; up: ${some(left.map(({ name }) => name))}`
    return { state: 'failed', live: 'yes', detail: cut(detail), ...license }
  }
  return judgeStopped(`down: all ${own.length} components`, definition.diskQueue, supervised.get(diskQueue))
}

/** What keeps the MTA from being up. */
function faultsOf(
  { overall, queues }: GreenarrowStatus,
  own: readonly Component[],
  supervised: Supervised,
  { expectedDown }: GreenarrowMta,
): string[] {
  return [
    ...(overall === 'up' ? [] : [`overall status ${overall}`]),
    ...queues.filter((queue) => !isReady(queue)).map(({ name }) => `queue ${name} not ready`),
    ...own
      .filter(({ name }) => !expectedDown.includes(name))
      .flatMap(({ name, primary, log = 'UP' }) => {
        if (primary === 'DOWN') return [`${name} DOWN`]
        if (log === 'DOWN') return [`${name}'s log DOWN`]
        const state = supervised.get(name)
        // What ends as soon as it is started is UP in the table at almost any moment.
        const isUnsteady = state === 'starting' || state === 'failed' || state === 'stopping'
        return isUnsteady ? [`${name} ${state}`] : []
      }),
  ]
}

function some(names: readonly string[]): string {
  const named = names.slice(0, namedAtMost)
  return [...named, ...(names.length > named.length ? [`${names.length - named.length} more`] : [])].join(
    ', ',
  )
}

/** All components are down; the disk queue's qmail-send may live on, which does no harm (the manual, "Stopping"). */
function judgeStopped(detail: string, directory: string, diskQueue: State | undefined): Sighting {
  switch (diskQueue) {
    case 'stopped':
      return { state: 'stopped', live: 'no', detail }
    case 'stopping': {
      const warning =
        "the disk queue's qmail-send still writes down when to try its messages again; it ends by itself, and halting " +
        'the machine before does no harm'
      return {
        state: 'stopped',
        live: 'no',
        detail: `${detail}; the disk queue is ending`,
        warnings: [warning],
      }
    }
    case 'running':
    case 'starting':
    case 'failed':
      return { state: 'failed', live: 'yes', detail: `${detail}, but ${directory} is not (svstat)` }
    case 'missing':
    case 'unknown':
    case undefined:
      return unknown(`${detail}, but svstat cannot tell of the disk queue: look at ${directory}`)
  }
}

/** Whether PostgreSQL runs, by its row alone. */
export function judgePostgres({ components }: GreenarrowStatus, name: string): Sighting {
  const row = components.find((component) => component.name === name)
  switch (row?.primary) {
    case 'UP':
      return { state: 'running', live: 'yes', detail: `${name} UP` }
    case 'DOWN':
      return { state: 'stopped', live: 'no', detail: `${name} DOWN` }
    case undefined:
      return { state: 'missing', live: 'unknown', detail: `hvmail_init status has no component ${name}` }
    default:
      return unknown(`${name} ${row!.primary}: a word that is not known`)
  }
}

export function unknown(detail: string): Sighting {
  return { state: 'unknown', live: 'unknown', detail: cut(detail) }
}

function isReady({ isStarted, hasOkFile, hasRamdisk }: Queue): boolean {
  return isStarted && hasOkFile && hasRamdisk
}

function isKnown(word: string): boolean {
  return word === 'UP' || word === 'DOWN'
}
