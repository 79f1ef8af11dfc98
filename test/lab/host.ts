import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from '../support/until.ts'
import { Cgroup } from './cgroup.ts'
import { attempt, run, type Ran, type RunOptions } from './command.ts'
import { mountOverlay } from './image.ts'
import type { Addressed, Network } from './network.ts'
import { forgetNspawn, nspawnArgs, nspawnEnv } from './nspawn.ts'

const checkout = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/** Where a host has the checkout, and in it the Node that runs the agent; it can only be read. */
export const checkoutOnHosts = '/opt/filo'

const bootTimeoutMs = 60_000

/** Before a command that is run on a host: it has nothing of our own environment. */
const environment = [
  ...['env', '-i', 'HOME=/root', 'LANG=C.UTF-8'],
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
]

/** What a host needs of the lab that it is in. */
export interface Place {
  /** The lab's name: that of its control groups and machines. */
  readonly lab: string
  /** What the host writes goes below here. */
  readonly dir: string
  readonly network: Network
}

/** A machine with a systemd of its own as PID 1, an address and a disk. */
export class Host implements Addressed {
  readonly name: string
  readonly address: string
  readonly #place: Place
  readonly #dir: string
  readonly #whole: Cgroup
  readonly #payload: Cgroup
  readonly #init: Cgroup

  constructor(place: Place, name: string, address: string) {
    this.name = name
    this.address = address
    this.#place = place
    this.#dir = join(place.dir, name)
    this.#whole = new Cgroup(place.lab, name)
    this.#payload = new Cgroup(place.lab, name, 'payload')
    this.#init = new Cgroup(place.lab, name, 'payload', 'init.scope')
  }

  /** Its file system as it is seen from outside. */
  get root(): string {
    return join(this.#dir, 'root')
  }

  /** Its PID 1, by the machine's count; undefined where it is off. */
  get pid(): number | undefined {
    return this.#init.pids[0]
  }

  /** Its name to systemd-nspawn, which no other lab's host has. */
  get #machine(): string {
    return `${this.#place.lab}-${this.name}`
  }

  /** Gives it a disk over `layers`, the uppermost first. */
  async furnish(layers: readonly string[]): Promise<void> {
    const [upper, work] = [join(this.#dir, 'upper'), join(this.#dir, 'work')]
    for (const dir of [upper, work, this.root]) mkdirSync(dir, { recursive: true })
    await mountOverlay({ lower: layers, upper, work, root: this.root })
    this.write('/etc/hostname', `${this.name}\n`)
    this.write('/etc/machine-id', `${randomBytes(16).toString('hex')}\n`)
    this.write('/etc/resolv.conf', '')
    // Several labs may be raised at once on a small machine.
    this.write('/etc/systemd/system.conf.d/patient.conf', '[Manager]\nDefaultTimeoutStartSec=5min\n')
  }

  /** Writes a file into the host, whether or not it is on. */
  write(path: string, text: string, mode = 0o644): void {
    const file = join(this.root, path)
    mkdirSync(dirname(file), { recursive: true })
    this.#refuseEscape(dirname(file))
    // A link in the image may lead anywhere once it is followed from outside.
    rmSync(file, { force: true })
    writeFileSync(file, text, { mode })
    chmodSync(file, mode)
  }

  /** Copies a directory into the host, whether or not it is on. */
  copy(source: string, path: string): void {
    const dir = join(this.root, path)
    mkdirSync(dir, { recursive: true })
    this.#refuseEscape(dir)
    cpSync(source, dir, { recursive: true })
  }

  link(path: string, target: string): void {
    const file = join(this.root, path)
    mkdirSync(dirname(file), { recursive: true })
    this.#refuseEscape(dirname(file))
    rmSync(file, { force: true })
    symlinkSync(target, file)
  }

  /** Runs a script of sh(1) on its disk, before it is switched on. */
  async change(script: string): Promise<void> {
    await run(['chroot', this.root, ...environment, '/bin/sh', '-ec', script], {
      shown: this.#shown([script]),
    })
  }

  #refuseEscape(dir: string): void {
    if (!`${realpathSync(dir)}/`.startsWith(`${realpathSync(this.root)}/`)) {
      throw new Error(`${dir} leads out of the host ${this.name}`)
    }
  }

  /** Switches it on; resolves when its systemd has started all it is to start. */
  async boot(): Promise<void> {
    if (this.#whole.isPopulated) throw new Error(`the host ${this.name} is on already`)
    const { network } = this.#place
    if (!network.isPlugged(this.name)) await network.plug(this.name, this.address)
    this.#whole.make()
    const console = openSync(join(this.#dir, 'console.log'), 'a')
    const nspawn = [
      ...nspawnArgs(this.root, this.#machine),
      `--hostname=${this.name}`,
      `--network-namespace-path=${network.fileOf(this.name)}`,
      '--resolv-conf=off',
      `--bind-ro=${checkout}:${checkoutOnHosts}`,
      '--boot',
    ]
    // nspawn ends with 133 where the host asked for a reboot and nobody but us could start it again (--keep-unit).
    const keeper = ['/bin/sh', '-c', 'while "$@"; [ $? = 133 ]; do :; done', 'keeper', ...nspawn]
    const [program, ...args] = [...this.#whole.enter, ...keeper]
    const child = spawn(program!, args, {
      stdio: ['ignore', console, console],
      env: { ...process.env, ...nspawnEnv },
      detached: true,
    })
    closeSync(console)
    await once(child, 'spawn')
    child.unref()
    await this.untilUp()
  }

  /** Waits until its systemd has nothing left to start. */
  async untilUp(): Promise<void> {
    await until(
      `the host ${this.name} to boot (its console: ${join(this.#dir, 'console.log')})`,
      async () => {
        if (this.pid === undefined) return false
        const { stdout } = await this.attempt('systemctl', 'is-system-running', '--wait')
        return ['running', 'degraded'].includes(stdout.trim())
      },
      { timeoutMs: bootTimeoutMs, intervalMs: 50 },
    )
  }

  /** Runs a command on the host, as root; throws where it does not succeed. */
  async exec(...argv: readonly string[]): Promise<string> {
    return await run(this.argv(...argv), { shown: this.#shown(argv) })
  }

  /** Runs a command on the host, however it ends. */
  async attempt(...argv: readonly string[]): Promise<Ran> {
    return await attempt(this.argv(...argv), { shown: this.#shown(argv) })
  }

  /** Runs a script of sh(1) on the host, as root. */
  async sh(script: string, options: RunOptions = {}): Promise<string> {
    return await run(this.argv('/bin/sh', '-ec', script), { shown: this.#shown([script]), ...options })
  }

  #shown(argv: readonly string[]): string {
    return `${argv.join(' ')}" on "${this.name}`
  }

  /** What to run here for a command to run there: in all its namespaces, its control group, and nobody's environment. */
  argv(...argv: readonly string[]): string[] {
    const { pid } = this
    if (pid === undefined) throw new Error(`the host ${this.name} is off`)
    const namespaces = ['--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup', '--root', '--wd']
    const enter = ['nsenter', `--target=${pid}`, ...namespaces, '--', ...environment]
    return [...this.#init.enter, ...enter, ...argv]
  }

  /** Every process of it stands still; its kernel still acknowledges what is sent to it. */
  freeze(): void {
    this.#payload.freeze()
  }

  thaw(): void {
    this.#payload.thaw()
  }

  /**
   * Power loss: SIGKILL for its PID 1, and with it all of its pid namespace; the disk stays. Nobody hears of it: the
   * cable is pulled before, or the kernel would take leave of every peer in the name of what was killed.
   */
  async crash(): Promise<void> {
    const { pid } = this
    if (pid === undefined) throw new Error(`the host ${this.name} is off`)
    await this.#place.network.unplug(this.address)
    process.kill(pid, 'SIGKILL')
    await this.untilOff()
  }

  /** As typed by an administrator; resolves when it is up again. */
  async reboot(): Promise<void> {
    const before = this.pid
    await this.attempt('systemctl', 'reboot')
    await until(
      `the host ${this.name} to go down and come back`,
      () => this.pid !== undefined && this.pid !== before,
      { timeoutMs: bootTimeoutMs },
    )
    await this.untilUp()
  }

  /** An orderly shutdown; resolves when it is off. */
  async powerOff(): Promise<void> {
    await this.attempt('systemctl', 'poweroff')
    await this.untilOff()
  }

  /** Waits until it has gone down. A host that is off has no network, and forgets its connections. */
  async untilOff(): Promise<void> {
    await this.#whole.untilEmpty()
    await this.#place.network.unplug(this.address)
    await this.#place.network.unpin(this.name)
  }

  /** Ends it and takes its disk away. */
  async remove(): Promise<void> {
    await this.#whole.remove()
    if (existsSync(this.root)) {
      forgetNspawn(this.root, this.#machine)
      // A disk that is not mounted, because its furnishing failed, is no reason to leave the rest.
      await attempt(['umount', this.root])
    }
    await this.#place.network.unplug(this.address)
    await this.#place.network.unpin(this.name)
    rmSync(this.#dir, { recursive: true, force: true })
  }
}
