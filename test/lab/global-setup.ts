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

/**
 * Before all tests: finds out whether the lab can run here, and makes the images that are missing while others are
 * tested; whoever raises a lab waits for its images.
 */
export async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const before = footprint()
  const layers = Object.values(fleets).flatMap(({ hosts }) => hosts.flatMap(({ layer }) => layer ?? []))
  const why = (await obstacle()) ?? (await obstacleToImages(layers))
  project.provide('obstacleToLab', why ?? '')
  if (why !== undefined) return undefined
  const making = Promise.allSettled([layersOf([...new Set(layers)])])
  return async () => {
    const [made] = await making
    if (made.status === 'rejected') throw made.reason
    const changed = differences(before, footprint())
    if (changed.length > 0) throw new Error(`making images has changed the machine: ${changed.join('; ')}`)
  }
}
