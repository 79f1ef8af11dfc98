import { setTimeout as delay } from 'node:timers/promises'
import type { CommandDefinition } from '@filo/protocol'
import type { Attempt, Manager } from '../packages/agent/src/managers/manager.ts'

/** Services that are nothing but a state in memory: a change waits and is done, a look costs nothing. */
export function waiting(ms: number): Manager<CommandDefinition> {
  const stopped = new Set<string>()
  const change = async (name: string, isStop: boolean): Promise<Attempt> => {
    await delay(ms)
    if (isStop) stopped.add(name)
    else stopped.delete(name)
    return { accepted: true, detail: 'done' }
  }
  // The last word of a benchmark's command is the service's name (layered-fleet.ts).
  return {
    kind: 'command',
    observe: (definitions) =>
      Promise.resolve(
        definitions.map(({ start }) =>
          stopped.has(start.at(-1)!)
            ? { state: 'stopped', live: 'no', detail: 'stopped' }
            : { state: 'running', live: 'yes', detail: 'running' },
        ),
      ),
    start: ({ start }) => change(start.at(-1)!, false),
    stop: ({ stop }) => change(stop.at(-1)!, true),
    rootCommands: () => [],
  }
}
