import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openHost, openLog } from '@filo/agent'
import { makeKeyPair, MemoryBroker, readBootId, Redactor, type HostDefinition } from '@filo/protocol'
import { expect, test } from 'vitest'
import { canaries, leaksBelow, leaksIn, printingCommand } from './support/canaries.ts'
import { filo } from './support/filo.ts'
import { Peer } from './support/peer.ts'
import { tempDir } from './support/temp-dir.ts'

test('twenty secrets that services print as they start and stop stand in no file, message or log', async () => {
  using dir = tempDir()
  const scripts = join(dir.path, 'scripts')
  const stateDir = join(dir.path, 'state')
  mkdirSync(scripts)
  const definition: HostDefinition = {
    fleet: 'test',
    host: 'h1',
    services: [
      {
        service: 'web',
        manager: { kind: 'command', ...printingCommand(scripts) },
        startTimeoutMs: 20_000,
        stopTimeoutMs: 20_000,
        settleMs: 0,
      },
    ],
    hooks: [],
  }
  const redactor = new Redactor(canaries.slice(10))
  const broker = new MemoryBroker()
  const keys = makeKeyPair()
  const peer = await new Peer(broker.connect(), definition, keys).open()
  let logged = ''
  const log = openLog(redactor, { level: 'trace' }, { write: (line) => void (logged += line) })
  {
    await using _agent = await openHost({
      definition,
      identity: { key: keys.signing, trusted: () => peer.keys.verifying },
      transport: broker.connect(),
      stateDir,
      isActing: true,
      isRelayed: true,
      boot: readBootId(),
      redactor,
      log,
    })
    const claimed = await peer.claim()
    for (const verb of ['start', 'stop'] as const) {
      const result = await peer.ask(
        'act',
        { ...peer.action(verb, 'web', claimed), beacon: await peer.beacon() },
        'result',
      )
      expect(result.ending.outcome).toBe('changed')
      expect(result.ending.output!.head).toContain('login as root/******')
      expect(result.ending.output!.tail).toContain('from behind: ******')
    }
    await peer.ask('observe', { services: ['web'], settle: false }, 'report')
  }
  expect(readFileSync(join(stateDir, 'output', 'web.log'), 'utf8')).toContain('from behind: *****')
  expect({
    messages: leaksIn(JSON.stringify(peer.heard)),
    logs: leaksIn(logged),
    files: leaksBelow(stateDir),
  }).toEqual({ messages: [], logs: [], files: [] })
})

test('a run of a fleet in one process keeps and shows none of them either, failed or not', async () => {
  using dir = tempDir()
  const scripts = join(dir.path, 'scripts')
  mkdirSync(scripts)
  const secrets = join(dir.path, 'secrets')
  writeFileSync(secrets, `${canaries.slice(10).join('\n')}\n`)
  const write = (failing: boolean): void => {
    const command = printingCommand(scripts, failing)
    const services = { web: { hosts: 'h1', command, settle: '0s' } }
    const fleet = { fleet: 'test', broker: 'local', secrets, hosts: { h1: null }, services }
    writeFileSync(join(dir.path, 'filo.yaml'), JSON.stringify(fleet))
  }
  write(true)
  const options = { cwd: dir.path, env: { FILO_LOG: 'trace' } }
  const failed = await filo(['start', '--yes', '--jsonl'], options)
  expect(failed.code).toBe(2)
  write(false)
  const done = await filo(['start', '--yes', '--jsonl'], options)
  expect(done.code).toBe(0)
  const shown = await filo(['audit', 'verify'], options)
  expect(shown.code).toBe(0)
  const said = [failed, done].flatMap(({ stdout, stderr }) => [stdout, stderr])
  expect(leaksIn(said.join())).toEqual([])
  expect(leaksBelow(join(dir.path, '.state'))).toEqual([])
})
