import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { attempt, run } from './command.ts'

// A bridge in a network namespace of its own, the hub, and a cable from it to the namespace of each host. None of
// it, nor any address, is ever in the machine's own namespace.

const net = '10.77.0'

/** The hub's own address: the broker listens there, and `filo` speaks from there. */
export const hubAddress = `${net}.1`

/** Frames that a partition, an isolation or the loss of packets drops, at the bridge (nft(8)). */
const ruleset = `
table bridge lab {
  set cut { type ipv4_addr . ipv4_addr; }
  set isolated { type ipv4_addr; }
  chain forward {
    type filter hook forward priority 0
    ip saddr . ip daddr @cut drop
    ip saddr @isolated drop
    ip daddr @isolated drop
  }
  chain input {
    type filter hook input priority 0
    ip saddr . ip daddr @cut drop
    ip saddr @isolated drop
  }
  chain output {
    type filter hook output priority 0
    ip saddr . ip daddr @cut drop
    ip daddr @isolated drop
  }
}
`

/** The address of the lab's host number `index`, from 1. */
export function addressOf(index: number): string {
  return `${net}.${10 + index}`
}

/** Whoever has an address: a host, or the hub itself. */
export interface Addressed {
  readonly address: string
}

export const hub: Addressed = { address: hubAddress }

export class Network {
  readonly #dir: string

  /** @param dir where the namespaces are pinned to files. */
  constructor(dir: string) {
    this.#dir = dir
  }

  /** The file that a namespace is pinned to; `hub` or a host's name. */
  fileOf(name: string): string {
    return join(this.#dir, `net-${name}`)
  }

  /** Before the argv of a command: it then runs in that namespace, under the same pid. */
  enter(name: string): string[] {
    return ['nsenter', `--net=${this.fileOf(name)}`, '--']
  }

  async open(): Promise<void> {
    mkdirSync(this.#dir, { recursive: true })
    await this.#pin('hub')
    await this.#hub('ip', 'link', 'add', 'br0', 'type', 'bridge')
    await this.#hub('ip', 'address', 'add', `${hubAddress}/24`, 'dev', 'br0')
    await this.#hub('ip', 'link', 'set', 'br0', 'up')
    await run([...this.enter('hub'), 'nft', '-f', '-'], { input: ruleset })
  }

  /** Makes a host's namespace, and plugs it in. */
  async plug(host: string, address: string): Promise<void> {
    const [near, far] = [cableOf(address), this.fileOf(host)]
    await this.#pin(host)
    await this.#hub('ip', 'link', 'add', near, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', far)
    await this.#hub('ip', 'link', 'set', near, 'master', 'br0', 'up')
    const inside = (...args: string[]): Promise<string> => run([...this.enter(host), 'ip', ...args])
    await inside('address', 'add', `${address}/24`, 'dev', 'eth0')
    await inside('link', 'set', 'eth0', 'up')
    await inside('route', 'add', 'default', 'via', hubAddress)
  }

  /** Takes a host's cable away: at once, and without a word to anybody. */
  async unplug(address: string): Promise<void> {
    await attempt([...this.enter('hub'), 'ip', 'link', 'delete', cableOf(address)])
  }

  /** Lets the namespace of `hub` or of an unplugged host go, once nothing runs in it. */
  async unpin(name: string): Promise<void> {
    await attempt(['umount', this.fileOf(name)])
    rmSync(this.fileOf(name), { force: true })
  }

  isPlugged(host: string): boolean {
    return existsSync(this.fileOf(host))
  }

  /** Pulls or plugs in a host's cable: the host sees that its link is down. */
  async setLink({ address }: Addressed, to: 'up' | 'down'): Promise<void> {
    await this.#hub('ip', 'link', 'set', cableOf(address), to)
  }

  /** Drops whatever the two send to each other; neither sees anything but silence. */
  async partition(one: Addressed, other: Addressed): Promise<void> {
    await this.#element('add', 'cut', pairs(one, other))
  }

  async heal(one: Addressed, other: Addressed): Promise<void> {
    await this.#element('delete', 'cut', pairs(one, other))
  }

  /** Drops whatever a host sends and is sent. */
  async isolate({ address }: Addressed): Promise<void> {
    await this.#element('add', 'isolated', address)
  }

  async rejoin({ address }: Addressed): Promise<void> {
    await this.#element('delete', 'isolated', address)
  }

  /** Drops packets of a host's cable at random, both ways; 0 ends it. */
  async lose({ address }: Addressed, percent: number): Promise<void> {
    const cable = cableOf(address)
    await attempt([...this.enter('hub'), 'nft', 'delete', 'table', 'netdev', `loss_${cable}`])
    if (percent === 0) return
    const drop = `numgen random mod 100 < ${percent} drop`
    const chain = (way: string): string =>
      `chain ${way} { type filter hook ${way} device ${cable} priority 0; ${drop}; };`
    const table = `table netdev loss_${cable} { ${chain('ingress')} ${chain('egress')} }\n`
    await run([...this.enter('hub'), 'nft', '-f', '-'], { input: table })
  }

  async #pin(name: string): Promise<void> {
    writeFileSync(this.fileOf(name), '')
    await run(['unshare', `--net=${this.fileOf(name)}`, 'ip', 'link', 'set', 'lo', 'up'])
  }

  async #hub(...argv: readonly string[]): Promise<void> {
    await run([...this.enter('hub'), ...argv])
  }

  async #element(verb: 'add' | 'delete', set: string, elements: string): Promise<void> {
    await this.#hub('nft', verb, 'element', 'bridge', 'lab', set, `{ ${elements} }`)
  }
}

/** The hub's end of a host's cable. */
function cableOf(address: string): string {
  return `host${address.split('.').at(-1)}`
}

function pairs({ address: one }: Addressed, { address: other }: Addressed): string {
  return `${one} . ${other}, ${other} . ${one}`
}
