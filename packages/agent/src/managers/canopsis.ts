import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  cut,
  type CanopsisDefinition,
  type LsbDefinition,
  type ManagerDefinition,
  type SupervisordDefinition,
} from '@filo/protocol'
import type { Act, Attempt, Manager, RootCommand, Sighting } from './manager.ts'

/**
 * A service as Canopsis' own `service` finds it: the LSB script of that name if there is one, else what supervisord
 * has by that name. To supervisord a program that is in no group is a group of its own with the same name.
 */
export class Canopsis implements Manager<CanopsisDefinition> {
  readonly kind = 'canopsis'
  readonly #lsb: Manager<LsbDefinition>
  readonly #supervisord: Manager<SupervisordDefinition>

  constructor(lsb: Manager<LsbDefinition>, supervisord: Manager<SupervisordDefinition>) {
    this.#lsb = lsb
    this.#supervisord = supervisord
  }

  async observe(definitions: readonly CanopsisDefinition[], signal: AbortSignal): Promise<Sighting[]> {
    const found = definitions.map(find)
    const [byScript, bySupervisord] = await Promise.all([
      this.#lsb.observe(found.filter(isLsb), signal),
      this.#supervisord.observe(found.filter(isSupervisord), signal),
    ])
    return found.map((each, at) =>
      isLsb(each) ? byScript.shift()! : withoutScript(definitions[at]!, bySupervisord.shift()!),
    )
  }

  start(definition: CanopsisDefinition, action: Act): Promise<Attempt> {
    const found = find(definition)
    return isLsb(found) ? this.#lsb.start(found, action) : this.#supervisord.start(found, action)
  }

  stop(definition: CanopsisDefinition, action: Act): Promise<Attempt> {
    const found = find(definition)
    return isLsb(found) ? this.#lsb.stop(found, action) : this.#supervisord.stop(found, action)
  }

  /** Those of the script, whether or not there is one: the socket of supervisord takes none. */
  rootCommands({ name, dir }: CanopsisDefinition): readonly RootCommand[] {
    return this.#lsb.rootCommands({ kind: 'lsb', name, dir })
  }
}

function find({ name, dir, ...access }: CanopsisDefinition): LsbDefinition | SupervisordDefinition {
  if (existsSync(join(dir, name))) return { kind: 'lsb', name, dir }
  return { ...access, kind: 'supervisord', ...(name.includes(':') ? { program: name } : { group: name }) }
}

function isLsb(definition: ManagerDefinition): definition is LsbDefinition {
  return definition.kind === 'lsb'
}

function isSupervisord(definition: ManagerDefinition): definition is SupervisordDefinition {
  return definition.kind === 'supervisord'
}

/** What is declared may be meant as a script: where supervisord does not help, both are named. */
function withoutScript({ name, dir }: CanopsisDefinition, sighting: Sighting): Sighting {
  if (sighting.state !== 'missing' && sighting.state !== 'unknown') return sighting
  return { ...sighting, detail: cut(`there is no script ${join(dir, name)}, and ${sighting.detail}`) }
}
