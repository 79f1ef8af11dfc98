import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { AgentProcess } from '../../test/support/agent-process.ts'
import { startNats } from '../../test/support/nats.ts'
import { until } from '../../test/support/until.ts'
import { holdBackInterruption, layOut, type, walkThrough } from '../walkthrough.ts'

// The fleet of the demo with a broker and an agent for each host; one of its services refuses to stop, and the
// consumer says so.

const demo = join(import.meta.dirname, '../demo')
const lastStoppedFirst = ['web', 'mail', 'application', 'database']
const hosts = ['db1', 'app1', 'mail1', 'web1']

const isInterrupted = holdBackInterruption()
await using stack = new AsyncDisposableStack()
const broker = stack.use(await startNats())
const root = layOut('demo', demo, ['init.d', 'service.sh', 'daemon.sh'])
stack.defer(() => rmSync(root, { recursive: true, force: true }))
const fleet = join(root, 'filo.yaml')
writeFileSync(fleet, readFileSync(fleet, 'utf8').replace('broker: local', `broker: ${broker.url}`))

const application = join(root, 'init.d/application')
const asItWas = readFileSync(application, 'utf8')
const refusal = `[ "$1" != stop ] || { echo 'mail is still queued'; exit 1; }`

/** Listens until this example ends; what it prints is printed here too. */
function startConsumer(): { readonly said: () => string } {
  const consumer = join(import.meta.dirname, 'consumer.ts')
  const child = spawn(process.execPath, [consumer, broker.url, 'pager'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    // Ctrl-C is for the commands: it ends after them.
    detached: true,
  })
  const ended = once(child, 'close')
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
    process.stdout.write(text.replaceAll(/^(?=.)/gm, '[pager] '))
  })
  stack.defer(async () => {
    child.kill('SIGINT')
    await ended
  })
  return { said: () => said }
}

async function startAgents(): Promise<void> {
  stack.defer(() => {
    writeFileSync(application, asItWas)
    for (const name of lastStoppedFirst) spawnSync(join(root, 'init.d', name), ['stop'], { stdio: 'ignore' })
  })
  await Promise.all(hosts.map((host) => stack.use(new AgentProcess(host, join(root, host))).start()))
}

const pager = startConsumer()
process.exitCode = await walkThrough(root, isInterrupted, [
  type(0, 'keys', 'init', '--hosts'),
  ...hosts.map((host) => type(0, 'agent-config', host, '-o', host)),
  { tell: 'An agent for each host:', act: startAgents },
  type(0, 'start', '--yes'),
  {
    tell: 'The application refuses to stop from now on:',
    act: () => writeFileSync(application, asItWas.replace('#!/bin/sh\n', `#!/bin/sh\n${refusal}\n`)),
  },
  type(2, 'stop', '--yes'),
  {
    tell: 'The consumer has said so, or does now:',
    act: () => until('the consumer to say it', () => pager.said() !== '', { timeoutMs: 30_000 }),
  },
])
