import type { CommandDefinition } from '@filo/protocol'
import { direct } from '../runner.ts'
import { mapBounded } from './bounded.ts'
import { attemptByScript, scriptCommands, seeByStatus, statusesAtOnce } from './lsb-script.ts'
import type { Act, Attempt, Manager, RootCommand, Sighting } from './manager.ts'

export class Command implements Manager<CommandDefinition> {
  readonly kind = 'command'
  readonly #runner

  constructor(runner = direct) {
    this.#runner = runner
  }

  observe(definitions: readonly CommandDefinition[], signal: AbortSignal): Promise<Sighting[]> {
    return mapBounded(definitions, statusesAtOnce, (definition) => this.#see(definition, signal))
  }

  start(definition: CommandDefinition, action: Act): Promise<Attempt> {
    return attemptByScript(this.#runner, definition.start, 'start', action)
  }

  stop(definition: CommandDefinition, action: Act): Promise<Attempt> {
    return attemptByScript(this.#runner, definition.stop, 'stop', action)
  }

  rootCommands({ start, stop, status }: CommandDefinition): readonly RootCommand[] {
    return scriptCommands({ start, stop, status })
  }

  async #see({ status }: CommandDefinition, signal: AbortSignal): Promise<Sighting> {
    if (status !== undefined) return await seeByStatus(this.#runner, status, signal)
    return {
      state: 'unknown',
      live: 'unknown',
      detail:
        'no status command is declared, so nothing can be proven: declare `status` (an argv that exits 0 when ' +
        'running and 3 when stopped), or waive its steps',
    }
  }
}
