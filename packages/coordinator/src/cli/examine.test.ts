import { digest, type InstanceName } from '@filo/protocol'
import pc from 'picocolors'
import { expect, test } from 'vitest'
import type { AnsweringHost, Sight, SilentHost, Survey } from '../engine/survey.ts'
import { parseFleet } from '../fleet/parse-fleet.ts'
import { buildTopology, type Topology } from '../fleet/topology.ts'
import { examineAgents } from './examine-agents.ts'
import { compareCarriers, isTooOld } from './examine-broker.ts'
import { codeOf, findingLines, type Finding } from './finding.ts'

const fleetFile = (more = ''): string => `
fleet: lists
broker: amqp://broker.example.net
hosts: { db1: , mail1: }
services:
  database: { hosts: db1, lsb: postgresql }
  rabbitmq: { hosts: mail1, lsb: rabbitmq-server${more} }
`

function topologyOf(text: string): Topology {
  const parsed = parseFleet(text, 'filo.yaml')
  if (parsed.kind === 'refused') throw new Error(JSON.stringify(parsed.problems))
  return buildTopology(parsed.fleet)
}

const topology = topologyOf(fleetFile())

function surveyOf(
  changes: Record<string, { definition: Sight['definition'] & {} }>,
  hosts: Record<string, Partial<AnsweringHost> | Omit<SilentHost, 'host'>>,
): Survey {
  return {
    instances: new Map(
      topology.instances.map(({ name, service, host }): [InstanceName, Sight] => [
        name,
        {
          service: service.name,
          host,
          definition: digest(service.definition),
          observation: {
            state: 'running',
            live: 'yes',
            detail: 'status 0',
            manager: 'lsb',
            heldMs: 0,
            seenAt: '2026-11-20T03:00:00Z',
          },
          ageMs: 5,
          ...changes[name],
        },
      ]),
    ),
    hosts: new Map(
      [...topology.fleet.hosts.keys()].map((host) => [
        host,
        { host, answered: true, clockAheadMs: 3, roundTripMs: 5, boot, takenBy: ownKey, ...hosts[host] },
      ]),
    ),
  }
}

const ownKey = 'a'.repeat(64)
const boot = '22222222-2222-4222-8222-222222222222'

const shown = (findings: readonly Finding[]): string =>
  findingLines(findings, pc.createColors(false)).join('\n')

test('a fleet without fault has nothing but fine findings', () => {
  const findings = examineAgents(topology, surveyOf({}, {}), ownKey)
  expect(shown(findings)).toMatchInlineSnapshot(`
    "fine     agents   2 of 2 agents answered
    fine     clocks   all within 5 s of this one"
  `)
  expect(codeOf(findings)).toBe(0)
})

test('a silent host, another definition, a held host and a wrong clock each come with what to do', () => {
  const holder = { run: 'r20261120-031500-k7qd', operator: 'bob@admin2', since: '2026-11-20T03:15:00Z' }
  const findings = examineAgents(
    topology,
    surveyOf(
      { 'rabbitmq@mail1': { definition: digest('another') } },
      {
        db1: { answered: false, silence: 'no agent listens for db1', cause: 'nobody-there' },
        mail1: { heldBy: holder, clockAheadMs: -65_000 },
      },
    ),
    ownKey,
  )
  expect(shown(findings)).toMatchInlineSnapshot(`
    "wrong    agents   no agent listens for db1
                      → on db1: systemctl status filo-agent; journalctl -u filo-agent
    wrong    agents   the agent of mail1 has rabbitmq otherwise than this fleet file, or not at all
                      → filo agent-config mail1 -o DIR, copy DIR to its /etc/filo, and there: systemctl restart filo-agent
    warning  agents   mail1 is held by r20261120-031500-k7qd of bob@admin2 since 2026-11-20T03:15:00Z
                      → if that run is dead: filo resume r20261120-031500-k7qd; to see it: filo show r20261120-031500-k7qd
    fine     agents   1 of 2 agents answered
    warning  clocks   the clock of mail1 is 65 s behind this one: times in its events mislead
                      → on mail1: timedatectl, chronyc tracking"
  `)
  expect(codeOf(findings)).toBe(3)
})

test('a host that is frozen is told with why, and who can end that', () => {
  const frozen = (until: string | null) =>
    shown(
      examineAgents(
        topology,
        surveyOf({}, { db1: { freeze: { until, why: 'frozen by policy.yaml' } } }),
        ownKey,
      ),
    )
  expect(frozen(null)).toContain('warning  agents   db1 begins nothing: frozen by policy.yaml')
  expect(frozen(null)).toContain('→ only somebody on db1 can end that')
  expect(frozen('2026-11-21T05:00:00.000Z')).toContain(
    '→ wait until 2026-11-21T05:00:00.000Z by the clock of db1',
  )
})

test('a host that goes by the old key of the coordinator is told', () => {
  const seen = surveyOf({}, { db1: { takenBy: 'b'.repeat(64) } })
  expect(shown(examineAgents(topology, seen, ownKey))).toContain(
    "warning  agents   db1 goes by the coordinator's old key",
  )
  expect(shown(examineAgents(topology, seen, undefined))).not.toContain('old key')
})

test('a clock is only called wrong beyond what the round trip could explain', () => {
  const slow = { clockAheadMs: 9000, roundTripMs: 6000 }
  expect(shown(examineAgents(topology, surveyOf({}, { db1: slow }), ownKey))).not.toContain('ahead of')
  expect(
    shown(examineAgents(topology, surveyOf({}, { db1: { ...slow, roundTripMs: 100 } }), ownKey)),
  ).toContain('the clock of db1 is 9 s ahead of this one')
})

const addresses = (of: Record<string, string[]>) =>
  new Map(Object.entries(of).map(([host, all]) => [host, new Set(all)]))
const broker = new Set(['192.0.2.7'])

test('a host with the address of the broker must say that it carries it', () => {
  const findings = compareCarriers(
    topology.fleet,
    broker,
    addresses({ db1: ['192.0.2.1'], mail1: ['192.0.2.7'] }),
  )
  expect(shown(findings)).toContain('the broker has the address of mail1, and no service there says')
})

test('a service that says so on a host with another address is doubted', () => {
  const { fleet } = topologyOf(fleetFile(', carries: broker'))
  const elsewhere = addresses({ db1: ['192.0.2.1'], mail1: ['192.0.2.2'] })
  expect(shown(compareCarriers(fleet, broker, elsewhere))).toContain(
    'rabbitmq says "carries: broker", but mail1',
  )
  const same = addresses({ db1: ['192.0.2.1'], mail1: ['192.0.2.7'] })
  expect(compareCarriers(fleet, broker, same).map(({ verdict }) => verdict)).toEqual(['fine'])
})

test('a host that cannot be resolved here is named, and not taken for another', () => {
  const findings = compareCarriers(topology.fleet, broker, addresses({ db1: [], mail1: ['192.0.2.2'] }))
  expect(findings.map(({ verdict, text }) => `${verdict}: ${text}`)).toEqual([
    'fine: the broker is on none of the hosts, by their addresses; not resolved here: db1',
  ])
})

test('a RabbitMQ before 3.10 is too old, and 3.9 is before 3.10', () => {
  expect(['RabbitMQ 3.9.29', 'RabbitMQ 2.8.4'].every(isTooOld)).toBe(true)
  expect(['RabbitMQ 3.10.0', 'RabbitMQ 4.0.3', 'LavinMQ 2.1.0'].some(isTooOld)).toBe(false)
})
