import type { Join, Plan } from '../plan/plan.ts'

/** The `prove` steps that serve nothing but joins which are satisfied by some of their inputs. */
export function spareProofs(plan: Plan): ReadonlySet<number> {
  const inSome = new Set(plan.joins.flatMap((join) => (isSatisfiedBySome(join) ? join.needs : [])))
  const wholly = [
    ...plan.steps.flatMap(({ needs, follows }) => [...needs, ...follows]),
    ...plan.joins.flatMap((join) =>
      isSatisfiedBySome(join) ? join.follows : [...join.needs, ...join.follows],
    ),
  ]
  for (const node of wholly) inSome.delete(node)
  return new Set([...inSome].filter((node) => plan.steps[node]?.kind === 'prove'))
}

function isSatisfiedBySome({ needs, enough }: Join): boolean {
  return enough !== undefined && enough < needs.length
}
