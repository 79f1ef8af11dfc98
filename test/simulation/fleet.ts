import { type Fleet } from '../../packages/coordinator/src/fleet/fleet.ts'
import { parseFleet } from '../../packages/coordinator/src/fleet/parse-fleet.ts'
import type { Dice } from '../support/dice.ts'

const points = ['before_stop', 'after_stop', 'before_start', 'after_start']

/** What a play asks of its fleet. */
export interface FleetTraits {
  readonly isLarge?: boolean
  /** The chance of a service to have a hook at each point. */
  readonly hooks?: number
  /** How long states have to hold to count. */
  readonly settle?: string
}

/** A fleet, by way of its file: services need only those before them. Mostly small, so that much happens to little. */
export function randomFleet(dice: Dice, traits: FleetTraits = {}): Fleet {
  const isLarge = dice.happens(0.04) || traits.isLarge === true
  const hosts = Array.from(
    { length: isLarge ? dice.between(6, 12) : dice.between(2, 4) },
    (_, at) => `h${at}`,
  )
  const services = new Map<string, { readonly hosts: readonly string[] }>()
  for (let at = 0, count = isLarge ? dice.between(6, 12) : dice.between(2, 5); at < count; at += 1) {
    services.set(`s${at}`, randomService(`s${at}`, at, hosts, services, dice, traits))
  }
  const file = {
    fleet: 'simulated',
    broker: 'amqp://simulated',
    hosts: Object.fromEntries(
      hosts.map((host) => [
        host,
        { reboot_timeout: dice.pick(['60s', '120s']), halt_timeout: dice.pick(['20s', '60s']) },
      ]),
    ),
    services: Object.fromEntries(services),
  }
  const parsed = parseFleet(JSON.stringify(file), 'filo.yaml')
  if (parsed.kind === 'refused') throw new Error(JSON.stringify(parsed.problems))
  return parsed.fleet
}

function randomService(
  name: string,
  at: number,
  hosts: readonly string[],
  before: ReadonlyMap<string, { readonly hosts: readonly string[] }>,
  dice: Dice,
  { hooks: hookChance = 0.06, settle }: FleetTraits,
) {
  const some = hosts.filter(() => dice.happens(0.4))
  const on = some.length > 0 ? some : [dice.pick(hosts)]
  const needs = [...before].flatMap(([service, other]) => {
    if (!dice.happens(0.5)) return []
    const strength = dice.happens(0.15) ? 'order' : 'hard'
    const isBeside = on.every((host) => other.hosts.includes(host))
    return [{ service, strength, scope: isBeside && dice.happens(0.4) ? 'same-host' : 'all' }]
  })
  const hooks = points.filter(() => dice.happens(hookChance))
  return {
    hosts: on,
    ...(dice.happens(0.5) ? { systemd: `${name}.service` } : { lsb: name }),
    needs,
    ...(dice.happens(0.3) && { enough: 1 }),
    ...(dice.happens(0.05) && { keep: true }),
    ...(dice.happens(0.25) && { ready: { tcp: `127.0.0.1:${7000 + at}` } }),
    settle: settle ?? dice.pick(['0s', '0s', '1s', '2s']),
    start_timeout: dice.pick(['10s', '20s']),
    stop_timeout: dice.pick(['10s', '20s']),
    hooks: Object.fromEntries(hooks.map((point) => [point, hookOf(name, point, dice)])),
  }
}

function hookOf(service: string, point: string, dice: Dice): object {
  const check = dice.happens(0.5) ? { check: ['/check', service, point] } : {}
  return { run: ['/hook', service, point], timeout: '10s', ...check }
}
