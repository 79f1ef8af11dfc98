import { existsSync } from 'node:fs'
import { systemClock } from '@filo/protocol'
import type { Connection } from '../engine/connection.ts'
import { survey, type HostSight, type Survey } from '../engine/survey.ts'
import { hostsOf } from './carry.ts'
import { openJournal } from './connection.ts'
import { reportFromJournal } from './find-run.ts'
import type { LoadedFleet } from './load-fleet.ts'

/** Longer than an agent gives a status script that hangs: the script is then told from a silent host. */
const lookTimeoutMs = 10_000
/** How many runs back one is looked for that is being carried out. */
const newestRuns = 5

/** Looks at instances once, all hosts side by side, and at who holds the hosts. */
export async function look(
  loaded: LoadedFleet,
  { link }: Connection,
  wanted: Iterable<{ readonly service: string; readonly host: string }>,
): Promise<Survey> {
  const seen = await survey(link, systemClock, wanted, lookTimeoutMs)
  return loaded.fleet.broker === 'local' ? { ...seen, hosts: withHolders(loaded, seen.hosts) } : seen
}

/** Agents in this process know nothing of a run in another one: the journal does. */
function withHolders(loaded: LoadedFleet, hosts: Survey['hosts']): Survey['hosts'] {
  if (!existsSync(loaded.dir.journal)) return hosts
  using journal = openJournal(loaded)
  const held = new Map<string, NonNullable<HostSight['heldBy']>>()
  for (const record of journal.runs(newestRuns)) {
    if (reportFromJournal(journal, record).outcome !== 'running') continue
    const { run, operator, orderedAt: since, plan } = record
    for (const host of hostsOf(plan)) held.set(host, { run, operator, since })
  }
  return new Map(
    [...hosts].map(([name, host]) => {
      const heldBy = held.get(name)
      return [name, heldBy === undefined ? host : { ...host, heldBy }]
    }),
  )
}
