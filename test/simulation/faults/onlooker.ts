import type { Host } from '../actors/host.ts'
import { coordinatorKeys, signerOf } from '../keys.ts'
import type { Scene } from '../scene.ts'
import { makeFrame } from '../world/frame.ts'

/** Somebody types `filo status` while things go on: the host is asked what it sees, and nobody does anything with it. */
export function lookAtStatus({ network, dice, fleetName }: Scene, host: Host): void {
  if (host.services.size === 0) return
  const body = {
    fleet: fleetName,
    host: host.name,
    coordinator: dice.id(),
    operator: 'oscar@admin3',
    nonce: dice.id(),
    head: null,
    services: [...host.services.keys()],
    settle: true,
  }
  const frame = makeFrame({ agent: host.name }, 'observe', body, signerOf(coordinatorKeys[1]!))
  network.inject(frame, dice.pick([0, 0, 100, 1000, 2000]))
}
