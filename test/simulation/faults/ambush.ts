import type { Host } from '../actors/host.ts'
import type { Scene } from '../scene.ts'
import { lookAtStatus } from './onlooker.ts'
import { phases, type Phase } from './phases.ts'
import { faults, type Fault } from './repertoire.ts'
import type { Scheme } from './schemes.ts'

/** A fault that waits for things on some host to come so far. */
interface Ambush {
  readonly fault: Fault
  readonly phase: Phase
  /** How often it lets things come so far before it strikes. */
  skips: number
  readonly delayMs: number
  /** How often it may be laid again because it did not come about. */
  again: number
}

/** The cells of the table of faults and phases that can be. */
const cells = faults.flatMap((fault) =>
  phases.filter((phase) => fault.never?.[phase] === undefined).map((phase) => ({ fault, phase })),
)
/** How often a play's own cell is to be hit, and how often each of these may fail. */
const hits = 3
const misses = 5
const delaysMs = [0, 0, 1, 10, 100, 1000]

/**
 * Lays the faults of a play in wait, each for a phase, so that the phases that last for a moment are struck as often as
 * those that last for minutes. Most plays know only some kinds of faults: where everything goes wrong at once, little
 * comes so far that anything else could. One cell of the table is the play's own by its seed, so that all have their turn.
 */
export function layAmbushes(scene: Scene, seed: number): void {
  const { dice, scheme } = scene
  const kinds = faults.filter(() => dice.happens(0.5))
  const ambushes = Array.from({ length: dice.pick([0, 1, 2, 3, 4, 6, 9]) }, () => layOne(scene, kinds))
  const own = cells[seed % cells.length]!
  for (let count = 0; count < hits; count += 1)
    ambushes.unshift({ ...own, skips: 0, delayMs: dice.pick([0, 0, 1]), again: misses })
  if (scheme !== undefined) ambushes.unshift(...layScheme(scene, scheme))
  const onlooker = dice.fork()
  const curiosity = dice.pick([0, 0, 0.1, 0.4])
  scene.onPhase = (host, phase) => {
    if (onlooker.happens(curiosity)) lookAtStatus(scene, host)
    for (const [at, ambush] of ambushes.entries()) {
      if (ambush.phase !== phase) continue
      ambush.skips -= 1
      if (ambush.skips >= 0) continue
      ambushes.splice(at, 1)
      scene.time.after(ambush.delayMs, () => {
        if (scene.isCalm || strike(scene, ambush.fault, host) || ambush.again === 0) return
        ambush.again -= 1
        ambushes.push(ambush)
      })
      return
    }
  }
}

function layOne({ dice }: Scene, kinds: readonly Fault[]): Ambush {
  const phase = dice.pick(phases)
  const possible = kinds.filter(({ never }) => never?.[phase] === undefined)
  return {
    fault: dice.pick(possible.length > 0 ? possible : faults),
    phase,
    skips: dice.pick([0, 0, 0, 1, 2, 4]),
    delayMs: dice.pick(delaysMs),
    again: 0,
  }
}

function layScheme({ dice }: Scene, scheme: Scheme): Ambush[] {
  const named = faults.filter(({ name }) => scheme.faults.includes(name))
  return Array.from({ length: dice.between(2, 8) }, () => ({
    fault: dice.pick(named),
    phase: dice.pick(scheme.phases),
    skips: dice.pick([0, 0, 1]),
    delayMs: dice.pick(scheme.delaysMs),
    again: 0,
  }))
}

/** False when it did not come about, or not yet. */
function strike(scene: Scene, fault: Fault, host: Host): boolean {
  const phase = scene.phases.of(host.name)
  if (fault.never?.[phase] !== undefined || !fault.strike(scene, host)) return false
  scene.count(fault.name, host.name, `${fault.name} (${host.name})`, phase)
  return true
}
