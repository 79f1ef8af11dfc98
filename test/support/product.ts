import { buildProducts } from '../../build.ts'
import { tempDir, type TempDir } from './temp-dir.ts'

/** Builds what hosts get: each `filo` and agent that is started until it is disposed is of it. */
export async function openProduct(): Promise<TempDir> {
  const dir = tempDir()
  await buildProducts(dir.path)
  process.env['FILO_PRODUCT'] = dir.path
  return {
    path: dir.path,
    [Symbol.dispose]() {
      delete process.env['FILO_PRODUCT']
      dir[Symbol.dispose]()
    },
  }
}
