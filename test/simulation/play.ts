import type { FailurePolicy } from '../../packages/coordinator/src/run/run-event.ts'
import { stepName } from '../../packages/coordinator/src/plan/plan.ts'
import type { SessionEnd } from './actors/operator.ts'
import { layAmbushes } from './faults/ambush.ts'
import type { SchemeName } from './faults/schemes.ts'
import { Scene } from './scene.ts'
import type { Tally } from './tally.ts'
import { powerManners } from './actors/managers.ts'
import { manners, type Manner } from './world/service.ts'

// One play: a run of a random fleet, from its order through everything that befalls it to its end. While things go
// wrong it must be safe; once they do not, it must come to an end.

export interface Played {
  /** What must never happen and did. */
  readonly violations: readonly string[]
  /** What happened; empty unless it was asked for. */
  readonly story: readonly string[]
  /** What it came to. */
  readonly end: SessionEnd
}

/** How long things go wrong, milliseconds; afterwards nothing does any more. In a short time they go wrong together. */
const troubles = [3000, 10_000, 30_000, 90_000, 240_000]
/** Sessions after the trouble: until then an operator only resumes, and from then on waives what is in the way. */
const patientSessions = 3
/** After the end: what was delayed for hours arrives. */
const afterwardsMs = 11 * 3_600_000

/** @param scheme what goes wrong together; undefined where the seed is to say it */
export async function playOut(
  seed: number,
  tally: Tally,
  scheme: SchemeName | undefined,
  isTraced = false,
): Promise<Played> {
  using scene = new Scene(seed, tally, scheme, isTraced)
  const { dice, time, operator, checker, trace, hosts } = scene
  for (const host of hosts) host.startAgent()
  trace.tell(`${operator.record.run}: ${operator.record.plan.steps.map(stepName).join(', ')}`)
  trace.tell(`${scene.rival.record.run} (rival): ${scene.rival.record.plan.steps.map(stepName).join(', ')}`)
  let isWatched = true
  scene.watchTime(() => isWatched)
  let end: SessionEnd = 'killed'
  try {
    const troubleMs = dice.pick(troubles)
    prepareTrouble(scene, seed)
    while (time.nowMs < troubleMs && end !== 'endless') {
      if (isOver(end)) {
        operator.order(scene.plan())
        // Somebody wants those back that were halted before.
        scene.switchOn()
      }
      end = await session(scene)
      // The time that it takes to read and to type.
      await time.pass(dice.between(100, 20_000))
    }
    await time.pass(Math.max(0, troubleMs - time.nowMs))
    await calm(scene)
    end = await bringToEnd(scene, end)
    isWatched = false
    await time.pass(afterwardsMs)
    if (seed % 8 === 0) checker.checkAudit()
  } catch (error) {
    checker.violate('bug', error instanceof Error ? String(error.stack) : String(error))
  }
  tally.count('plays', end)
  return { violations: checker.violations, story: trace.lines, end }
}

function isOver(end: SessionEnd): boolean {
  return end === 'succeeded' || end === 'waived'
}

/** @param isBent on carrying on, whoever has the hosts: nobody else is at work any more */
async function session(
  { dice, operator, checker, trace, hosts, phases, scheme }: Scene,
  isBent = false,
): Promise<SessionEnd> {
  const thrown: FailurePolicy = dice.happens(0.3) ? 'continue' : 'hold'
  const policy = scheme?.policy ?? thrown
  const takesOver = dice.happens(0.2) || isBent
  const end = await operator.carryOn(policy, takesOver ? 'any' : undefined)
  trace.tell(`the session (${policy}) is over: ${end}`)
  for (const { name } of hosts) phases.review(name)
  if (end === 'endless') checker.violate('R12', 'a session does not end')
  const needsReason = end === 'failed' || end === 'unresolved' || end === 'refused'
  if (needsReason && operator.blockers().length === 0)
    checker.violate('R12', `the run is ${end}, and nothing says why`)
  return end
}

/** What goes wrong all the time, and what lies in wait. */
function prepareTrouble(scene: Scene, seed: number): void {
  const { dice, network, services, hosts, scheme } = scene
  network.weather = {
    lost: dice.pick([0, 0.02, 0.15]),
    repeated: dice.pick([0, 0.05, 0.2]),
    late: dice.pick([0, 0.05, 0.2]),
    'hours late': dice.pick([0, 0.02]),
    'in doubt': dice.pick([0, 0.02, 0.1]),
    ...scheme?.weather,
  }
  const ill = dice.pick([0.1, 0.3, 0.6])
  const shares: [Manner, number][] = manners
    .slice(1)
    .flatMap((manner) => (dice.happens(0.5) ? [[manner, ill / 5]] : []))
  const thrown = dice.pick([1000, 3000, 15_000])
  const slowness = scheme?.obeysWithinMs ?? thrown
  for (const service of services.values()) {
    service.manners = scheme?.manners ?? shares
    service.obeysWithinMs = slowness
  }
  for (const host of hosts) {
    host.startsAgainAfterMs = () => scheme?.startsAgainAfterMs ?? dice.pick([100, 1000, 20_000])
    host.powerManners =
      scheme?.powerManners ?? powerManners.flatMap((manner) => (dice.happens(0.5) ? [[manner, ill / 4]] : []))
    if (dice.happens(0.2))
      host.machine.setWallClock(dice.pick([-86_400_000, -3_600_000, 3_600_000, 86_400_000]))
  }
  layAmbushes(scene, seed)
}

/** Nothing goes wrong any more; what was on its way arrives, what lingers ends. */
async function calm(scene: Scene): Promise<void> {
  const { network, hosts, services, operator, rival, time, trace } = scene
  trace.tell('calm')
  scene.isCalm = true
  scene.onPhase = () => {}
  network.mend()
  rival.kill()
  for (const service of services.values()) {
    service.isIll = false
    service.obeysWithinMs = 3000
  }
  const machines = [operator.machine, rival.machine, ...hosts.map(({ machine }) => machine)]
  for (const { disk } of machines) disk.service = { kind: 'well' }
  for (const host of hosts) {
    host.lookMs = [1, 800]
    host.startsAgainAfterMs = () => 1000
    host.process?.clearTraps()
    host.powerManners = []
    if (!host.isConfiguredAsPlanned) host.reconfigure(undefined)
  }
  scene.switchOn()
  const isStill = (): boolean =>
    hosts.every(({ process, boot }) => boot === undefined || (process !== undefined && !process.isHeld)) &&
    machines.every(({ awakeAtMs }) => awakeAtMs <= time.nowMs)
  await time.passUntil(isStill, 24 * 3_600_000)
  await time.pass(120_000)
}

/** Resumes until the run is over; from some time on an operator gives their word for what is in the way. */
async function bringToEnd(scene: Scene, before: SessionEnd): Promise<SessionEnd> {
  const { operator, checker } = scene
  let end = before
  // Every step may hold the run once: under `hold` a session ends at the first.
  const mostSessions = patientSessions + operator.record.plan.steps.length + 2
  for (let count = 1; count <= mostSessions && (count === 1 || !isOver(end)); count += 1) {
    if (count > patientSessions) waiveWhatHolds(scene)
    scene.switchOn()
    end = await session(scene, count > patientSessions)
    if (end === 'endless') return end
  }
  if (isOver(end)) judgeEnd(scene, end)
  else checker.violate('R12', `the run does not come to an end: ${end}`)
  return end
}

function waiveWhatHolds({ operator, trace }: Scene): void {
  const { plan, steps } = operator.state()
  for (const [at, { phase }] of steps.entries()) {
    if (phase === 'done' || phase === 'waived' || phase === 'waiting') continue
    if (operator.waive(at)) trace.tell(`an operator waives ${stepName(plan.steps[at]!)}, which is ${phase}`)
  }
}

/** R10: what the run came to is not better than the truth. */
function judgeEnd({ operator, rival, services, checker }: Scene, end: SessionEnd): void {
  const book = checker.runs.get(operator.record.run)!
  const { plan } = book
  const goals = new Map<string, 'running' | 'stopped'>()
  const waived = new Set<string>()
  for (const [at, step] of plan.steps.entries()) {
    if (step.kind !== 'start' && step.kind !== 'stop') continue
    const instance = `${step.service}@${step.host}`
    // Whoever gave their word for its stop may have overlooked what is still at work on it.
    if (book.steps[at]!.phase === 'waived') waived.add(instance)
    if (book.steps[at]!.phase === 'done') goals.set(instance, step.kind === 'start' ? 'running' : 'stopped')
    else goals.delete(instance)
  }
  // What another run has made of it since is that one's affair.
  if (rival.hasBegun) return
  for (const { name, state, isLive, touchedAtMs } of services.values()) {
    const goal = goals.get(name)
    const isThere = goal === 'running' ? state === 'running' : !isLive
    // What somebody touched by hand after Filo had proven it is their affair.
    if (goal !== undefined && !isThere && touchedAtMs < 0 && !waived.has(name))
      checker.violate('R10', `${end}, but ${name} is ${state}`)
  }
}
