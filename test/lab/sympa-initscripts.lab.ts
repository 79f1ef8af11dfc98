import { expect, test } from 'vitest'
import { until } from '../support/until.ts'
import { describeInLab } from './describe-in-lab.ts'
import { sympaByInitscripts } from './fleets.ts'
import type { Host } from './host.ts'
import { runOf, statusOf } from './status.ts'
import {
  expectNobodyAtTheDatabase,
  markDatabaseLog,
  sendVisitors,
  tryTheList,
  watchStart,
  watchStop,
} from './sympa/evidence.ts'
import { fleetFile } from './sympa/prepare.ts'

// The same four hosts where Sympa has no units, only its init script: `service sympa start|stop`.

describeInLab('Sympa by initscripts', sympaByInitscripts, (current) => {
  const host = (name: string): Host => current.lab.host(name)

  test('it stops and starts in order, and mail goes through the list before and after', async () => {
    const { lab } = current
    await tryTheList(lab, 'before the stop')
    const judgeStop = await watchStop(lab, 'initscripts')
    {
      await using _visitors = await sendVisitors(lab)
      expect(await lab.filo('stop', '--yes')).toMatchObject({ code: 0 })
    }
    await judgeStop()
    expect((await host('app').attempt('service', 'sympa', 'status')).code).toBe(3)
    const judgeStart = watchStart(lab, 'initscripts')
    expect(await lab.filo('start', '--yes')).toMatchObject({ code: 0 })
    await judgeStart()
    expect((await host('app').attempt('service', 'sympa', 'status')).code).toBe(0)
    await tryTheList(lab, 'after the start')
  })

  test('a daemon that the script leaves behind keeps the database up, though the script says that it went well', async () => {
    const { lab } = current
    await lab.declare(fleetFile('initscripts').replace('lsb: sympa', '$&\n    stop_timeout: 15s'))
    // As Debian has it: sympa_msg.pl starts sympa_automatic.pl, of which the script knows nothing.
    await host('app').sh('rm /etc/default/sympa; systemctl restart sympa')
    const leftBehind = async (): Promise<string[]> =>
      (await host('app').attempt('pgrep', '-f', 'sympa_automatic.pl')).stdout.split('\n').filter(Boolean)
    await until('sympa_automatic.pl to run', async () => (await leftBehind()).length > 0)
    const stop = await lab.filo('stop', '--yes')
    expect(stop.code).toBe(2)
    const [pid] = await leftBehind()
    expect(stop.stdout).toMatch(
      new RegExp(`stop sympa@app failed: .*held by ${pid} \\(.*sympa_automatic\\.pl`),
    )
    expect((await host('app').attempt('service', 'sympa', 'status')).code).toBe(3)
    expect((await statusOf(lab)).get('database@db')).toMatchObject({ state: 'running', ready: 'yes' })
    await host('app').exec('kill', '-KILL', ...(await leftBehind()))
    const mark = await markDatabaseLog(host('db'))
    expect(await lab.filo('resume', runOf(stop), '--yes')).toMatchObject({ code: 0 })
    await expectNobodyAtTheDatabase(host('db'), mark)
  })
})
