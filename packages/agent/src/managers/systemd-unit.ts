// What `systemctl show` says of a unit. The properties are those of org.freedesktop.systemd1(5).

/** Asked for by name: none of these can hold a line break, with which a unit could forge another one's answer. */
export const unitProperties = [
  'Id',
  'LoadState',
  'ActiveState',
  'SubState',
  'Result',
  'Job',
  'ControlGroup',
  'NRestarts',
  'ExecMainStatus',
  'StateChangeTimestampMonotonic',
  'TriggeredBy',
  'ConsistsOf',
  'RequiredBy',
  'BoundBy',
  'Type',
  'RemainAfterExit',
] as const

export interface Unit {
  /** Its canonical name; another than asked for where that was an alias. */
  readonly id: string
  readonly load: string
  readonly active: string
  readonly sub: string
  readonly result: string
  /** The job queued for it. */
  readonly job: string | undefined
  /** Empty where it has none. */
  readonly controlGroup: string
  readonly restarts: number
  readonly exitStatus: number
  /** When it last changed state, microseconds of the monotonic clock; 0 where systemd keeps no memory of it. */
  readonly changedAtUs: number
  /** Sockets, timers and paths that start it. */
  readonly triggeredBy: readonly string[]
  /** Units that are stopped when it is stopped, by the relation in which they stand to it. */
  readonly followers: ReadonlyMap<string, 'PartOf' | 'Requires' | 'BindsTo'>
  /** Units that are PartOf it. */
  readonly parts: readonly string[]
  /** Active without any process: it stays so until it is stopped. */
  readonly remains: boolean
}

/** The units of one answer, in the order in which they were asked for. */
export function parseUnits(shown: string): Unit[] {
  return shown
    .split(/\n\n+/)
    .map(parseProperties)
    .filter((properties) => properties.has('Id'))
    .map(unitOf)
}

function parseProperties(block: string): ReadonlyMap<string, string> {
  const pairs = block.split('\n').map((line) => {
    const at = line.indexOf('=')
    return [line.slice(0, at), line.slice(at + 1)] as const
  })
  return new Map(pairs)
}

function unitOf(properties: ReadonlyMap<string, string>): Unit {
  const text = (name: string): string => properties.get(name) ?? ''
  const list = (name: string): string[] =>
    text(name)
      .split(' ')
      .filter((word) => word !== '')
  return {
    id: text('Id'),
    load: text('LoadState'),
    active: text('ActiveState'),
    sub: text('SubState'),
    result: text('Result'),
    job: text('Job') === '' || text('Job') === '0' ? undefined : text('Job'),
    controlGroup: text('ControlGroup'),
    restarts: Number(text('NRestarts')) || 0,
    exitStatus: Number(text('ExecMainStatus')) || 0,
    changedAtUs: Number(text('StateChangeTimestampMonotonic')) || 0,
    triggeredBy: list('TriggeredBy'),
    followers: new Map([
      ...list('RequiredBy').map((name) => [name, 'Requires'] as const),
      ...list('BoundBy').map((name) => [name, 'BindsTo'] as const),
      ...list('ConsistsOf').map((name) => [name, 'PartOf'] as const),
    ]),
    parts: list('ConsistsOf'),
    remains: text('Type') === 'oneshot' && text('RemainAfterExit') === 'yes',
  }
}

/** The jobs of `systemctl list-jobs --plain --no-legend`, their types by unit: `692 mta.service stop running`. */
export function parseJobs(listed: string): ReadonlyMap<string, string> {
  const rows = listed.split('\n').map((line) => line.trim().split(/\s+/))
  return new Map(rows.filter((row) => row.length === 4).map((row) => [row[1]!, row[2]!]))
}

/**
 * The full name of a unit as systemd.unit(5) allows it, or undefined. Nothing else is ever given to systemctl: it
 * takes a name with wildcards for all units that match, and refuses a whole question for one template's name.
 */
export function unitName(declared: string): string | undefined {
  const name = /\.(?:service|socket|target|timer|mount|automount|swap|path|slice|scope|device)$/.test(
    declared,
  )
    ? declared
    : `${declared}.service`
  const isTemplate = /@\.[a-z]+$/.test(name)
  return /^[A-Za-z0-9:_\\][A-Za-z0-9:_.\\@-]{0,254}$/.test(name) && !isTemplate ? name : undefined
}
