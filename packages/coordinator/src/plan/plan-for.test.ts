import { digest, type State } from '@filo/protocol'
import { expect, test } from 'vitest'
import { parseFleet } from '../fleet/parse-fleet.ts'
import { buildTopology, type Topology } from '../fleet/topology.ts'
import { explain } from './explain.ts'
import { instancesToObserve, planFor, type Planned } from './plan-for.ts'
import { stepName, type Intention, type Plan } from './plan.ts'
import { undoIntention } from './undo.ts'

function topologyOf(services: string, rest = ''): Topology {
  const text = `fleet: lists\nbroker: amqp://broker\nhosts: { db1: , app1: , mail1: , mail2: , web1: }\n${rest}\nservices:${services}`
  const parsed = parseFleet(text, 'filo.yaml')
  if (parsed.kind !== 'fleet') throw new Error(JSON.stringify(parsed.problems))
  return buildTopology(parsed.fleet)
}

const lists = topologyOf(`
  database: { hosts: db1, systemd: postgresql@15-main.service }
  sympa: { hosts: app1, systemd: sympa, needs: database }
  mta: { hosts: [mail1, mail2], lsb: postfix, needs: sympa, enough: 1 }
  wwsympa:
    hosts: web1
    systemd: wwsympa
    needs: [sympa, { service: mta, strength: order }]
    hooks: { after_start: { run: [/usr/local/bin/test-send] } }
  nginx: { hosts: web1, systemd: nginx, needs: { service: wwsympa, scope: same-host }, keep: true }
`)

/** A plan for a command as it is typed. For a restart everything runs that `states` does not say otherwise of. */
function plan(
  topology: Topology,
  command: string,
  { only = false, states = {} }: { only?: boolean; states?: Record<string, State> } = {},
): Planned {
  const [verb, ...selection] = command.split(' ') as [Intention['verb'], ...string[]]
  const observations = new Map(
    topology.instances.map(({ name }) => [name, { state: states[name] ?? 'running' }]),
  )
  return planFor(topology, { verb, selection, labels: [], only }, { digest, observations })
}

/** A plan in lines: each step with what it waits for. */
function show(planned: Planned): string {
  if (planned.kind !== 'plan') return JSON.stringify(planned, undefined, 1)
  const { steps, joins } = planned.plan
  const title = (ref: number): string => {
    const step = steps[ref]
    if (step !== undefined) return step.kind === 'prove' ? `${stepName(step)} ${step.goal}` : stepName(step)
    const { needs, follows, enough } = joins[ref - steps.length]!
    return `${enough === undefined ? 'all' : enough} of (${[...needs, ...follows].map(title).join(', ')})`
  }
  const waits = (what: string, refs: readonly number[]) =>
    refs.length === 0 ? '' : ` ${what} ${refs.map(title).join(', ')}`
  return steps
    .map((step, index) => title(index) + waits('needs', step.needs) + waits('follows', step.follows))
    .join('\n')
}

function stepsOf(planned: Planned): string[] {
  return accepted(planned).steps.map(stepName)
}

function accepted(planned: Planned): Plan {
  if (planned.kind !== 'plan') throw new Error(JSON.stringify(planned))
  return planned.plan
}

test('a stop of everything goes from the edge inwards, and leaves alone what is kept', () => {
  expect(show(plan(lists, 'stop'))).toMatchInlineSnapshot(`
    "stop wwsympa@web1
    stop mta@mail2 follows stop wwsympa@web1
    stop mta@mail1 follows stop wwsympa@web1
    stop sympa@app1 needs stop mta@mail1, stop mta@mail2, stop wwsympa@web1
    stop database@db1 needs stop sympa@app1"
  `)
})

test('a start of everything goes the other way, starts what is kept, and has its hook between', () => {
  expect(show(plan(lists, 'start'))).toMatchInlineSnapshot(`
    "start database@db1
    start sympa@app1 needs start database@db1
    start mta@mail1 needs start sympa@app1
    start mta@mail2 needs start sympa@app1
    start wwsympa@web1 needs start sympa@app1 follows all of (start mta@mail1, start mta@mail2)
    after_start wwsympa@web1 needs start wwsympa@web1
    start nginx@web1 needs all of (start wwsympa@web1, after_start wwsympa@web1)"
  `)
})

test('a stop drags along what hard-needs the selection, and not what is only ordered after it', () => {
  expect(stepsOf(plan(lists, 'stop mta'))).toEqual(['stop mta@mail2', 'stop mta@mail1'])
  expect(stepsOf(plan(lists, 'stop sympa'))).toEqual([
    'stop wwsympa@web1',
    'stop mta@mail2',
    'stop mta@mail1',
    'stop sympa@app1',
  ])
})

test('a start drags along what the selection needs', () => {
  expect(stepsOf(plan(lists, 'start mta@mail2'))).toEqual([
    'start database@db1',
    'start sympa@app1',
    'start mta@mail2',
  ])
})

test('--only leaves out what is dragged along, all of it, and proves it instead', () => {
  expect(show(plan(lists, 'stop database', { only: true }))).toMatchInlineSnapshot(`
    "prove wwsympa@web1 stopped
    prove mta@mail2 stopped
    prove mta@mail1 stopped
    prove sympa@app1 stopped needs prove mta@mail1 stopped, prove mta@mail2 stopped, prove wwsympa@web1 stopped
    stop database@db1 needs prove sympa@app1 stopped"
  `)
  expect(show(plan(lists, 'start mta@mail1', { only: true }))).toMatchInlineSnapshot(`
    "prove database@db1 running
    prove sympa@app1 running needs prove database@db1 running
    start mta@mail1 needs prove sympa@app1 running"
  `)
})

test('two selected with an unselected one between them keep their order', () => {
  expect(show(plan(lists, 'stop database mta', { only: true }))).toMatchInlineSnapshot(`
    "prove wwsympa@web1 stopped
    stop mta@mail2
    stop mta@mail1
    prove sympa@app1 stopped needs stop mta@mail1, stop mta@mail2, prove wwsympa@web1 stopped
    stop database@db1 needs prove sympa@app1 stopped"
  `)
})

test('what is kept stops only when it is named, by service or instance, not by glob, host or all', () => {
  for (const selection of ['', ' nginx@*', ' ng*', ' @web1', ' sympa']) {
    const planned = plan(lists, `stop${selection}`)
    expect(planned.kind === 'plan' ? stepsOf(planned) : []).not.toContain('stop nginx@web1')
  }
  expect(stepsOf(plan(lists, 'stop nginx'))).toEqual(['stop nginx@web1'])
  expect(stepsOf(plan(lists, 'stop nginx@web1 wwsympa'))).toEqual(['stop nginx@web1', 'stop wwsympa@web1'])
})

test('a stop that selects only what is kept is no empty plan but says what to type', () => {
  expect(plan(lists, 'stop nginx@*')).toMatchInlineSnapshot(`
    {
      "kind": "nothing",
      "reason": "everything selected is kept (keep: true) and not named: nginx@web1; name what should stop",
    }
  `)
})

const layers = topologyOf(`
  store: { hosts: db1, lsb: store }
  proxy: { hosts: app1, lsb: proxy, needs: store, keep: true }
  front: { hosts: web1, lsb: front, needs: proxy }
`)

test('what needs something only through what is kept is not dragged along, but keeps its order when selected', () => {
  expect(show(plan(layers, 'stop store'))).toBe('stop store@db1')
  expect(show(plan(layers, 'stop'))).toMatchInlineSnapshot(`
    "stop front@web1
    stop store@db1 needs stop front@web1"
  `)
})

test('a restart around something kept starts in order through it', () => {
  expect(show(plan(layers, 'restart store front'))).toMatchInlineSnapshot(`
    "prove proxy@app1 running
    stop front@web1 needs prove proxy@app1 running
    stop store@db1 needs stop front@web1, prove proxy@app1 running
    start store@db1 needs stop store@db1
    start front@web1 needs stop front@web1, all of (prove proxy@app1 running, start store@db1)"
  `)
})

test('what a restart does not start again is stopped before what stands on it through something kept is back', () => {
  expect(show(plan(layers, 'restart store front', { states: { 'store@db1': 'stopped' } })))
    .toMatchInlineSnapshot(`
    "prove proxy@app1 running
    stop front@web1 needs prove proxy@app1 running
    stop store@db1 needs stop front@web1, prove proxy@app1 running
    start front@web1 needs stop front@web1, prove proxy@app1 running follows stop store@db1"
  `)
})

const pair = topologyOf(`
  mta: { hosts: [mail1, mail2], lsb: mta, enough: 1 }
  web: { hosts: web1, lsb: web, needs: mta }
`)

test('stopping one of several drags nobody along while enough remain, but proves that they are there', () => {
  expect(show(plan(pair, 'stop mta@mail1'))).toMatchInlineSnapshot(`
    "prove mta@mail2 running
    stop mta@mail1 needs prove mta@mail2 running"
  `)
})

test('stopping so many that too few remain drags the dependents along', () => {
  expect(stepsOf(plan(pair, 'stop mta'))).toEqual(['stop web@web1', 'stop mta@mail2', 'stop mta@mail1'])
})

test('no proof of the rest is asked for when those who need it stop too', () => {
  expect(show(plan(pair, 'stop mta@mail1 web'))).toMatchInlineSnapshot(`
    "stop web@web1
    stop mta@mail1 needs stop web@web1"
  `)
})

test('without `enough` every instance is needed', () => {
  const all = topologyOf(`
  mta: { hosts: [mail1, mail2], lsb: mta }
  web: { hosts: web1, lsb: web, needs: mta }
`)
  expect(stepsOf(plan(all, 'stop mta@mail1'))).toEqual(['stop web@web1', 'stop mta@mail1'])
})

test('a start waits for enough of what it needs, and starts all of it', () => {
  expect(show(plan(pair, 'start web'))).toMatchInlineSnapshot(`
    "start mta@mail1
    start mta@mail2
    start web@web1 needs 1 of (start mta@mail1, start mta@mail2)"
  `)
})

test('hooks have the waits of their step, the step waits for the one before it, everyone for the one after', () => {
  const hooked = topologyOf(`
  db: { hosts: db1, lsb: db }
  app:
    hosts: app1
    lsb: app
    needs: db
    hooks:
      before_stop: { run: [/bin/drain], host: mail1 }
      after_stop: { run: [/bin/tidy] }
  web: { hosts: web1, lsb: web, needs: app }
`)
  const planned = plan(hooked, 'stop')
  expect(show(planned)).toMatchInlineSnapshot(`
    "stop web@web1
    before_stop app@app1 on mail1 needs stop web@web1
    stop app@app1 needs stop web@web1, before_stop app@app1 on mail1
    after_stop app@app1 needs stop app@app1
    stop db@db1 needs all of (stop app@app1, after_stop app@app1)"
  `)
  const hooks = accepted(planned).steps.filter((step) => step.kind === 'hook')
  expect(hooks.map(({ around, host, of }) => ({ around, host, of }))).toEqual([
    { around: 2, host: 'mail1', of: 'app1' },
    { around: 2, host: 'app1', of: 'app1' },
  ])
})

test('a restart stops the selection and its dependents, and proves before that what they need to come back', () => {
  expect(show(plan(lists, 'restart sympa'))).toMatchInlineSnapshot(`
    "prove database@db1 running
    stop wwsympa@web1 needs prove database@db1 running
    stop mta@mail2 needs prove database@db1 running follows stop wwsympa@web1
    stop mta@mail1 needs prove database@db1 running follows stop wwsympa@web1
    stop sympa@app1 needs stop mta@mail1, stop mta@mail2, stop wwsympa@web1, prove database@db1 running
    start sympa@app1 needs stop sympa@app1, prove database@db1 running
    start mta@mail1 needs stop mta@mail1, start sympa@app1
    start mta@mail2 needs stop mta@mail2, start sympa@app1
    start wwsympa@web1 needs stop wwsympa@web1, start sympa@app1 follows all of (start mta@mail1, start mta@mail2)
    after_start wwsympa@web1 needs start wwsympa@web1"
  `)
})

test('a restart starts again exactly those that were running', () => {
  const states = { 'mta@mail2': 'stopped', 'wwsympa@web1': 'failed', 'mta@mail1': 'starting' } as const
  const steps = stepsOf(plan(lists, 'restart sympa', { states }))
  expect(steps.filter((step) => step.startsWith('start'))).toEqual(['start sympa@app1', 'start mta@mail1'])
  expect(steps.filter((step) => step.startsWith('stop'))).toHaveLength(4)
})

test('a restart asks nothing of what is only needed by something that was down and stays so', () => {
  const spread = topologyOf(`
  spool: { hosts: [mail1, mail2], lsb: spool }
  mta: { hosts: [mail1, mail2], lsb: mta, enough: 1, needs: { service: spool, scope: same-host } }
  web: { hosts: web1, lsb: web, needs: mta }
`)
  const states = { 'mta@mail2': 'stopped', 'spool@mail2': 'stopped' } as const
  expect(show(plan(spread, 'restart mta', { states }))).toMatchInlineSnapshot(`
    "prove spool@mail1 running
    stop web@web1 needs prove spool@mail1 running
    stop mta@mail2 needs stop web@web1, prove spool@mail1 running
    stop mta@mail1 needs stop web@web1, prove spool@mail1 running
    start mta@mail1 needs stop mta@mail1, prove spool@mail1 running
    start web@web1 needs stop web@web1, start mta@mail1 follows all of (stop mta@mail1, stop mta@mail2)"
  `)
})

test('a restart is refused by whatever is unknown, missing or silent', () => {
  const states = { 'mta@mail1': 'unknown', 'mta@mail2': 'missing' } as const
  expect(plan(lists, 'restart sympa', { states })).toMatchInlineSnapshot(`
    {
      "kind": "refused",
      "reasons": [
        "unknown: mta@mail1: a restart starts again exactly what was running, and nobody can say whether this was; see "filo status"",
        "missing on its host: mta@mail2: correct the fleet file, or install the service",
      ],
    }
  `)
  const intention: Intention = { verb: 'restart', selection: ['sympa'], labels: [], only: false }
  expect(planFor(lists, intention, { digest })).toMatchInlineSnapshot(`
    {
      "kind": "refused",
      "reasons": [
        "no answer about sympa@app1, mta@mail1, mta@mail2, wwsympa@web1: a restart starts again exactly what was running, and nobody can say whether this was; see "filo doctor"",
      ],
    }
  `)
})

test('a restart of what runs without its needs is refused rather than left half way', () => {
  expect(plan(lists, 'restart sympa', { states: { 'sympa@app1': 'failed' } })).toMatchInlineSnapshot(`
    {
      "kind": "refused",
      "reasons": [
        "mta@mail1 is running, but of what it needs these are not: sympa@app1. It could not be started again; start them first ("filo start"), or use stop and start",
        "mta@mail2 is running, but of what it needs these are not: sympa@app1. It could not be started again; start them first ("filo start"), or use stop and start",
        "wwsympa@web1 is running, but of what it needs these are not: sympa@app1. It could not be started again; start them first ("filo start"), or use stop and start",
      ],
    }
  `)
})

test('a restart observes what it would stop and nothing else', () => {
  const intention: Intention = { verb: 'restart', selection: ['mta@mail1'], labels: [], only: false }
  expect(instancesToObserve(lists, intention)).toEqual(['mta@mail1'])
  expect(instancesToObserve(lists, { ...intention, verb: 'stop' })).toEqual([])
})

test('a plan that would stop the broker it runs over is refused with the way out, a start is not', () => {
  const services = `
  rabbit: { hosts: db1, systemd: rabbitmq-server, carries: broker }
  app: { hosts: app1, lsb: app, needs: rabbit }
`
  const carrying = topologyOf(services)
  expect(plan(carrying, 'stop')).toMatchInlineSnapshot(`
    {
      "kind": "refused",
      "reasons": [
        "rabbit@db1 carries the broker: stopping it would cut Filo off from every agent in the middle of the run. Leave it out ("keep: true" in the fleet file does so whenever it is not named), use another broker, or stop it on db1 with a fleet file that says "broker: local"",
      ],
    }
  `)
  expect(plan(carrying, 'restart rabbit').kind).toBe('refused')
  expect(plan(carrying, 'stop rabbit', { only: true }).kind).toBe('refused')
  expect(plan(carrying, 'stop app').kind).toBe('plan')
  expect(plan(carrying, 'start').kind).toBe('plan')
  const local = parseFleet(
    `fleet: a\nbroker: local\nhosts: { db1: , app1: }\nservices:${services}`,
    'filo.yaml',
  )
  if (local.kind !== 'fleet') throw new Error('the fleet was refused')
  expect(plan(buildTopology(local.fleet), 'stop').kind).toBe('plan')
})

test('a plan that would stop the store of the run itself is refused, whatever the broker', () => {
  const storing = topologyOf(`
  postgres: { hosts: db1, systemd: postgresql, carries: [broker, store] }
`)
  expect(plan(storing, 'stop')).toMatchObject({
    kind: 'refused',
    reasons: [
      expect.stringContaining('postgres@db1 carries the broker'),
      expect.stringContaining('postgres@db1 carries the store: stopping it would take the record of the run'),
    ],
  })
})

test('a reboot stops all on the host and all that needs it, boots the host, and starts again what was running', () => {
  const states = { 'mta@mail2': 'stopped' } as const
  expect(show(plan(lists, 'reboot app1', { states }))).toMatchInlineSnapshot(`
    "prove database@db1 running
    stop wwsympa@web1 needs prove database@db1 running
    stop mta@mail2 needs prove database@db1 running follows stop wwsympa@web1
    stop mta@mail1 needs prove database@db1 running follows stop wwsympa@web1
    stop sympa@app1 needs stop mta@mail1, stop mta@mail2, stop wwsympa@web1, prove database@db1 running
    reboot app1 needs stop sympa@app1, prove database@db1 running follows all of (stop wwsympa@web1, stop mta@mail2, stop mta@mail1, stop sympa@app1)
    start sympa@app1 needs reboot app1, prove database@db1 running
    start mta@mail1 needs stop mta@mail1, start sympa@app1
    start wwsympa@web1 needs stop wwsympa@web1, start sympa@app1 follows start mta@mail1
    after_start wwsympa@web1 needs start wwsympa@web1"
  `)
})

test('what is kept goes down with its host', () => {
  expect(show(plan(lists, 'reboot web1'))).toMatchInlineSnapshot(`
    "prove database@db1 running
    prove sympa@app1 running
    stop nginx@web1 needs all of (prove database@db1 running, prove sympa@app1 running)
    stop wwsympa@web1 needs stop nginx@web1, all of (prove database@db1 running, prove sympa@app1 running)
    reboot web1 needs stop nginx@web1, stop wwsympa@web1, prove sympa@app1 running follows all of (stop nginx@web1, stop wwsympa@web1)
    start wwsympa@web1 needs reboot web1, prove sympa@app1 running
    after_start wwsympa@web1 needs start wwsympa@web1, reboot web1
    start nginx@web1 needs reboot web1, all of (start wwsympa@web1, after_start wwsympa@web1)"
  `)
})

test('of several hosts one is rebooted after what its services need elsewhere has been started again', () => {
  expect(show(plan(lists, 'reboot @app1 db*'))).toMatchInlineSnapshot(`
    "stop wwsympa@web1
    stop mta@mail2 follows stop wwsympa@web1
    stop mta@mail1 follows stop wwsympa@web1
    stop sympa@app1 needs stop mta@mail1, stop mta@mail2, stop wwsympa@web1
    stop database@db1 needs stop sympa@app1
    reboot db1 needs stop database@db1 follows all of (stop wwsympa@web1, stop mta@mail2, stop mta@mail1, stop sympa@app1, stop database@db1)
    start database@db1 needs reboot db1
    reboot app1 needs stop sympa@app1, start database@db1 follows all of (stop wwsympa@web1, stop mta@mail2, stop mta@mail1, stop sympa@app1, stop database@db1)
    start sympa@app1 needs reboot app1, start database@db1
    start mta@mail1 needs stop mta@mail1, start sympa@app1
    start mta@mail2 needs stop mta@mail2, start sympa@app1
    start wwsympa@web1 needs stop wwsympa@web1, start sympa@app1 follows all of (start mta@mail1, start mta@mail2)
    after_start wwsympa@web1 needs start wwsympa@web1"
  `)
})

test('hosts whose services stand on each other go down together', () => {
  const crossed = topologyOf(`
  low: { hosts: db1, lsb: low }
  middle: { hosts: app1, lsb: middle, needs: low }
  high: { hosts: db1, lsb: high, needs: middle }
`)
  expect(show(plan(crossed, 'reboot db1 app1'))).toMatchInlineSnapshot(`
    "stop high@db1
    stop middle@app1 needs stop high@db1
    stop low@db1 needs stop middle@app1
    reboot db1 needs stop high@db1, stop low@db1 follows all of (stop high@db1, stop middle@app1, stop low@db1)
    reboot app1 needs stop middle@app1 follows all of (stop high@db1, stop middle@app1, stop low@db1)
    start low@db1 needs reboot db1
    start middle@app1 needs reboot app1, start low@db1
    start high@db1 needs reboot db1, start middle@app1"
  `)
})

test('hooks on a host that is rebooted run before it goes down, or once it is up', () => {
  const hooked = topologyOf(`
  db: { hosts: db1, lsb: db }
  app:
    hosts: app1
    lsb: app
    needs: db
    hooks:
      after_stop: { run: [/bin/tidy], host: mail1 }
      before_start: { run: [/bin/warm], host: mail1 }
`)
  expect(show(plan(hooked, 'reboot db1 mail1'))).toMatchInlineSnapshot(`
    "stop app@app1
    after_stop app@app1 on mail1 needs stop app@app1
    stop db@db1 needs all of (stop app@app1, after_stop app@app1 on mail1)
    reboot db1 needs stop db@db1 follows all of (stop app@app1, after_stop app@app1 on mail1, stop db@db1)
    start db@db1 needs reboot db1
    reboot mail1 follows all of (stop app@app1, after_stop app@app1 on mail1, stop db@db1)
    before_start app@app1 on mail1 needs all of (stop app@app1, after_stop app@app1 on mail1), start db@db1, reboot mail1
    start app@app1 needs all of (stop app@app1, after_stop app@app1 on mail1), start db@db1, before_start app@app1 on mail1"
  `)
})

test('a halt is a reboot without the way back', () => {
  expect(show(plan(lists, 'halt app1 db1'))).toMatchInlineSnapshot(`
    "stop wwsympa@web1
    stop mta@mail2 follows stop wwsympa@web1
    stop mta@mail1 follows stop wwsympa@web1
    stop sympa@app1 needs stop mta@mail1, stop mta@mail2, stop wwsympa@web1
    stop database@db1 needs stop sympa@app1
    halt db1 needs stop database@db1 follows all of (stop wwsympa@web1, stop mta@mail2, stop mta@mail1, stop sympa@app1, stop database@db1)
    halt app1 needs stop sympa@app1 follows all of (stop wwsympa@web1, stop mta@mail2, stop mta@mail1, stop sympa@app1, stop database@db1)"
  `)
})

test('a host without services is simply rebooted', () => {
  const idle = topologyOf(`
  db: { hosts: db1, lsb: db }
`)
  expect(show(plan(idle, 'reboot mail1'))).toBe('reboot mail1')
  expect(show(plan(idle, 'halt mail1'))).toBe('halt mail1')
})

test('a reboot is refused by what is unknown, and where it would take the broker or this very machine with it', () => {
  expect(plan(lists, 'reboot app1', { states: { 'mta@mail1': 'unknown' } })).toMatchInlineSnapshot(`
    {
      "kind": "refused",
      "reasons": [
        "unknown: mta@mail1: a reboot starts again exactly what was running, and nobody can say whether this was; see "filo status"",
      ],
    }
  `)
  const carrying = topologyOf(`
  rabbit: { hosts: db1, systemd: rabbitmq-server, carries: broker, keep: true }
`)
  expect(plan(carrying, 'reboot db1')).toMatchInlineSnapshot(`
    {
      "kind": "refused",
      "reasons": [
        "rabbit@db1 carries the broker: stopping it would cut Filo off from every agent in the middle of the run. Leave db1 out, use another broker, or take db1 down by hand, after a stop with a fleet file there that says "broker: local"",
      ],
    }
  `)
  expect(plan(carrying, 'halt db1').kind).toBe('refused')
  const local = parseFleet(
    'fleet: a\nbroker: local\nhosts: { db1: }\nservices: { db: { hosts: db1, lsb: db } }',
    'filo.yaml',
  )
  if (local.kind !== 'fleet') throw new Error('the fleet was refused')
  expect(plan(buildTopology(local.fleet), 'reboot db1')).toMatchInlineSnapshot(`
    {
      "kind": "refused",
      "reasons": [
        "db1 is the machine that this command itself runs on: the command would end with it, and could prove nothing. Do it by hand: filo stop @db1, then systemctl reboot; when it is up again, lead that stop back with: filo undo RUN",
      ],
    }
  `)
  expect(plan(buildTopology(local.fleet), 'halt db1')).toMatchObject({
    reasons: [expect.stringMatching(/by hand: filo stop @db1, then systemctl poweroff$/)],
  })
})

test('only hosts are rebooted, and never all of them because none was named', () => {
  const words = (command: string) => {
    const planned = plan(lists, command)
    return planned.kind === 'nothing' || planned.kind === 'malformed'
      ? `${planned.kind}: ${planned.reason}`
      : ''
  }
  expect([words('reboot'), words('halt mta'), words('halt mta@mail1'), words('reboot web2')])
    .toMatchInlineSnapshot(`
    [
      "malformed: which host? Nothing selects all of them; there are db1, app1, mail1, mail2, web1",
      "nothing: no host matches "mta"; "mta" is a service, and runs on mail1, mail2",
      "nothing: no host matches "mta@mail1"; "mta" is a service, and runs on mail1, mail2",
      "nothing: no host matches "web2"; did you mean "web1"?",
    ]
  `)
})

test('hosts can be chosen by their labels', () => {
  const labelled = parseFleet(
    'fleet: a\nbroker: amqp://b\nhosts: { a1: { labels: { role: web } }, a2: { labels: { role: web } }, b1: }\nservices: { web: { hosts: [a1, a2, b1], lsb: web } }',
    'filo.yaml',
  )
  if (labelled.kind !== 'fleet') throw new Error('the fleet was refused')
  const halted = (selection: string[], labels: string[]) => {
    const intention: Intention = { verb: 'halt', selection, labels, only: false }
    const planned = planFor(buildTopology(labelled.fleet), intention, { digest })
    return planned.kind === 'plan' ? stepsOf(planned).filter((step) => step.startsWith('halt')) : planned.kind
  }
  expect(halted([], ['role=web'])).toEqual(['halt a1', 'halt a2'])
  expect(halted(['a1', 'b1'], ['role=web'])).toEqual(['halt a1'])
  expect(halted(['b1'], ['role=web'])).toBe('nothing')
  expect(halted(['b1'], ['web'])).toBe('malformed')
})

test('every step of a reboot says why it is there', () => {
  const accept = accepted(plan(lists, 'reboot web1'))
  expect(accept.steps.map((step, index) => `${stepName(step)}: ${explain(accept, index)[0]}`))
    .toMatchInlineSnapshot(`
    [
      "prove database@db1: sympa@app1 needs it. It is left alone, so it must run.",
      "prove sympa@app1: wwsympa@web1 needs it. It is left alone, so it must run.",
      "stop nginx@web1: It is on web1, which is to reboot.",
      "stop wwsympa@web1: It is on web1, which is to reboot.",
      "reboot web1: It was named.",
      "start wwsympa@web1: It is running, so the reboot starts it again.",
      "after_start wwsympa@web1: A hook of wwsympa@web1; it only runs if "start wwsympa@web1" has something to do.",
      "start nginx@web1: It is running, so the reboot starts it again.",
    ]
  `)
})

test('a stage needs all of the stage before, and can be selected', () => {
  const staged = topologyOf(
    `
  db: { hosts: db1, lsb: db }
  cache: { hosts: db1, lsb: cache }
  app: { hosts: app1, lsb: app }
  web: { hosts: web1, lsb: web }
`,
    'stages: [{ back: [db, cache] }, { middle: app }, { front: [web] }]',
  )
  expect(show(plan(staged, 'start'))).toMatchInlineSnapshot(`
    "start db@db1
    start cache@db1
    start app@app1 needs all of (start db@db1, start cache@db1)
    start web@web1 needs start app@app1"
  `)
  expect(stepsOf(plan(staged, 'stop stage:middle'))).toEqual(['stop web@web1', 'stop app@app1'])
})

test('all-to-all needs cost the sum of the instances, not their product', () => {
  const hosts = Array.from({ length: 100 }, (_, index) => `h${index}`)
  const text = JSON.stringify({
    fleet: 'wide',
    broker: 'local',
    hosts: Object.fromEntries(hosts.map((host) => [host, null])),
    services: { low: { hosts, lsb: 'low' }, high: { hosts, lsb: 'high', needs: 'low' } },
  })
  const parsed = parseFleet(text, 'filo.yaml')
  if (parsed.kind !== 'fleet') throw new Error('the fleet was refused')
  for (const verb of ['start', 'stop']) {
    const { steps, joins } = accepted(plan(buildTopology(parsed.fleet), verb))
    const edges = [...steps, ...joins].flatMap(({ needs, follows }) => [...needs, ...follows])
    expect([steps.length, joins.length, edges.length]).toEqual([200, 1, 200])
  }
})

test('what matches nothing is no plan', () => {
  expect(plan(lists, 'stop sypma')).toEqual({
    kind: 'nothing',
    reason: 'nothing matches "sypma"; did you mean "sympa"?',
  })
  expect(plan(lists, 'stop @@').kind).toBe('malformed')
  const intention: Intention = { verb: 'restart', selection: ['sypma'], labels: [], only: false }
  expect(instancesToObserve(lists, intention)).toEqual([])
})

test('the way back from a stop starts exactly what it stopped, and proves what that needs', () => {
  const effects = [
    { kind: 'stop', instance: 'mta@mail2', isChange: true },
    { kind: 'stop', instance: 'mta@mail1', isChange: true },
  ] as const
  const undo = undoIntention('r20261120-030000-abcd', effects)
  if (undo.kind !== 'intention') throw new Error('there is nothing to undo')
  expect(undo.intention).toEqual({
    verb: 'start',
    selection: ['mta@mail2', 'mta@mail1'],
    labels: [],
    only: true,
    undoes: 'r20261120-030000-abcd',
  })
  expect(show(planFor(lists, undo.intention, { digest }))).toMatchInlineSnapshot(`
    "prove database@db1 running
    prove sympa@app1 running needs prove database@db1 running
    start mta@mail1 needs prove sympa@app1 running
    start mta@mail2 needs prove sympa@app1 running"
  `)
})

test('the way back from a restart that failed half way starts what it did not start again', () => {
  const undo = undoIntention('r20261120-030000-abcd', [
    { kind: 'stop', instance: 'wwsympa@web1', isChange: true },
    { kind: 'stop', instance: 'sympa@app1', isChange: true },
    { kind: 'start', instance: 'sympa@app1', isChange: true },
  ])
  expect(undo).toMatchObject({ intention: { verb: 'start', selection: ['wwsympa@web1'] } })
  expect(undoIntention('r20261120-030000-abcd', [])).toEqual({ kind: 'nothing' })
  const already = [{ kind: 'stop', instance: 'sympa@app1', isChange: false }] as const
  expect(undoIntention('r20261120-030000-abcd', already)).toEqual({ kind: 'nothing' })
})

test('the way back from a start stops what it started', () => {
  const undo = undoIntention('r20261120-030000-abcd', [
    { kind: 'start', instance: 'nginx@web1', isChange: true },
  ])
  if (undo.kind !== 'intention') throw new Error('there is nothing to undo')
  expect(show(planFor(lists, undo.intention, { digest }))).toBe('stop nginx@web1')
})

test('every step says why it is there and what it waits for', () => {
  const sentences = (planned: Planned) => {
    const accept = accepted(planned)
    return accept.steps
      .map((step, index) => [stepName(step), ...explain(accept, index)].join('\n  '))
      .join('\n')
  }
  expect(sentences(plan(lists, 'restart sympa'))).toMatchInlineSnapshot(`
    "prove database@db1
      sympa@app1 needs it. It is left alone, so it must run.
      It waits for nothing.
    stop wwsympa@web1
      It needs sympa@app1, which is to stop.
      It waits until this is proven: prove database@db1.
    stop mta@mail2
      It needs sympa@app1, which is to stop.
      It waits until this is proven: prove database@db1.
      It comes after this has ended, however it ends: stop wwsympa@web1.
    stop mta@mail1
      It needs sympa@app1, which is to stop.
      It waits until this is proven: prove database@db1.
      It comes after this has ended, however it ends: stop wwsympa@web1.
    stop sympa@app1
      It was selected.
      It waits until this is proven: stop mta@mail1, stop mta@mail2, stop wwsympa@web1, prove database@db1.
    start sympa@app1
      It is running, so the restart starts it again.
      It waits until this is proven: stop sympa@app1, prove database@db1.
    start mta@mail1
      It is running, so the restart starts it again.
      It waits until this is proven: stop mta@mail1, start sympa@app1.
    start mta@mail2
      It is running, so the restart starts it again.
      It waits until this is proven: stop mta@mail2, start sympa@app1.
    start wwsympa@web1
      It is running, so the restart starts it again.
      It waits until this is proven: stop wwsympa@web1, start sympa@app1.
      It comes after this has ended, however it ends: start mta@mail1, start mta@mail2.
    after_start wwsympa@web1
      A hook of wwsympa@web1; it only runs if "start wwsympa@web1" has something to do.
      It waits until this is proven: start wwsympa@web1."
  `)
  expect(sentences(plan(lists, 'stop database', { only: true }))).toMatchInlineSnapshot(`
    "prove wwsympa@web1
      It needs sympa@app1, which is to stop. It is left out (--only), so it must not be live.
      It waits for nothing.
    prove mta@mail2
      It needs sympa@app1, which is to stop. It is left out (--only), so it must not be live.
      It waits for nothing.
    prove mta@mail1
      It needs sympa@app1, which is to stop. It is left out (--only), so it must not be live.
      It waits for nothing.
    prove sympa@app1
      It needs database@db1, which is to stop. It is left out (--only), so it must not be live.
      It waits until this is proven: prove mta@mail1, prove mta@mail2, prove wwsympa@web1.
    stop database@db1
      It was selected.
      It waits until this is proven: prove sympa@app1."
  `)
  expect(sentences(plan(pair, 'stop mta@mail1'))).toMatchInlineSnapshot(`
    "prove mta@mail2
      Those who need mta live on it once mta@mail1 has stopped, so it must run.
      It waits for nothing.
    stop mta@mail1
      It was selected.
      It waits until this is proven: prove mta@mail2."
  `)
  expect(sentences(plan(pair, 'start web'))).toMatchInlineSnapshot(`
    "start mta@mail1
      web@web1 needs it.
      It waits for nothing.
    start mta@mail2
      web@web1 needs it.
      It waits for nothing.
    start web@web1
      It was selected.
      It waits until 1 of these is proven: start mta@mail1, start mta@mail2."
  `)
})

test('what a step waits for through several joins is said once, and how many of some are enough', () => {
  const staged = topologyOf(
    `
  mta: { hosts: [mail1, mail2, app1], lsb: mta, enough: 2 }
  db: { hosts: db1, lsb: db }
  cache: { hosts: [db1, web1], lsb: cache, needs: db }
  web: { hosts: web1, lsb: web, needs: [cache, mta] }
`,
    'stages: [{ back: [db, cache] }, { front: web }]',
  )
  const start = accepted(plan(staged, 'start'))
  expect(explain(start, start.steps.length - 1)).toEqual([
    'The whole fleet was selected.',
    'It waits until this is proven: start cache@db1, start cache@web1, start db@db1.',
    'It waits until 2 of these are proven: start mta@mail1, start mta@mail2, start mta@app1.',
  ])
})
