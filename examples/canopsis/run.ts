import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { holdBackInterruption, type, walkThrough } from '../walkthrough.ts'
import { openCanopsis } from './home.ts'

// Does with Filo what `service` and `hypcontrol` do in a Canopsis.

const isInterrupted = holdBackInterruption()
await using canopsis = await openCanopsis()
process.stdout.write(`A Canopsis in the home of its user, ${canopsis.home}\n`)
const exit = await walkThrough(canopsis.home, isInterrupted, [
  type(0, 'import', 'hypcontrol', 'etc/hypcontrol.conf'),
  type(0, 'validate'),
  type(0, 'start', '--yes'),
  type(0, 'status'),
  type(0, 'restart', 'amqp2engines', '--yes'),
  type(0, 'restart', '--yes'),
  type(0, 'stop', '--yes'),
  type(3, 'status'), // as an init script's status: 3 is "not running"
  {
    tell: 'With this RabbitMQ as the broker of Filo itself, a plan that would stop it is refused:',
    act: speakThroughIt,
  },
  type(65, '-f', 'over-amqp.yaml', 'plan', 'stop', '--offline'),
])
if (exit === 0) process.stdout.write(`\nWhat the services themselves wrote down:\n\n${canopsis.log()}`)
process.exitCode = exit

/** Writes the same fleet with the RabbitMQ that is in it as its broker. */
function speakThroughIt(home: string): void {
  const fleet = readFileSync(join(home, 'filo.yaml'), 'utf8')
  const port = /tcp: 127\.0\.0\.1:(\d+)/.exec(fleet)![1]
  const broker = `broker: amqp://guest:guest@127.0.0.1:${port}`
  writeFileSync(join(home, 'over-amqp.yaml'), fleet.replace('broker: local', broker))
}
