import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { sha256, type Act, type Message } from '@filo/protocol'
import { beforeAll, expect, test } from 'vitest'
import { fourInARow } from '../support/fleet-file.ts'
import type { Fleet } from '../support/fleet.ts'
import { openForFile } from '../support/fleet-of-file.ts'
import { startBroker, type Broker } from '../support/broker.ts'
import { useBuiltPrograms } from '../support/built-programs.ts'
import { until } from '../support/until.ts'
import type { Campaign, Target } from './support/hostile-peer.ts'
import { Wiretap, type Frame } from './support/wiretap.ts'

// A peer with all rights on the broker, with everything that was ever said, and with the key of web's agent, floods
// the mailboxes of all agents and of a coordinator in the midst of a run. None of it does anything; everybody's memory
// stays small; and the run ends as it should.

const seed = Number(process.env['FILO_SEED'] ?? 1)
const messages = Number(process.env['FILO_MESSAGES'] ?? 1_000_000)
const agentMemoryMb = 200
const coordinatorMemoryMb = 400
const program = fileURLToPath(new URL('support/hostile-peer.ts', import.meta.url))

// What hosts get is what must stay small.
useBuiltPrograms()

let broker: Broker
let fleet: Fleet
let wiretap: Wiretap
openForFile(
  startBroker,
  {
    ...fourInARow,
    mail: { needs: 'app', more: 'stop_timeout: 1h' },
  },
  (opened) => ({ broker, fleet } = opened),
)
beforeAll(async () => {
  wiretap = await Wiretap.open(broker.url, fleet.agents.keys())
})

/** The most memory that a process has had, mebibytes; proc_pid_status(5). */
function peakMemoryMb(pid: number): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024
}

/** How many messages an agent says at least that it dropped: it tells of each power of two, by why. */
function droppedBy(log: string): number {
  const most = new Map<string, number>()
  for (const [, why, count] of log.matchAll(/"why":"([\w-]+)","count":(\d+)/g)) {
    most.set(why!, Math.max(most.get(why!) ?? 0, Number(count)))
  }
  return [...most.values()].reduce((sum, count) => sum + count, 0)
}

function bodyOf({ content }: Frame): { readonly bytes: Buffer; readonly body: Act } {
  const { payload } = JSON.parse(content.toString()) as { payload: string }
  const bytes = Buffer.from(payload, 'base64')
  return { bytes, body: JSON.parse(bytes.toString()) as Act }
}

/** Results that say that what `frame` asked for is done, and commands to do it again, by whoever has a key to sign. */
function forge(frame: Frame): Message[] {
  const { bytes, body: act } = bodyOf(frame)
  const voice = {
    fleet: act.fleet,
    coordinator: act.coordinator,
    inReplyTo: sha256(bytes),
    incarnation: randomUUID(),
    boot: randomUUID(),
    ledger: randomUUID(),
    answer: 1_000_000,
    beacon: act.beacon,
    clock: new Date().toISOString(),
    head: { sequence: 1, hash: '0'.repeat(64) },
  }
  const ending = { outcome: 'changed', reason: 'surely', durationMs: 1 }
  const { run, step, action } = act
  const result = { ...voice, run, step, action, isRepeated: false, ending }
  const refusal = {
    ...voice,
    refused: 'act',
    reason: 'beacon',
    detail: '',
    action,
    sealed: true,
    holder: null,
  }
  return [
    // Of the host that was asked, which is not the key's; and of the key's, which was not asked.
    { type: 'result', body: { ...result, host: act.host } },
    { type: 'result', body: { ...result, host: 'web-host' } },
    { type: 'refusal', body: { ...refusal, host: act.host } },
    { type: 'refusal', body: { ...refusal, host: 'web-host' } },
    { type: 'act', body: { ...act, action: randomUUID(), nonce: randomUUID() } },
    { type: 'act', body: { ...act, grant: 1, action: randomUUID(), nonce: randomUUID() } },
  ] as Message[]
}

test(`${messages} messages of a hostile peer have no effect, fill no memory, and a run ends in their midst`, async () => {
  await fleet.bringUp()
  expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
  await fleet.bringUp()
  const { services } = fleet
  services.hold('mail')
  await using stop = fleet.start(['stop', '--yes', '--patience', '5m'], { timeoutMs: 1_500_000 })
  await services.untilAsked('mail', 'stop')
  const asked = wiretap.frames.findLast(({ host, type }) => host === 'mail-host' && type === 'act')!
  const { coordinator } = bodyOf(asked).body

  // The coordinator has had its share while the agents still get theirs: the rest of the run is in the midst of it.
  const share = Math.floor(messages * 0.2425)
  const targets: Target[] = [...fleet.agents.values()].map(({ host, pid }) => ({
    exchange: 'filo.agents',
    key: `filo.agent.${host}`,
    pid,
    messages: share,
  }))
  targets.push({
    exchange: 'filo.coordinators',
    key: `filo.coordinator.${coordinator}`,
    pid: stop.pid,
    messages: messages - targets.reduce((sum, target) => sum + target.messages, 0),
  })
  const campaign: Campaign = {
    url: broker.url,
    seed,
    targets,
    overheard: wiretap.frames.map(({ content }) => content.toString('base64')),
    key: readFileSync(join(fleet.path, '.state', 'test', 'keys', 'hosts', 'web-host.key'), 'utf8'),
    forgeries: wiretap.frames.filter(({ type }) => type === 'act').flatMap(forge),
  }
  // It would have a copy of the flood too.
  await wiretap[Symbol.asyncDispose]()
  const file = join(fleet.path, 'campaign.json')
  writeFileSync(file, JSON.stringify(campaign))
  const startedAt = performance.now()
  const peer = spawn(process.execPath, [program, file], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(peer, 'exit')
  const told: { key: string; counts: Record<string, number>; returned: number }[] = []
  let text = ''
  peer.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  try {
    await until(
      'the coordinator to have been flooded',
      () => text.includes('filo.coordinator.') || peer.exitCode !== null || stop.stdout() !== '',
      { timeoutMs: 1_500_000, intervalMs: 200 },
    )
    expect(stop.stdout() + stop.stderr(), 'the run goes on').not.toContain('What to type next')
    // Everybody was told that all is done, and nothing is but what was.
    expect(services.effects()).toEqual(['web down'])
    expect(services.requests()).toEqual(['web stop', 'mail stop'])
    const coordinatorMb = peakMemoryMb(stop.pid)
    services.letGo('mail')
    const end = await stop.ended
    expect(end.code, end.stdout + end.stderr).toBe(0)
    const endedInMidst = peer.exitCode === null
    expect(services.requests()).toEqual(['web stop', 'mail stop', 'app stop', 'db stop'])
    expect(services.effects()).toEqual(['web down', 'mail down', 'app down', 'db down'])

    await ended
    const seconds = (performance.now() - startedAt) / 1000
    told.push(
      ...text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as (typeof told)[0]),
    )
    const sent = told.flatMap(({ counts }) => Object.values(counts)).reduce((sum, count) => sum + count, 0)
    const agentsMb = [...fleet.agents.values()].map(({ pid }) => peakMemoryMb(pid))
    process.stderr.write(
      `${sent} hostile messages in ${seconds.toFixed(0)} s, ${Math.round(sent / seconds)} a second; at ` +
        `most ${Math.max(...agentsMb).toFixed(0)} MB in an agent, ` +
        `${coordinatorMb.toFixed(0)} MB in the coordinator\n`,
    )
    expect(sent).toBe(messages)
    expect(told.map(({ returned }) => returned)).toEqual(told.map(() => 0))
    for (const { host, log } of fleet.agents.values()) expect(droppedBy(log), host).toBeGreaterThan(share / 4)
    expect(endedInMidst, 'the run ended while hostile messages still came').toBe(true)
    expect(Math.max(...agentsMb)).toBeLessThan(agentMemoryMb)
    expect(coordinatorMb).toBeLessThan(coordinatorMemoryMb)
  } finally {
    peer.kill('SIGKILL')
  }

  // Everybody is as well as before.
  services.forget()
  expect(await fleet.filo('start', '--yes')).toMatchObject({ code: 0 })
  expect(services.effects()).toEqual(['db up', 'app up', 'mail up', 'web up'])
}, 1_800_000)
