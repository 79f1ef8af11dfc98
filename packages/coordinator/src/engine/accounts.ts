import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { Party } from '@filo/protocol'
import * as z from 'zod'
import type { StateDir } from './state-dir.ts'

const Accounts = z.record(z.string(), z.strictObject({ user: z.string(), password: z.string() }))
type Accounts = z.infer<typeof Accounts>

/** A user of the broker. */
export interface Account {
  readonly party: Party
  readonly user: string
  readonly password: string
}

/** The accounts of a coordinator and of these hosts: those that were made before, and new ones. */
export function makeAccounts(dir: StateDir, fleet: string, hosts: Iterable<string>): Account[] {
  const before = readAccounts(dir)
  const parties: readonly Party[] = ['coordinator', ...[...hosts].map((agent) => ({ agent }))]
  return parties.map((party): Account => {
    const known = before[partyName(party)]
    const user = `${fleet}-${partyName(party)}`
    return { party, user, password: known?.password ?? randomBytes(24).toString('base64url') }
  })
}

/** From now on these are the broker's accounts. */
export function keepAccounts(dir: StateDir, accounts: readonly Account[]): void {
  const all = accounts.map(({ party, user, password }) => [partyName(party), { user, password }] as const)
  writeFileSync(`${dir.accounts}.new`, `${JSON.stringify(Object.fromEntries(all), undefined, 2)}\n`, {
    mode: 0o600,
    flush: true,
  })
  renameSync(`${dir.accounts}.new`, dir.accounts)
}

/** The broker's URLs for a party: with its own account, where it has one, instead of the one that the fleet file names. */
export function brokerFor(dir: StateDir, urls: readonly string[], party: Party): string[] {
  const account = readAccounts(dir)[partyName(party)]
  if (account === undefined) return [...urls]
  return urls.map((text) => {
    const url = new URL(text)
    url.username = account.user
    url.password = account.password
    return url.href
  })
}

function partyName(party: Party): string {
  return party === 'coordinator' ? party : `agent-${party.agent}`
}

function readAccounts({ accounts }: StateDir): Accounts {
  return existsSync(accounts) ? Accounts.parse(JSON.parse(readFileSync(accounts, 'utf8'))) : {}
}
