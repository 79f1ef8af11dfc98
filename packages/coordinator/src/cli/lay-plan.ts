import { digest, instanceName } from '@filo/protocol'
import type { Connection } from '../engine/connection.ts'
import type { Survey } from '../engine/survey.ts'
import { instancesToObserve, planFor } from '../plan/plan-for.ts'
import type { Intention, Plan } from '../plan/plan.ts'
import type { States } from '../plan/restart.ts'
import { Exit, exitCodes } from './exit-code.ts'
import type { LoadedFleet } from './load-fleet.ts'
import { look } from './look.ts'

/**
 * The plan for an intention. A restart is planned by what is running, and for that the agents are asked. Throws
 * Exit where there is no plan.
 */
export async function layPlan(
  loaded: LoadedFleet,
  intention: Intention,
  connection: Connection | undefined,
): Promise<Plan> {
  const observations = await observeFor(loaded, intention, connection)
  const planned = planFor(loaded.topology, intention, { digest, observations })
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
export async function lookAtPlan(loaded: LoadedFleet, connection: Connection, plan: Plan): Promise<Survey> {
  const places = plan.steps.filter((step) => step.kind !== 'hook')
  const wanted = new Map(places.map((step) => [instanceName(step.service, step.host), step]))
  return await look(loaded, connection, wanted.values())
}

async function observeFor(
  loaded: LoadedFleet,
  intention: Intention,
  connection: Connection | undefined,
): Promise<States> {
  const { topology } = loaded
  const names = instancesToObserve(topology, intention)
  if (names.length === 0) return new Map()
  if (connection === undefined) {
    throw new Exit(exitCodes.usage, 'a restart cannot be planned --offline: it starts again what is running')
  }
  const wanted = names.map((name) => {
    const { service, host } = topology.instances[topology.numbers.get(name)!]!
    return { service: service.name, host }
  })
  const { instances } = await look(loaded, connection, wanted)
  return new Map(
    [...instances].flatMap(([name, { observation }]) =>
      observation === undefined ? [] : [[name, observation]],
    ),
  )
}
