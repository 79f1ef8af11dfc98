import { CommanderError, type Command } from 'commander'
import { defineCommands } from './commands.ts'
import { openContext, type Context, type GlobalOptions } from './context.ts'
import { exitCodes, type ExitCode } from './exit-code.ts'

// `filo`: reads the command line, carries out one command, exits with its code.

/** A reader that has gone away (`filo status | head -1`) must not end a run in its midst. */
function surviveLostReaders(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // EIO is what a terminal gives that has been closed.
      if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error
    })
  }
}

async function main(argv: readonly string[]): Promise<ExitCode> {
  let code: ExitCode = exitCodes.done
  const perform = async (command: Command, act: (context: Context) => Promise<ExitCode>): Promise<void> => {
    code = await act(openContext(command.optsWithGlobals<GlobalOptions>()))
  }
  try {
    await defineCommands(perform).parseAsync(argv, { from: 'user' })
    return code
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage
    // Loaded only now: it knows the errors of all parts, and so needs all parts.
    const { explainFailure } = await import('./failure.ts')
    const failure = explainFailure(error)
    process.stderr.write(`filo: ${failure.words}\n`)
    return failure.code
  }
}

surviveLostReaders()
// Whatever ends before its code is known has not done what was asked.
process.exitCode = exitCodes.internalError
void main(process.argv.slice(2)).then((code) => {
  process.exitCode = code
})
