import { spawn } from 'node:child_process'
import { stripVTControlCharacters } from 'node:util'
import { filoEnvironment } from './filo.ts'
import { requireProgram } from './packages.ts'
import { programs } from './programs.ts'
import { until } from './until.ts'

/** A `filo` on a pseudo-terminal. Disposed, it is killed if it still runs. */
export interface AtTerminal extends AsyncDisposable {
  readonly code: Promise<number | null>
  screen(): string
  type(text: string): void
  untilShows(pattern: RegExp): Promise<void>
}

/** Types `filo COMMAND` at a terminal, in a folder. */
export async function atTerminal(
  cwd: string,
  command: string,
  environment: Record<string, string> = {},
): Promise<AtTerminal> {
  const script = await requireProgram('script', 'bsdutils')
  const child = spawn(
    script,
    ['-qefc', `stty cols 100 rows 30; exec ${programs().filo} ${command}`, '/dev/null'],
    {
      cwd,
      env: { ...filoEnvironment(cwd), TERM: 'xterm', ...environment },
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  )
  let screen = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (screen += text))
  const code = new Promise<number | null>((resolve) => child.once('close', resolve))
  return {
    code,
    screen: () => screen,
    type: (text) => void child.stdin.write(text),
    untilShows: async (pattern) => {
      await until(`the terminal to show ${pattern}`, () => pattern.test(stripVTControlCharacters(screen)))
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await code
    },
  }
}
