import { expect } from 'vitest'
import type { FleetServices } from './fleet-file.ts'
import type { Services } from './services.ts'

// Twelve services in four layers, a host for each layer: every one of a layer needs all of the layer below.

const layers = ['db', 'app', 'mail', 'web'] as const
const columns = [1, 2, 3]

export const twelveServices: FleetServices = Object.fromEntries(
  layers.flatMap((layer, depth) =>
    columns.map((column) => {
      const below = layers[depth - 1]
      const needs = below === undefined ? [] : columns.map((each) => `${below}${each}`)
      return [`${layer}${column}`, { host: `${layer}-host`, needs, stopMs: 100 }]
    }),
  ),
)

/** Each of the twelve went down once and only once, a layer after those that need it, and nothing came up. */
export function expectAllStoppedInOrder(services: Services): void {
  const effects = services.effects()
  expect(effects.toSorted()).toEqual(
    Object.keys(twelveServices)
      .map((name) => `${name} down`)
      .toSorted(),
  )
  const inLayers = layers.toReversed().flatMap((layer) => columns.map(() => layer))
  expect(effects.map((effect) => effect.replace(/\d down$/, ''))).toEqual(inLayers)
  for (const name of Object.keys(twelveServices)) expect(services.isUp(name), name).toBe(false)
}
