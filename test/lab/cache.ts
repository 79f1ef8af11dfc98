import { createHash } from 'node:crypto'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** What takes long to make and is kept between runs; safe to remove when no lab is up. Outside the checkout. */
export function cacheDir(...names: readonly string[]): string {
  const root =
    process.env['FILO_LAB_CACHE'] ??
    join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'filo-lab')
  return join(root, ...names)
}

/** A short name for a recipe: what was made by another recipe has another name. */
export function keyOf(recipe: unknown): string {
  return createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 12)
}
