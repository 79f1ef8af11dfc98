import { randomUUID } from 'node:crypto'
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openHost } from '@filo/agent'
import {
  makeKeyPair,
  MemoryBroker,
  type AuditEvent,
  type HostDefinition,
  type PowerDefinition,
  type ServiceDefinition,
} from '@filo/protocol'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { auditDocument } from '../packages/coordinator/src/cli/audit-documents.ts'
import { Peer } from './support/peer.ts'
import { tempDir } from './support/temp-dir.ts'
import { until } from './support/until.ts'

// The agent against a coordinator that says what it likes: real processes, a real ledger, a broker in memory.

/** A service of files: what was done to it stands in `effects`, by its own script's hand. */
function makeService(dir: string, name: string): ServiceDefinition {
  const script = join(dir, `${name}.sh`)
  writeFileSync(
    script,
    `#!/bin/sh
cd ${dir}
case $1 in
status) [ -e ${name}.unseeable ] && exit 4; [ -e ${name}.up ] && exit 0; exit 3;;
start) echo "start ${name}" >> effects; [ -e ${name}.slow ] && sleep 1; [ -e ${name}.broken ] && exit 1; touch ${name}.up;;
stop) echo "stop ${name}" >> effects; echo "saying goodbye"; [ -e ${name}.slow ] && sleep 1; [ -e ${name}.liar ] || rm -f ${name}.up;;
esac
exit 0
`,
  )
  chmodSync(script, 0o755)
  const manager = {
    kind: 'command',
    start: [script, 'start'],
    stop: [script, 'stop'],
    status: [script, 'status'],
  } as const
  return {
    service: name,
    manager: { ...manager, start: [...manager.start], stop: [...manager.stop], status: [...manager.status] },
    startTimeoutMs: 60_000,
    stopTimeoutMs: 5000,
    settleMs: 0,
  }
}

/** A service of files whose manager has to be the one to start again what it stopped. */
function makePostgres(dir: string): ServiceDefinition {
  const { manager: _, ...service } = makeService(dir, 'postgres')
  const hvmailInit = join(dir, 'hvmail_init')
  writeFileSync(
    hvmailInit,
    `#!/bin/sh
echo 'QUEUE SERVICE STARTED OK FILE EXISTS RAMDISK ACTIVE'
echo 'ram yes yes yes'
echo 'OVERALL STATUS: up'
echo 'LICENSE: current'
echo 'SERVICES:'
echo 'Name Primary Service Status Log Service Status'
[ -e ${dir}/postgres.up ] && echo 'hvmail-postgres UP UP' || echo 'hvmail-postgres DOWN UP'
`,
  )
  chmodSync(hvmailInit, 0o755)
  const postgresManager = join(dir, 'postgres.sh')
  const manager = {
    kind: 'greenarrow',
    part: 'postgres',
    hvmailInit,
    postgresManager,
    component: 'hvmail-postgres',
  } as const
  return { ...service, manager }
}

/** A power command that notes what it was asked for, and leaves the rest to the test. */
function makePower(dir: string): PowerDefinition {
  const script = join(dir, 'power.sh')
  writeFileSync(
    script,
    `#!/bin/sh
cd ${dir}
echo "$1 host" >> effects
while [ -e power.slow ]; do sleep 0.05; done
[ -e power.refused ] && { echo "Access denied" >&2; exit 1; }
exit 0
`,
  )
  chmodSync(script, 0o755)
  return { reboot: [script, 'reboot'], halt: [script, 'halt'], rebootTimeoutMs: 60_000, haltTimeoutMs: 500 }
}

async function openScene() {
  const dir = tempDir()
  onTestFinished(() => dir[Symbol.dispose]())
  const definition: HostDefinition = {
    fleet: 'test',
    host: 'h1',
    services: [makeService(dir.path, 'web'), makeService(dir.path, 'db'), makePostgres(dir.path)],
    hooks: [],
    power: makePower(dir.path),
  }
  const broker = new MemoryBroker()
  const transport = broker.connect()
  const keys = makeKeyPair()
  const peer = await new Peer(transport, definition, keys).open()
  const trusted = [peer]
  let agent: AsyncDisposable | undefined
  let boot = randomUUID()
  const start = async (changed: Partial<HostDefinition> = {}): Promise<void> => {
    agent = await openHost({
      definition: { ...definition, ...changed },
      identity: {
        key: keys.signing,
        trusted: (id) => trusted.map((one) => one.keys.verifying).find((key) => key.id === id),
      },
      transport: broker.connect(),
      stateDir: join(dir.path, 'state'),
      isActing: true,
      isRelayed: false,
      boot,
      log: pino({ level: 'silent' }),
      policyFile: join(dir.path, 'policy.yaml'),
    })
  }
  /** The machine goes down, and comes up in another boot. */
  const bootAgain = async (): Promise<void> => {
    await end()
    boot = randomUUID()
    await start()
  }
  const end = async (): Promise<void> => {
    await agent?.[Symbol.asyncDispose]()
    agent = undefined
  }
  onTestFinished(end)
  await start()
  const effects = (): string[] =>
    existsSync(join(dir.path, 'effects'))
      ? readFileSync(join(dir.path, 'effects'), 'utf8').trim().split('\n')
      : []
  const set = (flag: string): void => writeFileSync(join(dir.path, flag), '')
  const clear = (flag: string): void => rmSync(join(dir.path, flag), { force: true })
  /** The policy of the host, by the hand of its administrator. */
  const policy = (text: string): void => writeFileSync(join(dir.path, 'policy.yaml'), text)
  const another = async (run: string): Promise<Peer> => {
    const other = await new Peer(transport, definition, keys, run).open()
    trusted.push(other)
    return other
  }
  return { dir: dir.path, peer, start, end, bootAgain, effects, set, clear, policy, another, definition }
}

test('an action takes effect once, is proven, and streams what it prints', async () => {
  const { peer, effects, set } = await openScene()
  set('web.up')
  set('web.slow')
  const { ending } = await peer.ask('act', peer.action('stop', 'web', await peer.claim()), 'result')
  expect(ending).toMatchObject({ outcome: 'changed', observation: { state: 'stopped', live: 'no' } })
  expect(effects()).toEqual(['stop web'])
  const lines = peer.heard.flatMap((answer) => (answer.type === 'progress' ? answer.body.lines : []))
  expect(lines).toContain('saying goodbye')
})

test('what is already so is left alone', async () => {
  const { peer, effects } = await openScene()
  const { ending } = await peer.ask('act', peer.action('stop', 'web', await peer.claim()), 'result')
  expect(ending.outcome).toBe('unchanged')
  expect(effects()).toEqual([])
})

test('the same command delivered fifty times takes effect once, and each copy has the same ending', async () => {
  const { peer, effects, set } = await openScene()
  set('web.up')
  const command = peer.seal('act', peer.action('stop', 'web', await peer.claim()))
  for (let copy = 0; copy < 25; copy++) await peer.deliver(command)
  await peer.next('result')
  // By hand it is started again: a late copy must not stop it again.
  set('web.up')
  for (let copy = 0; copy < 25; copy++) await peer.deliver(command)
  await until(
    'answers to the late copies',
    () => peer.heard.filter(({ type }) => type === 'result').length >= 26,
  )
  expect(effects()).toEqual(['stop web'])
  expect(
    new Set(peer.heard.flatMap((one) => (one.type === 'result' ? [one.body.ending.outcome] : []))),
  ).toEqual(new Set(['changed']))
})

test('a command from before a restart of the agent is refused and sealed', async () => {
  const { peer, effects, set, start, end } = await openScene()
  set('web.up')
  const command = peer.seal('act', peer.action('stop', 'web', await peer.claim()))
  await end()
  await start()
  await peer.deliver(command)
  expect(await peer.next('refusal')).toMatchObject({ reason: 'beacon', sealed: true })
  expect(effects()).toEqual([])
})

test('a sealed action never starts, and a seal of what started is not given', async () => {
  const { peer, effects, set } = await openScene()
  set('web.up')
  const action = peer.action('stop', 'web', await peer.claim())
  const sealed = await peer.ask('seal', { action: action['action'], grant: action['grant'] }, 'report')
  expect(sealed.actions).toMatchObject([{ status: 'sealed' }])
  expect(await peer.ask('act', action, 'refusal')).toMatchObject({ reason: 'sealed', sealed: true })
  expect(effects()).toEqual([])
  const second = peer.action('stop', 'web', await peer.claim())
  await peer.ask('act', second, 'result')
  const late = await peer.ask('seal', { action: second['action'], grant: second['grant'] }, 'report')
  expect(late.actions).toMatchObject([{ status: 'finished', ending: { outcome: 'changed' } }])
})

test('a busy instance answers busy, and that action is barred for good', async () => {
  const { peer, effects, set } = await openScene()
  set('web.up')
  set('web.slow')
  const claimed = await peer.claim()
  await peer.deliver(peer.seal('act', peer.action('stop', 'web', claimed)))
  const other = peer.action('start', 'web', claimed)
  expect(await peer.ask('act', other, 'refusal')).toMatchObject({ reason: 'busy', sealed: true })
  await peer.next('result')
  await peer.ask('act', other, 'refusal')
  expect(effects()).toEqual(['stop web'])
})

test('observation is not queued behind an action', async () => {
  const { peer, set } = await openScene()
  set('web.up')
  set('web.slow')
  await peer.deliver(peer.seal('act', peer.action('stop', 'web', await peer.claim())))
  await peer.ask('observe', { services: ['web', 'db'], settle: false }, 'report')
  expect(peer.heard.some(({ type }) => type === 'result')).toBe(false)
  await peer.next('result')
})

test('a stop that lies is a failure at its deadline, not a success', async () => {
  const { peer, set, definition, start, end } = await openScene()
  const services = definition.services.map((one) => ({ ...one, stopTimeoutMs: 300 }))
  await end()
  await start({ services })
  definition.services.splice(0, 2, ...services)
  set('web.up')
  set('web.liar')
  const { ending } = await peer.ask('act', peer.action('stop', 'web', await peer.claim()), 'result')
  expect(ending).toMatchObject({ outcome: 'failed', observation: { state: 'running', live: 'yes' } })
})

test('a failing start is reported at once, with what it said', async () => {
  const { peer, set } = await openScene()
  set('web.broken')
  const { ending } = await peer.ask('act', peer.action('start', 'web', await peer.claim()), 'result')
  expect(ending.outcome).toBe('failed')
  expect(ending.durationMs).toBeLessThan(30_000)
})

test('a service that cannot be seen afterwards is unproven, neither stopped nor failed', async () => {
  const { peer, set, definition, start, end } = await openScene()
  const services = definition.services.map((one) => ({ ...one, stopTimeoutMs: 300 }))
  await end()
  await start({ services })
  definition.services.splice(0, 2, ...services)
  set('web.unseeable')
  const { ending } = await peer.ask('act', peer.action('stop', 'web', await peer.claim()), 'result')
  expect(ending).toMatchObject({ outcome: 'unproven', observation: { state: 'unknown' } })
})

test('an agent that is restarted in an action finds out what became of it and touches nothing', async () => {
  const { peer, effects, set, start, end } = await openScene()
  set('web.up')
  set('web.slow')
  const action = peer.action('stop', 'web', await peer.claim())
  await peer.deliver(peer.seal('act', action))
  await until('the script to run', () => effects().length > 0)
  await end()
  await start()
  const { ending } = await peer.next('result')
  expect(ending).toMatchObject({ outcome: 'changed', observation: { state: 'stopped' } })
  expect(effects()).toEqual(['stop web'])
  const told = await peer.ask('inquire', { actions: [action['action'], randomUUID()] }, 'report')
  expect(told.actions).toMatchObject([{ status: 'finished' }, { status: 'never-heard' }])
})

test('one run at a time acts on a host, and a take-over outranks it', async () => {
  const { peer, another, effects, set } = await openScene()
  set('web.up')
  const mine = await peer.claim()
  const rival = await another('r20260101-000001-othr')
  const claim = { takeOver: 'no', definitions: [], tasks: [], beacon: await rival.beacon() }
  expect(await rival.ask('claim', claim, 'refusal')).toMatchObject({
    reason: 'claimed',
    holder: { run: peer.run },
  })
  const theirs = await rival.claim({ takeOver: 'any' })
  expect(theirs.holder!.grant).toBeGreaterThan(mine.holder!.grant)
  expect(await peer.ask('act', peer.action('stop', 'web', mine), 'refusal')).toMatchObject({
    reason: 'grant',
    holder: { run: rival.run },
  })
  expect(effects()).toEqual([])
  await rival.ask('act', rival.action('stop', 'web', theirs), 'result')
  expect(effects()).toEqual(['stop web'])
})

test('a copy of a claim gives the host to nobody, neither after its release nor in a new agent process', async () => {
  const { peer, another, start, end } = await openScene()
  const claim = { takeOver: 'any', definitions: [], tasks: [], beacon: await peer.beacon() }
  const granted = await peer.ask('claim', claim, 'report')
  const copy = peer.sent.at(-1)!
  await peer.ask('release', { grant: granted.holder!.grant }, 'report')
  await peer.deliver(copy)
  // The same beacon in a claim of its own: it was issued before the host was given.
  expect(await peer.ask('claim', claim, 'refusal')).toMatchObject({ reason: 'beacon', holder: null })
  const rival = await another('r20260101-000001-othr')
  const theirs = await rival.claim()
  await end()
  await start()
  const before = peer.heard.length
  await peer.deliver(copy)
  expect(await peer.next('refusal', before)).toMatchObject({ reason: 'beacon', holder: { run: rival.run } })
  expect((await rival.claim()).holder).toEqual(theirs.holder)
})

test('a host given back while an action goes on is given to nobody else', async () => {
  const { peer, another, effects, set } = await openScene()
  set('web.up')
  set('web.slow')
  const mine = await peer.claim()
  const stopping = peer.ask('act', peer.action('stop', 'web', mine), 'result')
  await until('the action to begin', () => effects().length === 1)
  await peer.ask('release', { grant: mine.holder!.grant }, 'report')
  const rival = await another('r20260101-000001-othr')
  const claim = { takeOver: 'no', definitions: [], tasks: [], beacon: await rival.beacon() }
  expect(await rival.ask('claim', claim, 'refusal')).toMatchObject({ reason: 'claimed' })
  await stopping
})

test('what has begun and not moved yet proves nothing to a run that takes the host over', async () => {
  const { peer, another, effects, set } = await openScene()
  set('web.slow')
  const watcher = await another('r20260101-000001-othr')
  const look = async () => {
    const { observations } = await watcher.ask('observe', { services: ['web'], settle: false }, 'report')
    return observations[0]!.observation
  }
  expect(await look()).toMatchObject({ state: 'stopped', live: 'no' })
  await peer.deliver(peer.seal('act', peer.action('start', 'web', await peer.claim())))
  await until('the script to run', () => effects().length > 0)
  await watcher.claim({ takeOver: 'any' })
  expect(await look()).toMatchObject({ state: 'starting', live: 'unknown' })
  await peer.next('result')
  expect(await look()).toMatchObject({ state: 'running', live: 'yes' })
})

test('a grant outlives the agent process, and its number is never given twice', async () => {
  const { peer, another, start, end } = await openScene()
  const mine = await peer.claim()
  await end()
  await start()
  const rival = await another('r20260101-000001-othr')
  const claim = { takeOver: 'no', definitions: [], tasks: [], beacon: await rival.beacon() }
  expect(await rival.ask('claim', claim, 'refusal')).toMatchObject({ reason: 'claimed' })
  expect((await peer.claim()).holder!.grant).toBe(mine.holder!.grant)
  await peer.ask('release', { grant: mine.holder!.grant }, 'report')
  expect((await rival.claim()).holder!.grant).toBeGreaterThan(mine.holder!.grant)
})

test.each<[string, Record<string, unknown>, string]>([
  ['another definition', { definition: '0'.repeat(64) }, 'definition'],
  ['a service it does not have', { service: 'nginx' }, 'unknown-service'],
  ['a hook it does not have', { verb: 'hook', hook: 'after_stop' }, 'unknown-service'],
  ['a made-up beacon', { beacon: '1.abc' }, 'beacon'],
  ['a grant that is not in force', { grant: 99 }, 'grant'],
])('an action with %s is refused', async (_, changed, reason) => {
  const { peer, effects, set } = await openScene()
  set('web.up')
  const action = peer.action('stop', 'web', await peer.claim())
  expect(await peer.ask('act', { ...action, ...changed }, 'refusal')).toMatchObject({ reason, sealed: true })
  expect(effects()).toEqual([])
})

test('two agents of one host do not both run', async () => {
  const { start } = await openScene()
  await expect(start()).rejects.toThrow(/another agent process holds/)
})

test('an agent whose ledger is new remembers nothing, and says so by its id', async () => {
  const { peer, dir, start, end } = await openScene()
  const before = await peer.claim()
  await end()
  rmSync(join(dir, 'state'), { recursive: true })
  await start()
  const after = await peer.claim()
  expect(after.ledger).not.toBe(before.ledger)
  expect(after.incarnation).not.toBe(before.incarnation)
})

test('entries of its chain are told again as they were written, as many as a message takes', async () => {
  const { peer, end, dir } = await openScene()
  for (let round = 0; round < 40; round += 1) {
    const { holder } = await peer.claim()
    await peer.ask('release', { grant: holder!.grant }, 'report')
  }
  const told: AuditEvent[] = []
  for (let after = 10; after < 80;) {
    const { entries, head } = await peer.ask('recall', { after, through: 1000 }, 'excerpt')
    expect(head.sequence).toBe(80)
    told.push(...entries)
    after = entries.at(-1)!.sequence
  }
  expect((await peer.ask('recall', { after: 10, through: 12 }, 'excerpt')).entries).toHaveLength(2)
  expect((await peer.ask('recall', { after: 80, through: 90 }, 'excerpt')).entries).toEqual([])
  await end()
  const written = [...auditDocument(join(dir, 'state', 'ledger.db')).entries].map(({ text }) => text)
  expect(told.map((entry) => JSON.stringify(entry))).toEqual(written.slice(10))
})

test('a start that is owed is carried out though the service runs again, across restarts of the agent, and once', async () => {
  const { peer, effects, set, start, end } = await openScene()
  set('postgres.up')
  const startPostgres = async () => {
    const { ending } = await peer.ask('act', peer.action('start', 'postgres', await peer.claim()), 'result')
    return ending
  }
  expect(await startPostgres()).toMatchObject({ outcome: 'unchanged' })
  await peer.ask('act', peer.action('stop', 'postgres', await peer.claim()), 'result')
  // Somebody starts it by hand.
  set('postgres.up')
  await end()
  await start()
  const seen = await peer.ask('observe', { services: ['postgres'], settle: false }, 'report')
  expect(seen.observations[0]!.observation).toMatchObject({
    state: 'running',
    warnings: [expect.stringContaining('filo start postgres')],
  })
  expect(await startPostgres()).toMatchObject({ outcome: 'changed' })
  expect(await startPostgres()).toMatchObject({ outcome: 'unchanged' })
  expect(effects()).toEqual(['stop postgres', 'start postgres'])
  const paid = await peer.ask('observe', { services: ['postgres'], settle: false }, 'report')
  expect(paid.observations[0]!.observation.warnings).toBeUndefined()
})

test('an owed start that its manager refuses has failed though the service runs, and stays owed', async () => {
  const { peer, effects, set, clear } = await openScene()
  set('postgres.up')
  await peer.ask('act', peer.action('stop', 'postgres', await peer.claim()), 'result')
  set('postgres.up')
  set('postgres.broken')
  const startPostgres = async () =>
    await peer.ask('act', peer.action('start', 'postgres', await peer.claim()), 'result')
  const { ending } = await startPostgres()
  expect(ending).toMatchObject({ outcome: 'failed', observation: { state: 'running' } })
  expect(ending.reason).toContain('exit status 1')
  clear('postgres.broken')
  expect((await startPostgres()).ending).toMatchObject({ outcome: 'changed' })
  expect(effects()).toEqual(['stop postgres', 'start postgres', 'start postgres'])
})

test('an owed start in which the agent was restarted is not taken for done because the service runs', async () => {
  const { peer, effects, set, start, end } = await openScene()
  set('postgres.up')
  await peer.ask('act', peer.action('stop', 'postgres', await peer.claim()), 'result')
  set('postgres.up')
  set('postgres.slow')
  const action = peer.action('start', 'postgres', await peer.claim())
  await peer.deliver(peer.seal('act', action))
  await until('the start to begin', () => effects().includes('start postgres'))
  await end()
  await start()
  const { ending } = await peer.next('result', peer.heard.length)
  expect(ending).toMatchObject({ outcome: 'interrupted', observation: { state: 'running' } })
  expect(ending.reason).toContain('start it again')
  const again = await peer.ask('act', peer.action('start', 'postgres', await peer.claim()), 'result')
  expect(again.ending).toMatchObject({ outcome: 'changed' })
  expect(effects()).toEqual(['stop postgres', 'start postgres', 'start postgres'])
})

test('a reboot is begun once however often it is asked for, and the agent of the next boot knows that it took place', async () => {
  const { peer, effects, bootAgain } = await openScene()
  const action = peer.power('reboot', await peer.claim())
  const command = peer.seal('act', action)
  for (let copy = 0; copy < 20; copy++) await peer.deliver(command)
  await until('the command to have been run', () => effects().length > 0)
  await until('the agent to say that the host goes down', () => phases(peer).includes('waiting'))
  await bootAgain()
  const { ending } = await peer.next('result')
  expect(ending).toMatchObject({ outcome: 'changed', reason: 'the host has booted since' })
  for (let copy = 0; copy < 20; copy++) await peer.deliver(command)
  const { actions } = await peer.ask('inquire', { actions: [action['action']] }, 'report')
  expect(actions).toMatchObject([{ status: 'finished', ending: { outcome: 'changed' } }])
  expect(effects()).toEqual(['reboot host'])
})

test('an agent that is told to end while its host goes down takes leave', async () => {
  const { peer, end } = await openScene()
  await peer.deliver(peer.seal('act', peer.power('reboot', await peer.claim())))
  await until('the agent to say that the host goes down', () => phases(peer).includes('waiting'))
  await end()
  await until('its last word', () => phases(peer).at(-1) === 'leaving')
})

test('an agent that is ended by the shutdown before the command for it has ended takes leave all the same', async () => {
  const { peer, effects, set, clear, end } = await openScene()
  set('power.slow')
  await peer.deliver(peer.seal('act', peer.power('reboot', await peer.claim())))
  await until('the command to run', () => effects().includes('reboot host'))
  const ended = end()
  clear('power.slow')
  await ended
  await until('its last word', () => phases(peer).at(-1) === 'leaving')
})

test('a reboot of a boot that has ended is refused, and barred for good', async () => {
  const { peer, effects, bootAgain } = await openScene()
  const before = await peer.claim()
  await bootAgain()
  const action = { ...peer.power('reboot', await peer.claim()), boot: before.boot }
  expect(await peer.ask('act', action, 'refusal')).toMatchObject({ reason: 'boot', sealed: true })
  expect(effects()).toEqual([])
})

test('while a host goes down nothing is begun on it, and while something goes on there it does not go down', async () => {
  const { peer, effects, set } = await openScene()
  set('web.up')
  set('web.slow')
  await peer.deliver(peer.seal('act', peer.action('stop', 'web', await peer.claim())))
  const early = peer.power('reboot', await peer.claim())
  expect(await peer.ask('act', early, 'refusal')).toMatchObject({ reason: 'busy', sealed: true })
  await peer.next('result')
  await peer.deliver(peer.seal('act', peer.power('reboot', await peer.claim())))
  await until('the agent to say that the host goes down', () => phases(peer).includes('waiting'))
  const late = peer.action('start', 'web', await peer.claim())
  expect(await peer.ask('act', late, 'refusal')).toMatchObject({ reason: 'busy', sealed: true })
  expect(effects()).toEqual(['stop web', 'reboot host'])
})

test('a host that stays up has not halted, and a command that says no is no reboot', async () => {
  const { peer, set } = await openScene()
  const { ending: stayed } = await peer.ask('act', peer.power('halt', await peer.claim()), 'result')
  expect(stayed).toMatchObject({ outcome: 'failed' })
  expect(stayed.reason).toContain('the host is still up, in the same boot')
  set('power.refused')
  const { ending } = await peer.ask('act', peer.power('reboot', await peer.claim()), 'result')
  expect(ending).toMatchObject({ outcome: 'failed', output: { head: 'Access denied\n' } })
  expect(ending.reason).toContain('power.sh reboot: exit status 1')
})

test('a host that was halted by a run is free for others as soon as it is up again', async () => {
  const { peer, another, bootAgain } = await openScene()
  const rival = await another('r20260102-000000-test')
  await peer.deliver(peer.seal('act', peer.power('halt', await peer.claim())))
  await until('the agent to say that the host goes down', () => phases(peer).includes('waiting'))
  await bootAgain()
  expect((await rival.claim()).holder).toMatchObject({ run: 'r20260102-000000-test' })
})

test('an agent whose configuration says nothing of power neither reboots nor halts its host', async () => {
  const { peer, effects, start, end } = await openScene()
  await end()
  await start({ power: undefined })
  const action = peer.power('reboot', await peer.claim())
  expect(await peer.ask('act', action, 'refusal')).toMatchObject({
    reason: 'unknown-service',
    detail: "the reboot of its host is not in this agent's configuration",
  })
  expect(effects()).toEqual([])
})

function phases({ heard }: Peer): string[] {
  return heard.flatMap((answer) => (answer.type === 'progress' ? [answer.body.phase] : []))
}

test('a host that is frozen gives itself only to who will change nothing on it', async () => {
  const { peer, policy } = await openScene()
  policy('freeze: on\nbecause: the disks are being copied\n')
  const tasks = [{ verb: 'stop', service: 'web' }]
  const beacon = await peer.beacon()
  const claim = { takeOver: 'any', definitions: [], beacon }
  const refusal = await peer.ask('claim', { ...claim, tasks }, 'refusal')
  expect(refusal).toMatchObject({ refused: 'claim', reason: 'policy', holder: null })
  expect(refusal.detail).toMatch(/^frozen by .*policy\.yaml \(the disks are being copied\)$/)
  const report = await peer.ask('claim', { ...claim, tasks: [], beacon: await peer.beacon() }, 'report')
  expect(report.holder?.run).toBe(peer.run)
  expect(report.freeze).toEqual({ until: null, why: refusal.detail })
})

test('what a policy forbids is not begun, whatever the command says, and never will be', async () => {
  const { peer, policy, effects, set } = await openScene()
  set('web.up')
  const claimed = await peer.claim({ takeOver: 'any' })
  const action = peer.action('stop', 'web', claimed)
  const command = peer.seal('act', action)
  policy('allow: { services: db, operators: "root@*" }')
  const before = peer.heard.length
  await peer.deliver(command)
  const refusal = await peer.next('refusal', before)
  expect(refusal).toMatchObject({ refused: 'act', reason: 'policy', sealed: true, action: action['action'] })
  expect(refusal.detail).toContain('does not allow tester@here to stop web')
  // The host is thawed, and the same command comes again: it was barred for good.
  policy('')
  const after = peer.heard.length
  await peer.deliver(command)
  expect(await peer.next('refusal', after)).toMatchObject({ reason: 'sealed' })
  expect(effects()).toEqual([])
})

test('a freeze forbids a reboot as well, and what has begun before it ends', async () => {
  const { peer, policy, effects, set } = await openScene()
  set('web.up')
  set('web.slow')
  const claimed = await peer.claim()
  await peer.deliver(peer.seal('act', peer.action('stop', 'web', claimed)))
  await until('the script to begin', () => effects().includes('stop web'))
  policy('freeze: on')
  expect(await peer.next('result')).toMatchObject({ ending: { outcome: 'changed' } })
  const reboot = peer.power('reboot', { ...claimed, beacon: await peer.beacon() })
  expect(await peer.ask('act', reboot, 'refusal')).toMatchObject({ reason: 'policy', sealed: true })
  expect(effects()).toEqual(['stop web'])
})

test('a policy that cannot be read forbids everything, and says why', async () => {
  const { peer, policy, effects, set } = await openScene()
  set('web.up')
  const claimed = await peer.claim()
  policy('freze: on')
  const refusal = await peer.ask('act', peer.action('stop', 'web', claimed), 'refusal')
  expect(refusal).toMatchObject({ reason: 'policy', sealed: true })
  expect(refusal.detail).toMatch(/policy\.yaml cannot be read, so it forbids everything: .*freze/s)
  expect(effects()).toEqual([])
})
