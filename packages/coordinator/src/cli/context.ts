import { createInterface } from 'node:readline/promises'
import picocolors from 'picocolors'
import { operatorName } from './operator.ts'

export type Colors = ReturnType<typeof picocolors.createColors>

/** One of the two streams that a command writes to. */
export interface Output {
  readonly isTerminal: boolean
  /** Do nothing where the stream takes no colours. */
  readonly colors: Colors
  /** Size of the terminal; 80 by 24 where there is none, or where it does not say (a serial console). */
  readonly columns: number
  readonly rows: number
  write(text: string): void
}

/** Options that every command takes. */
export interface GlobalOptions {
  readonly file?: string
  readonly state?: string
  readonly json?: true
  readonly jsonl?: true
  readonly color: boolean
}

/** What a command gets of the world that it is typed into. */
export interface Context {
  readonly environment: NodeJS.ProcessEnv
  readonly cwd: string
  /** `--file`, else FILO_FILE. */
  readonly file: string | undefined
  /** `--state`; FILO_STATE is looked up with the other defaults (state-dir.ts). */
  readonly state: string | undefined
  /** How data is printed on stdout. */
  readonly format: 'text' | 'json' | 'jsonl'
  /** Data. */
  readonly stdout: Output
  /** Progress, questions and errors. */
  readonly stderr: Output
  readonly operator: string
  /** Whether somebody is there to be asked. */
  readonly canAsk: boolean
  /** Asks on stderr; true only for a plain yes. */
  ask(question: string): Promise<boolean>
}

export function openContext(options: GlobalOptions): Context {
  const environment = process.env
  return {
    environment,
    cwd: process.cwd(),
    file: options.file ?? environment['FILO_FILE'],
    state: options.state,
    format: options.jsonl ? 'jsonl' : options.json ? 'json' : 'text',
    stdout: openOutput(process.stdout, options.color, environment),
    stderr: openOutput(process.stderr, options.color, environment),
    operator: operatorName(environment),
    canAsk: process.stdin.isTTY && process.stderr.isTTY,
    ask: askOnTerminal,
  }
}

function openOutput(stream: NodeJS.WriteStream, color: boolean, environment: NodeJS.ProcessEnv): Output {
  const isTerminal = stream.isTTY ?? false
  // https://no-color.org: set to anything but the empty string.
  const isColored = color && isTerminal && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb'
  return {
    isTerminal,
    colors: picocolors.createColors(isColored),
    get columns() {
      return stream.columns || 80
    },
    get rows() {
      return stream.rows || 24
    },
    write: (text) => void stream.write(text),
  }
}

async function askOnTerminal(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  // Ctrl-C and Ctrl-D at the question are a no.
  const refused = new Promise<string>((resolve) => {
    terminal.once('close', () => resolve(''))
    terminal.once('SIGINT', () => terminal.close())
  })
  try {
    const answer = await Promise.race([terminal.question(`${question} [y/N] `), refused])
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    terminal.close()
  }
}
