import {
  digest,
  hookName,
  powerName,
  type Act,
  type HostDefinition,
  type ServiceDefinition,
  type Sha256,
} from '@filo/protocol'
import type { Subject } from './actions.ts'
import type { OpenAction } from './ledger.ts'

/** A definition, and what a command that relies on it has to quote. */
interface Known<Definition> {
  readonly definition: Definition
  readonly digest: Sha256
}

/** What an agent's configuration says of services, hooks and power: what is not in it cannot be done. */
export class Definitions {
  readonly #services: ReadonlyMap<string, Known<ServiceDefinition>>
  readonly #hooks: ReadonlyMap<string, Known<HostDefinition['hooks'][number]>>
  readonly #power: Known<NonNullable<HostDefinition['power']>> | undefined

  constructor({ services, hooks, power }: HostDefinition) {
    this.#services = new Map(services.map((definition) => [definition.service, known(definition)]))
    this.#hooks = new Map(
      hooks.map((definition) => [hookName(definition.service, definition.at), known(definition)]),
    )
    this.#power = power && known(power)
  }

  service(name: string): Known<ServiceDefinition> | undefined {
    return this.#services.get(name)
  }

  /** The digests of services, hooks and power by their names; of what is not here, none. */
  digestsOf(names: readonly string[]): Record<string, Sha256> {
    const found = names.map((name) => [name, this.#named(name)?.digest] as const)
    return Object.fromEntries(found.filter((entry): entry is [string, Sha256] => entry[1] !== undefined))
  }

  /** What an action is about. */
  subjectOf(act: Act | OpenAction): { readonly subject: Subject; readonly digest: Sha256 } | undefined {
    const { verb } = act
    if (verb === 'reboot' || verb === 'halt') {
      const power = this.#power
      return power && { subject: { kind: 'power', verb, definition: power.definition }, digest: power.digest }
    }
    const service = ('service' in act && act.service) || ''
    if (verb === 'hook') {
      const hook = act.hook && this.#hooks.get(hookName(service, act.hook))
      return hook && { subject: { kind: 'hook', definition: hook.definition }, digest: hook.digest }
    }
    const found = this.#services.get(service)
    return found && { subject: { kind: 'service', verb, definition: found.definition }, digest: found.digest }
  }

  #named(name: string): Known<unknown> | undefined {
    return name === powerName ? this.#power : (this.#services.get(name) ?? this.#hooks.get(name))
  }
}

function known<Definition>(definition: Definition): Known<Definition> {
  return { definition, digest: digest(definition) }
}

/** What an action is about, in words. */
export function nameOf(act: Act | OpenAction): string {
  if (!('service' in act) || act.service === undefined) return `the ${act.verb} of its host`
  return ('hook' in act && act.hook) || act.service
}
