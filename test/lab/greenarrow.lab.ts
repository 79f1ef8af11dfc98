import { expect, test } from 'vitest'
import { until } from '../support/until.ts'
import { untilAgentAnswers } from './agent-unit.ts'
import { describeInLab } from './describe-in-lab.ts'
import { greenarrow } from './fleets.ts'
import { fleetFile, injectorLog, productLog } from './greenarrow/prepare.ts'
import type { Host } from './host.ts'
import { statusOf } from './status.ts'
import { unitEvents } from './unit-events.ts'

// The stand-in for GreenArrow Engine on real hosts: under svscan as a unit, the product as a unit, the injecting
// program on another host.

describeInLab('GreenArrow on hosts with systemd', greenarrow, (current) => {
  const ga1 = (): Host => current.lab.host('ga1')
  const states = async (): Promise<Record<string, string>> =>
    Object.fromEntries([...(await statusOf(current.lab))].map(([name, { state }]) => [name, state]))
  const table = (): Promise<string> => ga1().exec('/var/hvmail/bin/hvmail_init', 'status')
  const overall = async (): Promise<string> => /OVERALL STATUS: (\w+)/.exec(await table())![1]!
  const component = async (name: string): Promise<string> =>
    new RegExp(`^${name} +(\\w+)`, 'm').exec(await table())![1]!
  const filo = async (...args: string[]): Promise<string> => {
    const ended = await current.lab.filo(...args, '--yes')
    expect(ended).toMatchObject({ code: 0 })
    return ended.stderr + ended.stdout
  }
  /** What the components have written down since this was last asked, without the times. */
  let isRead = 0
  const deeds = async (): Promise<string[]> => {
    const log = (await ga1().exec('cat', productLog)).split('\n').filter(Boolean)
    const news = log.slice(isRead)
    isRead = log.length
    return news.map((line) => line.replace(/^\S+ +/, '').replace(/ +/, ' '))
  }
  /** What systemd did meanwhile to the services of all hosts. */
  const during = async (act: () => Promise<unknown>): Promise<string[]> => {
    const began = new Date()
    await act()
    const events = await unitEvents(current.lab, began)
    return events.filter(({ unit }) => unit.endsWith('.service')).map(({ unit, what }) => `${unit} ${what}`)
  }
  const expectNoMailRefused = async (): Promise<void> => {
    const { stdout } = await current.lab.host('app1').attempt('grep', 'is down', injectorLog)
    expect(stdout).toBe('')
  }

  test('in its parts it starts with PostgreSQL first, and injection and the test send last', async () => {
    await filo('start')
    expect(await overall()).toBe('up')
    expect(new Set(Object.values(await states()))).toEqual(new Set(['running']))
    const log = await deeds()
    expect(log[0]).toBe('hvmail-postgres is up')
    expectInOrder(log, 'hvmail-ram-qmail-send is up', 'hvmail-studio-worker is up')
    expect(await ga1().exec('cat', '/opt/greenarrow/arrived')).toContain('a message of test-send')
  })

  test('a stop of the MTA pauses injection first, tells how it goes on, and leaves the rest', async () => {
    // A component that takes two seconds to end: its waiting is told.
    ga1().write('/opt/greenarrow/hvmail/slow/hvmail-dd-dispatcher', '2')
    const units = await during(async () => {
      expect(await filo('stop', 'mta')).toContain('Waiting for 1 to stop: hvmail-dd-dispatcher')
    })
    // Another MTA goes on: it tries again by itself.
    expect(units).toEqual(['newsletter.service stopping', 'newsletter.service stopped'])
    const log = await deeds()
    expectInOrder(log, 'hvmail-studio-worker is down', 'hvmail-ram-qmail-send is down')
    expect(log).not.toContain('hvmail-httpd is down')
    expect(log).not.toContain('hvmail-postgres is down')
    await filo('start')
    await expectNoMailRefused()
  })

  test('a restart of the MTA pauses injection, and resumes it when the MTA is up again', async () => {
    await deeds()
    const units = await during(() => filo('restart', 'mta'))
    expect(units).toEqual(['stopping', 'stopped', 'started'].map((what) => `newsletter.service ${what}`))
    const log = await deeds()
    expectInOrder(
      log,
      'hvmail-studio-worker is down',
      'hvmail-ram-qmail-send is down',
      'hvmail-ram-qmail-send is up',
      'hvmail-studio-worker is up',
    )
    await expectNoMailRefused()
  })

  test('the HTTP server stops, starts and restarts alone, and the status table agrees', async () => {
    await deeds()
    await filo('stop', 'http')
    expect(await component('hvmail-httpd')).toBe('DOWN')
    await filo('start', 'http')
    expect(await component('hvmail-httpd')).toBe('UP')
    await filo('restart', 'http')
    expect(await component('hvmail-httpd')).toBe('UP')
    const [down, up] = ['hvmail-httpd is down', 'hvmail-httpd is up']
    expect(await deeds()).toEqual([down, up, down, up])
  })

  test('stopped whole, the other MTA is the first to stop, and PostgreSQL the last', async () => {
    await deeds()
    const began = new Date()
    await filo('stop')
    expect(await overall()).toBe('down')
    expect((await deeds()).at(-1)).toBe('hvmail-postgres is down')
    const otherMta = (await unitEvents(current.lab, began)).find(
      ({ unit, what }) => unit === 'postfix@-.service' && what === 'stopped',
    )
    // Where the stop of the MTA takes its queues away, as its first deed.
    const mtaSeconds = Number(await ga1().exec('stat', '-c', '%.6Y', '/opt/greenarrow/hvmail/queue'))
    expect(otherMta?.atUs).toBeLessThan(mtaSeconds * 1e6)
  })

  test('a reboot by Filo pauses injection, ends it in order, and resumes when all is proven up in the next boot', async () => {
    await filo('start')
    await deeds()
    const boot = (): Promise<string> => ga1().exec('cat', '/proc/sys/kernel/random/boot_id')
    const before = await boot()
    const units = await during(() => filo('reboot', 'ga1'))
    expect(await boot()).not.toBe(before)
    expect(await overall()).toBe('up')
    expect(new Set(Object.values(await states()))).toEqual(new Set(['running']))
    const injector = units.filter((event) => event.startsWith('newsletter'))
    expect(injector).toEqual(['stopping', 'stopped', 'started'].map((what) => `newsletter.service ${what}`))
    const log = await deeds()
    expectInOrder(
      log.filter((line) => line.endsWith('down')),
      'hvmail-studio-worker is down',
      'hvmail-ram-qmail-send is down',
      'hvmail-postgres is down',
    )
    expect(log.indexOf('hvmail-studio-worker is up')).toBeGreaterThan(log.indexOf('hvmail-postgres is down'))
    await expectNoMailRefused()
    await filo('stop')
    // The unit, too, has come up with its host.
    await ga1().exec('systemctl', 'stop', 'greenarrow')
  })

  test('as one unit it stops after the program that injects, and starts before it', async () => {
    await current.lab.declare(fleetFile('whole'))
    const up = await during(() => filo('start'))
    expect(await overall()).toBe('up')
    expectInOrder(up, 'greenarrow.service started', 'newsletter.service started')
    expect(await during(() => filo('stop'))).toEqual([
      'newsletter.service stopping',
      'newsletter.service stopped',
      'greenarrow.service stopping',
      'greenarrow.service stopped',
    ])
    expect(await overall()).toBe('down')
    await expectNoMailRefused()
  })

  test('what an administrator does by systemctl is seen at once', async () => {
    await ga1().exec('systemctl', 'start', 'greenarrow')
    expect(await states()).toEqual({ 'greenarrow@ga1': 'running', 'newsletter@app1': 'stopped' })
    await ga1().exec('systemctl', 'stop', 'greenarrow')
    expect(await states()).toEqual({ 'greenarrow@ga1': 'stopped', 'newsletter@app1': 'stopped' })
  })

  test('a machine that is rebooted by hand ends it in order, and starts it by itself', async () => {
    await filo('start')
    await deeds()
    await ga1().reboot()
    await untilAgentAnswers(ga1())
    await until('GreenArrow to be up again', async () => (await states())['greenarrow@ga1'] === 'running')
    expect(await overall()).toBe('up')
    const log = await deeds()
    expectInOrder(
      log,
      'hvmail-studio-worker is down',
      'hvmail-ram-qmail-send is down',
      'hvmail-postgres is down',
      'hvmail-postgres is up',
    )
    // Those that supervise has only just begun write this in any order.
    for (const name of ['ram-qmail-send', 'studio-worker']) expect(log).toContain(`hvmail-${name} is up`)
  })
})

/** Each of these once, one after the other; whatever else is between them. */
function expectInOrder(log: readonly string[], ...expected: string[]): void {
  expect(log.filter((line) => expected.includes(line))).toEqual(expected)
}
