import type { AuditEvent } from '@filo/protocol'
import picocolors from 'picocolors'
import { expect, test } from 'vitest'
import { tellStory } from './story.ts'
import { storyView } from './audit-show.ts'

const run = 'r20261120-030000-aaaa'
const coordinator = '/coordinators/one'
const [mail, db] = ['/agents/mail1', '/agents/db1']
const action = '6f0c2f6e-0000-4000-8000-000000000000'
const operator = 'alice@admin1'

/** Source, second, type, subject, data. */
type Told = readonly [source: string, second: number, type: string, subject: string, data: AuditEvent['data']]

function eventsOf(told: readonly Told[]): AuditEvent[] {
  const sequences = new Map<string, number>()
  return told.map(([source, second, type, subject, data]) => {
    const sequence = (sequences.get(source) ?? 0) + 1
    sequences.set(source, sequence)
    const time = new Date(Date.UTC(2026, 10, 20, 3, 0, second)).toISOString()
    const hash = String(sequence).padStart(64, '0')
    return {
      specversion: '1.0',
      id: String(sequence),
      source,
      type: `filo.${type}`,
      subject,
      time,
      datacontenttype: 'application/json',
      data: { run, ...data },
      sequence,
      previoushash: hash,
      hash,
    }
  })
}

const stopMail = { step: 'stop mta@mail1', action }

const night: readonly Told[] = [
  [
    coordinator,
    0,
    'run.ordered',
    run,
    { operator, reason: 'new disks', plan: 'f'.repeat(64), verb: 'stop', selection: [] },
  ],
  [coordinator, 1, 'run.opened', run, { operator, session: 1, policy: 'hold', verb: 'stop', selection: [] }],
  [coordinator, 2, 'host.claimed', 'mail1', { outcome: 'success', grant: 4 }],
  [coordinator, 2, 'host.silent', 'db1', { outcome: 'unknown', reason: 'no answer from db1 within 5 s' }],
  [coordinator, 3, 'step.sent', 'mta@mail1', { ...stopMail, grant: 4 }],
  [coordinator, 9, 'step.failed', 'mta@mail1', { ...stopMail, outcome: 'failure', reason: 'exit status 1' }],
  [
    coordinator,
    20,
    'step.waived',
    'mta@mail1',
    {
      step: 'stop mta@mail1',
      outcome: 'success',
      operator: 'bob@admin2',
      reason: 'it is idle',
      opens: ['stop db@db1'],
    },
  ],
  [
    coordinator,
    21,
    'run.stopping',
    run,
    { operator: 'bob@admin2', result: 'cancelled', reason: 'it is morning' },
  ],
  [coordinator, 22, 'run.ended', run, { outcome: 'unknown', result: 'cancelled' }],
  [coordinator, 23, 'run.released', run, {}],
  [
    mail,
    2,
    'claim.granted',
    run,
    {
      operator,
      outcome: 'success',
      grant: 4,
      takeOver: 'any',
      from: { run: 'r20261119-220000-zzzz', grant: 3, operator: 'carol@admin3' },
    },
  ],
  [mail, 4, 'action.started', 'mta@mail1', { ...stopMail, operator, verb: 'stop' }],
  // Its clock was set back meanwhile.
  [
    mail,
    1,
    'action.finished',
    'mta@mail1',
    { ...stopMail, operator, outcome: 'failure', ending: 'failed', reason: 'exit status 1' },
  ],
  [mail, 23, 'claim.released', run, { operator, outcome: 'success' }],
  [
    db,
    5,
    'claim.refused',
    run,
    { operator, outcome: 'refused', reason: 'held by r20261119-220000-zzzz of carol@admin3' },
  ],
  [db, 6, 'claim.granted', 'r20261119-220000-zzzz', { run: 'r20261119-220000-zzzz', outcome: 'success' }],
]

test('the story of a run says who asked and why, what happened, what agents said, and how it ended', () => {
  const events = eventsOf(night)
  const story = tellStory(run, [...events, ...events.slice(3, 6)])
  expect(storyView(run, story, picocolors.createColors(false)).join('\n')).toMatchInlineSnapshot(`
    "r20261120-030000-aaaa, on 2026-11-20, in UTC, each time by the clock of the machine that tells it

    at             told by      what
    03:00:00.000Z  coordinator  alice@admin1 ordered: stop the whole fleet: new disks
    03:00:01.000Z  coordinator  alice@admin1 has it carried out (session 1); after a failure nothing new is begun
    03:00:02.000Z  coordinator  mail1 is ours (grant 4)
    03:00:02.000Z  coordinator  db1 is silent: no answer from db1 within 5 s
    03:00:02.000Z  mail1        the host is given to the run for alice@admin1 (grant 4), taken from r20261119-220000-zzzz
    03:00:03.000Z  coordinator  stop mta@mail1: sent (action 6f0c2f6e)
    03:00:04.000Z  mail1        stop mta@mail1 begins for alice@admin1 (action 6f0c2f6e)
    03:00:01.000Z  mail1        stop mta@mail1: failed: exit status 1 (action 6f0c2f6e)
    03:00:05.000Z  db1          the host is refused to alice@admin1: held by r20261119-220000-zzzz of carol@admin3
    03:00:09.000Z  coordinator  stop mta@mail1: failed: exit status 1 (action 6f0c2f6e)
    03:00:20.000Z  coordinator  stop mta@mail1: waived by bob@admin2: it is idle; it no longer holds stop db@db1
    03:00:21.000Z  coordinator  bob@admin2 cancelled it: it is morning; nothing new is sent
    03:00:22.000Z  coordinator  the session ended: cancelled
    03:00:23.000Z  mail1        the host is given back"
  `)
})
