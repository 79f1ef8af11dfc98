import type { TestProject } from 'vitest/node'
import { fleets } from './fleets.ts'
import { differences, footprint } from './footprint.ts'
import { layersOf, obstacleToImages } from './image.ts'
import { obstacle } from './requirements.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Why no lab can run on this machine; empty where it can. */
    readonly obstacleToLab: string
  }
}

/** Before all tests of the lab: finds out whether it can run here, and makes the images that are missing. */
export async function setup(project: TestProject): Promise<void> {
  const before = footprint()
  const layers = Object.values(fleets).flatMap(({ hosts }) => hosts.flatMap(({ layer }) => layer ?? []))
  const why = (await obstacle()) ?? (await obstacleToImages(layers))
  project.provide('obstacleToLab', why ?? '')
  if (why !== undefined) return
  await layersOf([...new Set(layers)])
  const changed = differences(before, footprint())
  if (changed.length > 0) throw new Error(`making images has changed the machine: ${changed.join('; ')}`)
}
