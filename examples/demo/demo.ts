import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { holdBackInterruption, layOut, type, walkThrough } from '../walkthrough.ts'

// Starts a fleet of four real services in order, shows it, stops it in order, and shows what the services
// themselves wrote down meanwhile. All in a directory of its own, which is removed in the end.

const lastStoppedFirst = ['web', 'mail', 'application', 'database']

async function show(root: string): Promise<number> {
  process.stdout.write(`Four services on four hosts, all of them on this machine, in ${root}\n`)
  const exit = await walkThrough(root, isInterrupted, [
    type(0, 'validate'),
    type(0, 'start', '--yes'),
    type(0, 'status'),
    type(0, 'stop', '--yes'),
    type(3, 'status'), // as an init script's status: 3 is "not running"
  ])
  if (exit !== 0) return exit
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

const isInterrupted = holdBackInterruption()
const root = layOut('demo', import.meta.dirname, ['init.d', 'service.sh', 'daemon.sh'])
try {
  process.exitCode = await show(root)
} finally {
  cleanUp(root)
}
