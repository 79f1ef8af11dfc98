import { spawn } from 'node:child_process'

/** What a command printed, and how it ended. */
export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** What is written to its standard input; nothing where absent. */
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
  /** After this long it is killed, and the call fails. */
  readonly timeoutMs?: number
  /** What an error calls the command; the argv where absent. */
  readonly shown?: string
}

/** Runs a command to its end, and gives what it printed. Throws, with what it said, where it does not succeed. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await attempt(argv, options)
  if (code === 0) return stdout
  const { shown = argv.join(' ') } = options
  throw new Error(`"${shown}" ended with ${code}: ${(stderr.trim() || stdout.trim()).slice(-2000)}`)
}

/** Runs a command to its end, however that is. */
export async function attempt(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { input, env, timeoutMs = 60_000, shown = argv.join(' ') } = options
  const [program, ...args] = argv
  const child = spawn(program!, args, {
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    ...(env !== undefined && { env: { ...process.env, ...env } }),
  })
  let stdout = ''
  let stderr = ''
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  // A command that does not read what it is given has ended for a reason of its own, which its exit tells.
  child.stdin?.on('error', () => {}).end(input)
  return await new Promise<Ran>((resolve, reject) => {
    const late = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`"${shown}" did not end within ${timeoutMs} ms; it said:\n${stdout}${stderr}`))
    }, timeoutMs)
    child.once('error', reject)
    child.once('close', (code) => {
      clearTimeout(late)
      resolve({ code, stdout, stderr })
    })
  })
}
