import { namePattern } from '@filo/protocol'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatProblem } from '../fleet/problem.ts'
import { includePatterns, readSupervisordAccess, readSupervisordConf } from './supervisord-conf.ts'

const expansions = { here: '/home/canopsis/etc', ENV_USER: 'canopsis' }
const server = '[unix_http_server]\nfile=/run/s.sock\n'

function read(...texts: string[]) {
  const files = texts.map((text, at) => ({ file: `${at}.conf`, text }))
  const result = readSupervisordConf(files, expansions)
  return result.kind === 'conf' ? result.conf : result.problems.map(formatProblem)
}

describe('programs and groups', () => {
  test('come in the order of their priorities, and then of the file; a program in a group goes with it', () => {
    expect(
      read(`${server}
[program:web]
command=/bin/web
[program:cleaner]
priority=1
[program:alert]
[group:engines]
programs=cleaner,alert
priority=20
[program:early]
priority = 5 ; before all
[eventlistener:watch]
`),
    ).toMatchObject({
      services: [
        { name: 'watch', isGroup: false, priority: -1 },
        { name: 'early', isGroup: false, priority: 5 },
        { name: 'engines', isGroup: true, priority: 20 },
        { name: 'web', isGroup: false, priority: 999 },
      ],
    })
  })

  test('of several processes are groups', () => {
    expect(
      read(`${server}
[program:one]
[program:four]
numprocs=4
[program:named]
process_name=%(program_name)s_%(process_num)02d
`),
    ).toMatchObject({
      services: [
        { name: 'one', isGroup: false },
        { name: 'four', isGroup: true },
        { name: 'named', isGroup: true },
      ],
    })
  })

  test('may stand in files that are included, and in lines that are continued', () => {
    const main = `${server}[include]\nfiles = %(here)s/a.d/*.conf\n  b.d/*.conf\n`
    expect(includePatterns({ file: 'main', text: main }, expansions)).toEqual([
      '/home/canopsis/etc/a.d/*.conf',
      'b.d/*.conf',
    ])
    expect(read(main, '[program:a]\n[program:b]\n', '[group:both]\nprograms=a,\n  b\n')).toMatchObject({
      services: [{ name: 'both', isGroup: true }],
    })
  })
})

test('a file without an include names no other files', () => {
  expect(includePatterns({ file: 'main', text: server }, expansions)).toEqual([])
  expect(includePatterns({ file: 'main', text: '[include]\nfile=a.conf\n' }, expansions)).toEqual([])
})

describe('how it is reached', () => {
  test.each([
    ['[unix_http_server]\nfile=%(here)s/../var/s.sock', { socket: '/home/canopsis/etc/../var/s.sock' }],
    ['[inet_http_server]\nport=9001', { socket: 'http://127.0.0.1:9001' }],
    ['[inet_http_server]\nport=*:9001', { socket: 'http://127.0.0.1:9001' }],
    [
      '[inet_http_server]\nport=10.0.0.1:9001\nusername=%(ENV_USER)s\npassword=100%%',
      { socket: 'http://10.0.0.1:9001', username: 'canopsis', password: '100%' },
    ],
    ['[unix_http_server]\nfile=/s\n[inet_http_server]\nport=9001', { socket: '/s' }],
    ['[inet_http_server]\nport=:9001', { socket: 'http://127.0.0.1:9001' }],
    ['[inet_http_server]\nport=http', undefined],
    ['[unix_http_server]\nusername=a', undefined],
    ['[unix_http_server]\nfile=/s\nusername=a', { socket: '/s' }],
    ['[unix_http_server]\nfile=%(ENV_NONE)s/s', undefined],
    ['[supervisord]', undefined],
  ])('%j gives %j', (text, access) => {
    expect(readSupervisordAccess({ file: 'main', text }, expansions)).toEqual(access)
  })
})

test.each([
  [
    'a line that is none',
    `${server}[program:a]\nwhat is this\n`,
    ['0.conf:4:1: expected a [section], or an option such as priority=10 in one'],
  ],
  [
    'a priority that is no number',
    `${server}[program:a]\npriority=high\n`,
    ['0.conf:4:1: expected a whole number; found "high"'],
  ],
  [
    'an option that is given twice',
    `${server}[program:a]\npriority=1\npriority=2\n`,
    ['0.conf:5:1: "priority" is given twice'],
  ],
  [
    'a name that no service can have',
    `${server}[program:a b]\n`,
    ['0.conf:3:1: "a b" cannot be the name of a service in a fleet file'],
  ],
  [
    'a name of two',
    `${server}[program:a]\n[group:a]\nprograms=a\n`,
    ['0.conf:4:1: "a" is the name of two programs or groups'],
  ],
  ['a group of nothing', `${server}[program:a]\n[group:g]\n`, ['0.conf:4:1: group "g" has no programs']],
  [
    'a port that is a word',
    '[inet_http_server]\nport=localhost:http\n[program:a]\n',
    ['0.conf:2:1: expected a port, or host:port'],
  ],
  [
    'a group of what is not there',
    `${server}[program:a]\n[group:g]\nprograms=a,b\n`,
    ['0.conf:5:1: there is no program "b"'],
  ],
  [
    'an expression that is not known',
    `${server}[program:a]\npriority=%(ENV_NONE)s\n`,
    [
      '0.conf:4:1: what %(ENV_NONE)s stands for is not known here',
      '0.conf:4:1: expected a whole number; found ""',
    ],
  ],
  [
    'a password that is hashed',
    '[unix_http_server]\nfile=/s\nusername=a\npassword={SHA}82ab\n[program:a]\n',
    ['0.conf:4:1: the password stands here as its hash; Filo needs the password itself'],
  ],
  [
    'no server',
    '[program:a]\n',
    [
      '0.conf:1:1: no [unix_http_server] with a file and no [inet_http_server] with a port: Filo speaks to it by these',
    ],
  ],
  ['no program', server, ['0.conf:1:1: there is no [program:x] in it or in what it includes']],
])('%s is refused, with its place', (_, text, problems) => {
  expect(read(text)).toEqual(problems)
})

const lines = fc.constantFrom(
  '[unix_http_server]',
  'file=/run/s.sock',
  '[inet_http_server]',
  'port=9001',
  'username=%(ENV_USER)s',
  'password=p',
  '[program:a]',
  '[program:b]',
  '[fcgi-program:c]',
  '[eventlistener:a b]',
  '[group:g]',
  'programs=a,b',
  'priority=5',
  'priority=%(ENV_NONE)s',
  'numprocs=2',
  '  more',
  '; a note',
  'what is this',
  '',
)

test('every text is services with names that a fleet can use, or is refused with places that are in it', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(lines, { maxLength: 12 }).map((each) => each.join('\n')),
    fc.array(lines, { maxLength: 8 }).map((each) => `${server}[program:z]\n${each.join('\n')}`),
  )
  fc.assert(
    fc.property(fc.array(text, { minLength: 1, maxLength: 2 }), (texts) => {
      const files = texts.map((each, at) => ({ file: `${at}.conf`, text: each }))
      const result = readSupervisordConf(files, expansions)
      if (result.kind === 'refused') {
        expect(result.problems).not.toEqual([])
        for (const { file, line, column } of result.problems) {
          const found = texts[Number.parseInt(file, 10)]!.split('\n')[line - 1]!
          expect(column).toBeLessThanOrEqual(found.length + 1)
        }
        return
      }
      const names = result.conf.services.map((service) => service.name)
      expect(names).not.toEqual([])
      expect(new Set(names).size).toBe(names.length)
      expect(names.filter((name) => !namePattern.test(name))).toEqual([])
      const priorities = result.conf.services.map(({ priority }) => priority)
      expect(priorities).toEqual(priorities.toSorted((one, other) => one - other))
    }),
    { numRuns: 300 },
  )
})
