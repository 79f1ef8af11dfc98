import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { until } from '../support/until.ts'
import { describeInLab } from './describe-in-lab.ts'
import type { LabFleet } from './fleets.ts'
import type { Host } from './host.ts'
import { hub } from './network.ts'

// What the lab does to its hosts is what it says: other tests stand on this.

const fleet: LabFleet = {
  hosts: [{ name: 'one' }, { name: 'two' }, { name: 'three' }],
  prepare: async () => {},
}

/** Whether one of several packets comes back within a second. */
async function hears(from: Host, address: string): Promise<boolean> {
  return (await from.attempt('ping', '-q', '-c', '3', '-i', '0.05', '-w', '1', address)).code === 0
}

async function bootIdOf(host: Host): Promise<string> {
  return (await host.exec('cat', '/proc/sys/kernel/random/boot_id')).trim()
}

describeInLab('the lab', fleet, (current) => {
  const host = (name: string): Host => current.lab.host(name)

  test('a partition parts two hosts, and nobody else', async () => {
    const [one, two, three] = [host('one'), host('two'), host('three')]
    await current.lab.network.partition(one, two)
    expect(await hears(one, two.address)).toBe(false)
    expect(await hears(two, one.address)).toBe(false)
    expect(await hears(one, three.address)).toBe(true)
    expect(await hears(two, hub.address)).toBe(true)
    await current.lab.network.heal(one, two)
    expect(await hears(one, two.address)).toBe(true)
  })

  test('a partition from the hub leaves the hosts to each other', async () => {
    const [one, two] = [host('one'), host('two')]
    await current.lab.network.partition(one, hub)
    expect(await hears(one, hub.address)).toBe(false)
    expect(await hears(one, two.address)).toBe(true)
    await current.lab.network.heal(one, hub)
    expect(await hears(one, hub.address)).toBe(true)
  })

  test('an isolated host hears nobody', async () => {
    const [one, two] = [host('one'), host('two')]
    await current.lab.network.isolate(one)
    expect(await hears(one, hub.address)).toBe(false)
    expect(await hears(two, one.address)).toBe(false)
    await current.lab.network.rejoin(one)
    expect(await hears(two, one.address)).toBe(true)
  })

  test('a pulled cable is seen by its host', async () => {
    const one = host('one')
    await current.lab.network.setLink(one, 'down')
    await until('the link to be down', async () => (await one.exec('ip', 'link')).includes('NO-CARRIER'))
    expect(await hears(one, hub.address)).toBe(false)
    await current.lab.network.setLink(one, 'up')
    await until('the host to hear the hub again', () => hears(one, hub.address), { timeoutMs: 20_000 })
  })

  test('packets are lost at about the rate that was asked for', async () => {
    const one = host('one')
    await current.lab.network.lose(one, 50)
    const ping = ['ping', '-q', '-c', '200', '-i', '0.002', '-W', '1', hub.address]
    const { stdout } = await one.attempt(...ping)
    const lost = Number(/([\d.]+)% packet loss/.exec(stdout)![1])
    // Each way loses half: three quarters of the echoes do not come back.
    expect(lost).toBeGreaterThan(60)
    expect(lost).toBeLessThan(90)
    await current.lab.network.lose(one, 0)
    expect((await one.attempt(...ping)).stdout).toContain(' 0% packet loss')
  })

  test('a frozen host does nothing until it is thawed', async () => {
    const [one, two] = [host('one'), host('two')]
    for (const each of [one, two]) {
      await each.sh(
        'while :; do date +%s%N > /run/now; mv /run/now /run/clock; sleep 0.02; done > /dev/null 2>&1 &',
      )
    }
    // Seen from outside: nothing can be run on a frozen host.
    const clock = ({ pid }: Host): number => Number(readFileSync(`/proc/${pid}/root/run/clock`, 'utf8'))
    await until('both clocks to run', () => clock(one) > 0 && clock(two) > 0)
    one.freeze()
    const [stoodAt, wentOnFrom] = [clock(one), clock(two)]
    await until('half a second to pass', () => clock(two) - wentOnFrom > 500_000_000)
    expect(clock(one)).toBe(stoodAt)
    one.thaw()
    await until('the clock to go on', () => clock(one) > stoodAt)
  })

  test('a crash loses what was not on disk, and the host boots as another boot of the same machine', async () => {
    const one = host('one')
    const [boot, machine] = [await bootIdOf(one), await one.exec('cat', '/etc/machine-id')]
    await one.sh('echo kept > /var/kept; echo lost > /run/lost')
    await one.crash()
    expect(one.pid).toBeUndefined()
    expect(await hears(host('two'), one.address)).toBe(false)
    await one.boot()
    expect(await bootIdOf(one)).not.toBe(boot)
    expect(await one.exec('cat', '/etc/machine-id')).toBe(machine)
    expect(await one.exec('cat', '/var/kept')).toBe('kept\n')
    expect((await one.attempt('cat', '/run/lost')).code).toBe(1)
  })

  test('a reboot and a shutdown are orderly', async () => {
    const two = host('two')
    two.write(
      '/etc/systemd/system/farewell.service',
      '[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sh -c "echo stopped >> /var/farewell"\n',
    )
    await two.exec('systemctl', 'daemon-reload')
    await two.exec('systemctl', 'start', 'farewell')
    const boot = await bootIdOf(two)
    await two.reboot()
    expect(await bootIdOf(two)).not.toBe(boot)
    await two.exec('systemctl', 'start', 'farewell')
    await two.powerOff()
    expect(two.pid).toBeUndefined()
    await two.boot()
    expect(await two.exec('cat', '/var/farewell')).toBe('stopped\nstopped\n')
  })
})
