import { spawn } from 'node:child_process'
import { findProgram, requireProgram } from './packages.ts'

// `npm test`: everything that says whether Filo works. First the checks that need nothing, then the tests of all
// tiers, for which it finds or installs the programs that they drive. Arguments go to vitest.

/** Programs that tests drive, and the Debian packages that they come in. */
const needed = [
  ['supervisord', 'supervisor'],
  ['svscan', 'daemontools'],
  ['redis-server', 'redis-server'],
  ['rabbitmq-server', 'rabbitmq-server'],
] as const

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
await run('tsc', [])
await run('oxlint', ['--type-aware', '--deny-warnings'])
await run('oxfmt', ['--check', '.'])
for (const [program, debianPackage] of needed) {
  const found = findProgram(program)
  if (found !== undefined) console.error(`${program}: ${found}`)
  // RabbitMQ can also come in a container: the tests that need it decide, and refuse by name where there is neither.
  else if (program === 'rabbitmq-server') await requireProgram(program, debianPackage).catch(console.error)
  else console.error(`${program}: ${await requireProgram(program, debianPackage)}`)
}
await run('vitest', ['run', '--project', '!lab', ...process.argv.slice(2)])
