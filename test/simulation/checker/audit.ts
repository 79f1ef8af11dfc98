import { createHash } from 'node:crypto'
import type { File } from '../world/disk.ts'

// A1, A2: the audit chain of a ledger or a journal, verified from its rows alone.

interface EventRead {
  readonly source: string
  readonly sequence: number
  readonly previoushash: string
  readonly hash: string
  readonly type: string
  readonly data: { readonly action?: string; readonly run?: string }
}

/** What is wrong with the chains in a database; nothing where all is well. */
export function auditFlaws(file: File): string[] {
  const flaws: string[] = []
  const heads = new Map<string, { sequence: number; hash: string }>()
  for (const event of eventsIn(file)) {
    const head = heads.get(event.source) ?? { sequence: 0, hash: event.previoushash }
    const { hash, ...rest } = event
    const isNext = event.sequence === head.sequence + 1 && event.previoushash === head.hash
    const isWhole = createHash('sha256').update(canonical(rest)).digest('hex') === hash
    if (!isNext || !isWhole) flaws.push(`${file.name}: audit event ${event.sequence} does not hold`)
    heads.set(event.source, { sequence: event.sequence, hash })
  }
  return flaws
}

/** Actions of a ledger that have begun and are not in its audit chain, or the other way round. */
export function unauditedActions(file: File): string[] {
  const started = new Set(
    eventsIn(file).flatMap(({ type, data }) => (type === 'filo.action.started' ? [data.action!] : [])),
  )
  const known = file.read("select id from action where status <> 'sealed'").map((row) => row['id'] as string)
  return known
    .filter((action) => !started.has(action))
    .map((action) => `${file.name}: no audit event tells of ${action}`)
}

/** Waivers that opened gates and are not in the audit chain of their journal. */
export function unauditedWaivers(file: File): string[] {
  const audited = Map.groupBy(
    eventsIn(file).filter(({ type }) => type === 'filo.step.waived'),
    ({ data }) => data.run!,
  )
  return file
    .read(`select run, count(*) as waivers from run_event where event ->> '$.type' = 'waived' group by run`)
    .filter(({ run, waivers }) => audited.get(run as string)?.length !== waivers)
    .map(({ run }) => `${file.name}: not every waiver of ${String(run)} is in the audit chain`)
}

function eventsIn(file: File): EventRead[] {
  return file
    .read('select event from audit_event order by source, sequence')
    .map((row) => JSON.parse(row['event'] as string) as EventRead)
}

/** RFC 8785, as far as these events go: plain strings, whole numbers, sorted keys. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1))
  return `{${entries.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join(',')}}`
}
