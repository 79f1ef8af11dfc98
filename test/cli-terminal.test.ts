import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import { localFleet } from './support/local-fleet.ts'
import { bringUp } from './support/run-of.ts'
import { atTerminal } from './support/terminal.ts'

// What somebody at a terminal sees and may answer: filo on a pseudo-terminal, by script(1).

test('the plan is shown with what it would find, and nothing is done before a yes', async () => {
  await using fleet = localFleet()
  await using terminal = await atTerminal(fleet.path, 'start')
  await terminal.untilShows(/Go ahead\? \[y\/N\]/)
  expect(stripVTControlCharacters(terminal.screen())).toMatch(/4 steps on 4 hosts; 4 would act/)
  expect(fleet.services.requests()).toEqual([])
  terminal.type('y\r')
  expect(await terminal.code).toBe(0)
  expect(fleet.services.effects()).toEqual(['db up', 'app up', 'mail up', 'web up'])
})

test.each(['n\r', '\r', '\u0003', '\u0004'])('%j is a no: nothing is done, exit 5', async (answer) => {
  await using fleet = localFleet()
  await using terminal = await atTerminal(fleet.path, 'start')
  await terminal.untilShows(/Go ahead\?/)
  terminal.type(answer)
  expect(await terminal.code).toBe(5)
  expect(terminal.screen()).toContain('nothing was done')
  expect(fleet.services.requests()).toEqual([])
})

test('what is in progress is shown with its age and last output, and Ctrl-C ends it in order', async () => {
  await using fleet = localFleet()
  await bringUp(fleet)
  fleet.services.hold('mail')
  await using terminal = await atTerminal(fleet.path, 'stop --yes')
  await terminal.untilShows(/stop mail@mail-host +\d.* acting: mail: stopping/)
  await terminal.untilShows(/1 of 4 steps done, 1 in progress/)
  terminal.type('\u0003')
  await terminal.untilShows(/Nothing new is sent/)
  fleet.services.letGo('mail')
  expect(await terminal.code).toBe(130)
  expect(fleet.services.effects()).toEqual(['web down', 'mail down'])
})

test('colours are for terminals, and not for those who set NO_COLOR or type --no-color', async () => {
  await using fleet = localFleet()
  const bold = '\u001b[1m'
  await using colored = await atTerminal(fleet.path, 'start --yes')
  expect(await colored.code).toBe(0)
  expect(colored.screen()).toContain(bold)
  await using byVariable = await atTerminal(fleet.path, 'start --yes', { NO_COLOR: '1' })
  expect(await byVariable.code).toBe(0)
  expect(byVariable.screen()).not.toContain(bold)
  await using byOption = await atTerminal(fleet.path, 'start --yes --no-color')
  expect(await byOption.code).toBe(0)
  expect(byOption.screen()).not.toContain(bold)
})
