import { digest, instanceName, readBootId } from '@filo/protocol'
import type { Connection } from '../engine/connection.ts'
import type { Survey, Wanted } from '../engine/survey.ts'
import { instancesToObserve, planFor } from '../plan/plan-for.ts'
import { isHostStep, type Intention, type Plan } from '../plan/plan.ts'
import { ownMachine } from '../plan/own-machine.ts'
import type { States } from '../plan/restart.ts'
import { Exit, exitCodes } from './exit-code.ts'
import type { LoadedFleet } from './load-fleet.ts'
import { look } from './look.ts'

/**
 * The plan for an intention. A restart or reboot is planned by what is running: the agents are asked for that. Throws
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
      if (connection !== undefined) await refuseOwnMachine(loaded, connection, planned.plan)
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
  const wanted = new Map(
    plan.steps.flatMap((step): [string, Wanted][] => {
      if (isHostStep(step)) return [[step.host, { host: step.host }]]
      const { service, host } = step
      return step.kind === 'hook' ? [] : [[instanceName(service, host), { service, host }]]
    }),
  )
  return await look(loaded, connection, wanted.values())
}

/** Who types `filo reboot` on the very machine that it would end is told before anything is stopped. */
async function refuseOwnMachine(loaded: LoadedFleet, connection: Connection, plan: Plan): Promise<void> {
  const goingDown = plan.steps.filter(isHostStep)
  if (goingDown.length === 0) return
  const { hosts } = await look(
    loaded,
    connection,
    goingDown.map(({ host }) => ({ host })),
  )
  const boot = readBootId()
  const reasons = goingDown.flatMap(({ host, kind }) => {
    const seen = hosts.get(host)
    return seen?.answered && seen.boot === boot ? ownMachine(host, kind) : []
  })
  if (reasons.length > 0) throw new Exit(exitCodes.refused, reasons.join('\n'))
}

/** Whether the agents are asked before there can be a plan: what runs decides what it does, or where. */
export function isPlannedBySight(verb: Intention['verb']): boolean {
  return verb === 'restart' || verb === 'reboot' || verb === 'halt'
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
    const why = 'cannot be planned --offline: it starts again what is running'
    throw new Exit(exitCodes.usage, `a ${intention.verb} ${why}`)
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
