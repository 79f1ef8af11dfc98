import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { mapBounded } from '../packages/agent/src/managers/bounded.ts'
import { freePort } from '../test/support/free-port.ts'
import { requirePrograms, requireProgram } from '../test/support/packages.ts'
import { until } from '../test/support/until.ts'
import { childrenOf } from './processes.ts'

/** Loopback addresses of this machine, which ssh(1) reaches by names that are given to them. */
export interface SshHosts extends AsyncDisposable {
  /** `ssh -F CONFIG NAME` goes over the connection that is open to that host, and never opens one; $NAME is set there. */
  readonly config: string
}

/** Starts a private sshd(8) and opens a connection to each host. Needs root, as sshd does; all it writes is in `dir`. */
export async function openSshHosts(dir: string, names: readonly string[]): Promise<SshHosts> {
  await requirePrograms([
    ['ssh', 'openssh-client'],
    ['ssh-keygen', 'openssh-client'],
    ['sshd', 'openssh-server'],
  ])
  const port = await freePort()
  makeKeys(dir)
  const config = join(dir, 'ssh_config')
  writeFileSync(config, clientConfig(dir, port))
  const server = join(dir, 'sshd_config')
  writeFileSync(server, serverConfig(dir, port, names))

  const started: ChildProcess[] = []
  const leaveNothing = (): void => started.forEach((child) => void child.kill('SIGKILL'))
  process.once('exit', leaveNothing)
  const start = (program: string, ...argv: string[]): ChildProcess => {
    const child = spawn(program, argv, { stdio: ['ignore', 'ignore', 'inherit'] })
    started.push(child)
    return child
  }
  await using stack = new AsyncDisposableStack()
  stack.defer(() => void process.off('exit', leaveNothing))
  mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  const sshd = start(await requireProgram('sshd', 'openssh-server'), '-D', '-e', '-f', server)
  stack.defer(() => end(sshd))
  await until('sshd to listen', () => listens(port))
  // While it lives, so that it waits for those of its own processes that serve a connection.
  stack.defer(async () => {
    await until('sshd to end its connections', () => childrenOf(sshd.pid!).length === 0)
  })
  stack.defer(async () => {
    await Promise.all(started.filter((child) => child !== sshd).map(end))
  })
  await mapBounded([...names.entries()], 8, async ([at, name]) => {
    const address = addressOf(at)
    const master = start('ssh', '-F', config, '-M', '-N', '-o', `HostName=${address}`, name)
    await until(`a connection to ${address}`, () => hasEnded(master) || existsSync(join(dir, 'open', name)))
    if (hasEnded(master)) throw new Error(`no connection to ${address}`)
  })
  const disposal = stack.move()
  return { config, [Symbol.asyncDispose]: () => disposal.disposeAsync() }
}

/** One key for the machine, and one for who may come. */
function makeKeys(dir: string): void {
  mkdirSync(join(dir, 'open'))
  for (const name of ['host', 'user']) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, name)])
  }
  writeFileSync(join(dir, 'known_hosts'), `bench ${readFileSync(join(dir, 'host.pub'), 'utf8')}`)
}

/**
 * See sshd_config(5). It cannot listen on as many addresses as there are hosts, so it listens on all of the machine. HOME
 * keeps bash(1) from reading what root has it read at each command, which can take longer than all else.
 */
function serverConfig(dir: string, port: number, names: readonly string[]): string {
  return `
Port ${port}
ListenAddress 0.0.0.0
AllowUsers root@127.0.0.0/8
PermitRootLogin prohibit-password
AuthenticationMethods publickey
AuthorizedKeysFile ${join(dir, 'user.pub')}
HostKey ${join(dir, 'host')}
StrictModes no
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
PidFile none
LogLevel FATAL
MaxSessions 1000
MaxStartups 1000
${names.map((name, at) => `Match LocalAddress ${addressOf(at)}\nSetEnv NAME=${name} HOME=${dir}`).join('\n')}
`
}

/** See ssh_config(5). No address is known for a name: who finds no connection fails. */
function clientConfig(dir: string, port: number): string {
  return `
User root
Port ${port}
IdentityFile ${join(dir, 'user')}
IdentitiesOnly yes
HostKeyAlias bench
UserKnownHostsFile ${join(dir, 'known_hosts')}
GlobalKnownHostsFile none
StrictHostKeyChecking yes
BatchMode yes
LogLevel ERROR
ControlMaster no
ControlPath ${join(dir, 'open', '%n')}
`
}

function addressOf(at: number): string {
  return `127.1.${Math.trunc(at / 250)}.${1 + (at % 250)}`
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.destroy()
  return true
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

async function end(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
}
