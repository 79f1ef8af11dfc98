import { execFile } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { until } from './until.ts'

/** How a test's service behaves; may be changed while it runs. */
export interface Behaviour {
  /** How long the script takes before it does what it is asked, milliseconds. */
  readonly startMs?: number
  readonly stopMs?: number
  /** `stop` returns at once, and the service goes down this much later, milliseconds: as `svc -d` does. */
  readonly lingerMs?: number
  /** Says no: exits 1, and does nothing. */
  readonly refuses?: 'start' | 'stop'
  /** Says yes: exits 0, and does nothing. */
  readonly liesAbout?: 'start' | 'stop'
  /** Always answers `status` with this exit code, whatever is true. */
  readonly status?: number
}

/** What a service's own ledger has: `start` and `stop` were asked for, `up` and `down` took effect. */
export interface ServiceEntry {
  /** The service's own wall clock, milliseconds. */
  readonly atMs: number
  readonly service: string
  readonly verb: 'start' | 'up' | 'stop' | 'down'
}

/**
 * Real services for tests: each a process of its own under an LSB script of its own, `DIR/NAME start|stop|status`.
 * Each writes what befell it, with its own times, into one ledger that no part of Filo knows of.
 */
export class Services implements AsyncDisposable {
  readonly #dir: string
  readonly #names = new Set<string>()

  /** `dir` is there already, and belongs to the test. */
  constructor(dir: string) {
    this.#dir = dir
    writeFileSync(this.#ledgerFile, '')
  }

  get #ledgerFile(): string {
    return join(this.#dir, 'services.ledger')
  }

  add(name: string, behaviour: Behaviour = {}): void {
    this.#names.add(name)
    this.behave(name, behaviour)
    const daemon = join(this.#dir, `${name}.daemon`)
    writeFileSync(daemon, daemonScript(this.#dir, name), { mode: 0o755 })
    writeFileSync(this.script(name), initScript(this.#dir, name), { mode: 0o755 })
  }

  /** From now on the service behaves so, and in no other way. */
  behave(name: string, behaviour: Behaviour): void {
    const { startMs = 0, stopMs = 0, lingerMs = 0, refuses = '', liesAbout = '', status = '' } = behaviour
    const times = `start_s=${startMs / 1000} stop_s=${stopMs / 1000} linger_s=${lingerMs / 1000}`
    writeFileSync(
      join(this.#dir, `${name}.conf`),
      `${times} refuses=${refuses} lies=${liesAbout} status=${status}\n`,
    )
  }

  /** From now on its script, asked to start or stop, does nothing before it is let go. */
  hold(name: string): void {
    writeFileSync(join(this.#dir, `${name}.hold`), '')
  }

  letGo(name: string): void {
    rmSync(join(this.#dir, `${name}.hold`), { force: true })
  }

  script(name: string): string {
    return join(this.#dir, name)
  }

  /** The manager of the service in a fleet file, as flow YAML. */
  lsb(name: string): string {
    return `lsb: { name: ${name}, dir: ${this.#dir} }`
  }

  command(name: string): string {
    const argv = (verb: string): string => `${verb}: [${this.script(name)}, ${verb}]`
    return `command: { ${['start', 'stop', 'status'].map(argv).join(', ')} }`
  }

  /** Oldest first. */
  ledger(): ServiceEntry[] {
    return readFileSync(this.#ledgerFile, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [seconds, service, verb] = line.split(' ') as [string, string, ServiceEntry['verb']]
        return { atMs: Number(seconds) * 1000, service, verb }
      })
      .toSorted((one, other) => one.atMs - other.atMs)
  }

  /** What took effect, in order: `['web down', 'mta down']`. */
  effects(): string[] {
    return this.ledger()
      .filter(({ verb }) => verb === 'up' || verb === 'down')
      .map(({ service, verb }) => `${service} ${verb}`)
  }

  /** What the scripts were asked for, in order: `['web stop', 'mta stop']`. */
  requests(): string[] {
    return this.ledger()
      .filter(({ verb }) => verb === 'start' || verb === 'stop')
      .map(({ service, verb }) => `${service} ${verb}`)
  }

  /** Begins the ledger anew. */
  forget(): void {
    writeFileSync(this.#ledgerFile, '')
  }

  isUp(name: string): boolean {
    const pid = this.pid(name)
    if (pid === undefined) return false
    try {
      process.kill(pid, 0)
      return true
    } catch {
      return false
    }
  }

  async untilAsked(name: string, verb: 'start' | 'stop'): Promise<void> {
    await until(`${name} to be asked to ${verb}`, () => this.requests().includes(`${name} ${verb}`))
  }

  /** Starts the service behind everybody's back. */
  async start(name: string): Promise<void> {
    await promisify(execFile)(this.script(name), ['start'])
  }

  /** Ends the service behind everybody's back. */
  async kill(name: string): Promise<void> {
    const pid = this.pid(name)
    if (pid !== undefined) process.kill(pid, 'SIGTERM')
    await until(`${name} to end`, () => !this.isUp(name))
  }

  /** Ends all of its processes. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#names) if (this.isUp(name)) await this.kill(name)
  }

  /** The process that last said it was up, unless it has gone down since. */
  pid(name: string): number | undefined {
    const file = join(this.#dir, `${name}.pid`)
    const text = existsSync(file) ? readFileSync(file, 'utf8').trim() : ''
    return text === '' ? undefined : Number(text)
  }
}

const note = (dir: string, name: string, verb: string): string =>
  `echo "$(date +%s.%N) ${name} ${verb}" >>'${dir}/services.ledger'`

/** Waits for signals without a process that outlives it: sh runs a trap only between two commands, or in `wait`. */
const daemonScript = (dir: string, name: string): string => `#!/bin/sh
trap 'trap "" TERM; kill "$nap"; ${note(dir, name, 'down')}; rm -f "${dir}/${name}.pid"; exit 0' TERM
sleep 1000 & nap=$!
${note(dir, name, 'up')}
echo $$ >'${dir}/${name}.new'
mv '${dir}/${name}.new' '${dir}/${name}.pid'
while :; do wait "$nap"; sleep 1000 & nap=$!; done
`

const initScript = (dir: string, name: string): string => `#!/bin/sh
pidfile='${dir}/${name}.pid'
. '${dir}/${name}.conf'
held() { while [ -e '${dir}/${name}.hold' ]; do sleep 0.02; done; [ -e '${dir}/${name}.conf' ] || exit 1; }
live() { [ -f "$pidfile" ] && kill -0 "$(cat "$pidfile")" 2>/dev/null; }
case $1 in
start)
  ${note(dir, name, 'start')}
  echo "${name}: starting"
  sleep "$start_s"
  held
  [ "$refuses" = start ] && { echo "${name}: will not start" >&2; exit 1; }
  [ "$lies" = start ] && exit 0
  live && exit 0
  rm -f "$pidfile"
  setsid '${dir}/${name}.daemon' </dev/null >/dev/null 2>&1 &
  until [ -f "$pidfile" ]; do sleep 0.01; done
  ;;
stop)
  ${note(dir, name, 'stop')}
  echo "${name}: stopping"
  sleep "$stop_s"
  held
  [ "$refuses" = stop ] && { echo "${name}: will not stop" >&2; exit 1; }
  [ "$lies" = stop ] && exit 0
  live || exit 0
  [ "$linger_s" = 0 ] || {
    setsid sh -c "sleep $linger_s; kill $(cat "$pidfile")" </dev/null >/dev/null 2>&1 &
    exit 0
  }
  kill "$(cat "$pidfile")"
  while live; do sleep 0.01; done
  ;;
status)
  [ -n "$status" ] && exit "$status"
  live && exit 0
  exit 3
  ;;
*) exit 2 ;;
esac
`
