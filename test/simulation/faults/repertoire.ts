import type { Host } from '../actors/host.ts'
import type { Operator } from '../actors/operator.ts'
import type { Scene } from '../scene.ts'
import type { Service as DiskService } from '../world/disk.ts'
import type { Machine } from '../world/machine.ts'
import type { Mishap } from '../world/network.ts'
import { points, type Point, type Process } from '../world/process.ts'
import type { Service } from '../world/service.ts'
import { forge } from './forgery.ts'
import type { Phase } from './phases.ts'

/** Something that goes wrong at a host, or at a coordinator while something goes on at that host. */
export interface Fault {
  readonly name: string
  /** Where it cannot happen, and why. */
  readonly never?: Partial<Record<Phase, string>>
  /** False when it did not come about. What it leaves to come counts itself when it does: then `false` as well. */
  readonly strike: (scene: Scene, host: Host) => boolean
}

const noSession: NonNullable<Fault['never']> = { 'between sessions': 'no coordinator is at work' }

const frozenMs = [500, 3000, 12_000, 40_000, 300_000, 8 * 3_600_000] as const

export const mishaps: readonly Mishap[] = ['lost', 'repeated', 'late', 'hours late', 'in doubt']

/** Of each message mishap the row of the table. */
export function nameOfMishap(mishap: Mishap): string {
  return mishap === 'in doubt' ? 'sending in doubt' : `message ${mishap}`
}

const messageFaults: readonly Fault[] = [
  ...mishaps.map((mishap): Fault => ({
    name: nameOfMishap(mishap),
    never: noSession,
    strike: ({ network }, { name }) => {
      network.strikeNext(name, mishap)
      return false
    },
  })),
  {
    name: 'old message replayed',
    strike: ({ network, dice }, { name }) => {
      const frames = network.frames.filter(({ host }) => host === name)
      if (frames.length === 0) return false
      network.inject(dice.pick(frames), dice.between(0, 200))
      return true
    },
  },
  { name: 'message forged', strike: forge },
  {
    name: 'broker away',
    strike: ({ network, dice }) => {
      network.fail(dice.between(500, 60_000))
      return true
    },
  },
  {
    name: 'host cut off',
    strike: ({ network, dice }, { name }) => {
      network.cutOff(name, dice.between(500, 60_000))
      return true
    },
  },
]

const hostFaults: readonly Fault[] = [
  { name: 'agent killed', strike: (_, host) => onProcess(host.process, () => host.killAgent()) },
  {
    name: 'agent told to end',
    strike: ({ checker }, host) => {
      // Who restarts an agent in the moment in which its host goes down, and then cuts it off, is not tolerated.
      if (checker.isGoingDown(host.name)) return false
      return onProcess(host.process, () => {
        void host.endAgent()
      })
    },
  },
  {
    name: 'agent frozen',
    strike: ({ dice }, host) => onProcess(host.process, (process) => process.freeze(dice.pick(frozenMs))),
  },
  {
    name: 'host crashes',
    strike: ({ dice }, host) => {
      if (host.boot === undefined) return false
      host.crash(dice.between(3000, 60_000))
      return true
    },
  },
  {
    name: 'host suspended',
    strike: ({ dice }, host) => {
      host.machine.suspend(dice.pick(frozenMs))
      return true
    },
  },
  {
    name: 'ledger lost',
    strike: (scene, host) => {
      scene.loseLedger(host)
      return true
    },
  },
  {
    name: 'agent reconfigured',
    strike: ({ dice, time }, host) => {
      const { services } = host
      if (services.size === 0) return false
      const name = dice.pick([...services.keys()])
      host.reconfigure((definition) => ({
        ...definition,
        services: definition.services.map((one) =>
          one.service === name ? { ...one, startTimeoutMs: one.startTimeoutMs + 1 } : one,
        ),
      }))
      time.after(dice.between(1000, 60_000), () => host.reconfigure(undefined))
      return true
    },
  },
  ...diskFaults('agent', (_, { machine }) => machine),
  clockFault('agent', (_, { machine }) => machine),
]

const coordinatorFaults: readonly Fault[] = [
  atCoordinator('coordinator killed', (operator) => operator.kill()),
  atCoordinator('coordinator frozen', (_, process, { dice }) => process.freeze(dice.pick(frozenMs))),
  atCoordinator('coordinator suspended', ({ machine }, _, { dice }) => machine.suspend(dice.pick(frozenMs))),
  atCoordinator('coordinator interrupted', (operator) => operator.interrupt()),
  atCoordinator('run cancelled', (operator) => operator.ask('cancel')),
  atCoordinator('run aborted', (operator) => operator.ask('abort')),
  {
    name: 'step waived',
    strike: ({ operator, dice }) => {
      operator.vouch(dice.between(0, operator.record.plan.steps.length - 1))
      return true
    },
  },
  {
    name: 'another run takes over',
    strike: (scene) => scene.beginRival('any'),
  },
  {
    name: 'coordinator frozen, another run asks',
    never: noSession,
    strike: ({ operator, dice, time, beginRival }) => {
      const { process } = operator
      if (process === undefined) return false
      process.freeze(dice.pick([40_000, 60_000, 300_000]))
      time.after(dice.between(30_000, 35_000), () => beginRival('no'))
      return true
    },
  },
  {
    name: 'another run asks',
    strike: (scene) => scene.beginRival('no'),
  },
  ...diskFaults('coordinator', ({ operator }) => operator.machine),
  clockFault('coordinator', ({ operator }) => operator.machine),
]

const serviceFaults: readonly Fault[] = [
  atService('started by hand', (_, service) => service.touch(true, 'by hand'), false),
  atService('stopped by hand', (_, service) => service.touch(false, 'by hand'), true),
  atService('cannot be seen', ({ dice }, service) => service.hide(dice.between(1000, 60_000))),
  {
    name: 'looking is slow',
    strike: ({ dice, time }, host) => {
      host.lookMs = dice.pick([[500, 4000] as const, [3000, 9500] as const, [8000, 15_000] as const])
      time.after(dice.between(5000, 60_000), () => (host.lookMs = [1, 800]))
      return true
    },
  },
]

/** All that goes wrong, at a time that a play chooses. */
export const faults: readonly Fault[] = [
  ...messageFaults,
  ...hostFaults,
  ...trapFaults('agent', (_, host) => host.process),
  ...coordinatorFaults,
  ...trapFaults('coordinator', (scene) => scene.operator.process).map((fault) => ({
    ...fault,
    never: noSession,
  })),
  ...serviceFaults,
]

function onProcess(process: Process | undefined, strike: (process: Process) => void): boolean {
  if (process === undefined) return false
  strike(process)
  return true
}

function atCoordinator(
  name: string,
  strike: (operator: Operator, process: Process, scene: Scene) => void,
): Fault {
  return {
    name,
    never: noSession,
    strike: (scene) => {
      const operator = scene.dice.happens(0.2) ? scene.rival : scene.operator
      const { process } = operator
      if (process === undefined) return false
      strike(operator, process, scene)
      return true
    },
  }
}

/** @param isRunning whether it must run for this to mean anything. */
function atService(
  name: string,
  strike: (scene: Scene, service: Service) => void,
  isRunning?: boolean,
): Fault {
  return {
    name: `service ${name}`,
    strike: (scene, host) => {
      const all = [...host.services.values()]
      const fitting = isRunning === undefined ? all : all.filter((one) => one.isLive === isRunning)
      if (fitting.length === 0) return false
      strike(scene, scene.dice.pick(fitting))
      return true
    },
  }
}

/** It ends or stands still between two steps of its code, at the next point that it comes to while things stand as they do. */
function trapFaults(who: string, processOf: (scene: Scene, host: Host) => Process | undefined): Fault[] {
  return (['killed', 'frozen'] as const).map((how) => ({
    name: `${who} ${how} at a step`,
    strike: (scene, host) => {
      const process = processOf(scene, host)
      if (process === undefined) return false
      const { dice, phases } = scene
      // Only agents run scripts.
      const kinds = points.filter((one) => who === 'agent' || !one.startsWith('request'))
      const point = dice.happens(0.5) ? dice.pick(kinds) : undefined
      const phase = phases.of(host.name)
      const name = `${who} ${how} at a step`
      const onSprung = (at: Point): void =>
        scene.count(name, host.name, `${who} of ${host.name} is ${how} at ${at}`, phase)
      const isArmed = (): boolean => phases.of(host.name) === phase
      const lastsMs = how === 'killed' ? undefined : dice.pick(frozenMs)
      process.setTrap({ point, isArmed, frozenMs: lastsMs, onSprung })
      return false
    },
  }))
}

function diskFaults(who: string, machineOf: (scene: Scene, host: Host) => Machine): Fault[] {
  const kinds: readonly (readonly [string, DiskService])[] = [
    ['full', { kind: 'full' }],
    ['slow', { kind: 'slow', upToMs: 2000 }],
    ['very slow', { kind: 'slow', upToMs: 45_000 }],
    ['failing', { kind: 'failing', chance: 0.3 }],
  ]
  return kinds.map(([how, service]) => ({
    name: `${who}'s disk ${how}`,
    strike: (scene, host) => {
      const { disk } = machineOf(scene, host)
      disk.service = service
      scene.time.after(scene.dice.between(500, 30_000), () => {
        if (disk.service === service) disk.service = { kind: 'well' }
      })
      return true
    },
  }))
}

function clockFault(who: string, machineOf: (scene: Scene, host: Host) => Machine): Fault {
  const day = 86_400_000
  return {
    name: `${who}'s clock steps`,
    strike: (scene, host) => {
      machineOf(scene, host).setWallClock(
        scene.dice.pick([-day, -600_000, -1000, 1000, 60_000, 600_000, day]),
      )
      return true
    },
  }
}
