import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { AgentProcess } from './support/agent-process.ts'
import { startBroker, type Broker } from './support/broker.ts'
import { spyOnBroker } from './support/broker-spy.ts'
import { canaries, leaksBelow, leaksIn, printingCommand } from './support/canaries.ts'
import { filo, startFilo } from './support/filo.ts'
import { tempDir } from './support/temp-dir.ts'
import { atTerminal } from './support/terminal.ts'
import { until } from './support/until.ts'

let broker: Broker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker[Symbol.asyncDispose]())

test('twenty secrets that a service prints pass through no broker, and reach no terminal, log or consumer', async () => {
  using dir = tempDir()
  const cwd = dir.path
  // Beside what is looked through: the scripts and the file of secrets have them by right.
  using own = tempDir()
  const secrets = join(own.path, 'secrets')
  writeFileSync(secrets, `${canaries.slice(10).join('\n')}\n`)
  const scripts = join(own.path, 'scripts')
  mkdirSync(scripts)
  const command = printingCommand(scripts, true)
  const services = { web: { hosts: 'h1', command, settle: '0s' } }
  const fleet = { fleet: 'test', broker: broker.url, secrets, hosts: { h1: null }, services }
  writeFileSync(join(cwd, 'filo.yaml'), JSON.stringify(fleet))
  const agentDir = join(cwd, 'agents', 'h1')
  for (const args of [
    ['keys', 'init', '--hosts'],
    ['agent-config', 'h1', '-o', agentDir],
  ]) {
    expect(await filo(args, { cwd })).toMatchObject({ code: 0 })
  }
  await using spy = await spyOnBroker(broker.url)
  await using agent = new AgentProcess('h1', agentDir)
  await agent.start()
  const file = join(cwd, 'audit.jsonl')
  await using follower = startFilo(['audit', 'follow', '--to', file], { cwd, timeoutMs: 200_000 })
  await follower.untilSays(/following as/)

  await using failing = await atTerminal(cwd, 'start --yes')
  expect(await failing.code).toBe(2)
  expect(failing.screen(), 'what it printed is shown').toContain('password=*****')
  printingCommand(scripts)
  await using starting = await atTerminal(cwd, 'start --yes')
  expect(await starting.code).toBe(0)
  const stopped = await filo(['stop', '--yes', '--jsonl'], { cwd })
  expect(stopped).toMatchObject({ code: 0 })
  const released = (): number => readFileSync(file, 'utf8').split('filo.claim.released').length - 1
  await until('the events of all three runs', () => released() === 3)
  const { stdout: runs } = await filo(['runs', '--jsonl'], { cwd })
  const shown = await Promise.all(
    runs
      .split('\n')
      .filter(Boolean)
      .flatMap((line) => {
        const { run } = JSON.parse(line) as { run: string }
        return [filo(['show', run], { cwd }), filo(['audit', 'show', run, file], { cwd })]
      }),
  )
  expect(spy.seen.filter((content) => content.includes('login as root/******')).length).toBeGreaterThan(2)
  expect(agent.log).not.toBe('')
  expect({
    messages: leaksIn(spy.seen.join('\n')),
    terminal: leaksIn(`${failing.screen()}${starting.screen()}`),
    said: leaksIn([stopped, ...shown].flatMap(({ stdout, stderr }) => [stdout, stderr]).join('\n')),
    log: leaksIn(agent.log),
    files: leaksBelow(cwd),
  }).toEqual({ messages: [], terminal: [], said: [], log: [], files: [] })
}, 240_000)
