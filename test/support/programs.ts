import { fileURLToPath } from 'node:url'

const repository = fileURLToPath(new URL('../..', import.meta.url))

/** `filo` and `filo-agent`: of the sources, or of what `npm run build` made in the folder that FILO_PRODUCT names. */
export function programs(): { readonly filo: string; readonly agent: string } {
  const root = process.env['FILO_PRODUCT'] ?? repository
  return {
    filo: `${root}/packages/coordinator/bin/filo`,
    agent: `${root}/packages/agent/bin/filo-agent`,
  }
}
