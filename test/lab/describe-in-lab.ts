import { afterAll, beforeAll, beforeEach, describe, expect, inject } from 'vitest'
import type { LabFleet } from './fleets.ts'
import { differences, footprint, type Footprint } from './footprint.ts'
import type { Lab } from './lab.ts'
import { raiseLab, type RaisedLab } from './raise.ts'

/** The lab of the tests of one file. */
export interface LabOfTests {
  readonly lab: Lab
  readonly broker: RaisedLab['broker']
}

/**
 * Raises a fleet for the tests of a file, in the order in which they stand, and ends it after them; fails where the
 * machine is not then as it was. Where no lab can run, the tests are skipped, and each says why.
 */
export function describeInLab(title: string, fleet: LabFleet, define: (current: LabOfTests) => void): void {
  const obstacle = inject('obstacleToLab')
  describe(title, () => {
    let before: Footprint
    let raised: RaisedLab | undefined
    const present = (): RaisedLab => {
      if (raised === undefined) throw new Error('the lab is only up while tests run')
      return raised
    }
    beforeAll(async () => {
      before = footprint()
      if (obstacle !== '') return
      raised = await raiseLab(`filo-lab-${process.pid}`, fleet)
    })
    afterAll(async () => {
      await raised?.[Symbol.asyncDispose]()
      expect(differences(before, footprint())).toEqual([])
    })
    beforeEach(({ skip }) => skip(obstacle !== '', `the lab cannot run here: ${obstacle}`))
    define({
      get lab() {
        return present().lab
      },
      get broker() {
        return present().broker
      },
    })
  })
}
