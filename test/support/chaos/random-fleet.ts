import { type Fleet } from '../../../packages/coordinator/src/fleet/fleet.ts'
import { parseFleet } from '../../../packages/coordinator/src/fleet/parse-fleet.ts'
import type { Dice } from './dice.ts'

const points = ['before_stop', 'after_stop', 'before_start', 'after_start']

/** A small fleet, by way of its file: services need only those before them. */
export function randomFleet(dice: Dice): Fleet {
  const hosts = Array.from({ length: dice.between(2, 4) }, (_, at) => `h${at}`)
  const services = Array.from({ length: dice.between(2, 5) }, (_, at) => {
    const on = hosts.filter(() => dice.happens(0.4))
    const needs = Array.from({ length: at }, (_unused, below) => `s${below}`).filter(() => dice.happens(0.5))
    const hooks = points.filter(() => dice.happens(0.07))
    const entry = {
      hosts: on.length > 0 ? on : [dice.pick(hosts)],
      lsb: `s${at}`,
      needs: needs.map((service) => ({ service, strength: dice.happens(0.15) ? 'order' : 'hard' })),
      ...(dice.happens(0.3) && { enough: 1 }),
      settle: dice.pick(['0s', '0s', '1s', '2s']),
      start_timeout: '20s',
      stop_timeout: '20s',
      hooks: Object.fromEntries(hooks.map((point) => [point, hookOf(`s${at}`, point, dice)])),
    }
    return [`s${at}`, entry] as const
  })
  const file = {
    fleet: 'chaos',
    broker: 'local',
    hosts: Object.fromEntries(hosts.map((host) => [host, null])),
    services: Object.fromEntries(services),
  }
  const parsed = parseFleet(JSON.stringify(file), 'filo.yaml')
  if (parsed.kind === 'refused') throw new Error(JSON.stringify(parsed.problems))
  return parsed.fleet
}

function hookOf(service: string, point: string, dice: Dice): object {
  const check = dice.happens(0.5) ? { check: ['/check', service, point] } : {}
  return { run: ['/hook', service, point], timeout: '10s', ...check }
}
