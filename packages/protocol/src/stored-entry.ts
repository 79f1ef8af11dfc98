import { createHash } from 'node:crypto'
import * as z from 'zod'
import { limits } from './limits.ts'

// Reads entries of audit chains for those who check them. Nothing here is shared with the code that writes them: a
// fault that both had would go unseen.

/** An entry as it stands somewhere. */
export interface StoredEntry {
  /** For a person: `line 7`. */
  readonly place: string
  readonly text: string
  /** What it is stored under, where it is. */
  readonly key?: { readonly source: string; readonly sequence: number }
  /** The hash that stands beside it, where one does. */
  readonly hash?: string
}

/** The end of a chain as an entry of another chain says that it was told it. */
interface ToldHead {
  readonly source: string
  readonly sequence: number
  readonly hash: string
}

/** What the place of an entry in its chain depends on. */
export interface Entry {
  readonly source: string
  readonly sequence: number
  readonly previoushash: string
  readonly hash: string
  readonly heads: readonly ToldHead[]
  /** Entries that a consumer lacks, where the entry tells of that. */
  readonly lack:
    | { readonly source: string; readonly first: number; readonly last: number; readonly reason: string }
    | undefined
}

export type ReadEntry =
  | { readonly kind: 'entry'; readonly entry: Entry }
  /** Source and sequence as the text says them, where it says them. */
  | { readonly kind: 'bad'; readonly why: string; readonly source?: string; readonly sequence?: number }

const Hash = z.string().regex(/^[0-9a-f]{64}$/)
const Chained = z.looseObject({
  source: z.string(),
  sequence: z.int().positive(),
  previoushash: Hash,
  hash: Hash,
  data: z.looseObject({
    heads: z.array(z.looseObject({ source: z.string(), sequence: z.int(), hash: Hash })).optional(),
  }),
})

const Lack = z.looseObject({
  type: z.literal('filo.trail.missing'),
  data: z.looseObject({ source: z.string(), first: z.int(), last: z.int(), reason: z.string() }),
})

/** Reads an entry and checks what it says of itself: its spelling, its members, its hash. Never throws. */
export function readEntry({ text, key, hash: besideIt }: StoredEntry): ReadEntry {
  const bad = (why: string): ReadEntry => ({ kind: 'bad', why, ...(key ?? claimed(text)) })
  if (Buffer.byteLength(text) > limits.messageBytes) return bad('is too long to be an entry')
  let value: unknown
  let bytes: string
  try {
    value = JSON.parse(text)
    if (JSON.stringify(value) !== text) return bad('is not spelled as it was written')
    const { hash: _, ...hashed } = value as Record<string, unknown>
    bytes = canonicalJson(hashed)
  } catch {
    return bad('is no entry: it cannot be read as JSON')
  }
  const chained = Chained.safeParse(value)
  if (!chained.success) return bad('is no entry: it has not the members of one')
  const { source, sequence, previoushash, hash, data } = chained.data
  if (chained.data['id'] !== String(sequence)) return bad('has another id than its number')
  if (createHash('sha256').update(bytes).digest('hex') !== hash) return bad('is not what was hashed')
  if (key !== undefined && (key.source !== source || key.sequence !== sequence)) {
    return bad(`is not there: number ${sequence} of ${source} stands in its place`)
  }
  if (besideIt !== undefined && besideIt !== hash) return bad('has another hash than stands beside it')
  const lack = Lack.safeParse(value).data?.data
  return { kind: 'entry', entry: { source, sequence, previoushash, hash, heads: data.heads ?? [], lack } }
}

/** RFC 8785: members in the order of their names' UTF-16 code units, numbers and strings as ECMAScript writes them. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`)
  return `{${members.join(',')}}`
}

/** What a text that cannot be trusted says that it is. */
function claimed(text: string): { source?: string; sequence?: number } {
  const source = /"source":"([^"\\]{1,200})"/.exec(text)?.[1]
  const sequence = /"sequence":([0-9]{1,15}),"previoushash"/.exec(text)?.[1]
  return {
    ...(source !== undefined && { source }),
    ...(sequence !== undefined && { sequence: Number(sequence) }),
  }
}
