import { spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'

// Starts a fleet of four real services in order, shows it, stops it in order, and shows what the services
// themselves wrote down meanwhile. All in a directory of its own, which is removed in the end.

const source = import.meta.dirname
const filo = join(source, '../../packages/coordinator/bin/filo')
const lastStoppedFirst = ['web', 'mail', 'application', 'database']

let interrupted = false

/** Copies the fleet, with the place of its scripts written into its file. */
function layOut(): string {
  const root = mkdtempSync(join(tmpdir(), 'filo-demo-'))
  for (const name of ['init.d', 'service.sh', 'daemon.sh']) {
    cpSync(join(source, name), join(root, name), { recursive: true })
  }
  const fleet = readFileSync(join(source, 'filo.yaml'), 'utf8')
  writeFileSync(join(root, 'filo.yaml'), fleet.replaceAll('/tmp/filo-demo', root))
  return root
}

/** Shows the command line, carries it out in the fleet's directory, and gives its exit code. */
async function type(root: string, ...words: string[]): Promise<number> {
  process.stdout.write(`\n$ filo ${words.join(' ')}\n`)
  const child = spawn(filo, words, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, FILO_STATE: join(root, 'state') },
  })
  const passOn = (): void => void child.kill('SIGTERM')
  process.once('SIGTERM', passOn)
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal!]))
    })
  } finally {
    process.off('SIGTERM', passOn)
  }
}

/** Each command with the exit code that it must have; the first other one ends the demo. */
const commands: readonly (readonly [exit: number, ...words: string[]])[] = [
  [0, 'validate'],
  [0, 'start', '--yes'],
  [0, 'status'],
  [0, 'stop', '--yes'],
  [3, 'status'], // as an init script's status: 3 is "not running"
]

async function show(root: string): Promise<number> {
  process.stdout.write(`Four services on four hosts, all of them on this machine, in ${root}\n`)
  for (const [expected, ...words] of commands) {
    const exit = await type(root, ...words)
    if (interrupted) return 130
    if (exit !== expected) {
      process.stderr.write(
        `\nthe demo ends here: filo ${words.join(' ')} exited with ${exit}, not ${expected}\n`,
      )
      return 1
    }
  }
  process.stdout.write(`\nWhat the services themselves wrote down:\n\n`)
  process.stdout.write(readFileSync(join(root, 'services.log'), 'utf8'))
  process.stdout.write('\nThis fleet as a file: examples/demo/filo.yaml. Your own: see README.md.\n')
  return 0
}

function cleanUp(root: string): void {
  for (const name of lastStoppedFirst) {
    const script = join(root, 'init.d', name)
    if (existsSync(script)) spawnSync(script, ['stop'], { stdio: 'ignore' })
  }
  rmSync(root, { recursive: true, force: true })
}

// The command ends in order, and then the demo does. Ctrl-C reaches both of them by itself.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => (interrupted = true))

const root = layOut()
try {
  process.exitCode = await show(root)
} finally {
  cleanUp(root)
}
