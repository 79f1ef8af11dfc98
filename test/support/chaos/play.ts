import type { FailurePolicy } from '../../../packages/coordinator/src/run/run-event.ts'
import { stepName } from '../../../packages/coordinator/src/plan/plan.ts'
import type { SessionEnd } from './coordinator.ts'
import { Scene } from './scene.ts'

export interface Played {
  /** What must never happen and did. */
  readonly faults: readonly string[]
  /** What went wrong by design, and what the sessions came to. */
  readonly story: readonly string[]
}

/** How long things go wrong, milliseconds; afterwards nothing does any more. In a short time they go wrong together. */
const troubles = [3000, 10_000, 30_000, 90_000, 240_000]
/** Sessions after the trouble: until then an operator only resumes, and from then on waives what is in the way. */
const patientSessions = 3

/** One run, from its order through everything that befalls it to its end. */
export async function playOut(seed: number, dir: string): Promise<Played> {
  using scene = new Scene(seed, dir)
  const { dice, time, coordinator, oracle, hosts } = scene
  const story: string[] = []
  const tell = (words: string): void => void story.push(`${Math.round(time.nowMs)} ms: ${words}`)
  for (const host of hosts) await host.boot()
  tell(coordinator.record.plan.steps.map(stepName).join(', '))
  const troubleMs = dice.pick(troubles)
  trouble(scene, troubleMs, tell)
  try {
    let end: SessionEnd = 'killed'
    while (time.nowMs < troubleMs && !isOver(end)) {
      end = await session(scene, tell)
      // The time that it takes to read and to type.
      await time.passUntil(() => false, dice.between(100, 20_000))
    }
    await time.passUntil(() => false, Math.max(0, troubleMs - time.nowMs))
    await calm(scene)
    tell('calm')
    // Every step may hold the run once: under `hold` a session ends at the first.
    const mostSessions = patientSessions + coordinator.record.plan.steps.length + 2
    for (let count = 1; count <= mostSessions && (count === 1 || !isOver(end)); count += 1) {
      if (count > patientSessions) waiveWhatHolds(scene, tell)
      end = await session(scene, tell)
      if (end === 'endless') break
    }
    if (!isOver(end)) oracle.fault(`the run does not come to an end: ${end}`)
    else judgeEnd(scene, end)
  } catch (error) {
    oracle.fault(error instanceof Error ? String(error.stack) : String(error))
  }
  return { faults: oracle.faults, story }
}

function isOver(end: SessionEnd): boolean {
  return end === 'succeeded' || end === 'waived'
}

async function session(
  { dice, coordinator, oracle }: Scene,
  tell: (words: string) => void,
): Promise<SessionEnd> {
  const policy: FailurePolicy = dice.happens(0.3) ? 'continue' : 'hold'
  const end = await coordinator.carryOn(policy)
  const state = coordinator.state()
  const steps = state.steps.map(({ phase, reason }, at) =>
    phase === 'done' ? '' : `\n    ${stepName(state.plan.steps[at]!)} is ${phase}: ${reason ?? ''}`,
  )
  tell(`session ${state.session} (${policy}): ${end}${steps.join('')}`)
  if (end === 'endless') oracle.fault('a session does not end')
  return end
}

/** Lets all go wrong that can, at times that the dice choose. */
function trouble(scene: Scene, lastsMs: number, tell: (words: string) => void): void {
  const { dice, time, network, hosts, services, coordinator, rival } = scene
  network.weather = {
    lost: dice.pick([0, 0.02, 0.2]),
    repeated: dice.pick([0, 0.05, 0.3]),
    delayed: dice.pick([0, 0.05, 0.3]),
    ambiguous: dice.pick([0, 0.02, 0.1]),
  }
  const sometimes = (most: number, what: () => void): void => {
    for (let left = dice.between(0, most); left > 0; left -= 1) time.after(dice.between(0, lastsMs), what)
  }
  const reboot = (host: Scene['hosts'][number]): void => {
    time.after(dice.pick([100, 1000, 20_000]), () => void host.boot())
  }
  sometimes(4, () => {
    const host = dice.pick(hosts)
    tell(`the agent of ${host.name} is killed`)
    host.kill()
    reboot(host)
  })
  sometimes(2, () => {
    const host = dice.pick(hosts)
    tell(`the agent of ${host.name} is told to end`)
    void host.end().then(() => reboot(host))
  })
  sometimes(1, () => {
    if (dice.happens(0.3)) return
    const host = dice.pick(hosts)
    tell(`${host.name} loses its ledger`)
    host.wipe()
    reboot(host)
  })
  sometimes(1, () => {
    tell('the broker goes away')
    network.fail(dice.between(1000, 120_000))
  })
  sometimes(2, () => {
    tell('the coordinator is killed')
    coordinator.kill()
  })
  sometimes(1, () => {
    tell('the coordinator is interrupted')
    coordinator.interrupt()
  })
  sometimes(1, () => {
    const request = dice.pick(['cancel', 'abort'] as const)
    tell(`somebody asks to ${request}`)
    coordinator.ask(request)
  })
  sometimes(1, () => {
    const host = dice.pick(hosts)
    tell(`the disk of ${host.name} is full`)
    host.fill(true)
    time.after(dice.between(1000, 30_000), () => host.fill(false))
  })
  if (dice.happens(0.3)) for (const service of services.values()) service.obeysWithinMs = 19_000
  if (dice.happens(0.2)) {
    time.after(dice.between(0, Math.min(lastsMs, 5000)), () => {
      const takeOver = dice.pick(['any', 'any', 'no'] as const)
      tell(`another run begins (take over: ${takeOver}): ${rival.record.plan.steps.map(stepName).join(', ')}`)
      void rival.begin(dice.pick(['hold', 'continue']), takeOver)
    })
  }
  if (dice.happens(0.1)) {
    tell('to look takes long')
    for (const host of hosts) host.lookMs = [3000, 9500]
  }
  sometimes(4, () => {
    const service = dice.pick([...services.values()])
    const isRunning = dice.happens(0.7)
    tell(`${service.name} is ${isRunning ? 'started' : 'stopped'} by hand`)
    service.touch(isRunning)
  })
  sometimes(2, () => {
    const service = dice.pick([...services.values()])
    tell(`${service.name} cannot be seen`)
    service.hide(dice.between(1000, 60_000))
  })
}

async function calm({ network, hosts, services, coordinator, rival, time }: Scene): Promise<void> {
  network.mend()
  coordinator.mayDie = false
  rival.kill()
  for (const service of services.values()) service.isIll = false
  for (const host of hosts) {
    host.fill(false)
    host.lookMs = [1, 800]
    await host.boot()
  }
  // What is still on its way arrives, what lingers ends.
  await time.passUntil(() => false, 120_000)
}

function waiveWhatHolds({ coordinator }: Scene, tell: (words: string) => void): void {
  const { plan, steps } = coordinator.state()
  for (const [at, { phase }] of steps.entries()) {
    if (phase === 'done' || phase === 'waived' || phase === 'waiting') continue
    if (coordinator.waive(at)) tell(`an operator waives ${stepName(plan.steps[at]!)}, which is ${phase}`)
  }
}

/** R10: what the run came to is not better than the truth. */
function judgeEnd({ coordinator, rival, services, oracle }: Scene, end: SessionEnd): void {
  const { plan, steps, spare } = coordinator.state()
  const goals = new Map<string, 'running' | 'stopped'>()
  for (const [at, step] of plan.steps.entries()) {
    const { phase } = steps[at]!
    if (phase !== 'done' && phase !== 'waived' && !spare.has(at))
      oracle.fault(`${end}, but ${stepName(step)} is ${phase}`)
    if (phase === 'waived' && end === 'succeeded') oracle.fault(`${end}, but ${stepName(step)} is waived`)
    if (phase === 'done' && (step.kind === 'start' || step.kind === 'stop')) {
      goals.set(`${step.service}@${step.host}`, step.kind === 'start' ? 'running' : 'stopped')
    }
  }
  // What another run has made of it since is that one's affair.
  if (rival.hasBegun) return
  for (const { name, state, isLive, touchedAtMs } of services.values()) {
    const goal = goals.get(name)
    const isThere = goal === 'running' ? state === 'running' : !isLive
    // What somebody touched by hand after Filo had proven it is their affair.
    if (goal !== undefined && !isThere && touchedAtMs < 0) oracle.fault(`${end}, but ${name} is ${state}`)
  }
}
