import { expect, test } from 'vitest'
import { describeInLab } from './describe-in-lab.ts'
import { sympa } from './fleets.ts'
import { tryTheList, watchStart, watchStop } from './sympa/evidence.ts'

// What holds once by luck does not hold ten times in a row.

describeInLab('Sympa, again and again', sympa, (current) => {
  test.each(Array.from({ length: 10 }, (_, round) => round + 1))(
    'it stops and starts in order (round %i of 10)',
    async () => {
      const { lab } = current
      const judgeStop = await watchStop(lab, 'systemd')
      expect(await lab.filo('stop', '--yes')).toMatchObject({ code: 0 })
      await judgeStop()
      const judgeStart = watchStart(lab, 'systemd')
      expect(await lab.filo('start', '--yes')).toMatchObject({ code: 0 })
      await judgeStart()
    },
  )

  test('after all of them it delivers mail', async () => {
    await tryTheList(current.lab, 'after ten rounds')
  })
})
