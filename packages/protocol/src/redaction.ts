import { readFileSync } from 'node:fs'
import type { Answer } from './messages.ts'

// What services print may hold passwords. It is redacted before it is hashed, stored, sent or logged: an audit trail that
// nobody can change would keep them for ever.

/** From the first character of what is to be hidden to behind its last. */
export type Range = readonly [from: number, to: number]

/** Known secrets that are shorter would hide parts of ordinary words. */
export const leastSecretChars = 6

const name = String.raw`[\w.-]{0,40}(?:passw(?:or)?d|passphrase|pwd|secret|token|credential|api[_-]?key|access[_-]?key|private[_-]?key)s?[\w.-]{0,40}`
// No \s: bytes that are read as Latin-1 have no-break spaces in the midst of letters. A backslash takes what follows it
// along, and quotes are left alone: JSON in a text stays JSON.
const bare = String.raw`(?<secret>(?:\\[^\r\n]|[^ \t\r\n\v\f,;&"'<>\\])+)`
const quoted = String.raw`"(?<secret>(?:[^"\\\n]|\\.)*)|'(?<secret>(?:[^'\\\n]|\\.)*)`
const quotedInJson = String.raw`\\"(?<secret>(?:[^"\\\n]|\\[^"\n])*)`
const anyValue = `(?:${quotedInJson}|${quoted}|${bare})`

/** What secrets look like. What is hidden is the group `secret`. */
const usualPatterns: readonly RegExp[] = [
  // password=… "token": "…" --client-secret=…
  new RegExp(`${name}\\\\?["']?[ \\t]{0,4}(?:=>|[:=])[ \\t]{0,4}${anyValue}`, 'dgi'),
  // --password …
  new RegExp(`--${name}[ \\t]{1,4}${anyValue}`, 'dgi'),
  // identified by '…' (SQL)
  /\b(?:identified by|password)[ \t]{1,4}'(?<secret>(?:[^'\\\n]|\\.)*)/dgi,
  /\bauthorization["']?[ \t]{0,4}[:=][ \t]{0,4}["']?(?:[a-z]{1,20}[ \t]{1,4})?(?<secret>[^ \t\r\n"',]+)/dgi,
  /\b(?:bearer|basic)[ \t]{1,4}(?<secret>[A-Za-z0-9._~+/=-]{12,})/dgi,
  // scheme://user:…@host
  /\b[a-z][a-z0-9+.-]{0,20}:\/\/[^ \t\r\n:@/]{0,200}:(?<secret>[^ \t\r\n/]{1,500})(?=@)/dgi,
  // JWT, and what well-known issuers begin their tokens with
  /\b(?<secret>eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?)/dg,
  /\b(?<secret>(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|sk-|whsec_|AKIA|AIza)[\w/+=-]{14,})/dg,
  /(?<secret>-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----[^]*?(?:-----END [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----|(?=")|$))/dg,
]

/** Never longer than what it stands for: what fitted into a message still does. */
const longestMask = 8

/** Finds secrets in what foreign programs say: known ones, and what looks like one. */
export class Redactor {
  readonly #patterns: readonly RegExp[]

  /** Finds the same in bytes that are read as Latin-1: an index in them is one of a byte. */
  readonly ofBytes: Redactor

  /** @param secrets of at least `leastSecretChars`. They are found in base64, and as parts of URLs and JSON too. */
  constructor(secrets: readonly string[] = [], isOfBytes = false) {
    const spellings = new Set(
      secrets.flatMap(spellingsOf).map((spelling) => (isOfBytes ? bytesOf(spelling) : spelling)),
    )
    // The longest first: one secret may begin with another.
    const known = [...spellings]
      .toSorted((a, b) => b.length - a.length)
      .map((spelling) => RegExp.escape(spelling))
    this.#patterns =
      known.length === 0
        ? usualPatterns
        : [new RegExp(`(?<secret>${known.join('|')})`, 'dg'), ...usualPatterns]
    this.ofBytes = isOfBytes ? this : new Redactor(secrets, true)
  }

  /** What is to be hidden, in order, none overlapping another. */
  ranges(text: string): Range[] {
    const found: Range[] = []
    for (const pattern of this.#patterns) {
      for (const { indices } of text.matchAll(pattern)) {
        const [from, to] = indices!.groups!['secret']!
        if (from < to) found.push([from, to])
      }
    }
    if (found.length < 2) return found
    const merged: [number, number][] = []
    for (const [from, to] of found.toSorted(([a], [b]) => a - b)) {
      const last = merged.at(-1)
      if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to)
      else merged.push([from, to])
    }
    return merged
  }

  redact(text: string): string {
    let redacted = ''
    let at = 0
    for (const [from, to] of this.ranges(text)) {
      redacted += text.slice(at, from) + '*'.repeat(Math.min(to - from, longestMask))
      at = to
    }
    return at === 0 ? text : redacted + text.slice(at)
  }

  /** A message, an ending, an event: with what foreign programs said in it redacted. */
  redactAll<Value>(value: Value): Value {
    return this.#walk(value, false) as Value
  }

  /** A line of JSON, as logs have them, with all texts in it redacted. */
  redactJson(line: string): string {
    try {
      return `${JSON.stringify(this.#walk(JSON.parse(line), true))}\n`
    } catch {
      return this.redact(line)
    }
  }

  #walk(value: unknown, isSaid: boolean): unknown {
    if (typeof value === 'string') return isSaid ? this.redact(value) : value
    if (Array.isArray(value)) return value.map((item) => this.#walk(item, isSaid))
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value).map(([key, member]) => [key, this.#walk(member, isSaid || saidMembers.has(key))]),
    )
  }
}

/** The members of messages, endings and events that hold what foreign programs or people said. */
const saidMembers: ReadonlySet<string> = new Set([
  'detail',
  'reason',
  'head',
  'tail',
  'lines',
  'warnings',
  'command',
])

/**
 * An answer of an agent, with what was said in it redacted; why it refuses is a word of ours. Entries of its chain were
 * redacted before they were hashed, and stay what was hashed.
 */
export function redactAnswer(answer: Answer, redactor: Redactor): Answer {
  if (answer.type === 'excerpt') return answer
  const redacted = redactor.redactAll(answer)
  if (answer.type !== 'refusal' || redacted.type !== 'refusal') return redacted
  return { ...redacted, body: { ...redacted.body, reason: answer.body.reason } }
}

function bytesOf(text: string): string {
  return Buffer.from(text).toString('latin1')
}

function spellingsOf(secret: string): string[] {
  const base64 = Buffer.from(secret).toString('base64')
  return [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    base64.replace(/=+$/, ''),
    base64.replace(/=+$/, '').replaceAll('+', '-').replaceAll('/', '_'),
  ]
}

/** A file of known secrets that cannot be used. */
export class SecretsUnusable extends Error {
  override name = 'SecretsUnusable'
}

/** More than any host has; each is looked for in all that is said (R13). */
const mostSecrets = 1000

/** The known secrets of a file, one a line. Throws SecretsUnusable. */
export function readSecrets(file: string): string[] {
  const unusable = (why: string, cause?: unknown): SecretsUnusable =>
    new SecretsUnusable(`the file of secrets ${file} ${why}`, { cause })
  let lines: string[]
  try {
    lines = readFileSync(file, 'utf8').split(/\r?\n/)
  } catch (error) {
    throw unusable(`cannot be read: ${(error as Error).message}`, error)
  }
  const short = lines.findIndex((line) => line !== '' && line.length < leastSecretChars)
  if (short !== -1) {
    const why = 'what is that short stands in ordinary words too'
    throw unusable(`has less than ${leastSecretChars} characters in line ${short + 1}: ${why}`)
  }
  const secrets = lines.filter((line) => line !== '')
  if (secrets.length > mostSecrets) throw unusable(`has ${secrets.length} secrets, more than ${mostSecrets}`)
  return secrets
}
