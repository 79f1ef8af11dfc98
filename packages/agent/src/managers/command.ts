import type { CommandDefinition } from '@filo/protocol'
import { mapBounded } from './bounded.ts'
import { attemptByScript, seeByStatus, statusesAtOnce } from './lsb-script.ts'
import type { Manager, Sighting } from './manager.ts'

export const command: Manager<CommandDefinition> = {
  kind: 'command',
  observe: (definitions, signal) =>
    mapBounded(definitions, statusesAtOnce, (definition) => see(definition, signal)),
  start: (definition, action) => attemptByScript(definition.start, 'start', action),
  stop: (definition, action) => attemptByScript(definition.stop, 'stop', action),
}

async function see({ status }: CommandDefinition, signal: AbortSignal): Promise<Sighting> {
  if (status !== undefined) return await seeByStatus(status, signal)
  return {
    state: 'unknown',
    live: 'unknown',
    detail:
      'no status command is declared, so nothing can be proven: declare `status` (an argv that exits 0 when ' +
      'running and 3 when stopped), or waive its steps',
  }
}
