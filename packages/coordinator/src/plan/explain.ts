import { listing } from '../fleet/listing.ts'
import { isHostStep, stepName, type InstanceStep, type Intention, type Plan, type Step } from './plan.ts'

// P7. Every step can be explained: which needs put it there, and what it waits for.

/** Sentences for an administrator about the step of that number. */
export function explain(plan: Plan, step: number): string[] {
  return [reasonFor(plan, step), ...waitsOf(plan, step)]
}

/** The first of these: what put the step into the plan. */
export function reasonFor(plan: Plan, index: number): string {
  const step = plan.steps[index]!
  if (step.kind === 'hook') {
    const around = stepName(plan.steps[step.around]!)
    return `A hook of ${step.service}@${step.of}; it only runs if "${around}" has something to do.`
  }
  if (isHostStep(step)) return 'It was named.'
  if (step.because === undefined) return reasonOfSelection(plan.intention, step.host)
  // What brings in another step is about an instance, never about a host.
  const because = plan.steps[step.because] as InstanceStep
  const other = `${because.service}@${because.host}`
  switch (step.kind) {
    case 'stop':
      return `It needs ${other}, which is to stop.`
    case 'start':
      return because.kind === 'stop'
        ? `It is running, so the ${plan.intention.verb} starts it again.`
        : `${other} needs it.`
    case 'prove':
      return reasonForProof(step, because, other)
  }
}

function reasonOfSelection({ verb, selection, labels }: Intention, host: string): string {
  if (verb === 'reboot' || verb === 'halt') return `It is on ${host}, which is to ${verb}.`
  return selection.length === 0 && labels.length === 0 ? 'The whole fleet was selected.' : 'It was selected.'
}

function reasonForProof(step: Step & { kind: 'prove' }, because: InstanceStep, other: string): string {
  if (step.goal === 'stopped') {
    return `It needs ${other}, which is to stop. It is left out (--only), so it must not be live.`
  }
  if (because.kind === 'stop') {
    return `Those who need ${step.service} live on it once ${other} has stopped, so it must run.`
  }
  return `${other} needs it. It is left alone, so it must run.`
}

function waitsOf(plan: Plan, index: number): string[] {
  const { needs, follows } = plan.steps[index]!
  const waits = gather(plan, needs)
  const sentences: string[] = []
  if (waits.all.length > 0) sentences.push(`It waits until this is proven: ${listing(waits.all)}.`)
  for (const { enough, of } of waits.some) {
    sentences.push(`It waits until ${enough} of these ${enough === 1 ? 'is' : 'are'} proven: ${listing(of)}.`)
  }
  const before = gather(plan, follows).all
  if (before.length > 0) sentences.push(`It comes after this has ended, however it ends: ${listing(before)}.`)
  return sentences.length > 0 ? sentences : ['It waits for nothing.']
}

interface Gathered {
  readonly all: readonly string[]
  readonly some: readonly { readonly enough: number; readonly of: readonly string[] }[]
}

/** The steps behind joins, each once: joins may share theirs. */
function gather(plan: Plan, refs: readonly number[]): Gathered {
  const all = new Set<string>()
  const some: { enough: number; of: string[] }[] = []
  const seen = new Set<number>()
  const queue = [...refs]
  for (const ref of queue) {
    if (seen.has(ref)) continue
    seen.add(ref)
    const step = plan.steps[ref]
    if (step !== undefined) {
      all.add(stepName(step))
      continue
    }
    const join = plan.joins[ref - plan.steps.length]!
    const inputs = [...join.needs, ...join.follows]
    if (join.enough === undefined) queue.push(...inputs)
    else some.push({ enough: join.enough, of: inputs.map((input) => inWords(gather(plan, [input]))) })
  }
  return { all: [...all], some }
}

/** One of several, within a sentence: `start mta@mail1 with 1 of (start db@db1, start db@db2)`. */
function inWords({ all, some }: Gathered): string {
  return [...all, ...some.map(({ enough, of }) => `${enough} of (${of.join(', ')})`)].join(' with ')
}
