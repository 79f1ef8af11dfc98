import type { Lab } from './lab.ts'

// What systemd's journal says, whatever Filo says.

const messages: Readonly<Record<string, UnitEvent['what']>> = {
  // systemd's catalogue of messages (journalctl -x): sd-messages.h.
  '7d4958e842da4a758f6c1cdc7b36dcc5': 'starting',
  '39f53479d3a045ac8e11786248231fbf': 'started',
  de5b426a63be47a7b6ac3eaac82e2f6f: 'stopping',
  '9d1aaa27d60140bd96365438aad20286': 'stopped',
}

/** What a systemd of the lab noted of a unit, by the one clock that all of its hosts share. */
export interface UnitEvent {
  readonly host: string
  readonly unit: string
  readonly what: 'starting' | 'started' | 'stopping' | 'stopped'
  readonly atUs: number
}

/** What the systemds of all hosts that are on did since a moment, in the order in which they did it. */
export async function unitEvents(lab: Lab, since: Date): Promise<UnitEvent[]> {
  const all = await Promise.all(
    [...lab.hosts.values()]
      .filter(({ pid }) => pid !== undefined)
      .map(async (host) => {
        const from = `@${(since.getTime() / 1000).toFixed(3)}`
        const printed = await host.exec('journalctl', '-q', '-o', 'json', `--since=${from}`, '_COMM=systemd')
        const entries = printed.split('\n').filter(Boolean)
        return entries.flatMap((line) => {
          const entry = JSON.parse(line) as Record<string, string>
          const what = messages[entry['MESSAGE_ID'] ?? '']
          const { UNIT: unit } = entry
          const atUs = Number(entry['_SOURCE_REALTIME_TIMESTAMP'])
          // What a user's own systemd does is about none.
          return what === undefined || unit === undefined ? [] : [{ host: host.name, unit, what, atUs }]
        })
      }),
  )
  return all.flat().toSorted((one, other) => one.atUs - other.atUs)
}
