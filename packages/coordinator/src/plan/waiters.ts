import type { Plan } from './plan.ts'

/** The steps that wait for a step directly, or through joins alone, in the order of the plan. */
export function waitersOf({ steps, joins }: Plan, step: number): number[] {
  const reached = new Set([step])
  // A join stands after all that it waits for, and none is waited for by one before it.
  joins.forEach(({ needs, follows }, at) => {
    if ([...needs, ...follows].some((ref) => reached.has(ref))) reached.add(steps.length + at)
  })
  return [...steps.keys()].filter((index) => {
    const { needs, follows } = steps[index]!
    return [...needs, ...follows].some((ref) => reached.has(ref))
  })
}
