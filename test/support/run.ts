import { spawn } from 'node:child_process'
import { findProgram, requirePrograms, type Needed } from './packages.ts'

// `npm test`: everything that says whether Filo works. First the checks that need nothing, then the tests of all
// tiers, for which it finds or installs the programs that they drive. Arguments go to the vitest of the latter.

/** Programs that tests drive, and the Debian packages that they come in. */
const needed: readonly Needed[] = [
  ['supervisord', 'supervisor'],
  ['svscan', 'daemontools'],
  ['redis-server', 'redis-server'],
  ['nats-server', 'nats-server'],
  ['socat', 'socat'],
]
/** It can also come in a container: the tests that need it decide, and refuse by name where there is neither. */
const broker: Needed = ['rabbitmq-server', 'rabbitmq-server']

async function run(command: string, args: readonly string[]): Promise<void> {
  console.error(`\n> ${command} ${args.join(' ')}`)
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (status, signal) => resolve(signal === null ? (status ?? 1) : 1))
  })
  if (code !== 0) process.exit(code)
}

const [major, minor] = process.versions.node.split('.').map(Number) as [number, number]
if (major < 24 || (major === 24 && minor < 15)) {
  console.error(
    `Node ${process.versions.node} is too old: run "npm ci" first, which brings Node 24, then "npm test"`,
  )
  process.exit(1)
}
await run('npm', ['run', 'check'])
await requirePrograms([...needed, broker]).catch(async (error: unknown) => {
  console.error(error)
  await requirePrograms(needed)
})
for (const [program] of [...needed, broker]) console.error(`${program}: ${findProgram(program)}`)
const asked = process.argv.slice(2)
// The checks have run all unit tests already.
await run('vitest', ['run', ...(asked.length === 0 ? ['--project', '!unit'] : asked)])
