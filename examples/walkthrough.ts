import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'

// What the examples share: a fleet laid out in a directory of its own, and commands typed there, shown as they are.

const filo = join(import.meta.dirname, '../packages/coordinator/bin/filo')

/** A command with the exit code that it must have, or something that happens meanwhile, told in words. */
export type Scene =
  | { readonly type: readonly string[]; readonly exit: number }
  | { readonly tell: string; readonly act: (root: string) => void | Promise<void> }

export function type(exit: number, ...words: string[]): Scene {
  return { type: words, exit }
}

/**
 * Copies an example's files into a new directory `<temp>/filo-NAME-…`, and writes its path into the fleet file, which
 * has `/tmp/filo-NAME` in its place.
 */
export function layOut(name: string, source: string, files: readonly string[]): string {
  const root = mkdtempSync(join(tmpdir(), `filo-${name}-`))
  for (const file of files) cpSync(join(source, file), join(root, file), { recursive: true })
  const fleet = readFileSync(join(source, 'filo.yaml'), 'utf8')
  writeFileSync(join(root, 'filo.yaml'), fleet.replaceAll(`/tmp/filo-${name}`, root))
  return root
}

/**
 * From now on Ctrl-C ends nothing at once, so that all that an example began can be ended in order. Gives whether it
 * was pressed.
 */
export function holdBackInterruption(): () => boolean {
  let isInterrupted = false
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => (isInterrupted = true))
  return () => isInterrupted
}

/**
 * Plays the scenes one after another; the first that does not go as it must is the last. Gives the exit code of the
 * example: 130 after Ctrl-C, which reaches the command that runs by itself, and when that has ended in order.
 */
export async function walkThrough(
  root: string,
  isInterrupted: () => boolean,
  scenes: readonly Scene[],
): Promise<number> {
  for (const scene of scenes) {
    if (isInterrupted()) return 130
    if ('tell' in scene) {
      process.stdout.write(`\n# ${scene.tell}\n`)
      await scene.act(root)
      continue
    }
    const exit = await run(root, scene.type)
    if (isInterrupted()) return 130
    if (exit !== scene.exit) {
      const words = scene.type.join(' ')
      process.stderr.write(`\nit ends here: filo ${words} exited with ${exit}, not ${scene.exit}\n`)
      return 1
    }
  }
  return 0
}

/** Shows a command line, carries it out in the fleet's directory, and gives its exit code. */
async function run(root: string, words: readonly string[]): Promise<number> {
  process.stdout.write(`\n$ filo ${words.join(' ')}\n`)
  const child = spawn(filo, words, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, FILO_STATE: join(root, 'state') },
  })
  const passOn = (): void => void child.kill('SIGTERM')
  process.once('SIGTERM', passOn)
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal!]))
    })
  } finally {
    process.off('SIGTERM', passOn)
  }
}
