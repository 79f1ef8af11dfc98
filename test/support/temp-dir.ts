import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A directory of a test's own, gone with everything in it when disposed. */
export interface TempDir extends Disposable {
  readonly path: string
}

export function tempDir(): TempDir {
  // Short: the path of a Unix socket in it has to fit into 108 bytes (unix(7)).
  const path = mkdtempSync(join(tmpdir(), 'filo-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true, maxRetries: 5 }) }
}
