import { expect, test } from 'vitest'
import { until } from '../support/until.ts'
import { untilAgentAnswers } from './agent-unit.ts'
import { describeInLab } from './describe-in-lab.ts'
import { sympa } from './fleets.ts'
import type { Host } from './host.ts'
import { hub } from './network.ts'
import { runOf, statusOf } from './status.ts'
import { tryTheList, watchStart, watchStop } from './sympa/evidence.ts'
import { unitEvents } from './unit-events.ts'

// Faults in the middle of a run. Whatever happens, it ends proven, or held with what is in the way and what to type;
// and the order of effects, by the services' own words, is never broken.

/** For runs that are to end while the fault lasts. */
const soon = ['--patience', '10s']

describeInLab('Sympa, while the machines fail', sympa, (current) => {
  const host = (name: string): Host => current.lab.host(name)

  /** Where a test begins, whatever the one before came to. */
  const all = async (verb: 'start' | 'stop'): Promise<void> => {
    expect(await current.lab.filo(verb, '--yes')).toMatchObject({ code: 0 })
  }

  /** Carries on until the run is proven. Each round that is not must say what to type next. */
  const carryOn = async (run: string): Promise<void> => {
    await until(
      `${run} to be proven`,
      async () => {
        const resumed = await current.lab.filo('resume', run, '--yes')
        if (resumed.code !== 0) expect(resumed.stdout + resumed.stderr).toContain('filo resume')
        return resumed.code === 0
      },
      { timeoutMs: 240_000 },
    )
  }

  test('a host that freezes for 30 s in the middle of a stop holds the database, and the run is proven in the end', async () => {
    const { lab } = current
    await all('start')
    const judge = await watchStop(lab, 'systemd')
    await using stop = lab.startFilo(['stop', '--yes'])
    await stop.untilSays(/stop sympa@app {2}begins/)
    host('app').freeze()
    const frozenAt = performance.now()
    await until('30 s to pass', () => performance.now() - frozenAt > 30_000, { timeoutMs: 40_000 })
    expect((await host('db').attempt('systemctl', 'is-active', 'postgresql@15-main')).stdout).toBe('active\n')
    host('app').thaw()
    const ended = await stop.ended
    if (ended.code !== 0) await carryOn(runOf(ended))
    await judge()
  })

  test('a database host that crashes while it starts holds everything, and is started again by the same run', async () => {
    const { lab } = current
    await all('stop')
    const began = new Date()
    await using start = lab.startFilo(['start', '--yes', ...soon])
    await start.untilSays(/start database@db {2}begins/)
    await host('db').crash()
    const ended = await start.ended
    expect(ended.code).not.toBe(0)
    expect(ended.stdout).toContain('database@db')
    expect(ended.stdout).toContain(`filo resume ${runOf(ended)}`)
    expect((await unitEvents(lab, began)).filter(({ what }) => what.startsWith('start'))).toEqual([])
    const judge = watchStart(lab, 'systemd')
    await host('db').boot()
    await untilAgentAnswers(host('db'))
    await carryOn(runOf(ended))
    await judge()
    await tryTheList(lab, 'after the crash')
  })

  test('an application host that cannot reach the broker in the middle of a stop keeps the database up', async () => {
    const { lab } = current
    await all('start')
    const judge = await watchStop(lab, 'systemd')
    await using stop = lab.startFilo(['stop', '--yes', ...soon])
    await stop.untilSays(/stop sympa@app {2}begins/)
    await lab.network.partition(host('app'), hub)
    const ended = await stop.ended
    expect(ended.code).not.toBe(0)
    expect(ended.stdout).toContain(`filo resume ${runOf(ended)}`)
    expect((await statusOf(lab)).get('database@db')).toMatchObject({ state: 'running' })
    expect((await statusOf(lab)).get('sympa@app')).toMatchObject({ state: 'unknown' })
    await lab.network.heal(host('app'), hub)
    await carryOn(runOf(ended))
    await judge()
  })

  test('a broker that is killed and comes back in the middle of a stop breaks no order', async () => {
    const { lab, broker } = current
    await all('start')
    const judge = await watchStop(lab, 'systemd')
    await using stop = lab.startFilo(['stop', '--yes'])
    await stop.untilSays(/stop mta@mail {2}begins/)
    await broker.kill()
    await broker.restart()
    const ended = await stop.ended
    if (ended.code !== 0) await carryOn(runOf(ended))
    await judge()
    await all('start')
    await tryTheList(lab, 'after all of it')
  })
})
