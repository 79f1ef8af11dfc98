import { expect, test } from 'vitest'
import { readCgroups } from './cgroup.ts'
import { parseJobs, unitName } from './systemd-unit.ts'

test.each([
  ['nginx', 'nginx.service'],
  ['nginx.service', 'nginx.service'],
  ['postgresql@15-main.service', 'postgresql@15-main.service'],
  ['postgresql@15-main', 'postgresql@15-main.service'],
  [String.raw`dev-disk-by\x2duuid.device`, String.raw`dev-disk-by\x2duuid.device`],
  ['backup.timer', 'backup.timer'],
  ['foo.bar', 'foo.bar.service'],
])('%s is the unit %s', (declared, name) => {
  expect(unitName(declared)).toBe(name)
})

test.each([
  '',
  'bad name',
  'a*',
  '[ab]',
  'x?',
  '../x',
  'postfix@',
  'postfix@.service',
  '--help',
  'a\nb',
  'x'.repeat(300),
])('%j is no unit and is never given to systemctl', (declared) => {
  expect(unitName(declared)).toBeUndefined()
})

test('the types of jobs are told by unit, and what is no row of the table is left out', () => {
  const jobs = parseJobs(
    '1466 postgresql@15-main.service stop  running\n1414 mta.service  start waiting\nNo jobs running.\n',
  )
  expect([...jobs]).toEqual([
    ['postgresql@15-main.service', 'stop'],
    ['mta.service', 'start'],
  ])
})

test("of a process's control groups only those of systemd's hierarchy count", () => {
  const hybrid =
    '9:name=systemd:/system.slice/a.service\n8:pids:/other\n4:memory:/m\n0::/system.slice/a.service\n'
  expect(readCgroups(hybrid)).toEqual(['/system.slice/a.service', '/system.slice/a.service'])
  expect(readCgroups('0::/system.slice/b.service\n')).toEqual(['/system.slice/b.service'])
})
