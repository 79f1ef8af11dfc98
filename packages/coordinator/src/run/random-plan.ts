import * as fc from 'fast-check'
import type { Join, Plan, Step } from '../plan/plan.ts'
import { planOf, step } from './scene.ts'

// Plans of every shape that a fleet could give, and of some that none would: for tests that no plan may break.

const parts = fc.array(
  fc.record({
    kind: fc.constantFrom(
      'stop',
      'start',
      'prove running',
      'prove stopped',
      'restart',
      'hooked stop',
      'hooked start',
      'reboot',
      'halt',
    ),
    host: fc.nat(2),
    /** What it waits for, among the steps and joins before it. */
    needs: fc.array(fc.nat(30), { maxLength: 2 }),
    follows: fc.array(fc.nat(30), { maxLength: 1 }),
    /** A join of what is before it, which it waits for as well. */
    join: fc.option(
      fc.record({ of: fc.array(fc.nat(30), { minLength: 1, maxLength: 3 }), enough: fc.nat(3) }),
    ),
  }),
  { minLength: 1, maxLength: 6 },
)

/** Plans of which every step waits for earlier ones only. */
export const plans: fc.Arbitrary<Plan> = parts.map((all) => {
  const steps: Step[] = []
  const joins: Join[] = []
  const goingDown = new Set<number>()
  for (const [at, { kind, host, needs, follows, join }] of all.entries()) {
    const size = steps.length
    // A negative number is a join, until the number of steps is known.
    const before = (picks: readonly number[]): number[] =>
      size === 0 ? [] : [...new Set(picks.map((pick) => (pick % (size + joins.length)) - joins.length))]
    const waits = { needs: before(needs), follows: before(follows) }
    if (join !== null && size > 0) {
      const of = before(join.of)
      joins.push({
        needs: of,
        follows: [],
        ...(join.enough > 0 && { enough: Math.min(join.enough, of.length) }),
      })
      waits.needs.push(-joins.length)
    }
    const isHostStep = kind === 'reboot' || kind === 'halt'
    // A plan takes a host down once.
    steps.push(
      ...stepsOf(isHostStep && goingDown.has(host) ? 'restart' : kind, `s${at}@h${host}`, size, waits),
    )
    if (isHostStep) goingDown.add(host)
  }
  const number = (ref: number): number => (ref < 0 ? steps.length - 1 - ref : ref)
  const numbered = <Waits extends Pick<Step, 'needs' | 'follows'>>(waits: Waits): Waits => ({
    ...waits,
    needs: waits.needs.map(number),
    follows: waits.follows.map(number).filter((ref) => !waits.needs.map(number).includes(ref)),
  })
  return planOf(steps.map(numbered), joins.map(numbered))
})

function stepsOf(kind: string, instance: string, at: number, waits: Pick<Step, 'needs' | 'follows'>): Step[] {
  if (kind.startsWith('prove')) {
    return [step(`prove ${instance}`, waits, kind === 'prove running' ? 'running' : 'stopped')]
  }
  if (kind === 'restart') return [step(`stop ${instance}`, waits), step(`start ${instance}`, { needs: [at] })]
  if (kind === 'reboot' || kind === 'halt') {
    const own = [step(`stop ${instance}`, waits), step(`${kind} ${instance.split('@')[1]}`, { needs: [at] })]
    return kind === 'halt' ? own : [...own, step(`start ${instance}`, { needs: [at + 1] })]
  }
  if (!kind.startsWith('hooked')) return [step(`${kind} ${instance}`, waits)]
  const verb = kind === 'hooked stop' ? 'stop' : 'start'
  const [service, host] = instance.split('@') as [string, string]
  const hook = {
    kind: 'hook',
    of: host,
    service,
    host: 'h0',
    definition: '0'.repeat(64),
    around: at + 1,
  } as const
  return [
    { ...hook, at: `before_${verb}`, ...waits },
    step(`${verb} ${instance}`, { ...waits, needs: [...waits.needs, at] }),
    { ...hook, at: `after_${verb}`, needs: [at + 1], follows: [] },
  ]
}
