import { lookup } from 'node:dns/promises'
import { networkInterfaces } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { BrokerUnavailable, expiresSoon, readTls, TlsUnusable } from '@filo/protocol'
import { openBroker } from '../engine/broker.ts'
import type { StateDir } from '../engine/state-dir.ts'
import { listing } from '../fleet/listing.ts'
import type { Broker, Fleet } from '../fleet/fleet.ts'
import { exitCodes } from './exit-code.ts'
import { fine, warning, wrong, type Finding } from './finding.ts'

/** A resolver that does not answer keeps nobody waiting: what it would have said is only used for a warning. */
const lookupTimeoutMs = 3000

export type Addresses = ReadonlySet<string>

/** Whether the broker can be had, and whether what carries it says so. */
export async function examineBroker(fleet: Fleet, dir: StateDir, operator: string): Promise<Finding[]> {
  if (fleet.broker === 'local') return [fine('broker', 'local: this process is the agent of every host')]
  const { urls } = fleet.broker
  const resolved = await Promise.all(urls.map((url) => resolve(hostnameOf(url))))
  const broker = new Set(resolved.flatMap((addresses) => [...addresses]))
  const hosts = new Map(
    await Promise.all(
      [...fleet.hosts.keys()].map(async (host): Promise<[string, Addresses]> => [host, await resolve(host)]),
    ),
  )
  return [
    ...examineTls(fleet.broker),
    ...(await reach(fleet.broker, dir, operator)),
    ...examineEncryption(urls, broker),
    ...compareCarriers(fleet, broker, hosts),
  ]
}

/** Long enough to have certificates issued and brought to where they are used. */
const warnDays = 14

function examineTls({ tls }: Broker): Finding[] {
  if (tls === undefined) return []
  try {
    const { expiring } = readTls(tls)
    const soon = expiring && expiresSoon(expiring, warnDays)
    if (soon === undefined) return []
    return [
      warning('broker', soon, 'have it issued anew: what is in the file by then is used without a restart'),
    ]
  } catch (error) {
    if (!(error instanceof TlsUnusable)) throw error
    const advice = 'the files of TLS are those that "broker:" in the fleet file names'
    return [wrong('broker', exitCodes.configuration, error.message, advice)]
  }
}

async function reach(broker: Broker, dir: StateDir, operator: string): Promise<Finding[]> {
  try {
    await using transport = await openBroker(dir, broker, { name: `filo doctor ${operator}` })
    const peer = transport.peer() ?? 'the broker'
    if (isTooOld(peer)) {
      const advice = 'Filo needs RabbitMQ 3.10 or later, or NATS 2.9 or later'
      return [wrong('broker', exitCodes.brokerUnavailable, `${peer} is too old`, advice)]
    }
    const weaknesses = await transport.weaknesses()
    return [
      fine('broker', `${peer} answers, and lets us in`),
      ...(await missNodes(broker, dir, operator)),
      ...weaknesses.map(({ text, advice }) => warning('broker', text, advice)),
    ]
  } catch (error) {
    // Told already, by what is wrong with the file.
    if (error instanceof TlsUnusable) return []
    if (!(error instanceof BrokerUnavailable)) throw error
    const advice =
      'see that it runs, and that what the fleet file says of it is right: address, user, password, tls'
    return [wrong('broker', exitCodes.brokerUnavailable, error.message, advice)]
  }
}

/** Of several, those that do not answer: nobody misses them before the others are away too. */
async function missNodes(broker: Broker, dir: StateDir, operator: string): Promise<Finding[]> {
  const { urls } = broker
  if (urls.length === 1) return []
  const found = await Promise.all(
    urls.map(async (url) => {
      try {
        const one = { ...broker, urls: [url] }
        await using _transport = await openBroker(dir, one, { name: `filo doctor ${operator}` })
        return []
      } catch (error) {
        if (!(error instanceof BrokerUnavailable)) throw error
        return [
          warning(
            'broker',
            error.message,
            'it is not needed as long as the others answer; see why it is away',
          ),
        ]
      }
    }),
  )
  return found.flat()
}

/** The oldest that Filo is made for: quorum queues that take the event log, durable consumers that can be changed. */
const oldest: Readonly<Record<string, readonly [major: number, minor: number]>> = {
  RabbitMQ: [3, 10],
  NATS: [2, 9],
}

export function isTooOld(peer: string): boolean {
  const [, product = '', major = '', minor = ''] = /^(\w+) (\d+)\.(\d+)/.exec(peer) ?? []
  const [oldestMajor, oldestMinor] = oldest[product] ?? [0, 0]
  return Number(major) < oldestMajor || (Number(major) === oldestMajor && Number(minor) < oldestMinor)
}

function hostnameOf(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, '')
}

function examineEncryption(urls: readonly string[], addresses: Addresses): Finding[] {
  const plain = urls
    .map((url) => url.slice(0, url.indexOf(':')))
    .find((scheme) => !scheme.endsWith('s') || scheme === 'nats')
  if (plain === undefined || [...addresses].some(isLoopback)) return []
  const text = `${plain}:// is not encrypted: who listens on the network reads the password and all messages`
  return [warning('broker', text, `use ${plain}s://; commands and answers are signed either way`)]
}

/** Warns where a host seems to be the broker and does not say so, or says so and seems not to be. */
export function compareCarriers(
  fleet: Fleet,
  broker: Addresses,
  hosts: ReadonlyMap<string, Addresses>,
): Finding[] {
  const carriers = [...fleet.services.values()].filter((service) => service.carries.includes('broker'))
  const carrying = new Set(carriers.flatMap((service) => service.hosts))
  const silent = [...hosts].filter(
    ([host, addresses]) => !carrying.has(host) && !addresses.isDisjointFrom(broker),
  )
  const elsewhere = carriers.filter((service) => {
    const addresses = service.hosts.map((host) => hosts.get(host)!)
    const isKnown = broker.size > 0 && addresses.every((each) => each.size > 0)
    return isKnown && addresses.every((each) => each.isDisjointFrom(broker))
  })
  const findings = [
    ...silent.map(([host]) =>
      warning(
        'carries',
        `the broker has the address of ${host}, and no service there says "carries: broker"`,
        'if the broker is a service of this fleet, say so in the fleet file, with "keep: true"; ' +
          'else a stop of it would cut Filo off in the middle of its run',
      ),
    ),
    ...elsewhere.map((service) =>
      warning(
        'carries',
        `${service.name} says "carries: broker", but ${listing(service.hosts)} has not the address of the broker`,
        'correct "broker" or "carries" in the fleet file',
      ),
    ),
  ]
  if (findings.length > 0) return findings
  if (carriers.length > 0) {
    return [
      fine('carries', `${listing(carriers.map(({ name }) => name))} carries the broker, and is not stopped`),
    ]
  }
  const unresolved = [...hosts].filter(([, addresses]) => addresses.size === 0).map(([host]) => host)
  const unless = unresolved.length === 0 ? '' : `; not resolved here: ${listing(unresolved)}`
  return [fine('carries', `the broker is on none of the hosts, by their addresses${unless}`)]
}

/** All addresses of a name; of this machine, where it is one of its own. Empty where it cannot be resolved. */
async function resolve(name: string): Promise<Addresses> {
  const giveUp = delay(lookupTimeoutMs, [], { ref: false })
  const found = await Promise.race([lookup(name, { all: true }).catch(() => []), giveUp])
  const addresses = found.map(({ address }) => address)
  const own = Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address))
  return new Set(addresses.some((address) => isLoopback(address)) ? [...addresses, ...own] : addresses)
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1'
}
