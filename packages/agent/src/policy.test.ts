import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Task } from '@filo/protocol'
import { describe, expect, test } from 'vitest'
import { tempDir } from '../../../test/support/temp-dir.ts'
import { readPolicy } from './policy-file.ts'
import { noPolicy, objectionTo, PolicyFile, standstillOf, type Policy } from './policy.ts'

const policy = (says: unknown): Policy => ({
  kind: 'read',
  file: 'policy.yaml',
  says: PolicyFile.parse(says),
})
const at = (clock: string) => ({
  epochMs: Date.parse(`2026-11-20T${clock}:00Z`),
  minuteOfDay: Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3)),
})
const stop: Task = { verb: 'stop', service: 'mta' }
const start: Task = { verb: 'start', service: 'mta' }
const reboot: Task = { verb: 'reboot' }

function isAllowed(says: unknown, task: Task, operator = 'alice@admin1', clock = '12:00'): boolean {
  return objectionTo([task], operator, policy(says), at(clock)) === undefined
}

describe('what is allowed', () => {
  test('a host without a policy allows everything', () => {
    expect(objectionTo([stop, reboot], 'anybody', noPolicy, at('12:00'))).toBeUndefined()
    expect(isAllowed({}, reboot)).toBe(true)
  })

  test('a policy that allows nothing in particular is no policy, and one that names something allows nothing else', () => {
    const says = { allow: { services: ['mta', 'web*'] } }
    expect(isAllowed(says, stop)).toBe(true)
    expect(isAllowed(says, { verb: 'stop', service: 'website' })).toBe(true)
    expect(isAllowed(says, { verb: 'stop', service: 'database' })).toBe(false)
    expect(isAllowed(says, { verb: 'stop', service: 'mta2' })).toBe(false)
  })

  test('of several rules one has to allow all of it, not each a part', () => {
    const says = {
      allow: [
        { services: 'mta', verbs: 'stop' },
        { services: 'db', verbs: 'start' },
      ],
    }
    expect(isAllowed(says, stop)).toBe(true)
    expect(isAllowed(says, start)).toBe(false)
    expect(isAllowed(says, { verb: 'start', service: 'db' })).toBe(true)
  })

  test('a rule that names services does not allow what is done to the whole host', () => {
    expect(isAllowed({ allow: { services: '*' } }, reboot)).toBe(false)
    expect(isAllowed({ allow: { verbs: ['reboot'] } }, reboot)).toBe(true)
    expect(isAllowed({ allow: { verbs: ['reboot'] } }, { verb: 'halt' })).toBe(false)
  })

  test('a hook is allowed with what it belongs to', () => {
    const hook = (point: 'before_stop' | 'after_stop' | 'before_start' | 'after_start'): Task => ({
      verb: 'hook',
      service: 'mta',
      hook: point,
    })
    const allowed = (['before_stop', 'after_stop', 'before_start', 'after_start'] as const).map((point) =>
      isAllowed({ allow: { verbs: 'stop' } }, hook(point)),
    )
    expect(allowed).toEqual([true, true, false, false])
  })

  test('an operator is meant whole, and a dot is a dot', () => {
    const says = { allow: { operators: ['alice@*', 'b.b@admin2'] } }
    expect(isAllowed(says, stop, 'alice@admin1')).toBe(true)
    expect(isAllowed(says, stop, 'malice@admin1')).toBe(false)
    expect(isAllowed(says, stop, 'bob@admin2')).toBe(false)
    expect(isAllowed(says, stop, 'alice@\nbob@admin2')).toBe(true)
    expect(isAllowed({ allow: { operators: 'bob@admin2' } }, stop, 'bob@admin2\n')).toBe(false)
  })

  test('hours that go past midnight begin with their first minute and end before their last', () => {
    const says = { allow: { hours: '22:00-06:00' } }
    const clocks = ['21:59', '22:00', '23:59', '00:00', '05:59', '06:00', '12:00']
    expect(clocks.filter((clock) => isAllowed(says, stop, 'alice', clock))).toEqual([
      '22:00',
      '23:59',
      '00:00',
      '05:59',
    ])
  })

  test('hours within a day, up to its end', () => {
    const says = { allow: { hours: ['01:00-02:00', '23:00-24:00'] } }
    const clocks = ['00:59', '01:00', '02:00', '22:59', '23:00', '23:59', '00:00']
    expect(clocks.filter((clock) => isAllowed(says, stop, 'alice', clock))).toEqual([
      '01:00',
      '23:00',
      '23:59',
    ])
  })

  test('all that is asked for has to be allowed', () => {
    const says = policy({ allow: { verbs: 'stop' } })
    expect(objectionTo([stop, start, reboot], 'alice@admin1', says, at('12:00'))).toBe(
      'policy.yaml does not allow alice@admin1 to start mta, nor 1 more',
    )
    expect(objectionTo([], 'alice@admin1', says, at('12:00'))).toBeUndefined()
  })

  test('where only the hour is wrong the right one is told, and else it is not', () => {
    const says = policy({
      allow: [
        { services: 'mta', hours: '22:00-06:00' },
        { services: 'db', hours: '01:00-02:00' },
      ],
    })
    expect(objectionTo([stop], 'alice@admin1', says, at('12:05'))).toBe(
      'policy.yaml does not allow alice@admin1 to stop mta: only at 22:00-06:00, and it is 12:05 there',
    )
    expect(objectionTo([reboot], 'alice@admin1', says, at('12:05'))).toBe(
      'policy.yaml does not allow alice@admin1 to reboot the host',
    )
  })
})

describe('a freeze', () => {
  test('forbids everything that is allowed, to everybody, and says why', () => {
    const says = { freeze: 'on', because: 'the disks are being copied', allow: { services: '*' } }
    expect(objectionTo([stop], 'alice', policy(says), at('12:00'))).toBe(
      'frozen by policy.yaml (the disks are being copied)',
    )
    expect(isAllowed(says, reboot)).toBe(false)
    expect(objectionTo([], 'alice', policy(says), at('12:00'))).toBeUndefined()
  })

  test('ends at its time, by the time zone that it names', () => {
    const says = policy({ freeze: '2026-11-20T14:00+01:00' })
    expect(standstillOf(says, at('12:59'))).toEqual({
      untilMs: Date.parse('2026-11-20T13:00:00Z'),
      why: 'frozen until 2026-11-20T14:00+01:00 by policy.yaml',
    })
    expect(standstillOf(says, at('13:00'))).toBeUndefined()
  })
})

describe('the file', () => {
  const read = (text: string): Policy => {
    using dir = tempDir()
    const file = join(dir.path, 'policy.yaml')
    writeFileSync(file, text)
    return readPolicy(file)
  }

  test('that is not there is no policy, and an empty one neither', () => {
    using dir = tempDir()
    expect(readPolicy(join(dir.path, 'policy.yaml'))).toBe(noPolicy)
    expect(read('# nothing yet\n')).toMatchObject({ kind: 'read', says: {} })
  })

  test.for([
    'freeze: yes please',
    'freeze: true',
    'freeze: 2026-11-21 06:00',
    'freze: on',
    'allow: { service: mta }',
    'allow: []',
    'allow: { verbs: kill }',
    'allow: { hours: 22-6 }',
    'allow: { hours: 06:00-06:00 }',
    'allow: { hours: 24:00-06:00 }',
    'allow: [',
    '- freeze',
    'freeze: on\nfreeze: on',
  ])('L1: %j cannot be read, and forbids everything', (text) => {
    const policyOf = read(text)
    expect(policyOf.kind).toBe('unreadable')
    expect(objectionTo([stop], 'root', policyOf, at('12:00'))).toContain(
      'cannot be read, so it forbids everything',
    )
    expect(standstillOf(policyOf, at('12:00'))?.untilMs).toBeNull()
  })

  test('L1: a file that may not be read is not one that is not there', () => {
    using dir = tempDir()
    // A folder where the file should be cannot be read by anybody, root included.
    expect(readPolicy(dir.path).kind).toBe('unreadable')
  })
})
