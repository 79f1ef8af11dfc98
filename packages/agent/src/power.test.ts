import type { PowerDefinition } from '@filo/protocol'
import { afterEach, expect, test, vi } from 'vitest'
import { systemClock } from '@filo/protocol'
import type { Exit } from './exec.ts'
import type { Stage } from './perform.ts'
import { adoptPower, performPower } from './power.ts'

const definition: PowerDefinition = {
  reboot: ['/sbin/reboot'],
  halt: ['/sbin/poweroff'],
  rebootTimeoutMs: 100,
  haltTimeoutMs: 100,
}
const group = { pgid: 1, startTicks: 1 }

/** A host on which the command ends so, and nothing else happens. */
function stage(exit: Exit): Stage {
  const output = { head: '', tail: '', droppedBytes: 0 }
  const processes = { act: async () => ({ exit, output, durationMs: 1 }), killGroup: () => false }
  return { clock: systemClock, processes } as unknown as Stage
}

function task(letGo = new AbortController(), aborting = new AbortController()) {
  const phases: string[] = []
  return {
    verb: 'reboot' as const,
    definition,
    outputFile: '',
    phases,
    onLine: () => {},
    onProcess: () => {},
    onPhase: (phase: string) => void phases.push(phase),
    onOverdue: () => {},
    letGo: letGo.signal,
    signal: aborting.signal,
  }
}

afterEach(() => {
  vi.restoreAllMocks()
})

test('a command that may not reboot the host says so, and to who is not root what to do', async () => {
  const ending = await performPower(stage({ kind: 'exited', code: 1 }), task())
  expect(ending).toMatchObject({ outcome: 'failed', reason: '/sbin/reboot: exit status 1' })
  vi.spyOn(process, 'getuid').mockReturnValue(1000)
  const unprivileged = await performPower(stage({ kind: 'exited', code: 1 }), task())
  expect(unprivileged.reason).toContain('The agent does not run as root')
  expect(unprivileged.reason).toContain('filo agent-config HOST --sudoers')
})

test('that the host goes down is said only once the command has ended well', async () => {
  const refused = task()
  await performPower(stage({ kind: 'exited', code: 1 }), refused)
  expect(refused.phases).toEqual(['acting'])
  const taken = task()
  await performPower(stage({ kind: 'exited', code: 0 }), taken)
  expect(taken.phases).toEqual(['acting', 'waiting'])
})

test('an agent that is ended while its host goes down leaves no ending behind', async () => {
  const letGo = new AbortController()
  const performing = performPower(stage({ kind: 'exited', code: 0 }), task(letGo))
  letGo.abort(new Error('the agent ends'))
  await expect(performing).rejects.toThrow('the agent ends')
})

test('of a reboot that an earlier process began, another boot says that it took place', async () => {
  const ending = await adoptPower(
    stage({ kind: 'exited', code: 0 }),
    task(),
    undefined,
    Number.POSITIVE_INFINITY,
  )
  expect(ending).toMatchObject({ outcome: 'changed' })
})

test('in the same boot it is over if its command never ran, and else at the end of its time', async () => {
  const here = stage({ kind: 'exited', code: 0 })
  const never = await adoptPower(here, task(), undefined, 10)
  expect(never).toMatchObject({ outcome: 'interrupted' })
  const stayed = await adoptPower(here, task(), group, 10)
  expect(stayed).toMatchObject({ outcome: 'failed' })
  expect(stayed.reason).toContain('still up')
})

test('what an operator cuts short may yet happen', async () => {
  const aborting = new AbortController()
  aborting.abort()
  const ending = await performPower(stage({ kind: 'exited', code: 0 }), task(new AbortController(), aborting))
  expect(ending).toMatchObject({ outcome: 'unproven' })
  expect(ending.reason).toContain('may yet go down')
})
