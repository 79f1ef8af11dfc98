import { instanceName } from '@filo/protocol'
import { listing } from '../fleet/listing.ts'
import type { Topology } from '../fleet/topology.ts'
import type { Digest } from './draft.ts'
import { instancesToObserve, planFor } from './plan-for.ts'
import { isHostStep, stepName, type Plan } from './plan.ts'

/**
 * What a fleet would have otherwise if the intention of an earlier plan were planned now, in sentences; none where it would
 * be the same plan. A restart or reboot is planned by what ran then, as the plan itself has it.
 */
export function changesSince(plan: Plan, topology: Topology, digest: Digest): string[] {
  const restarted = new Set(
    plan.steps.flatMap((step) => (step.kind === 'start' ? instanceName(step.service, step.host) : [])),
  )
  const observations = new Map(
    instancesToObserve(topology, plan.intention).map((name) => [
      name,
      { state: restarted.has(name) ? ('running' as const) : ('stopped' as const) },
    ]),
  )
  const planned = planFor(topology, plan.intention, { digest, observations })
  if (planned.kind === 'refused') return [`it would be refused: ${planned.reasons.join('; ')}`]
  if (planned.kind !== 'plan') return [`there would be no plan: ${planned.reason}`]
  return differences(plan, planned.plan)
}

function differences(before: Plan, after: Plan): string[] {
  const steps = { before: new Map(waitsByStep(before)), after: new Map(waitsByStep(after)) }
  const gone = [...steps.before.keys()].filter((name) => !steps.after.has(name))
  const added = [...steps.after.keys()].filter((name) => !steps.before.has(name))
  const moved = [...steps.before].filter(([name, waits]) => (steps.after.get(name) ?? waits) !== waits)
  const definitions = definitionsOf(after)
  const redefined = [...definitionsOf(before)].filter(
    ([name, definition]) => (definitions.get(name) ?? definition) !== definition,
  )
  const sentence = (words: string, names: readonly string[]): string[] =>
    names.length === 0 ? [] : [`${words}: ${listing(names)}`]
  return [
    ...sentence(
      'defined otherwise',
      redefined.map(([name]) => name),
    ),
    ...sentence('no longer in it', gone),
    ...sentence('now in it', added),
    ...sentence(
      'waiting for other steps',
      moved.map(([name]) => name),
    ),
  ]
}

/** Of services, of hooks, and of how hosts are rebooted and halted. */
function definitionsOf({ services, steps }: Plan): Map<string, string> {
  const others = steps.filter((step) => step.kind === 'hook' || isHostStep(step))
  return new Map([
    ...Object.entries(services).map(([name, { definition }]) => [name, definition] as const),
    ...others.map((step) => [stepName(step), step.definition] as const),
  ])
}

/** Each step by its name, with what it waits for by theirs. */
function waitsByStep({ steps, joins }: Plan): [string, string][] {
  const describe = ({ needs, follows }: { needs: readonly number[]; follows: readonly number[] }): string =>
    `${needs.map(nameOf).toSorted().join()};${follows.map(nameOf).toSorted().join()}`
  const joinNames: string[] = []
  const nameOf = (ref: number): string =>
    ref < steps.length ? stepName(steps[ref]!) : joinNames[ref - steps.length]!
  for (const join of joins) joinNames.push(`(${join.enough ?? 'all'} of ${describe(join)})`)
  return steps.map((step) => [stepName(step), describe(step)])
}
