import { readFileSync, writeFileSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { printLines } from './print.ts'

const template = new URL('../../filo.template.yaml', import.meta.url)

/** Writes a fleet file to begin with; never over one that is there. */
export async function init(context: Context): Promise<ExitCode> {
  const file = resolve(context.cwd, context.file ?? 'filo.yaml')
  const shown = relative(context.cwd, file)
  try {
    writeFileSync(file, readFileSync(template), { flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new Exit(
      exitCodes.usage,
      `${shown} is there already, and stays as it is; to write another, name it: filo -f other.yaml init`,
    )
  }
  printLines(context.stdout, [
    `wrote ${shown}: write your hosts and services into it, then`,
    '  filo validate      says whether it is sound',
    '  filo status        looks, and touches nothing',
    '  filo plan stop     shows what a stop would do',
  ])
  return exitCodes.done
}
