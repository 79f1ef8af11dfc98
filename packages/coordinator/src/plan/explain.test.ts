import { digest } from '@filo/protocol'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { explain } from './explain.ts'
import { planFor } from './plan-for.ts'
import { isServiceStep, stepName, type Plan } from './plan.ts'
import { everything, intend, nameOf, planOf, situations, someRunning } from './random-fleet.ts'

const verbs = fc.constantFrom(
  'start' as const,
  'stop' as const,
  'restart' as const,
  'reboot' as const,
  'halt' as const,
)

/** Looks at plans of all kinds for fleets of all kinds. */
function everyPlan(look: (plan: Plan) => void): void {
  fc.assert(
    fc.property(situations, verbs, ({ topology, picks, only, dice }, verb) => {
      const running = someRunning(topology, dice)
      const observations = new Map(
        [...everything(topology)].map((name) => [
          name,
          { state: running.has(name) ? ('running' as const) : ('stopped' as const) },
        ]),
      )
      const plan = planOf(planFor(topology, intend(verb, topology, picks, only), { digest, observations }))
      if (plan !== undefined) look(plan)
    }),
    { numRuns: 300 },
  )
}

/** The names of the steps behind a node, through all joins. */
function behind({ steps, joins }: Plan, node: number): string[] {
  if (node < steps.length) return [stepName(steps[node]!)]
  const { needs, follows } = joins[node - steps.length]!
  return [...needs, ...follows].flatMap((each) => behind({ steps, joins } as Plan, each))
}

test('every step of every plan has a reason in whole sentences, and names each step that it waits for', () => {
  everyPlan((plan) => {
    for (const [index, step] of plan.steps.entries()) {
      const sentences = explain(plan, index)
      expect(sentences.length).toBeGreaterThanOrEqual(2)
      for (const sentence of sentences) expect(sentence).toMatch(/^[A-Za-z].*\.$/)
      const words = sentences.join(' ')
      expect(words).not.toMatch(/undefined|NaN/)
      const waits = [...step.needs, ...step.follows].flatMap((node) => behind(plan, node))
      // Longer lists end with how many more there are.
      if (waits.length <= 12) for (const name of waits) expect(words).toContain(name)
    }
  })
})

test('what no other step brought into a plan was selected, and no proof is asked for by nobody', () => {
  everyPlan((plan) => {
    const { selection } = plan.intention
    const byNobody = plan.steps.filter((step) => isServiceStep(step) && step.because === undefined)
    const unasked = byNobody.filter((step) => {
      const isSelected =
        selection.length === 0 || selection.includes(nameOf(step)) || selection.includes(step.host)
      return step.kind === 'prove' || !isSelected
    })
    expect(unasked.map(stepName)).toEqual([])
  })
})
