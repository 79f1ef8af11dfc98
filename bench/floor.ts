import { execFileSync } from 'node:child_process'
import { compile, orderOf, type LayeredFleet, type Verb } from './layered-fleet.ts'

/** The program that does the least that can be done (floor.c): runs it for a verb. */
export function compileFloor(dir: string, fleet: LayeredFleet): (verb: Verb) => void {
  const floor = compile(dir, 'floor')
  return (verb) => {
    const names = orderOf(fleet, verb).flatMap((layer, at) => (at === 0 ? layer : ['/', ...layer]))
    execFileSync(floor, [fleet.service, verb, ...names])
  }
}
