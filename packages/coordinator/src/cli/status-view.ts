import { instanceName, judge, type InstanceName, type Observation, type State } from '@filo/protocol'
import type { HostSight, Survey } from '../engine/survey.ts'
import type { Instance } from '../fleet/topology.ts'
import type { Colors } from './context.ts'
import type { ExitCode } from './exit-code.ts'
import { formatTable, type Cell } from './table.ts'
import { formatDuration, formatMoment } from './when.ts'

/** What `filo status` exits with: as LSB scripts do, not by the table of the other commands. */
const statusCodes = { running: 0, notRunning: 3, unknown: 4 } as const satisfies Record<string, ExitCode>

/** One instance as it was seen, or why it was not. */
export interface StatusRow extends Partial<Omit<Observation, 'state' | 'detail'>> {
  readonly instance: InstanceName
  readonly service: string
  readonly host: string
  readonly state: State
  readonly detail: string
  /** How long before this table it was asked for. */
  readonly ageMs: number
  /** The run that holds its host. */
  readonly heldBy?: string
}

/** A row for each instance, in start order; those of a silent host are unknown, with the reason. */
export function statusRows(instances: readonly Instance[], survey: Survey): StatusRow[] {
  return instances.map(({ service, host }): StatusRow => {
    const instance = instanceName(service.name, host)
    const sight = survey.instances.get(instance)
    const heldBy = survey.hosts.get(host)?.heldBy?.run
    return {
      instance,
      service: service.name,
      host,
      state: 'unknown',
      detail: sight?.silence ?? 'nobody was asked',
      ageMs: Math.round(sight?.ageMs ?? 0),
      ...sight?.observation,
      ...(heldBy !== undefined && { heldBy }),
    }
  })
}

/** The worst of the rows: what nobody can tell may be worse than what is known to be down. */
export function statusCode(rows: readonly StatusRow[]): ExitCode {
  if (rows.some((row) => row.state === 'unknown' || row.state === 'missing')) return statusCodes.unknown
  return rows.every(isUp) ? statusCodes.running : statusCodes.notRunning
}

export interface StatusViewOptions {
  readonly colors: Colors
  readonly columns?: number
  readonly now: Date
}

/** The table for people, and below it the hosts that a run holds or that are frozen, and warnings. */
export function statusView(
  rows: readonly StatusRow[],
  hosts: Iterable<HostSight>,
  { colors, columns, now }: StatusViewOptions,
): string[] {
  const cells = rows.map((row): Cell[] => [
    row.instance,
    { text: stateWords(row), paint: painter(row, colors) },
    row.since === undefined ? '' : formatMoment(row.since, now),
    row.manager === undefined ? 'no answer' : `${row.manager}, ${formatDuration(row.ageMs)} ago`,
    { text: row.detail, paint: colors.dim },
  ])
  const held = [...hosts].flatMap(({ host, heldBy }) =>
    heldBy === undefined
      ? []
      : [`${host} is held by ${heldBy.run} of ${heldBy.operator} since ${formatMoment(heldBy.since, now)}`],
  )
  const frozen = [...hosts].flatMap((host) =>
    host.answered && host.freeze ? [`${host.host} begins nothing: ${host.freeze.why}`] : [],
  )
  const warnings = rows.flatMap((row) => (row.warnings ?? []).map((text) => `${row.instance}: ${text}`))
  const isSilent = rows.some(({ manager }) => manager === undefined)
  const silence = isSilent ? ['why there is no answer: filo doctor'] : []
  const notes = [...silence, ...held, ...frozen, ...warnings].map((line) => colors.yellow(line))
  const table = formatTable(['instance', 'state', 'since', 'seen', 'detail'], cells, columns)
  return notes.length === 0 ? table : [...table, '', ...notes]
}

/** The state, and what about it would surprise whoever reads the word alone. */
function stateWords({ state, live, ready }: StatusRow): string {
  if (state === 'running' && ready === 'no') return 'running, not ready'
  if ((state === 'stopped' || state === 'failed') && live === 'yes') return `${state}, still live`
  return state
}

function isUp(row: StatusRow): boolean {
  // Without the settle time, which a look does not wait for.
  return row.live !== undefined && judge(row as Observation, 'running', 0) === 'proves'
}

function painter(row: StatusRow, colors: Colors): (text: string) => string {
  if (isUp(row)) return colors.green
  if (row.state === 'failed' || row.state === 'missing') return colors.red
  return row.state === 'stopped' ? colors.dim : colors.yellow
}
