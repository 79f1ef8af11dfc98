import { afterAll, beforeAll } from 'vitest'
import { buildProducts } from '../../build.ts'
import { tempDir } from './temp-dir.ts'

/**
 * Has all tests of a file run `filo` and `filo-agent` as hosts get them, and gives the folder that they are built into. To be
 * called before other hooks are added.
 */
export function useBuiltPrograms(): string {
  const product = tempDir()
  beforeAll(async () => {
    await buildProducts(product.path)
    process.env['FILO_PRODUCT'] = product.path
  })
  afterAll(() => {
    delete process.env['FILO_PRODUCT']
    product[Symbol.dispose]()
  })
  return product.path
}
