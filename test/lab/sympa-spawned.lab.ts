import { expect, test } from 'vitest'
import { describeInLab } from './describe-in-lab.ts'
import { sympaSpawned } from './fleets.ts'
import type { Host } from './host.ts'
import { statusOf } from './status.ts'
import {
  sendVisitors,
  tryTheList,
  untilArrived,
  visit,
  watchStart,
  watchStop,
  writeToList,
} from './sympa/evidence.ts'
import { fleetFile } from './sympa/prepare.ts'

// The manual's other case: Apache spawns WWSympa by mod_fcgid, so the whole HTTP server is what stops.

describeInLab('Sympa with WWSympa spawned by the HTTP server', sympaSpawned, (current) => {
  const app = (): Host => current.lab.host('app')
  const spawned = async (): Promise<string[]> =>
    (await app().attempt('pgrep', '-f', 'wwsympa.fcgi')).stdout.split('\n').filter(Boolean)

  test('the whole HTTP server stops first, and nothing of WWSympa lives after it', async () => {
    const { lab } = current
    await tryTheList(lab, 'before the stop')
    expect(await visit(lab)).toBe(200)
    expect(await spawned()).not.toEqual([])
    const judge = await watchStop(lab, 'spawned')
    {
      await using _visitors = await sendVisitors(lab)
      await using stop = lab.startFilo(['stop', '--yes'])
      await stop.untilSays(/stop http@app {2}stopped/)
      expect(await spawned()).toEqual([])
      expect(await stop.ended).toMatchObject({ code: 0 })
      await writeToList(lab, 'while all is stopped')
    }
    expect(await visit(lab)).toBe(0)
    expect(await spawned()).toEqual([])
    await judge()
  })

  test('it starts last, and spawns WWSympa again for who visits', async () => {
    const { lab } = current
    const judge = watchStart(lab, 'spawned')
    expect(await lab.filo('start', '--yes')).toMatchObject({ code: 0 })
    await judge()
    await untilArrived(lab, 'while all is stopped')
    await tryTheList(lab, 'after the start')
    expect(await visit(lab)).toBe(200)
    expect(await spawned()).not.toEqual([])
  })

  test('a WWSympa that outlives its HTTP server keeps mail, Sympa and the database up, and is named', async () => {
    const { lab } = current
    await lab.declare(fleetFile('spawned').replace('systemd: apache2.service', '$&\n    stop_timeout: 15s'))
    expect(await visit(lab)).toBe(200)
    const [pid] = await spawned()
    // The HTTP server crashes, and nobody but it would have ended what it had spawned.
    app().write(
      '/etc/systemd/system/apache2.service.d/leaves.conf',
      '[Service]\nKillMode=process\nRestart=no\n',
    )
    await app().sh(`systemctl daemon-reload; kill -STOP ${pid}; kill -KILL $(pgrep apache2)`)
    const stop = await lab.filo('stop', '--yes', '--patience', '5s')
    expect(stop.code).not.toBe(0)
    expect(stop.stdout).toMatch(new RegExp(`stop http@app .*${pid} \\(.*wwsympa`))
    const states = [...(await statusOf(lab)).values()].filter(({ instance }) => instance !== 'http@app')
    expect(states.filter(({ state }) => state !== 'running')).toEqual([])
  })
})
