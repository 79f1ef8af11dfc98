import { afterAll, beforeAll } from 'vitest'
import { openProduct } from './product.ts'
import type { TempDir } from './temp-dir.ts'

/** Has all tests of a file run `filo` and `filo-agent` as hosts get them. To be called before other hooks are added. */
export function useBuiltPrograms(): () => TempDir {
  let product: TempDir
  beforeAll(async () => {
    product = await openProduct()
  })
  afterAll(() => product[Symbol.dispose]())
  return () => product
}
