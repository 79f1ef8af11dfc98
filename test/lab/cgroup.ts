import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { until } from '../support/until.ts'

/** Where the machine's version 2 hierarchy is mounted (cgroups(7)); undefined where it has none. */
export function cgroupRoot(): string | undefined {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n')
  return mounts.map((line) => line.split(' ')).find(([, , type]) => type === 'cgroup2')?.[1]
}

/** A control group of the lab's own, below the root of the machine's; nothing above it is ever written to. */
export class Cgroup {
  readonly path: string

  constructor(...names: readonly string[]) {
    this.path = join(cgroupRoot()!, ...names)
  }

  make(): void {
    mkdirSync(this.path, { recursive: true })
  }

  /** Before the argv of a command: it then runs in here, under the same pid. */
  get enter(): string[] {
    return ['/bin/sh', '-c', 'echo $$ > "$0/cgroup.procs" && exec "$@"', this.path]
  }

  /** Whether anything runs in here or below. */
  get isPopulated(): boolean {
    return this.#read('cgroup.events').includes('populated 1')
  }

  get pids(): number[] {
    return this.#read('cgroup.procs').split('\n').filter(Boolean).map(Number)
  }

  freeze(): void {
    writeFileSync(join(this.path, 'cgroup.freeze'), '1')
  }

  thaw(): void {
    writeFileSync(join(this.path, 'cgroup.freeze'), '0')
  }

  /** SIGKILL for everything in here and below, frozen or not. */
  async kill(): Promise<void> {
    if (!existsSync(this.path)) return
    writeFileSync(join(this.path, 'cgroup.kill'), '1')
    await this.untilEmpty()
  }

  async untilEmpty(): Promise<void> {
    await until(`all of ${this.path} to end`, () => !this.isPopulated, { timeoutMs: 60_000 })
  }

  /** Ends what is in here, and takes it away, with the groups of the same names that systemd-nspawn made. */
  async remove(): Promise<void> {
    await this.kill()
    removeTree(this.path)
    // Beside a version 2 hierarchy, nspawn mirrors its groups into systemd's own of version 1.
    const root = cgroupRoot()!
    const mirror = join(root, '..', 'systemd')
    if (basename(root) === 'unified') removeTree(join(mirror, relative(root, this.path)))
  }

  #read(name: string): string {
    try {
      return readFileSync(join(this.path, name), 'utf8')
    } catch {
      return '' // It is gone, and with it all that was in it.
    }
  }
}

function removeTree(dir: string): void {
  if (!existsSync(dir)) return
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(join(dir, entry.name))
  }
  rmdirSync(dir)
}
