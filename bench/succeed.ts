import { buildProducts } from '../build.ts'
import { filo } from '../test/support/filo.ts'
import { tempDir, type TempDir } from '../test/support/temp-dir.ts'

/** Builds what hosts get: each `filo` that is started from now on is of it. */
export async function openProduct(): Promise<TempDir> {
  const product = tempDir()
  await buildProducts(product.path)
  process.env['FILO_PRODUCT'] = product.path
  return product
}

/** `filo ARGS` in a folder; what it printed. Where it does not succeed, the benchmark ends. */
export async function succeed(dir: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await filo(args, { cwd: dir, timeoutMs: 600_000 })
  if (code !== 0) throw new Error(`filo ${args.join(' ')} exited with ${code}:\n${stderr}`)
  return stdout
}
