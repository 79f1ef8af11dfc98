import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { until } from '../support/until.ts'
import { fleets } from './fleets.ts'
import { isOwned, ownerOf } from './lab-file.ts'
import { Lab } from './lab.ts'
import { hub, type Addressed } from './network.ts'
import { raiseLab, type RaisedLab } from './raise.ts'
import { obstacle } from './requirements.ts'

// `npm run lab`: the lab by hand. `up` keeps it up until Ctrl-C; the other commands are for another terminal.

const id = 'filo-lab'

const usage = `npm run lab -- COMMAND
  try FLEET               raise a fleet (${Object.keys(fleets).join(', ')}), stop and start it, take it away
  up FLEET                raise a fleet and keep it up until Ctrl-C
  filo ARGS...            filo, at the hub: status, plan stop, stop --yes ...
  exec HOST COMMAND...    a command on a host
  hub COMMAND...          a command at the hub, where broker and coordinator are
  hosts                   the hosts, their addresses, and whether they are up
  link HOST down|up       pull, plug in its cable
  partition HOST HOST     neither hears the other; a HOST may also be "hub"
  heal HOST HOST
  isolate HOST            nobody hears it, and it hears nobody
  rejoin HOST
  lose HOST PERCENT       drop packets at random, 0 to 99
  freeze HOST             every process of it stands still
  thaw HOST
  crash HOST              power loss; "boot" brings it back
  boot HOST
  reboot HOST             as typed by an administrator
  off HOST
  down                    end the lab, also one whose "up" was killed`

/** Keeps a lab up until it is told to end. */
async function up(name: string): Promise<void> {
  const ending = Promise.withResolvers<void>()
  for (const signal of endingSignals) process.on(signal, () => ending.resolve())
  await using _raised = await raise(name)
  console.log('in another terminal: npm run lab -- filo status; Ctrl-C here ends it')
  // Nothing else would keep the process from ending.
  const awake = setInterval(() => {}, 60_000)
  await ending.promise
  clearInterval(awake)
}

/** Shows what Filo does with a fleet. Ctrl-C reaches the command that runs, and then the lab is taken away. */
async function tryOut(name: string): Promise<void> {
  let isInterrupted = false
  for (const signal of endingSignals) process.on(signal, () => (isInterrupted = true))
  await using _raised = await raise(name)
  for (const { words, exit } of scenes) {
    if (isInterrupted) return
    console.log(`\n$ filo ${words}`)
    await filo(words.split(' '))
    if (process.exitCode !== exit) return
  }
  process.exitCode = 0
}

/** What is typed, with the exit code that it must have: of `status`, 3 is "not running". */
const scenes = [
  { words: 'start --yes', exit: 0 },
  { words: 'status', exit: 0 },
  { words: 'plan stop', exit: 0 },
  { words: 'stop --yes', exit: 0 },
  { words: 'status', exit: 3 },
  { words: 'start --yes', exit: 0 },
] as const

const endingSignals = ['SIGINT', 'SIGTERM'] as const

async function raise(name: string): Promise<RaisedLab> {
  const fleet = fleets[name]
  if (fleet === undefined) throw new Error(`no fleet named "${name}": ${Object.keys(fleets).join(', ')}`)
  const why = await obstacle()
  if (why !== undefined) throw new Error(`the lab cannot run here: ${why}`)
  const began = performance.now()
  const raised = await raiseLab(id, fleet)
  const seconds = Math.round((performance.now() - began) / 1000)
  console.log(`${[...raised.lab.hosts.keys()].join(', ')} are up, with ${name} on them, after ${seconds} s`)
  return raised
}

async function down(): Promise<void> {
  const lab = Lab.find(id)
  if (!isOwned(id)) return await lab.remove()
  process.kill(ownerOf(id).pid, 'SIGTERM')
  await until('the lab to end', () => !existsSync(lab.dir), { timeoutMs: 60_000 })
}

/** Runs a command on this terminal; its exit code becomes ours. */
async function pass(argv: readonly string[], cwd = '/'): Promise<void> {
  const [program, ...args] = argv
  const child = spawn(program!, args, { stdio: 'inherit', cwd })
  // Ctrl-C reaches it too, and it says when it has ended.
  process.on('SIGINT', () => {})
  const [code] = (await once(child, 'close')) as [number | null]
  process.exitCode = code ?? 1
}

function filo(args: readonly string[]): Promise<void> {
  const lab = Lab.find(id)
  const bin = new URL('../../packages/coordinator/bin/filo', import.meta.url).pathname
  const env = ['env', `FILO_STATE=${lab.desk}/.state`]
  return pass([...lab.network.enter('hub'), ...env, bin, ...args], lab.desk)
}

function hosts(lab: Lab): void {
  for (const { name, address, pid } of lab.hosts.values()) {
    console.log([name.padEnd(12), address.padEnd(12), pid === undefined ? 'off' : 'on'].join('  '))
  }
  console.log(`its desk, with filo.yaml: ${lab.desk}`)
}

async function tamper(command: string, [first = '', second = '']: readonly string[]): Promise<void> {
  const lab = Lab.find(id)
  const { network } = lab
  const other = (): Addressed => (second === 'hub' ? hub : lab.host(second))
  const host = lab.host(first)
  switch (command) {
    case 'link':
      if (second !== 'up' && second !== 'down') throw new Error('link HOST up, or link HOST down')
      return await network.setLink(host, second)
    case 'partition':
      return await network.partition(host, other())
    case 'heal':
      return await network.heal(host, other())
    case 'isolate':
      return await network.isolate(host)
    case 'rejoin':
      return await network.rejoin(host)
    case 'lose':
      return await network.lose(host, Number(second))
    case 'freeze':
      return host.freeze()
    case 'thaw':
      return host.thaw()
    case 'crash':
      return await host.crash()
    case 'boot':
      return await host.boot()
    case 'reboot':
      return await host.reboot()
    case 'off':
      return await host.powerOff()
    default:
      throw new Error(`no command ${command}; see: npm run lab`)
  }
}

const [command, ...args] = process.argv.slice(2)
try {
  if (command === undefined) console.log(usage)
  else if (command === 'up') await up(args[0] ?? '')
  else if (command === 'try') await tryOut(args[0] ?? '')
  else if (command === 'down') await down()
  else if (command === 'hosts') hosts(Lab.find(id))
  else if (command === 'filo') await filo(args)
  else if (command === 'exec')
    await pass(
      Lab.find(id)
        .host(args[0] ?? '')
        .argv(...args.slice(1)),
    )
  else if (command === 'hub') await pass([...Lab.find(id).network.enter('hub'), ...args])
  else await tamper(command, args)
} catch (error) {
  console.error(`lab: ${(error as Error).message}`)
  process.exitCode = 1
}
