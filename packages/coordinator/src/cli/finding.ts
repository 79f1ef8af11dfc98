import type { Colors } from './context.ts'
import { exitCodes, type ExitCode } from './exit-code.ts'

/** One thing that `filo doctor` looked at. */
export interface Finding {
  readonly about: 'fleet' | 'state' | 'keys' | 'broker' | 'carries' | 'agents' | 'clocks'
  /** `wrong` would make a command fail; a `warning` would not, or not yet. */
  readonly verdict: 'fine' | 'warning' | 'wrong'
  readonly text: string
  /** What to do about it. */
  readonly advice?: string
  /** What `filo doctor` exits with for it, where it is wrong. */
  readonly code?: ExitCode
}

export function fine(about: Finding['about'], text: string): Finding {
  return { about, verdict: 'fine', text }
}

export function warning(about: Finding['about'], text: string, advice: string): Finding {
  return { about, verdict: 'warning', text, advice }
}

export function wrong(about: Finding['about'], code: ExitCode, text: string, advice: string): Finding {
  return { about, verdict: 'wrong', text, advice, code }
}

/** That of the first wrong finding: what comes first keeps the rest from working. */
export function codeOf(findings: readonly Finding[]): ExitCode {
  return findings.find((finding) => finding.verdict === 'wrong')?.code ?? exitCodes.done
}

export function findingLines(findings: readonly Finding[], colors: Colors): string[] {
  const paints = { fine: colors.green, warning: colors.yellow, wrong: colors.red }
  return findings.flatMap(({ about, verdict, text, advice }) => {
    const [first, ...more] = text.split('\n')
    const indent = ' '.repeat(18)
    return [
      `${paints[verdict](verdict.padEnd(7))}  ${about.padEnd(7)}  ${first}`,
      ...more.map((line) => indent + line),
      ...(advice === undefined ? [] : [`${indent}→ ${advice}`]),
    ]
  })
}
