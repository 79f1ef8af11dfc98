import type { Colors } from './context.ts'
import type { HostLock, RunLock } from './locks.ts'
import { formatTable, type Cell } from './table.ts'
import { formatDuration, formatMoment } from './when.ts'

/** A row for each host, then the runs that are carried out from here, then what to type about those that are not. */
export function locksView(
  hosts: readonly HostLock[],
  runs: readonly RunLock[],
  { colors, now }: { readonly colors: Colors; readonly now: Date },
): string[] {
  const rows = hosts.map(({ host, silence, heldBy, heldForMs = 0, standing }): Cell[] => {
    if (silence !== undefined)
      return [host, '', '', '', '', { text: `no answer: ${silence}`, paint: colors.yellow }]
    if (heldBy === undefined) return [host, '', '', '', '', { text: 'free', paint: colors.dim }]
    const { run, operator, since } = heldBy
    return [host, run, operator, formatMoment(since, now), formatDuration(heldForMs), words(standing)]
  })
  const carried = runs.map(({ run, operator = '', since, pid = '' }): Cell[] => [
    run,
    operator,
    since === undefined ? '' : formatMoment(since, now),
    String(pid),
  ])
  const next = nextRows(hosts, colors)
  return [
    ...formatTable(['host', 'held by', 'of', 'since', 'for', 'how it stands'], rows),
    ...(carried.length === 0
      ? []
      : ['', ...formatTable(['carried out from here', 'by', 'since', 'process'], carried)]),
    ...(next.length === 0 ? [] : ['', ...formatTable(['What to type next:', ''], next)]),
  ]
}

function words(standing: HostLock['standing']): string {
  if (standing === undefined) return 'not a run of this coordinator'
  if (standing === 'running') return 'is being carried out'
  if (standing === 'interrupted') return 'its process has ended in the midst of it'
  return `has ended: ${standing}`
}

/** One way out for each run that holds a host and that nobody carries out. */
function nextRows(hosts: readonly HostLock[], colors: Colors): Cell[][] {
  const stuck = Map.groupBy(hosts.filter(isStuck), ({ heldBy }) => heldBy!.run)
  const resumes = [...stuck].map(([run, held]): Cell[] => [
    { text: `  filo resume ${run}`, paint: colors.bold },
    `carry on with it, which frees ${held.map(({ host }) => host).join(', ')}`,
  ])
  const isSilent = hosts.some(({ answered }) => !answered)
  const doctor: Cell[] = [{ text: '  filo doctor', paint: colors.bold }, 'see why hosts do not answer']
  return isSilent ? [...resumes, doctor] : resumes
}

/** Whether a run of this coordinator holds the host, has something left to do, and is not carried out. */
function isStuck({ heldBy, standing }: HostLock): boolean {
  return (
    heldBy !== undefined && standing !== undefined && !['running', 'succeeded', 'waived'].includes(standing)
  )
}
