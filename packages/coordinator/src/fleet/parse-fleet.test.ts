import { readFileSync } from 'node:fs'
import { digest, HostDefinition } from '@filo/protocol'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { planFor } from '../plan/plan-for.ts'
import type { Intention } from '../plan/plan.ts'
import { hostDefinition, type Fleet } from './fleet.ts'
import { parseFleet } from './parse-fleet.ts'
import { formatProblem } from './problem.ts'
import { buildTopology } from './topology.ts'

function fleetOf(text: string): Fleet {
  const parsed = parseFleet(text, 'filo.yaml')
  if (parsed.kind === 'refused') throw new Error(parsed.problems.map(formatProblem).join('\n'))
  return parsed.fleet
}

function problemsOf(text: string): string[] {
  const parsed = parseFleet(text, 'filo.yaml')
  return parsed.kind === 'refused' ? parsed.problems.map(formatProblem) : []
}

function documentedExample(): string {
  const document = readFileSync(new URL('../../../../docs/fleet-file.md', import.meta.url), 'utf8')
  return /(?<=```yaml\n# filo.yaml\n).*?(?=```)/s.exec(document)![0]
}

const head = 'fleet: lists\nbroker: local\nhosts: { db1: , web1: , web2: }\n'

test('the example of the documentation is a fleet', () => {
  const fleet = fleetOf(documentedExample())
  expect([...fleet.services.keys()]).toEqual(['database', 'sympa', 'mta', 'wwsympa', 'nginx'])
  expect(hostDefinition(fleet, 'web1')).toMatchInlineSnapshot(`
    {
      "fleet": "lists",
      "hooks": [
        {
          "at": "after_start",
          "run": [
            "/usr/local/bin/test-send",
          ],
          "service": "wwsympa",
          "timeoutMs": 30000,
        },
      ],
      "host": "web1",
      "power": {
        "halt": [
          "/bin/systemctl",
          "poweroff",
        ],
        "haltTimeoutMs": 300000,
        "reboot": [
          "/bin/systemctl",
          "reboot",
        ],
        "rebootTimeoutMs": 600000,
      },
      "services": [
        {
          "manager": {
            "kind": "systemd",
            "unit": "wwsympa.service",
          },
          "service": "wwsympa",
          "settleMs": 1000,
          "startTimeoutMs": 90000,
          "stopTimeoutMs": 90000,
        },
        {
          "manager": {
            "kind": "systemd",
            "unit": "nginx.service",
          },
          "service": "nginx",
          "settleMs": 1000,
          "startTimeoutMs": 90000,
          "stopTimeoutMs": 90000,
        },
      ],
    }
  `)
})

test('timings come from the service, else from the defaults, else from the manager', () => {
  const fleet = fleetOf(`${head}
services:
  unit: { hosts: db1, systemd: unit }
  script: { hosts: db1, lsb: script, stop_timeout: 3m }
`)
  const tuned = fleetOf(`${head}
defaults: { settle: 250ms, stop_timeout: 2h }
services:
  unit: { hosts: db1, systemd: unit, settle: 0s }
  script: { hosts: db1, lsb: script }
`)
  const timings = (of: Fleet, service: string) => {
    const { startTimeoutMs, stopTimeoutMs, settleMs } = of.services.get(service)!.definition
    return { startTimeoutMs, stopTimeoutMs, settleMs }
  }
  expect(timings(fleet, 'unit')).toEqual({ startTimeoutMs: 90_000, stopTimeoutMs: 90_000, settleMs: 1_000 })
  expect(timings(fleet, 'script')).toEqual({ startTimeoutMs: 90_000, stopTimeoutMs: 180_000, settleMs: 0 })
  expect(timings(tuned, 'unit')).toEqual({ startTimeoutMs: 90_000, stopTimeoutMs: 7_200_000, settleMs: 0 })
  expect(timings(tuned, 'script')).toEqual({
    startTimeoutMs: 90_000,
    stopTimeoutMs: 7_200_000,
    settleMs: 250,
  })
})

test('each manager has a short and a long form, with what the agent needs filled in', () => {
  const fleet = fleetOf(`${head}
services:
  unit: { hosts: db1, systemd: postgresql@15-main }
  socket: { hosts: db1, systemd: ssh.socket }
  script: { hosts: db1, lsb: { name: postfix, dir: /opt/init.d } }
  program: { hosts: db1, supervisord: web:worker }
  group: { hosts: db1, supervisord: { group: web, together: true, socket: http://127.0.0.1:9001 } }
  directory: { hosts: db1, daemontools: /etc/service/web }
  usual: { hosts: db1, daemontools: hvmail-httpd }
  own: { hosts: db1, command: { start: [/bin/a], stop: [/bin/b, -x], status: [/bin/c] } }
  postgres: { hosts: db1, greenarrow: { part: postgres, postgres_manager: /opt/pg } }
  engines: { hosts: db1, canopsis: { name: engines, dir: /opt/init.d, socket: /opt/s.sock, together: true } }
`)
  expect([...fleet.services.values()].map((service) => service.definition.manager)).toEqual([
    { kind: 'systemd', unit: 'postgresql@15-main.service' },
    { kind: 'systemd', unit: 'ssh.socket' },
    { kind: 'lsb', name: 'postfix', dir: '/opt/init.d' },
    { kind: 'supervisord', program: 'web:worker', socket: '/run/supervisor.sock', together: false },
    { kind: 'supervisord', group: 'web', socket: 'http://127.0.0.1:9001', together: true },
    { kind: 'daemontools', service: '/etc/service/web' },
    { kind: 'daemontools', service: '/service/hvmail-httpd' },
    { kind: 'command', start: ['/bin/a'], stop: ['/bin/b', '-x'], status: ['/bin/c'] },
    {
      kind: 'greenarrow',
      part: 'postgres',
      postgresManager: '/opt/pg',
      hvmailInit: '/var/hvmail/bin/hvmail_init',
      component: 'hvmail-postgres',
    },
    { kind: 'canopsis', name: 'engines', dir: '/opt/init.d', socket: '/opt/s.sock', together: true },
  ])
})

test("GreenArrow's MTA is what its manual shows where nothing else is said", () => {
  const fleet = fleetOf(`${head}
services:
  mta: { hosts: db1, greenarrow: mta }
  own: { hosts: db1, greenarrow: { part: mta, hvmail_init: /opt/init, expected_down: [hvmail-tls], apart: [], disk_queue: /q, disk_queue_wait: 5m } }
`)
  const [mta, own] = [...fleet.services.values()].map((service) => service.definition.manager)
  expect(mta).toEqual({
    kind: 'greenarrow',
    part: 'mta',
    hvmailInit: '/var/hvmail/bin/hvmail_init',
    expectedDown: ['hvmail-dnscache', 'hvmail-qmail-smtpd3'],
    apart: ['hvmail-httpd', 'hvmail-postgres', 'hvmail-studio-worker'],
    diskQueue: '/service/hvmail-disk-qmail-send',
    diskQueueWaitMs: 60_000,
  })
  expect(own).toEqual({
    kind: 'greenarrow',
    part: 'mta',
    hvmailInit: '/opt/init',
    expectedDown: ['hvmail-tls'],
    apart: [],
    diskQueue: '/q',
    diskQueueWaitMs: 300_000,
  })
})

test("a host's slice holds its services and the hooks that run there, and fits the protocol", () => {
  const fleet = fleetOf(`${head}
services:
  web:
    hosts: [web1, web2]
    lsb: web
    hooks:
      before_stop: { run: [/bin/drain], host: db1, check: [/bin/is-drained] }
      after_start: { run: [/bin/warm-up], timeout: 5s }
`)
  const hooks = (host: string) =>
    HostDefinition.parse(hostDefinition(fleet, host)).hooks.map((hook) => hook.at)
  expect([hooks('db1'), hooks('web1'), hooks('web2')]).toEqual([
    ['before_stop'],
    ['after_start'],
    ['after_start'],
  ])
  expect(hostDefinition(fleet, 'db1').services).toEqual([])
  expect(hostDefinition(fleet, 'web2').services).toHaveLength(1)
})

test('a broker is local, one URL or several', () => {
  const brokerOf = (broker: string) =>
    fleetOf(`fleet: a\nbroker: ${broker}\nhosts: { h: }\nservices: { s: { hosts: h, lsb: s } }`).broker
  expect(brokerOf('local')).toBe('local')
  expect(brokerOf('amqps://broker.example.net')).toEqual({ urls: ['amqps://broker.example.net'] })
  expect(brokerOf('[amqp://a, "amqp://b:5673/vhost"]')).toEqual({ urls: ['amqp://a', 'amqp://b:5673/vhost'] })
})

test('files of TLS are those of the hosts too, where nothing else is said of them', () => {
  const brokerOf = (broker: string) =>
    fleetOf(`fleet: a\nbroker: ${broker}\nhosts: { h: }\nservices: { s: { hosts: h, lsb: s } }`).broker
  const tls = { ca: 'ca.pem', cert: 'filo.pem', key: 'filo.key' }
  expect(brokerOf('{ url: amqps://a, tls: { ca: ca.pem, cert: filo.pem, key: filo.key } }')).toEqual({
    urls: ['amqps://a'],
    tls,
    tlsOnHosts: tls,
  })
  expect(
    brokerOf('{ url: [natss://a, natss://b], tls: { ca: a.pem }, tls_on_hosts: { ca: /b.pem } }'),
  ).toEqual({
    urls: ['natss://a', 'natss://b'],
    tls: { ca: 'a.pem' },
    tlsOnHosts: { ca: '/b.pem' },
  })
  expect(brokerOf('{ url: amqp://a }')).toEqual({ urls: ['amqp://a'] })
})

test('anchors and aliases may save repetition, and a fault stands where it is written', () => {
  const text = `${head}
services:
  a: &web { hosts: web1, lsb: web }
  b: *web
`
  expect(fleetOf(text).services.get('b')!.hosts).toEqual(['web1'])
  expect(problemsOf(text.replace('web1, lsb', 'web3, lsb'))).toEqual([
    'filo.yaml:6:20: services.a.hosts: there is no host "web3"; did you mean "web1"?',
    'filo.yaml:6:20: services.b.hosts: there is no host "web3"; did you mean "web1"?',
  ])
})

test('a service may have a name that means something to JavaScript', () => {
  const fleet = fleetOf(`${head}
services:
  constructor: { hosts: db1, lsb: a }
  toString: { hosts: db1, lsb: b, needs: constructor }
`)
  expect([...fleet.services.keys()]).toEqual(['constructor', 'toString'])
})

test('a file with more faults than anyone reads says how many are not shown', () => {
  const services = Array.from({ length: 1_000 }, (_, index) => `  s${index}: { hosts: nowhere, lsb: s }`)
  const problems = problemsOf(`${head}services:\n${services.join('\n')}\n`)
  expect(problems).toHaveLength(201)
  expect(problems.at(-1)).toMatch(/^filo\.yaml:204:\d+: 800 more problems are not shown$/)
})

test('a chain of needs as long as the fleet is large is no cycle, and closing it is one', () => {
  const size = 5_000
  const chain = (first: string) =>
    `${head}services:\n  s0: { hosts: db1, lsb: s${first} }\n${Array.from(
      { length: size - 1 },
      (_, index) => `  s${index + 1}: { hosts: db1, lsb: s, needs: s${index} }`,
    ).join('\n')}\n`
  expect(fleetOf(chain('')).services.size).toBe(size)
  const [problem] = problemsOf(chain(`, needs: s${size - 1}`))
  expect(problem).toMatch(
    /^filo\.yaml:5:\d+: a cycle of needs: s0 needs s4999 .* … .* needs s0 \(filo\.yaml:6:\d+\)$/,
  )
})

/** What a fleet file is made of, in any order. */
const fileWords = [
  'fleet:',
  '- ',
  '{',
  '}',
  '[',
  ']',
  '\n',
  '  ',
  'a',
  '&a ',
  '*a',
  '"',
  "'",
  '|',
  '>',
  '? ',
  ': ',
  '<<',
]

test('no text makes the parser throw', () => {
  const rare = ['#', '---\n', '!!map ', '\t', ',', '\u{2028}', '\0']
  const soup = fc.array(fc.constantFrom(...fileWords, ...rare)).map((parts) => parts.join(''))
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), soup), (text) => {
      parseFleet(text, 'filo.yaml')
    }),
    { numRuns: 500 },
  )
})

test.each(['['.repeat(20_000), '- '.repeat(10_000)])(
  'a text deeper than anyone could read is one fault, whatever it begins with',
  (text) => {
    expect(problemsOf(text)).toEqual([
      expect.stringMatching(/^filo\.yaml:1:\d+: nested deeper than 32 levels$/),
    ])
  },
)

test('of a text that is no fleet, every fault has a place within the text', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...fileWords, ...documentedExample().split(/(?=\n)/))), (parts) => {
      const text = parts.join('')
      const parsed = parseFleet(text, 'filo.yaml')
      if (parsed.kind === 'fleet') return
      const lines = text.split('\n')
      expect(parsed.problems).not.toEqual([])
      for (const { line, column } of parsed.problems) {
        expect(line).toBeLessThanOrEqual(lines.length)
        expect(column).toBeLessThanOrEqual(lines[line - 1]!.length + 1)
      }
    }),
    { numRuns: 500 },
  )
})

test('a fleet file that was damaged is refused, or is a fleet that can be planned', () => {
  const lines = documentedExample().split('\n')
  const damage = fc.record({
    line: fc.nat(lines.length - 1),
    from: fc.nat(60),
    count: fc.nat(6),
    put: fc.nat(60),
  })
  fc.assert(
    fc.property(fc.array(damage, { minLength: 1, maxLength: 3 }), (damages) => {
      const damaged = [...lines]
      for (const { line, from, count, put } of damages) {
        const text = damaged[line]!
        const piece = count === 0 ? damaged[put % lines.length]! : text.slice(from, from + count)
        const rest = text.slice(0, from) + text.slice(from + count)
        damaged[line] = rest.slice(0, put) + piece + rest.slice(put)
      }
      const parsed = parseFleet(damaged.join('\n'), 'filo.yaml')
      const intention: Intention = { verb: 'stop', selection: [], labels: [], only: false }
      const outcome =
        parsed.kind === 'refused'
          ? `${parsed.problems.length} problems`
          : planFor(buildTopology(parsed.fleet), intention, { digest }).kind
      expect(outcome).toMatch(/^[1-9][0-9]* problems$|^plan$|^nothing$/)
    }),
    { numRuns: 500 },
  )
})

test('the file of secrets is named by its path from the root, or not at all', () => {
  const services = 'services: { web: { hosts: web1, systemd: nginx.service } }\n'
  expect(fleetOf(`${head}secrets: /etc/filo/secrets\n${services}`).secrets).toBe('/etc/filo/secrets')
  expect(fleetOf(`${head}${services}`).secrets).toBeUndefined()
  expect(problemsOf(`${head}secrets: secrets\n${services}`)).toEqual([
    expect.stringContaining('the path of a file, from the root'),
  ])
})

test('a host says whether its agent is another user than root', () => {
  const { hosts } = fleetOf(
    'fleet: f\nbroker: amqp://b\nhosts: { h1: { agent_user: filo }, h2: }\nservices: { a: { hosts: h1, lsb: a } }\n',
  )
  expect([...hosts.values()].map(({ agentUser }) => agentUser)).toEqual(['filo', undefined])
})
