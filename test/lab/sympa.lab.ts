import { expect, test } from 'vitest'
import { describeInLab } from './describe-in-lab.ts'
import { sympa } from './fleets.ts'
import type { Host } from './host.ts'
import { runOf, statusOf } from './status.ts'
import {
  expectNobodyAtTheDatabase,
  markDatabaseLog,
  sendVisitors,
  tryTheList,
  untilArrived,
  visit,
  watchStart,
  watchStop,
  writeToList,
} from './sympa/evidence.ts'
import { fleetFile } from './sympa/prepare.ts'
import { unitEvents } from './unit-events.ts'

// Debian's Sympa, PostgreSQL, Postfix and nginx on four hosts, driven as units of systemd.

describeInLab('Sympa by systemd', sympa, (current) => {
  const host = (name: string): Host => current.lab.host(name)
  const activeState = async (name: string, unit: string): Promise<string> =>
    (await host(name).attempt('systemctl', 'is-active', unit)).stdout.trim()

  test('it stops in order while mail and visitors come in, and nobody is at the database when it stops', async () => {
    const { lab } = current
    await tryTheList(lab, 'before the stop')
    expect(await visit(lab)).toBe(200)
    const judge = await watchStop(lab, 'systemd')
    {
      await using _visitors = await sendVisitors(lab)
      expect(await lab.filo('stop', '--yes')).toMatchObject({ code: 0 })
      await writeToList(lab, 'while all is stopped')
      expect(await visit(lab)).toBe(502)
    }
    const events = await judge()
    expect(events.filter(({ what }) => what === 'started' || what === 'starting')).toEqual([])
    expect(await activeState('app', 'wwsympa.service')).not.toBe('active')
    expect(await activeState('web', 'nginx.service')).toBe('active')
    expect((await statusOf(lab)).get('nginx@web')).toMatchObject({ state: 'running' })
  })

  test('a stop of what is stopped does nothing', async () => {
    const began = new Date()
    expect(await current.lab.filo('stop', '--yes')).toMatchObject({ code: 0 })
    expect(await unitEvents(current.lab, began)).toEqual([])
  })

  test('nginx stops when it is named, and starts along with wwsympa', async () => {
    const { lab } = current
    const began = new Date()
    expect(await lab.filo('stop', 'nginx', '--yes')).toMatchObject({ code: 0 })
    const eventsOfWeb = async (): Promise<string[]> =>
      (await unitEvents(lab, began))
        .filter(({ unit }) => ['nginx.service', 'wwsympa.service'].includes(unit))
        .map(({ unit, what }) => `${unit} ${what}`)
    expect(await eventsOfWeb()).toEqual(['nginx.service stopping', 'nginx.service stopped'])
    expect(await visit(lab)).toBe(0)
    expect(await lab.filo('start', 'nginx', '--yes')).toMatchObject({ code: 0 })
    expect((await eventsOfWeb()).slice(2)).toEqual([
      'wwsympa.service started',
      'nginx.service starting',
      'nginx.service started',
    ])
    expect(await visit(lab)).toBe(200)
    expect(await lab.filo('stop', '--yes')).toMatchObject({ code: 0 })
  })

  test('it starts in order, and delivers what came meanwhile and what comes now', async () => {
    const { lab } = current
    const judge = watchStart(lab, 'systemd')
    expect(await lab.filo('start', '--yes')).toMatchObject({ code: 0 })
    await judge()
    await untilArrived(lab, 'while all is stopped')
    await tryTheList(lab, 'after the start')
    expect(await visit(lab)).toBe(200)
  })

  test('a daemon that refuses to stop keeps the database up, and its process is named', async () => {
    const { lab } = current
    await lab.declare(
      fleetFile('systemd').replace('systemd: sympa-archived.service', '$&\n    stop_timeout: 3s'),
    )
    host('app').write(
      '/etc/systemd/system/sympa-archived.service.d/refuses.conf',
      '[Service]\nKillSignal=SIGCONT\nTimeoutStopSec=infinity\n',
    )
    await host('app').exec('systemctl', 'daemon-reload')
    const stop = await lab.filo('stop', '--yes', '--patience', '5s')
    expect(stop.code).toBe(3)
    const pid = (await host('app').exec('pgrep', '-f', 'archived.pl')).trim()
    expect(stop.stdout).toMatch(
      new RegExp(`stop sympa-archived@app is unknown: .*held by ${pid} \\(.*archived\\.pl`),
    )
    expect(stop.stdout).toContain(`filo resume ${runOf(stop)}`)
    expect(await activeState('db', 'postgresql@15-main')).toBe('active')
    await host('app').exec('kill', '-KILL', pid)
    const mark = await markDatabaseLog(host('db'))
    expect(await lab.filo('resume', runOf(stop), '--yes')).toMatchObject({ code: 0 })
    await expectNobodyAtTheDatabase(host('db'), mark)
    await host('app').sh('rm -r /etc/systemd/system/sympa-archived.service.d; systemctl daemon-reload')
    expect(await lab.filo('start', '--yes')).toMatchObject({ code: 0 })
  })

  test("a fleet file that names Debian's dummies is told the units that do the work", async () => {
    const { lab } = current
    const dummies = fleetFile('systemd')
      .replace('systemd: postgresql@15-main.service', 'systemd: postgresql.service')
      .replaceAll('systemd: postfix@-.service', 'systemd: postfix.service')
    await lab.declare(dummies)
    const { stdout, stderr } = await lab.filo('plan', 'stop')
    expect(stdout + stderr).toContain('declare postgresql@15-main.service instead')
    expect(stdout + stderr).toContain('declare postfix@-.service instead')
    await lab.declare(fleetFile('systemd'))
  })
})
