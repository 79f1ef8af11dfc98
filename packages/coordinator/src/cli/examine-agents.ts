import { digest, type InstanceName } from '@filo/protocol'
import type { SilenceCause } from '../engine/link.ts'
import type { AnsweringHost, HostSight, Sight, Survey } from '../engine/survey.ts'
import { listing } from '../fleet/listing.ts'
import type { Instance, Topology } from '../fleet/topology.ts'
import { exitCodes } from './exit-code.ts'
import { fine, warning, wrong, type Finding } from './finding.ts'
import { counted } from './plan-view.ts'

/** Beyond this, times in logs of different hosts cannot be compared by eye. Nothing in a run depends on it. */
const mostSkewMs = 5000

/**
 * What the answers of all agents say about them, about their definitions and about their clocks.
 * @param ownKey the fingerprint of the coordinator's key; undefined where it is made for each command
 */
export function examineAgents(
  { fleet, instances }: Topology,
  survey: Survey,
  ownKey: string | undefined,
): Finding[] {
  const hosts = [...survey.hosts.values()]
  const silent = hosts.filter((host) => !host.answered)
  const findings = [
    ...silent.map(({ host, silence, cause }) =>
      wrong('agents', exitCodes.unknown, silence, adviceOnSilence[cause](host)),
    ),
    ...examineDefinitions(instances, survey),
    ...hosts.flatMap(examineHolder),
    ...hosts.flatMap(examineFreeze),
    ...hosts.flatMap(examineLack),
    ...hosts.flatMap((host) => examineTaking(host, ownKey)),
    ...instances.flatMap((instance) => examineInstance(survey.instances.get(instance.name), instance.name)),
  ]
  const answered = hosts.length - silent.length
  const spare = fleet.hosts.size - hosts.length
  const idle = spare === 0 ? '' : `; ${counted(spare, 'host')} without services not asked`
  return [
    ...findings,
    ...(answered > 0
      ? [fine('agents', `${answered} of ${counted(hosts.length, 'agent')} answered${idle}`)]
      : []),
    ...examineClocks(hosts.filter((host) => host.answered)),
  ]
}

const adviceOnSilence: Record<SilenceCause, (host: string) => string> = {
  'nobody-there': (host) => `on ${host}: systemctl status filo-agent; journalctl -u filo-agent`,
  'no-answer': (host) =>
    `on ${host}: journalctl -u filo-agent. If it has dropped messages for "unknown-key", it obeys another ` +
    `coordinator's key than this one's: ${configureAnew(host)}. If it says nothing, it stands still`,
  'no-key': (host) => `on ${host}: filo-agent --fingerprint; then here: filo enroll ${host}`,
  'other-key': (host) =>
    `if it has made itself another: filo enroll ${host}, which shows it; else ${configureAnew(host)}. If neither, find out ` +
    'what answers in its place: it has its access to the broker',
}

function configureAnew(host: string): string {
  return `filo agent-config ${host} -o DIR, copy DIR to its /etc/filo, and there: systemctl restart filo-agent`
}

function examineDefinitions(instances: readonly Instance[], survey: Survey): Finding[] {
  const outdated = instances.filter(({ name, host, service }) => {
    const sight = survey.instances.get(name)
    return survey.hosts.get(host)?.answered && sight?.definition !== digest(service.definition)
  })
  return [...Map.groupBy(outdated, ({ host }) => host)].map(([host, all]) =>
    wrong(
      'agents',
      exitCodes.configuration,
      `the agent of ${host} has ${listing(all.map(({ service }) => service.name))} otherwise than this fleet file, or not at all`,
      configureAnew(host),
    ),
  )
}

function examineHolder({ host, heldBy }: HostSight): Finding[] {
  if (heldBy === undefined) return []
  const { run, operator, since } = heldBy
  const advice = `if that run is dead: filo resume ${run}; to see it: filo show ${run}`
  return [warning('agents', `${host} is held by ${run} of ${operator} since ${since}`, advice)]
}

function examineTaking(seen: HostSight, ownKey: string | undefined): Finding[] {
  if (!seen.answered || ownKey === undefined || seen.takenBy === ownKey) return []
  return [
    warning(
      'agents',
      `${seen.host} goes by the coordinator's old key, not by ${ownKey}`,
      configureAnew(seen.host),
    ),
  ]
}

function examineFreeze(seen: HostSight): Finding[] {
  if (!seen.answered || seen.freeze === undefined) return []
  const { until, why } = seen.freeze
  const advice =
    until === null
      ? `only somebody on ${seen.host} can end that: filo-agent --check says whether its policy is fine`
      : `wait until ${until} by the clock of ${seen.host}, or change its policy there`
  return [warning('agents', `${seen.host} begins nothing: ${why}`, advice)]
}

function examineLack(seen: HostSight): Finding[] {
  if (!seen.answered || seen.lack === undefined) return []
  const { host, lack } = seen
  const advice = `filo agent-config ${host} --sudoers, and that into /etc/sudoers.d/filo-agent there`
  return [wrong('agents', exitCodes.notPermitted, `the agent of ${host} lacks rights: ${lack}`, advice)]
}

function examineInstance(sight: Sight | undefined, name: InstanceName): Finding[] {
  const observation = sight?.observation
  if (observation === undefined) return []
  const { state, detail, warnings = [] } = observation
  const findings = warnings.map((text) => warning('agents', `${name}: ${text}`, 'see docs/fleet-file.md'))
  if (state === 'missing') {
    const advice = 'correct the fleet file, or install the service'
    return [wrong('agents', exitCodes.refused, `${name}: ${detail}`, advice), ...findings]
  }
  if (state !== 'unknown') return findings
  const advice = 'nothing that depends on it can be proven; ask its manager by hand'
  return [wrong('agents', exitCodes.unknown, `${name} is unknown: ${detail}`, advice), ...findings]
}

function examineClocks(hosts: readonly AnsweringHost[]): Finding[] {
  const skewed = hosts.flatMap(({ host, clockAheadMs, roundTripMs }) => {
    // The answer was written somewhere within the round trip.
    const skewMs = Math.max(Math.abs(clockAheadMs) - roundTripMs, 0)
    if (skewMs <= mostSkewMs) return []
    const seconds = Math.round(skewMs / 1000)
    const way = clockAheadMs > 0 ? 'ahead of' : 'behind'
    const text = `the clock of ${host} is ${seconds} s ${way} this one: times in its events mislead`
    return [warning('clocks', text, `on ${host}: timedatectl, chronyc tracking`)]
  })
  if (skewed.length > 0 || hosts.length === 0) return skewed
  return [fine('clocks', `all within ${mostSkewMs / 1000} s of this one`)]
}
