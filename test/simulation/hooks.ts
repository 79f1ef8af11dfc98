import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { Mutant } from './mutants/mutant.ts'

// How the product gets to run in the world of this folder, and mutants into the product: as its modules are loaded.

const product = /\/packages\/(protocol|agent|coordinator)\/src\//

const standIns = new Map(
  ['crypto', 'fs', 'sqlite', 'timers/promises'].map((name) => [
    `node:${name}`,
    new URL(`stand-ins/${name.replace('/', '-')}.ts`, import.meta.url).href,
  ]),
)

/** From now on product modules get what stands in for Node's, and one of them the mutant. Throws where it does not fit. */
export function hookProduct(mutant: Mutant | undefined): void {
  const root = new URL('../../', import.meta.url)
  const edited = new Map<string, string>()
  for (const { file, from, to } of mutant?.edits ?? []) {
    const url = new URL(file, root).href
    const text = edited.get(url) ?? readFileSync(fileURLToPath(url), 'utf8')
    if (text.split(from).length !== 2) {
      throw new Error(
        `the mutant "${mutant!.name}" does not fit: ${file} does not hold exactly once:\n${from}`,
      )
    }
    edited.set(
      url,
      text.replace(from, () => to),
    )
  }
  registerHooks({
    resolve(specifier, context, next) {
      const standIn = product.test(context.parentURL ?? '') ? standIns.get(specifier) : undefined
      return standIn === undefined ? next(specifier, context) : { url: standIn, shortCircuit: true }
    },
    load(url, context, next) {
      const source = edited.get(url)
      if (source === undefined) return next(url, context)
      return { format: 'module-typescript', source, shortCircuit: true }
    },
  })
}
