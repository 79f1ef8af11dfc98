import { filo } from '../test/support/filo.ts'

/** `filo ARGS` in a folder; what it printed. Where it does not succeed, the benchmark ends. */
export async function succeed(dir: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await filo(args, { cwd: dir, timeoutMs: 600_000 })
  if (code !== 0) throw new Error(`filo ${args.join(' ')} exited with ${code}:\n${stderr}`)
  return stdout
}
