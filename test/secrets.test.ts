import { chmodSync, globSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openHost, openLog } from '@filo/agent'
import { makeKeyPair, MemoryBroker, readBootId, Redactor, type HostDefinition } from '@filo/protocol'
import { expect, test } from 'vitest'
import { filo } from './support/filo.ts'
import { Peer } from './support/peer.ts'
import { tempDir } from './support/temp-dir.ts'

/** Each is printed in its own way; the last ten are known by the file of secrets only. */
const canaries = Array.from({ length: 20 }, (_, at) => `canary-${String(at).padStart(2, '0')}-Wq7x9Lm2`)

/** What a shell has to print so that the canary is in it. */
const ways: ((canary: string) => string)[] = [
  (canary) => `echo "password=${canary}"`,
  (canary) => `echo '{"api_key": "${canary}"}'`,
  (canary) => `echo "Authorization: Bearer ${canary}" >&2`,
  (canary) => `echo "cannot reach amqp://filo:${canary}@broker:5672/lists"`,
  (canary) => `echo "DB_PASSWD='${canary}' was refused" >&2`,
  (canary) => `printf -- '-----BEGIN PRIVATE KEY-----\\n${canary}\\n-----END PRIVATE KEY-----\\n'`,
  (canary) => `echo "mysql --password ${canary} -e stop"`,
  (canary) => `printf 'secret: '; sleep 0.3; echo ${canary}`,
  (canary) => `echo "identified by '${canary}'"`,
  (canary) => `echo "token=${canary}&user=x"`,
  (canary) => `echo "${canary}"`,
  (canary) => `printf ${canary.slice(0, 9)}; sleep 0.3; echo '${canary.slice(9)}'`,
  (canary) => `echo "login as root/${canary} failed" >&2`,
  (canary) => `printf '\\033[1m${canary}\\033[0m\\n'`,
  (canary) => `head -c 16380 /dev/zero | tr '\\0' x; echo "${canary}"`,
  (canary) => `printf '${canary}'`,
  (canary) => `echo "${Buffer.from(canary).toString('base64')}"`,
  (canary) => `echo "a${canary}b"`,
  (canary) => `printf 'x\\r${canary}\\r'`,
  (canary) => `(sleep 0.2; echo "from behind: ${canary}") & wait`,
]

/** A script that prints every canary, and does what it is for, or fails. */
function script(path: string, does: string): string[] {
  writeFileSync(path, ['#!/bin/sh', ...canaries.map((canary, at) => ways[at]!(canary)), does, ''].join('\n'))
  chmodSync(path, 0o755)
  return [path]
}

function argvs(dir: string, failing = false) {
  const state = join(dir, 'up')
  return {
    start: script(join(dir, 'start'), failing ? `echo "password=${canaries[0]}"; exit 1` : `touch ${state}`),
    stop: script(join(dir, 'stop'), `rm -f ${state}`),
    // LSB: 0 runs, 3 does not; what it prints is shown as the service's detail.
    status: script(join(dir, 'status'), `test -e ${state} && exit 0; exit 3`),
  }
}

/** The canaries, and the base64 of them, that stand in a text. */
function leaksIn(text: string): string[] {
  return canaries.filter(
    (canary) => text.includes(canary) || text.includes(Buffer.from(canary).toString('base64')),
  )
}

function leaksBelow(dir: string): string[] {
  const files = globSync('**/*', { cwd: dir }).map((name) => join(dir, name))
  return files
    .filter((file) => statSync(file).isFile())
    .flatMap((file) => leaksIn(readFileSync(file, 'latin1')).map((canary) => `${canary} in ${file}`))
}

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
        manager: { kind: 'command', ...argvs(scripts) },
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
    const command = argvs(scripts, failing)
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
