import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../test/support/free-port.ts'
import { until } from '../../test/support/until.ts'
import { layOut } from '../walkthrough.ts'

// The home of the user that Canopsis runs as, with a supervisord of its own.

/** A Canopsis of one's own, with all of its services stopped. Disposing ends and removes all of it. */
export interface Canopsis extends AsyncDisposable {
  readonly home: string
  /** What the services themselves wrote down. */
  log(): string
}

const bounds = { timeoutMs: 20_000, intervalMs: 50 }
const scripts = ['mongodb', 'rabbitmq-server']

/** Throws where a program that it drives is not on this machine. */
export async function openCanopsis(): Promise<Canopsis> {
  const missing = ['supervisord', 'redis-server', 'epmd'].filter(
    (program) => spawnSync('which', [program]).status !== 0,
  )
  if (missing.length > 0) {
    throw new Error(
      `this example drives real programs (${missing.join(', ')} not found): ` +
        'apt-get install --no-install-recommends supervisor redis-server rabbitmq-server',
    )
  }
  const home = layOut('canopsis', import.meta.dirname, ['etc', 'lib'])
  mkdirSync(join(home, 'var'))
  writeFileSync(join(home, 'var/services.log'), '')
  const [amqp, distribution, epmd] = [await freePort(), await freePort(), await freePort()]
  edit(join(home, 'etc/ports.sh'), { 5673: amqp, 25673: distribution, 4370: epmd })
  edit(join(home, 'filo.yaml'), { 5673: amqp })
  const configuration = join(home, 'etc/supervisord.conf')
  const child = spawn('supervisord', ['--nodaemon', '--configuration', configuration], {
    stdio: 'ignore',
    detached: true,
    env: { ...process.env, HOME: home },
  })
  await until('supervisord to listen', () => existsSync(join(home, 'var/s.sock')), bounds)
  return {
    home,
    log: () => readFileSync(join(home, 'var/services.log'), 'utf8'),
    async [Symbol.asyncDispose]() {
      // It ends its programs before itself.
      child.kill()
      for (const script of scripts) execFileSync(join(home, 'etc/init.d', script), ['stop'])
      spawnSync('epmd', ['-port', String(epmd), '-kill'], { stdio: 'ignore' })
      await until('supervisord to end', () => child.exitCode !== null || child.signalCode !== null, bounds)
      rmSync(home, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/** Writes other ports into a file. */
function edit(file: string, ports: Readonly<Record<number, number>>): void {
  const text = readFileSync(file, 'utf8')
  writeFileSync(
    file,
    text.replaceAll(/\b\d{4,5}\b/g, (port) => String(ports[Number(port)] ?? port)),
  )
}
