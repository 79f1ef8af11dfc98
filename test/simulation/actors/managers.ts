import type { InstanceName, ManagerDefinition, ReadyDefinition } from '@filo/protocol'
import type { Acted, Looked } from '../../../packages/agent/src/exec.ts'
import type { Act, Attempt, Manager, Sighting } from '../../../packages/agent/src/managers/manager.ts'
import type { Managers, Probe } from '../../../packages/agent/src/observer.ts'
import type { Processes } from '../../../packages/agent/src/perform.ts'
import type { Dice } from '../../support/dice.ts'
import type { Process } from '../world/process.ts'
import type { Script, Scripts } from '../world/script.ts'
import type { Service } from '../world/service.ts'

/** What an agent's process has of its host: services, scripts, and how long it takes to look. */
export interface Surroundings {
  readonly host: string
  readonly dice: Dice
  readonly services: ReadonlyMap<string, Service>
  readonly scripts: Scripts
  /** How long it takes to look, at least and at most, milliseconds. */
  readonly lookMs: () => readonly [number, number]
  /** Hooks whose work is done, as `service:point`. */
  readonly hooksDone: Set<string>
  /** Someone looks; gives the number of the look, which the observation will carry. */
  readonly onLook: (look: LookSeen) => number
  /** Something is about to be done by a script. */
  readonly onEffect: (effect: {
    instance: InstanceName
    verb: 'start' | 'stop' | 'hook' | 'reboot' | 'halt'
    script: Script
  }) => void
  /** How the host takes the next request to go down. */
  readonly powerManner: () => PowerManner
  readonly goDown: (verb: 'reboot' | 'halt', afterMs: number) => void
  readonly crash: () => void
}

/** How a host takes the command to reboot or to halt. */
export type PowerManner =
  | 'obeys'
  /** The command says no, and nothing happens. */
  | 'refuses'
  /** It says yes, and nothing happens. */
  | 'lies'
  /** It says no, and the host goes down. */
  | 'complains'
  /** It says yes, and the host takes minutes. */
  | 'dawdles'
  /** It does not answer, and nothing happens. */
  | 'hangs'
  /** The host has no power at once, and comes back: what its disk had, it has. */
  | 'crashes'

export const powerManners: readonly PowerManner[] = [
  'refuses',
  'lies',
  'complains',
  'dawdles',
  'hangs',
  'crashes',
]

/** What a manager told an agent, and when the agent began to look. */
export interface LookSeen {
  readonly process: Process
  readonly instance: InstanceName
  readonly beganMs: number
  readonly sighting: Sighting
}

/** How long a group has between SIGTERM and SIGKILL. */
const graceMs = 2000
const vanishMs = 1000
const askAgainMs = 1000

/** The service managers of a host, as one process of the agent reaches them. */
export function managersFor(process: Process, around: Surroundings): Managers {
  const systemd = managerOf('systemd', process, around)
  const lsb = managerOf('lsb', process, around)
  // The fleets of this folder have services of these two only.
  return { systemd, lsb } as unknown as Managers
}

function managerOf(kind: 'systemd' | 'lsb', process: Process, around: Surroundings): Manager {
  const serviceOf = (definition: ManagerDefinition): Service => around.services.get(nameOf(definition))!
  return {
    kind,
    observe: async (definitions, signal) => {
      const beganMs = process.nowMs
      // What it tells may be as old as the question or as new as the answer.
      const isEarly = around.dice.happens(0.5)
      const see = (): Sighting[] => definitions.map((definition) => serviceOf(definition).sight())
      const early = isEarly ? see() : undefined
      await process.clock.sleep(around.dice.between(...around.lookMs()), signal)
      return (early ?? see()).map((sighting, at) => {
        const look = { process, instance: serviceOf(definitions[at]!).name, beganMs, sighting }
        return { ...sighting, detail: `${sighting.detail} [look ${around.onLook(look)}]` }
      })
    },
    start: (definition, act) => ask(process, around, serviceOf(definition), 'start', act),
    stop: (definition, act) => ask(process, around, serviceOf(definition), 'stop', act),
    rootCommands: () => [],
  }
}

async function ask(
  process: Process,
  around: Surroundings,
  service: Service,
  verb: 'start' | 'stop',
  act: Act,
): Promise<Attempt> {
  // systemd does not replace a job that is under way; systemctl is asked again until it has ended.
  while (service.kind === 'systemd' && service.state === (verb === 'start' ? 'stopping' : 'starting')) {
    await process.clock.sleep(askAgainMs, act.signal).catch(() => {})
    if (act.signal.aborted) break
  }
  if (act.signal.aborted) return { accepted: false, detail: 'cut short before it began' }
  const answered = Promise.withResolvers<Attempt>()
  await runScript(process, around, act, (script) => {
    around.onEffect({ instance: service.name, verb, script })
    service.request(verb, script, answered.resolve)
  })
  return await process.during(answered.promise)
}

/** Begins a script and gives it out of hand; ends it when the action's signal aborts. */
async function runScript(
  process: Process,
  { scripts }: Surroundings,
  act: Act,
  begin: (script: Script) => void,
): Promise<Script> {
  if (!process.reaches('request-before')) return await new Promise<never>(() => {})
  const script = scripts.start()
  try {
    act.onProcess(script.group)
  } catch (error) {
    // What could not be noted must not run.
    script.kill()
    throw error
  }
  process.cross(() => {
    begin(script)
    process.reaches('request-after')
  })
  const onAbort = (): void => {
    void process.clock.sleep(graceMs).then(() => script.kill())
  }
  act.signal.addEventListener('abort', onAbort, { once: true })
  void script.over.then(() => act.signal.removeEventListener('abort', onAbort))
  return script
}

/** What an agent needs of its host beside the managers. */
export function processesFor(process: Process, around: Surroundings): Processes {
  const { dice, scripts, hooksDone, host } = around
  return {
    act: (argv, act) => (argv[0] === '/hook' ? runHook : runPower)(process, around, argv, act),
    look: async (argv): Promise<Looked> => {
      await process.clock.sleep(dice.between(1, 200))
      const [, service = '', at = ''] = argv
      const code = hooksDone.has(`${host}/${service}:${at}`) ? 0 : 1
      return { exit: { kind: 'exited', code }, stdout: '', stderr: '' }
    },
    isGroupAlive: (group) => scripts.find(group)?.isAlive ?? false,
    scopeFor: () => [],
    isLeaderAlive: (group) => scripts.find(group)?.isAlive ?? false,
    killGroup: (group) => {
      const script = scripts.find(group)
      process.cross(() => script?.kill())
      return script !== undefined
    },
  }
}

async function runHook(
  process: Process,
  around: Surroundings,
  argv: readonly string[],
  act: Act,
): Promise<Acted> {
  const { dice, host, hooksDone } = around
  const [, service = '', at = ''] = argv
  const output = { head: '', tail: '', droppedBytes: 0 }
  if (act.signal.aborted) return { exit: { kind: 'aborted', survived: false }, output, durationMs: 0 }
  const time = process.machine.time
  const code = dice.happens(0.1) ? 1 : 0
  const script = await runScript(process, around, act, (begun) => {
    around.onEffect({ instance: `${service}@${host}`, verb: 'hook', script: begun })
    time.after(dice.happens(0.05) ? dice.between(5000, 60_000) : dice.between(5, 2000), () => {
      if (begun.isAlive && code === 0) hooksDone.add(`${host}/${service}:${at}`)
      begun.return()
    })
  })
  return { exit: await exitOf(process, script, act, code), output, durationMs: 1 }
}

async function runPower(
  process: Process,
  around: Surroundings,
  argv: readonly string[],
  act: Act,
): Promise<Acted> {
  const { dice, host } = around
  const verb = argv[1] === 'reboot' ? 'reboot' : 'halt'
  const output = { head: '', tail: '', droppedBytes: 0 }
  if (act.signal.aborted) return { exit: { kind: 'aborted', survived: false }, output, durationMs: 0 }
  const manner = around.powerManner()
  const script = await runScript(process, around, act, (begun) => {
    around.onEffect({ instance: `@${host}`, verb, script: begun })
    if (manner === 'crashes') return around.crash()
    if (manner === 'hangs') return
    process.machine.time.after(dice.between(5, 500), () => begun.return())
    if (manner === 'obeys' || manner === 'complains') around.goDown(verb, dice.between(500, 2000))
    if (manner === 'dawdles') around.goDown(verb, dice.between(5000, 180_000))
  })
  const code = manner === 'refuses' || manner === 'complains' ? 1 : 0
  return { exit: await exitOf(process, script, act, code), output, durationMs: 1 }
}

/** How a script ended, as whoever waits for it sees it. */
async function exitOf(process: Process, script: Script, act: Act, code: number): Promise<Acted['exit']> {
  const aborted = Promise.withResolvers<'aborted'>()
  act.signal.addEventListener('abort', () => {
    void process.clock.sleep(graceMs + vanishMs).then(() => aborted.resolve('aborted'))
  })
  const how = await process.during(Promise.race([script.over, aborted.promise]))
  return how === 'returned' ? { kind: 'exited', code } : { kind: 'aborted', survived: script.isAlive }
}

/** Whether a running service is ready, by the port that its definition names. */
export function probeFor(process: Process, around: Surroundings): Probe {
  return async (ready: ReadyDefinition) => {
    await process.clock.sleep(around.dice.between(1, 50))
    const service = around.services.get(`s${Number(ready.tcp!.split(':')[1]) - 7000}`)!
    return { ready: service.isReady, detail: 'its port' }
  }
}

function nameOf(definition: ManagerDefinition): string {
  if (definition.kind === 'systemd') return definition.unit.replace('.service', '')
  if (definition.kind === 'lsb') return definition.name
  throw new Error(`no ${definition.kind} here`)
}
