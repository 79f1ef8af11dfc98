import { expect, test } from 'vitest'
import { describeInLab } from './describe-in-lab.ts'
import { sympa } from './fleets.ts'
import {
  expectNobodyAtTheDatabase,
  expectStartOrder,
  expectStopOrder,
  layersOf,
  markDatabaseLog,
  tryTheList,
} from './sympa/evidence.ts'
import { unitEvents } from './unit-events.ts'

// What holds once by luck does not hold ten times in a row.

describeInLab('Sympa, again and again', sympa, (current) => {
  test.each(Array.from({ length: 10 }, (_, round) => round + 1))(
    'it stops and starts in order (round %i of 10)',
    async () => {
      const { lab } = current
      const [db, layers] = [lab.host('db'), layersOf('systemd')]
      const [began, mark] = [new Date(), await markDatabaseLog(db)]
      expect(await lab.filo('stop', '--yes')).toMatchObject({ code: 0 })
      expectStopOrder(layers, await unitEvents(lab, began))
      await expectNobodyAtTheDatabase(db, mark)
      const stopped = new Date()
      expect(await lab.filo('start', '--yes')).toMatchObject({ code: 0 })
      expectStartOrder(layers, await unitEvents(lab, stopped))
    },
  )

  test('after all of them it delivers mail', async () => {
    await tryTheList(current.lab, 'after ten rounds')
  })
})
