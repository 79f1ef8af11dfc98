import picocolors from 'picocolors'
import { expect, test } from 'vitest'
import { locksView } from './locks-view.ts'

const colors = picocolors.createColors(false)
const now = new Date(2026, 10, 20, 4, 0, 0)
const since = new Date(2026, 10, 20, 3, 15).toISOString()
const heldForMs = 45 * 60_000

test('each host has a row: who holds it, since when, for which run and how that stands; then what to type', () => {
  const heldBy = (letters: string, operator: string) => ({
    run: `r20261120-031500-${letters}`,
    operator,
    since,
  })
  const hosts = [
    { host: 'db1', answered: true, heldBy: heldBy('aaaa', 'alice@admin1'), heldForMs, standing: 'running' },
    {
      host: 'app1',
      answered: true,
      heldBy: heldBy('bbbb', 'bob@admin2'),
      heldForMs,
      standing: 'interrupted',
    },
    {
      host: 'app2',
      answered: true,
      heldBy: heldBy('bbbb', 'bob@admin2'),
      heldForMs,
      standing: 'interrupted',
    },
    { host: 'mail1', answered: true, heldBy: heldBy('cccc', 'carol@admin3'), heldForMs },
    { host: 'mail2', answered: true },
    { host: 'web1', answered: false, silence: 'no agent listens for web1' },
  ] as const
  const runs = [{ run: 'r20261120-031500-aaaa', operator: 'alice@admin1', pid: 4711, since, hosts: ['db1'] }]
  expect(locksView(hosts, runs, { colors, now }).join('\n')).toMatchInlineSnapshot(`
    "host   held by                of            since     for  how it stands
    db1    r20261120-031500-aaaa  alice@admin1  03:15:00  45m  is being carried out
    app1   r20261120-031500-bbbb  bob@admin2    03:15:00  45m  its process has ended in the midst of it
    app2   r20261120-031500-bbbb  bob@admin2    03:15:00  45m  its process has ended in the midst of it
    mail1  r20261120-031500-cccc  carol@admin3  03:15:00  45m  not a run of this coordinator
    mail2                                                      free
    web1                                                       no answer: no agent listens for web1

    carried out from here  by            since     process
    r20261120-031500-aaaa  alice@admin1  03:15:00  4711

    What to type next:
      filo resume r20261120-031500-bbbb  carry on with it, which frees app1, app2
      filo doctor                        see why hosts do not answer"
  `)
})

test('where all is free there is nothing to type', () => {
  expect(locksView([{ host: 'db1', answered: true }], [], { colors, now })).toMatchInlineSnapshot(`
    [
      "host  held by  of  since  for  how it stands",
      "db1                            free",
    ]
  `)
})
