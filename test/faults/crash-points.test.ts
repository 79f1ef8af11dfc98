import { answers, commands } from '@filo/protocol'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startBroker, type Broker } from '../support/broker.ts'
import type { FleetServices } from '../support/fleet-file.ts'
import { openSharedFleet, type Fleet } from '../support/fleet.ts'
import type { Behaviour } from '../support/services.ts'
import { crashAt, Stage, tracesOf, type Moment, type Scenario, type Trial } from './support/crash-sweep.ts'

// R1, R5: kill -9 before and after everything that makes a difference. The moments are not listed here: whatever a
// coordinator or an agent comes to by itself, and in the recovery from each kill, is a point at which it is killed next,
// until no new ones appear. Two fleets share the work.

const mostTrials = 250
/** Some moments depend on who is faster, and on how busy the machine is: those that were seen are tried again. */
const attempts = 12
/** In each third attempt the agent falls silent too: on a busy machine that is how a moment may have come about. */
const silentEach = 3
const fallSilent = 'send result: before'
const silence = 'journal.db: before run_event silent'

/**
 * The script of `app` takes long enough that the agent tells of it on the way, and that it outlives an agent; in later attempts
 * longer, for on a busy machine whoever was killed needs long to be back.
 */
function slowness(attempt: number): Behaviour {
  const ms = 1100 * Math.min(attempt, 6)
  return { startMs: ms, stopMs: ms }
}

function threeInARow(prefix: string): FleetServices {
  return {
    db: { host: `${prefix}-db` },
    app: { host: `${prefix}-app`, needs: 'db', ...slowness(1) },
    web: { host: `${prefix}-web`, needs: 'app' },
  }
}

let broker: Broker
const fleets: Fleet[] = []
beforeAll(async () => {
  broker = await startBroker()
  for (const prefix of ['one', 'two']) {
    const fleet = await openSharedFleet(broker.url, threeInARow(prefix))
    fleets.push(fleet)
    await fleet.bringUp()
  }
})
afterAll(async () => {
  for (const fleet of fleets) await fleet[Symbol.asyncDispose]()
  await broker?.[Symbol.asyncDispose]()
})

interface Task {
  readonly scenario: Scenario
  /** The point that is to be hit; none in a trial that only looks which there are. */
  readonly target?: Pick<Moment, 'role' | 'point'>
  readonly attempt: number
}

/** What has been seen, hit and is left to do. */
class Sweep {
  readonly seen = new Map<string, Scenario>()
  readonly hit = new Set<string>()
  readonly faults: string[] = []
  #tasks: Task[]
  trials = 0

  constructor() {
    const calm = { coordinator: [], agent: [] }
    this.#tasks = [
      { scenario: { verb: 'stop', ...calm }, attempt: 1 },
      { scenario: { verb: 'start', ...calm }, attempt: 1 },
      // Otherwise a host is silent long enough only by chance.
      { scenario: { verb: 'stop', coordinator: [silence], agent: [fallSilent] }, attempt: 1 },
    ]
  }

  /**
   * The next task whose point has not been hit by the way. One that was seen in the other verb may be met in this one
   * too; if not, its turn comes again.
   */
  next(verb: Scenario['verb']): Task | undefined {
    const left = this.#tasks.filter(({ target }) => target === undefined || !this.hit.has(keyOf(target)))
    const task = left.find(({ scenario }) => scenario.verb === verb) ?? left[0]
    this.#tasks = left.filter((one) => one !== task)
    return task && { ...task, scenario: { ...task.scenario, verb } }
  }

  get isOver(): boolean {
    return this.#tasks.length === 0 || this.trials >= mostTrials
  }

  learn({ scenario, target, attempt }: Task, { moments, fault }: Trial): void {
    this.trials += 1
    for (const moment of moments) if (moment.killed) this.hit.add(keyOf(moment))
    if (fault !== undefined) this.faults.push(`${JSON.stringify(scenario)}: ${fault}`)
    for (const moment of moments) {
      const key = keyOf(moment)
      const isNew = !this.seen.has(key)
      if (!isNew && this.hit.has(key)) continue
      const before = Array.from({ length: moment.life }, (_, life) => scenario[moment.role][life] ?? '')
      const next = { ...scenario, [moment.role]: [...before, moment.point] }
      // The way that led to it last is the one that is tried again.
      this.seen.set(key, next)
      if (isNew) this.#tasks.push({ scenario: next, target: moment, attempt: 1 })
    }
    if (target !== undefined && !this.hit.has(keyOf(target)) && attempt < attempts) {
      const again = this.seen.get(keyOf(target))!
      const mayBeSilent = target.role === 'coordinator' && again.agent.length === 0
      const isSilent = mayBeSilent && (attempt + 1) % silentEach === 0
      this.#tasks.push({
        scenario: isSilent ? { ...again, agent: [fallSilent] } : again,
        target,
        attempt: attempt + 1,
      })
    }
  }

  get missed(): string[] {
    return [...this.seen.keys()].filter((key) => !this.hit.has(key))
  }
}

/** Messages that no run sends: an operator cuts short what runs, and a consumer asks for what the broker has lost. */
const sentByOthers = ['abort', 'recall', 'excerpt']
const phases = ['before', 'written', 'confirmed']
/** Noted by a command that no run has a part in, before the sweep. */
const notedBefore = ['filo.key.changed']

/** What the programs did, by other witnesses than those that kill them, and were not killed at. */
function unswept(hit: ReadonlySet<string>): string[] {
  const sends = [
    ...Object.keys(commands).map((type) => `coordinator, send ${type}`),
    ...Object.keys(answers).map((type) => `agent, send ${type}`),
    'coordinator, send event',
    'agent, send event',
  ].filter((send) => !sentByOthers.some((type) => send.endsWith(type)))
  const processes = ['start', 'stop', 'status'].map((verb) => `agent, process app ${verb}`)
  const expected = [
    ...sends.flatMap((send) => phases.map((phase) => `^${send}: ${phase}$`)),
    ...processes.flatMap((process) => ['before', 'after'].map((phase) => `^${process}: ${phase}$`)),
    ...fleets.flatMap(tracesOf).filter((trace) => !notedBefore.some((type) => trace.includes(type))),
  ]
  return [...new Set(expected)].filter((pattern) => ![...hit].some((key) => new RegExp(pattern).test(key)))
}

/** Moments are told apart by what happens, not by which of the two fleets it happens in. */
function keyOf({ role, point }: Pick<Moment, 'role' | 'point'>): string {
  return `${role}, ${point}`
}

test('killed at any point whatever, coordinator and agent end what they began, each service moved once and in order', async () => {
  const sweep = new Sweep()
  const work = async (fleet: Fleet): Promise<void> => {
    const stage = new Stage(fleet)
    for (let verb: Scenario['verb'] = 'stop'; !sweep.isOver; verb = verb === 'stop' ? 'start' : 'stop') {
      // The fleet goes down and up in turns, so that each trial finds it as it needs it.
      const task = sweep.next(verb) ?? { scenario: { verb, coordinator: [], agent: [] }, attempt: 1 }
      fleet.services.behave('app', slowness(task.attempt))
      const trial = await stage.play(task.scenario)
      sweep.learn(task, trial)
      if (trial.fault !== undefined) return
    }
  }
  await Promise.all(fleets.map(work))
  const { seen, hit, trials } = sweep
  process.stderr.write(`crash points: ${seen.size} seen, ${hit.size} hit, in ${trials} trials\n`)
  if (process.env['FILO_SHOW']) process.stderr.write(`${[...seen.keys()].toSorted().join('\n')}\n`)
  expect(sweep.faults).toEqual([])
  expect(sweep.missed).toEqual([])
  // An agent lets nobody else read its ledger.
  const agents = fleets.map((fleet) => fleet.agentOf('app'))
  for (const agent of agents) await agent.stop()
  const left = unswept(hit)
  for (const agent of agents) {
    agent.environment = {}
    await agent.start()
  }
  expect(left).toEqual([])
}, 1_800_000)

test('an agent killed before it could note which script it began has begun none', async () => {
  const [fleet] = fleets as [Fleet]
  const { services } = fleet
  fleet.showLogsIfTestFails()
  await fleet.bringUp()
  const agent = fleet.agentOf('app')
  await agent.kill()
  agent.environment = crashAt('process app stop: after')
  await agent.start()
  // A script that had begun would be at it until the end of this test.
  services.hold('app')
  await using stop = fleet.start(['stop', '--yes'])
  await agent.ended()
  agent.environment = {}
  await agent.start()
  expect(await stop.ended).toMatchObject({ code: 2 })
  expect(services.requests()).toEqual(['web stop'])
  services.letGo('app')
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(services.requests()).toEqual(['web stop', 'app stop', 'db stop'])
  expect(services.effects()).toEqual(['web down', 'app down', 'db down'])
})

test('an agent killed right after it noted which script it began waits for that script, and runs no second one', async () => {
  const [fleet] = fleets as [Fleet]
  const { services } = fleet
  fleet.showLogsIfTestFails()
  await fleet.bringUp()
  const agent = fleet.agentOf('app')
  services.hold('app')
  await using stop = fleet.start(['stop', '--yes'])
  await services.untilAsked('app', 'stop')
  await agent.restart()
  stop.signal('SIGKILL')
  await stop.ended
  await using resume = fleet.start(['resume', '--yes'])
  await resume.untilSays(/carries on/)
  services.letGo('app')
  expect(await resume.ended).toMatchObject({ code: 0 })
  expect(services.requests()).toEqual(['web stop', 'app stop', 'db stop'])
  expect(services.effects()).toEqual(['web down', 'app down', 'db down'])
})
