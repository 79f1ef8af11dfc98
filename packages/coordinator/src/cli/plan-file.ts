import { readFileSync, writeFileSync } from 'node:fs'
import { Sha256 } from '@filo/protocol'
import * as z from 'zod'
import { planHash } from '../engine/orders.ts'
import { Plan } from '../plan/plan.ts'
import { Exit, exitCodes } from './exit-code.ts'

// P6. The plan that was read is the plan that runs.

/** A plan as `filo plan -o FILE` writes it and `filo apply FILE` reads it. */
const PlanFile = z.strictObject({
  /** The plan's name: an edited plan is another plan, and has not been read by whom this one was shown. */
  hash: Sha256,
  plan: Plan,
})

export function writePlanFile(file: string, plan: Plan): void {
  writeFileSync(file, `${JSON.stringify({ hash: planHash(plan), plan }, undefined, 2)}\n`)
}

/** Throws Exit where the file is no plan of this fleet, or not the plan that was written. */
export function readPlanFile(file: string, fleet: string): Plan {
  const parsed = PlanFile.safeParse(parseJson(file))
  if (!parsed.success) {
    throw refusal(file, `it is no plan that "filo plan -o" wrote:\n${z.prettifyError(parsed.error)}`)
  }
  const { hash, plan } = parsed.data
  if (plan.fleet !== fleet)
    throw refusal(file, `it is a plan of the fleet ${plan.fleet}, and this is ${fleet}`)
  if (planHash(plan) !== hash) {
    throw refusal(file, 'it has been edited since it was written; plan anew with: filo plan -o FILE')
  }
  return plan
}

function parseJson(file: string): unknown {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new Exit(exitCodes.usage, `the plan cannot be read: ${(error as Error).message}`)
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw refusal(file, `it is no JSON: ${(error as Error).message}`)
  }
}

function refusal(file: string, why: string): Exit {
  return new Exit(exitCodes.refused, `${file} cannot be applied: ${why}`)
}
