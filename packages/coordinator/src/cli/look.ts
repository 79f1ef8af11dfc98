import { existsSync } from 'node:fs'
import { systemClock } from '@filo/protocol'
import type { Connection } from '../engine/connection.ts'
import { stateOf } from '../engine/orders.ts'
import { survey, type HostSight, type Survey, type Wanted } from '../engine/survey.ts'
import { hostsOf, isHostStep } from '../plan/plan.ts'
import type { Phase } from '../run/phase.ts'
import { openJournal } from './connection.ts'
import { carriedOutRuns } from './find-run.ts'
import type { LoadedFleet } from './load-fleet.ts'

/** Longer than an agent gives a status script that hangs: the script is then told from a silent host. */
const lookTimeoutMs = 10_000

/** Looks at instances once, all hosts side by side, and at who holds the hosts. */
export async function look(
  loaded: LoadedFleet,
  { link }: Connection,
  wanted: Iterable<Wanted>,
): Promise<Survey> {
  const seen = await survey(link, systemClock, wanted, lookTimeoutMs)
  return loaded.fleet.broker === 'local'
    ? { ...seen, hosts: withHolders(loaded, seen.hosts) }
    : withAbsences(loaded, seen)
}

/** Of hosts that are silent because a run has told them to go down, that is said, by the journal. */
function withAbsences(loaded: LoadedFleet, { instances, hosts }: Survey): Survey {
  const silent = new Set([...hosts.values()].filter(({ answered }) => !answered).map(({ host }) => host))
  if (silent.size === 0 || !existsSync(loaded.dir.journal)) return { instances, hosts }
  const why = absences(loaded, silent)
  const explain = <Seen extends { readonly host: string; readonly silence?: string }>(seen: Seen): Seen => {
    const absence = seen.silence === undefined ? undefined : why.get(seen.host)
    return absence === undefined ? seen : { ...seen, silence: `${absence}: ${seen.silence}` }
  }
  return {
    instances: new Map([...instances].map(([name, sight]) => [name, explain(sight)])),
    hosts: new Map([...hosts].map(([name, host]) => [name, explain(host)])),
  }
}

/** How many runs back one is looked for that has told a host to go down. */
const newestRuns = 20

/** `rebooting since 2026-… (r…)`, by the newest run that has to do with the host. */
function absences(loaded: LoadedFleet, silent: ReadonlySet<string>): Map<string, string> {
  using journal = openJournal(loaded)
  const known = new Map<string, string | undefined>()
  for (const record of journal.runs(newestRuns)) {
    const { run, plan } = record
    const concerned = [...hostsOf(plan)].filter((host) => silent.has(host) && !known.has(host))
    if (concerned.length === 0) continue
    const { steps, hostSteps } = stateOf(journal, record)
    for (const host of concerned) {
      const index = hostSteps.get(host) ?? -1
      const step = plan.steps[index]
      const { phase, action } = steps[index] ?? {}
      if (step === undefined || !isHostStep(step) || action?.going === undefined) known.set(host, undefined)
      else known.set(host, absenceOf(step.kind, phase, `since ${action.going.since} (${run})`))
    }
  }
  return new Map([...known].filter((entry): entry is [string, string] => entry[1] !== undefined))
}

function absenceOf(kind: 'reboot' | 'halt', phase: Phase | undefined, since: string): string | undefined {
  const isUnderWay = phase === 'sent' || phase === 'unknown'
  if (kind === 'halt' && phase === 'done') return `halted ${since}`
  return isUnderWay ? `${kind === 'reboot' ? 'rebooting' : 'halting'} ${since}` : undefined
}

/** Agents in this process know nothing of a run in another one: the journal does. */
function withHolders(loaded: LoadedFleet, hosts: Survey['hosts']): Survey['hosts'] {
  if (!existsSync(loaded.dir.journal)) return hosts
  using journal = openJournal(loaded)
  const held = new Map<string, NonNullable<HostSight['heldBy']>>()
  for (const { run, plan, operator, orderedAt } of carriedOutRuns(journal)) {
    const { since = orderedAt } = journal.owner(run) ?? {}
    for (const host of hostsOf(plan)) held.set(host, { run, operator, since })
  }
  return new Map(
    [...hosts].map(([name, host]) => {
      const heldBy = held.get(name)
      return [name, heldBy === undefined ? host : { ...host, heldBy }]
    }),
  )
}
