import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { requirePrograms } from '../test/support/packages.ts'
import { compileFloor } from './floor.ts'
import { orderOf, verbs, type LayeredFleet, type Verb } from './layered-fleet.ts'
import { succeed } from './succeed.ts'

const run = promisify(execFile)

/** What does the whole work: a stop of everything, then a start. */
export interface Contender {
  readonly name: string
  readonly commands: readonly Command[]
  /** Whether services are asked nothing but their status after each action. */
  readonly onlyProves: boolean
}

export interface Command {
  readonly verbs: readonly Verb[]
  readonly carryOut: () => unknown
}

export function floor(dir: string, fleet: LayeredFleet): Contender {
  const carryOut = compileFloor(dir, fleet)
  return { name: 'floor', commands: oneForEach(carryOut), onlyProves: true }
}

/** Two commands, or one that does both. */
export function filos(dir: string): Contender[] {
  const restart = { verbs, carryOut: () => succeed(dir, 'restart', '--yes') }
  return [
    {
      name: 'filo stop + start',
      commands: oneForEach((verb) => succeed(dir, verb, '--yes')),
      onlyProves: false,
    },
    { name: 'filo restart', commands: [restart], onlyProves: false },
  ]
}

/**
 * Programs of Debian that do the same over connections that ssh has open: on all hosts of a layer at once the
 * action and then the status in one remote command, and the next layer when all of these have succeeded.
 * @param config of ssh.
 */
export async function peers(dir: string, fleet: LayeredFleet, config: string): Promise<Contender[]> {
  await requirePrograms([
    ['clush', 'clustershell'],
    ['ansible-playbook', 'ansible-core'],
  ])
  return [shell(dir, fleet, config), clush(dir, fleet, config), ...ansible(dir, fleet, config)]
}

/** What peers are, for the record. */
export async function versionsOfPeers(): Promise<Record<string, string>> {
  const [ssh, clustershell, core] = await Promise.all([
    run('ssh', ['-V']),
    run('clush', ['--version']),
    run('ansible-playbook', ['--version']),
  ])
  return {
    ssh: ssh.stderr.split(',')[0]!,
    clush: clustershell.stdout.trim(),
    ansible: core.stdout.split('\n')[0]!,
  }
}

/** xargs(1) with an ssh for each host of a layer. */
function shell(dir: string, fleet: LayeredFleet, config: string): Contender {
  return byScript(dir, 'shell', fleet, (verb, layer) => {
    const remote = remoteCommand(fleet, verb)
    return `printf '%s\\n' ${layer.join(' ')} | xargs -P 0 -I '{}' ssh -F ${config} '{}' '${remote}'`
  })
}

/** See clush.conf(5). */
function clush(dir: string, fleet: LayeredFleet, config: string): Contender {
  const fanout = Math.max(...fleet.layers.map((layer) => layer.length))
  const conf = join(dir, 'clush.conf')
  writeFileSync(conf, `[Main]\nfanout: ${fanout}\ncolor: never\nssh_options: -F ${config}\n`)
  return byScript(dir, 'clush', fleet, (verb, layer) => {
    const remote = remoteCommand(fleet, verb)
    return `clush --conf=${conf} --nostdin -S -w ${layer.join(',')} '${remote}'`
  })
}

/** One play a layer, as one playbook for each verb, or one for both. */
function ansible(dir: string, fleet: LayeredFleet, config: string): Contender[] {
  const own = join(dir, 'ansible')
  mkdirSync(own)
  const groups = fleet.layers.map((layer, at) => `[layer${at}]\n${layer.join('\n')}\n`)
  writeFileSync(join(own, 'hosts'), groups.join('\n'))
  writeFileSync(join(own, 'ansible.cfg'), ansibleConfig(own, config))
  const play = (verb: Verb, layer: readonly string[]): object => ({
    hosts: `layer${fleet.layers.indexOf(layer)}`,
    gather_facts: false,
    any_errors_fatal: true,
    tasks: [{ raw: remoteCommand(fleet, verb) }],
  })
  const playbook = (...of: readonly Verb[]): Command => {
    const file = join(own, `${of.join('-')}.json`)
    const plays = of.flatMap((verb) => orderOf(fleet, verb).map((layer) => play(verb, layer)))
    writeFileSync(file, JSON.stringify(plays))
    const env = { ...environment(own), ANSIBLE_CONFIG: join(own, 'ansible.cfg') }
    return { verbs: of, carryOut: () => run('ansible-playbook', [file], { env, ...limits }) }
  }
  const onlyProves = true
  return [
    { name: 'ansible', commands: verbs.map((verb) => playbook(verb)), onlyProves },
    { name: 'ansible, one playbook', commands: [playbook(...verbs)], onlyProves },
  ]
}

/** No terminal at the other end and nothing printed of what succeeds, both of which take time. */
function ansibleConfig(own: string, config: string): string {
  return `
[defaults]
inventory = ${join(own, 'hosts')}
forks = 50
gathering = explicit
display_ok_hosts = False
retry_files_enabled = False
[ssh_connection]
ssh_args = -F ${config}
pipelining = True
usetty = False
`
}

function remoteCommand({ service }: LayeredFleet, verb: Verb): string {
  const proof = verb === 'start' ? `${service} status $NAME` : `{ ${service} status $NAME; [ $? = 3 ]; }`
  return `${service} ${verb} $NAME && ${proof}`
}

function byScript(
  dir: string,
  name: string,
  fleet: LayeredFleet,
  line: (verb: Verb, layer: readonly string[]) => string,
): Contender {
  for (const verb of verbs) {
    const lines = orderOf(fleet, verb).map((layer) => line(verb, layer))
    writeFileSync(join(dir, `${name}-${verb}.sh`), ['set -e', ...lines, ''].join('\n'))
  }
  const carryOut = (verb: Verb): unknown =>
    run('sh', [join(dir, `${name}-${verb}.sh`)], { env: environment(dir), ...limits })
  return { name, commands: oneForEach(carryOut), onlyProves: true }
}

function oneForEach(carryOut: (verb: Verb) => unknown): Command[] {
  return verbs.map((verb) => ({ verbs: [verb], carryOut: () => carryOut(verb) }))
}

/** Nothing of the user's own. */
function environment(home: string): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], HOME: home, LANG: 'C.UTF-8' }
}

const limits = { timeout: 600_000, maxBuffer: 64 * 1024 * 1024 }
