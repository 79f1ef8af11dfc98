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
  readonly isOfHostsGoingDown?: boolean
  /** Whether it is laid again once it has struck. */
  readonly isTireless?: boolean
}

/** The cells of the table of faults and phases that can be. */
const cells = faults.flatMap((fault) =>
  phases.filter((phase) => fault.never?.[phase] === undefined).map((phase) => ({ fault, phase })),
)
/** How many cells are a play's own, how often each of them is to be hit, and how often that may fail. */
const ownCells = 4
const hits = 4
const misses = 10
const delaysMs = [0, 0, 1, 10, 100, 1000]

/**
 * Lays the faults of a play in wait, each for a phase, so that the phases that last for a moment are struck as often as
 * those that last for minutes. Most plays know only some kinds of faults: where everything goes wrong at once, little
 * comes so far that anything else could. Four cells of the table are the play's own by its seed, so that all have their turn.
 */
export function layAmbushes(scene: Scene, seed: number): void {
  const { dice, scheme } = scene
  const kinds = faults.filter(() => dice.happens(0.5))
  const ambushes = Array.from({ length: dice.pick([0, 1, 2, 3, 4, 6, 9]) }, () => layOne(scene, kinds))
  for (let count = 0; count < ownCells * hits; count += 1) {
    const own = cells[(seed + Math.floor(cells.length / ownCells) * (count % ownCells)) % cells.length]!
    ambushes.unshift({ ...own, skips: 0, delayMs: dice.pick([0, 0, 1]), again: misses })
  }
  if (scheme !== undefined) ambushes.unshift(...layScheme(scene, scheme))
  const onlooker = dice.fork()
  const curiosity = dice.pick([0, 0, 0.1, 0.4])
  scene.onPhase = (host, phase) => {
    const looks = scheme?.onlookers ?? (onlooker.happens(curiosity) ? 1 : 0)
    for (let count = 0; count < looks; count += 1) lookAtStatus(scene, host)
    for (const [at, ambush] of ambushes.entries()) {
      if (ambush.phase !== phase) continue
      if (ambush.isOfHostsGoingDown === true && !scene.checker.isGoingDown(host.name)) continue
      ambush.skips -= 1
      if (ambush.skips >= 0) continue
      ambushes.splice(at, 1)
      scene.time.after(ambush.delayMs, () => {
        if (scene.isCalm) return
        const hasStruck = strike(scene, ambush.fault, host)
        if (ambush.isTireless !== true && (hasStruck || ambush.again === 0)) return
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
  const { isTireless = false, isOfHostsGoingDown = false } = scheme
  const named = faults.filter(({ name }) => scheme.faults.includes(name))
  if (named.length === 0) return []
  return Array.from({ length: dice.between(2, 8) }, () => ({
    fault: dice.pick(named),
    phase: dice.pick(scheme.phases),
    skips: dice.pick([0, 0, 1]),
    delayMs: dice.pick(scheme.delaysMs),
    again: 0,
    isOfHostsGoingDown,
    isTireless,
  }))
}

/** False when it did not come about, or not yet. */
function strike(scene: Scene, fault: Fault, host: Host): boolean {
  const phase = scene.phases.of(host.name)
  if (fault.never?.[phase] !== undefined || !fault.strike(scene, host)) return false
  scene.count(fault.name, host.name, `${fault.name} (${host.name})`, phase)
  return true
}
