import { readSecrets, Redactor, SecretsUnusable } from '@filo/protocol'
import type { Fleet } from '../fleet/fleet.ts'

/**
 * What hides the fleet's secrets from what this process writes. Where the hosts are in it, it has to know them: throws
 * SecretsUnusable. Else the agents have hidden them already, and the file need not be here.
 */
export function redactorOf({ secrets, broker }: Fleet): Redactor {
  if (secrets === undefined) return new Redactor()
  try {
    return new Redactor(readSecrets(secrets))
  } catch (error) {
    if (broker === 'local' || !(error instanceof SecretsUnusable)) throw error
    return new Redactor()
  }
}
