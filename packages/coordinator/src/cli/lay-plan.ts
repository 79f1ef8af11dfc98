import { digest, instanceName, systemClock } from '@filo/protocol'
import type { Link } from '../engine/link.ts'
import { survey, type Survey } from '../engine/survey.ts'
import type { Topology } from '../fleet/topology.ts'
import { instancesToObserve, planFor } from '../plan/plan-for.ts'
import type { Intention, Plan } from '../plan/plan.ts'
import type { States } from '../plan/restart.ts'
import { Exit, exitCodes } from './exit-code.ts'

/** Longer than an agent gives a status script that hangs: the script is then told from a silent host. */
export const lookTimeoutMs = 10_000

/**
 * The plan for an intention. A restart is planned by what is running, and for that the agents are asked. Throws
 * Exit where there is no plan.
 */
export async function layPlan(
  topology: Topology,
  intention: Intention,
  link: Link | undefined,
): Promise<Plan> {
  const observations = await observeFor(topology, intention, link)
  const planned = planFor(topology, intention, { digest, observations })
  switch (planned.kind) {
    case 'plan':
      return planned.plan
    case 'nothing':
      throw new Exit(exitCodes.nothingMatched, planned.reason)
    case 'malformed':
      throw new Exit(exitCodes.usage, planned.reason)
    case 'refused':
      throw new Exit(exitCodes.refused, `there is no plan that does no harm:\n${planned.reasons.join('\n')}`)
  }
}

/** A look at all that a plan touches, for its forecast. */
export async function surveyPlan(plan: Plan, link: Link): Promise<Survey> {
  const places = plan.steps.filter((step) => step.kind !== 'hook')
  const wanted = new Map(places.map((step) => [instanceName(step.service, step.host), step]))
  return await survey(link, systemClock, wanted.values(), lookTimeoutMs)
}

async function observeFor(topology: Topology, intention: Intention, link: Link | undefined): Promise<States> {
  const names = instancesToObserve(topology, intention)
  if (names.length === 0) return new Map()
  if (link === undefined) {
    throw new Exit(exitCodes.usage, 'a restart cannot be planned --offline: it starts again what is running')
  }
  const wanted = names.map((name) => {
    const { service, host } = topology.instances[topology.numbers.get(name)!]!
    return { service: service.name, host }
  })
  const { instances } = await survey(link, systemClock, wanted, lookTimeoutMs)
  return new Map(
    [...instances].flatMap(([name, { observation }]) =>
      observation === undefined ? [] : [[name, observation]],
    ),
  )
}
