import { digest, type Observation } from '@filo/protocol'
import pc from 'picocolors'
import { describe, expect, test } from 'vitest'
import { parseFleet } from '../fleet/parse-fleet.ts'
import { buildTopology } from '../fleet/topology.ts'
import { forecast, type Sights } from '../plan/forecast.ts'
import { planFor } from '../plan/plan-for.ts'
import type { Intention, Plan } from '../plan/plan.ts'
import { planView } from './plan-view.ts'

const fleetText = `
fleet: lists
broker: local
hosts: { db1: , mail1: , mail2: , web1: }
services:
  database: { hosts: db1, lsb: postgresql }
  mta: { hosts: [mail1, mail2], lsb: postfix, needs: database, enough: 1 }
  nginx:
    hosts: web1
    lsb: nginx
    needs: mta
    hooks: { after_start: { run: [/bin/true] } }
`
const running: Observation = {
  state: 'running',
  live: 'yes',
  detail: '',
  manager: 'lsb',
  heldMs: 0,
  seenAt: '2026-11-20T03:00:00Z',
}
const colors = pc.createColors(false)

function topology() {
  const parsed = parseFleet(fleetText, 'filo.yaml')
  if (parsed.kind === 'refused') throw new Error(JSON.stringify(parsed.problems))
  return buildTopology(parsed.fleet)
}

function planned(intention: Partial<Intention> & Pick<Intention, 'verb'>): Plan {
  const whole = { selection: [], labels: [], only: false, ...intention }
  const result = planFor(topology(), whole, { digest })
  if (result.kind !== 'plan') throw new Error(JSON.stringify(result))
  return result.plan
}

function seen(
  plan: Plan,
  states: Record<string, Partial<Observation>>,
  silent: readonly string[] = [],
): Sights {
  const { instances, fleet } = topology()
  return {
    hosts: new Map(
      [...fleet.hosts.keys()].map((host) => [
        host,
        silent.includes(host)
          ? { answered: false, silence: `no agent listens for ${host}` }
          : { answered: true },
      ]),
    ),
    instances: new Map(
      instances.map(({ name, host, service }) => {
        const observation: Observation = { ...running, ...states[name] }
        const definition = plan.services[service.name]?.definition ?? digest('none')
        return [name, silent.includes(host) ? { silence: 'no answer' } : { observation, definition }]
      }),
    ),
  }
}

const view = (plan: Plan, sights?: Sights, columns?: number) =>
  planView(plan, sights && forecast(plan, sights), { colors, ...(columns && { columns }) }).join('\n')

describe('planView', () => {
  test('without a look at the fleet it shows order and reasons only', () => {
    expect(view(planned({ verb: 'start' }))).toMatchInlineSnapshot(`
      "start the whole fleet lists: 5 steps on 4 hosts; nobody was asked (--offline)

      #  step                    after     why
      1  start database@db1                The whole fleet was selected.
      2  start mta@mail1         1         The whole fleet was selected.
      3  start mta@mail2         1         The whole fleet was selected.
      4  start nginx@web1        1 of 2-3  The whole fleet was selected.
      5  after_start nginx@web1  4         A hook of nginx@web1; it only runs if "start nginx@web1" has something to do."
    `)
  })

  test('what is already so has nothing to do, and its hooks neither', () => {
    const plan = planned({ verb: 'start' })
    const stopped = { state: 'stopped', live: 'no' } as const
    expect(view(plan, seen(plan, { 'mta@mail2': stopped }))).toMatchInlineSnapshot(`
      "start the whole fleet lists: 5 steps on 4 hosts; 1 would act, 4 already so

      #  step                    after     now      would          why
      1  start database@db1                running  nothing to do  The whole fleet was selected.
      2  start mta@mail1         1         running  nothing to do  The whole fleet was selected.
      3  start mta@mail2         1         stopped  start          The whole fleet was selected.
      4  start nginx@web1        1 of 2-3  running  nothing to do  The whole fleet was selected.
      5  after_start nginx@web1  4                  nothing to do  A hook of nginx@web1; it only runs if "start nginx@web1" has something to do."
    `)
  })

  test('hosts that do not answer, and what they would hold, are said before anything runs', () => {
    const plan = planned({ verb: 'stop', selection: ['database'] })
    const shown = view(
      plan,
      seen(plan, { 'nginx@web1': { warnings: ['nginx.socket would start it again'] } }, ['mail2']),
    )
    expect(shown).toMatchInlineSnapshot(`
      "stop database: 4 steps on 4 hosts; 3 would act, 1 unclear

      #  step               after  now      would    why
      1  stop nginx@web1           running  stop     It needs mta@mail2, which is to stop.
      2  stop mta@mail2     1               unclear  It needs database@db1, which is to stop.
      3  stop mta@mail1     1      running  stop     It needs database@db1, which is to stop.
      4  stop database@db1  2-3    running  stop     It was selected.

      To know before it runs:
        mail2: no agent listens for mail2: what depends on it will be held. See: filo doctor
        nginx@web1: nginx.socket would start it again"
    `)
  })

  test('a start that leaves out what it needs shows where it would hold', () => {
    const plan = planned({ verb: 'start', selection: ['mta@mail1'], only: true })
    const stopped = { state: 'stopped', live: 'no' } as const
    const sights = seen(plan, { 'database@db1': stopped, 'mta@mail1': stopped })
    expect(view(plan, sights)).toMatchInlineSnapshot(`
      "start mta@mail1 (--only): 2 steps on 2 hosts; 1 would act, 1 would hold

      #  step                after  now      would  why
      1  prove database@db1         stopped  hold   mta@mail1 needs it. It is left alone, so it must run.
      2  start mta@mail1     1      stopped  start  It was selected.

      To know before it runs:
        database@db1: it is stopped, the plan needs it running and leaves it alone: the run would hold here"
    `)
  })

  test('a plan with nothing to do says so in its first line', () => {
    const plan = planned({ verb: 'start', selection: ['database'] })
    expect(view(plan, seen(plan, {})).split('\n')[0]).toBe(
      'start database: 1 step on 1 host; all of it is already so',
    )
  })
})

describe('forecast', () => {
  test('a restart will start again what it stops, although that is running now', () => {
    const observations = new Map([['nginx@web1', { state: 'running' as const }]])
    const result = planFor(
      topology(),
      { verb: 'restart', selection: ['nginx'], labels: [], only: false },
      { digest, observations },
    )
    if (result.kind !== 'plan') throw new Error(JSON.stringify(result))
    const { steps } = forecast(result.plan, seen(result.plan, {}))
    const kinds = Object.fromEntries(result.plan.steps.map((step, at) => [step.kind, steps[at]!.kind]))
    expect(kinds).toEqual({ prove: 'nothing', stop: 'change', start: 'change', hook: 'change' })
  })

  test('an agent with another definition is told apart from one that does not know the service', () => {
    const plan = planned({ verb: 'stop', selection: ['nginx', 'mta'] })
    const sights = seen(plan, {})
    const instances = new Map(sights.instances)
    instances.set('nginx@web1', { observation: running, definition: digest('other') })
    instances.set('mta@mail1', { silence: 'the agent of mail1 does not know it' })
    const { problems } = forecast(plan, { ...sights, instances })
    expect(problems.map(({ kind, instance }) => `${kind} ${instance}`)).toEqual([
      'definition nginx@web1',
      'unknown-service mta@mail1',
    ])
  })

  test('a host held by another run is told with the run and its operator', () => {
    const plan = planned({ verb: 'stop', selection: ['nginx'] })
    const heldBy = { run: 'r20261120-031500-k7qd', operator: 'bob@admin2', since: '2026-11-20T03:15:00Z' }
    const { problems } = forecast(plan, {
      ...seen(plan, {}),
      hosts: new Map([['web1', { answered: true, heldBy }]]),
    })
    expect(problems.map(({ kind, text }) => `${kind}: ${text}`)).toEqual([
      'held: held by r20261120-031500-k7qd of bob@admin2 since 2026-11-20T03:15:00Z. See: filo show r20261120-031500-k7qd',
    ])
  })
})
