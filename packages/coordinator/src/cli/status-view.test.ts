import { digest, type InstanceName, type Observation } from '@filo/protocol'
import pc from 'picocolors'
import { describe, expect, test } from 'vitest'
import type { HostSight, Sight } from '../engine/survey.ts'
import { parseFleet } from '../fleet/parse-fleet.ts'
import { buildTopology } from '../fleet/topology.ts'
import { statusCode, statusRows, statusView } from './status-view.ts'

const fleetFile = `
fleet: lists
broker: local
hosts: { db1: , mail1: , web1: }
services:
  database: { hosts: db1, lsb: postgresql }
  mta: { hosts: mail1, lsb: postfix, needs: database }
  nginx: { hosts: web1, lsb: nginx, needs: mta }
`
const now = new Date(2026, 10, 20, 4, 0, 0)
const running: Observation = {
  state: 'running',
  live: 'yes',
  detail: 'status 0: running',
  manager: 'lsb',
  heldMs: 0,
  seenAt: now.toISOString(),
}

function rowsOf(observations: Record<string, Partial<Observation>>, silent: readonly string[] = []) {
  const parsed = parseFleet(fleetFile, 'filo.yaml')
  if (parsed.kind === 'refused') throw new Error(JSON.stringify(parsed.problems))
  const { instances } = buildTopology(parsed.fleet)
  const sights = instances.map(({ name, host, service }): [InstanceName, Sight] => {
    const silence = `no agent listens for ${host}`
    const observation: Observation = { ...running, ...observations[name] }
    const definition = digest(service.definition)
    const sight = { service: service.name, host, ageMs: 40 }
    return [name, silent.includes(host) ? { ...sight, silence } : { ...sight, observation, definition }]
  })
  const hosts = new Map<string, HostSight>()
  return statusRows(instances, { instances: new Map(sights), hosts })
}

const view = (rows: ReturnType<typeof rowsOf>, hosts: HostSight[] = []): string =>
  statusView(rows, hosts, { colors: pc.createColors(false), now }).join('\n')

describe('statusView', () => {
  test('hosts that do not answer have rows too, with the reason', () => {
    const since = new Date(2026, 10, 19, 23, 5, 7).toISOString()
    expect(view(rowsOf({ 'database@db1': { since } }, ['mail1']))).toMatchInlineSnapshot(`
      "instance      state    since                seen           detail
      database@db1  running  2026-11-19 23:05:07  lsb, 0.0s ago  status 0: running
      mta@mail1     unknown                       no answer      no agent listens for mail1
      nginx@web1    running                       lsb, 0.0s ago  status 0: running

      why there is no answer: filo doctor"
    `)
  })

  test('what a state alone would hide is said beside it', () => {
    const rows = rowsOf({
      'database@db1': { ready: 'no' },
      'mta@mail1': { state: 'failed', live: 'yes', detail: 'status 1' },
      'nginx@web1': { state: 'stopped', live: 'no', warnings: ['nginx.socket would start it again'] },
    })
    const since = new Date(2026, 10, 20, 3, 15).toISOString()
    const heldBy = { run: 'r20261120-031500-k7qd', operator: 'bob@admin2', since }
    const host = {
      host: 'web1',
      answered: true,
      clockAheadMs: 0,
      roundTripMs: 1,
      boot: '22222222-2222-4222-8222-222222222222',
      takenBy: 'a'.repeat(64),
      heldBy,
    } as const
    expect(view(rows, [host])).toMatchInlineSnapshot(`
      "instance      state               since  seen           detail
      database@db1  running, not ready         lsb, 0.0s ago  status 0: running
      mta@mail1     failed, still live         lsb, 0.0s ago  status 1
      nginx@web1    stopped                    lsb, 0.0s ago  status 0: running

      web1 is held by r20261120-031500-k7qd of bob@admin2 since 03:15:00
      nginx@web1: nginx.socket would start it again"
    `)
  })
})

describe('statusCode', () => {
  const stopped = { state: 'stopped', live: 'no' } as const

  test('is 0 only when everything runs', () => {
    expect(statusCode(rowsOf({}))).toBe(0)
    expect(statusCode(rowsOf({ 'mta@mail1': stopped }))).toBe(3)
    expect(statusCode(rowsOf({ 'mta@mail1': { state: 'starting' } }))).toBe(3)
  })

  test('is 3 for what runs but is not ready', () => {
    expect(statusCode(rowsOf({ 'mta@mail1': { ready: 'no' } }))).toBe(3)
  })

  test('is 4 when anything is unknown, whatever else is stopped', () => {
    expect(statusCode(rowsOf({ 'mta@mail1': stopped }, ['web1']))).toBe(4)
    expect(statusCode(rowsOf({ 'mta@mail1': { state: 'missing', live: 'unknown' } }))).toBe(4)
  })
})
