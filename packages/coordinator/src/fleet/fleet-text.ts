import {
  boolCoreTag,
  EVENT_ID,
  floatCoreTag,
  getScalarValue,
  intCoreTag,
  NOT_RESOLVED,
  nullCoreTag,
  parseEvents,
  SCALAR_STYLE,
  strTag,
  type AliasEvent,
  type Event,
  type MappingEvent,
  type ScalarEvent,
  type SequenceEvent,
  type YAMLException,
} from 'js-yaml'
import { placeIn, type Problem } from './problem.ts'

/** Where something stands in the document, as zod writes it: keys and indexes from the root. */
export type Path = readonly PropertyKey[]

/** What is shown at once; a file with more faults than this has one fault. */
const problemsShown = 200

/** How deep a fleet file may nest; the schema itself needs eight levels. */
const deepest = 32

/** What a word without quotes may be other than text (YAML 1.2.2, section 10.3, the core schema). */
const wordTags = [nullCoreTag, boolCoreTag, intCoreTag, floatCoreTag]
const scalarTags = new Map(
  [strTag, ...wordTags].map((tag) => [tag.tagName.replace('tag:yaml.org,2002:', '!!'), tag]),
)

/** A value with its offsets in the text, and those of what is in it. */
interface Place {
  readonly key: number
  /** Of a value that is not written the same as `key`. */
  readonly value: number
  readonly within: ReadonlyMap<string, Place>
}

/** What there is where a document, a value or an item begins. */
type NodeEvent = AliasEvent | MappingEvent | ScalarEvent | SequenceEvent

/** What a node says, where it begins, and where what is in it stands. */
interface Reading {
  readonly value: unknown
  /** `undefined` for a value that is not written at all, as in `key:`. */
  readonly start: number | undefined
  readonly within: ReadonlyMap<string, Place>
}

const nowhere: ReadonlyMap<string, Place> = new Map()
const nothing: Reading = { value: null, start: undefined, within: nowhere }

/**
 * The text of a fleet file as plain values, with the place of each. Faults are gathered here, so that all of
 * them come at once and in the order of the file; of a text that is no YAML, where it stops being it.
 */
export class FleetText {
  /** What the file says; `undefined` where it is no YAML at all. */
  readonly value: unknown
  readonly #file: string
  readonly #text: string
  readonly #root: Place
  readonly #problems: Problem[] = []
  #notShown = 0
  #events: readonly Event[] = []
  /** The event that is read next. */
  #at = 0
  readonly #anchors = new Map<string, Reading>()

  constructor(text: string, file: string) {
    this.#file = file
    this.#text = text
    const isYaml = this.#parse()
    const { value, start = 0, within } = isYaml ? this.#readDocument() : nothing
    this.value = isYaml ? value : undefined
    this.#root = { key: start, value: start, within }
    this.#events = []
  }

  /** Notes a fault at the value of `path`, or at its key. The text is only made if it will be shown. */
  add(path: Path, at: 'key' | 'value', text: () => string): void {
    this.#addAt(this.#offsetOf(path, at), text)
  }

  /** All faults, in the order of the file. */
  problems(): Problem[] {
    const sorted = this.#problems.toSorted((a, b) => a.line - b.line || a.column - b.column)
    const last = sorted.at(-1)
    if (this.#notShown > 0 && last)
      sorted.push({ ...last, text: `${this.#notShown} more problems are not shown` })
    return sorted
  }

  /** `filo.yaml:12:5`, for a fault that has to name another place. */
  place(path: Path, at: 'key' | 'value'): string {
    const { line, column } = placeIn(this.#text, this.#offsetOf(path, at))
    return `${this.#file}:${line}:${column}`
  }

  #addAt(offset: number, text: () => string): void {
    if (this.#problems.length >= problemsShown) {
      this.#notShown += 1
      return
    }
    this.#problems.push({ file: this.#file, ...placeIn(this.#text, offset), text: text() })
  }

  /** Whether the text is YAML; that it is not is a fault. */
  #parse(): boolean {
    try {
      this.#events = parseEvents(this.#text, { maxDepth: deepest })
    } catch (error) {
      const { mark, reason } = error as YAMLException
      this.#addAt(mark!.position, () => yamlFault(reason))
      return false
    }
    const second = this.#events.findIndex(({ type }, at) => type === EVENT_ID.DOCUMENT && at > 0)
    if (second === -1) return true
    this.#at = second + 1
    const start = this.#startOf(this.#peek()) ?? this.#text.length
    const mark = this.#text.lastIndexOf('---', start)
    this.#addAt(mark === -1 ? start : mark, () => yamlFault('second document'))
    return false
  }

  #readDocument(): Reading {
    // An empty text has no document at all.
    if (this.#events.length === 0) return nothing
    this.#at = 1
    return this.#read()
  }

  /** The next node as a plain value. Linear in the text, however often an anchor is used. */
  #read(): Reading {
    const event = this.#peek() as NodeEvent
    this.#at += 1
    if (event.type === EVENT_ID.ALIAS) return this.#readAlias(event)
    const reading =
      event.type === EVENT_ID.MAPPING
        ? this.#readMapping(event)
        : event.type === EVENT_ID.SEQUENCE
          ? this.#readList(event)
          : this.#readScalar(event)
    if (event.anchorStart !== -1)
      this.#anchors.set(this.#between(event.anchorStart, event.anchorEnd), reading)
    return reading
  }

  #readAlias(event: AliasEvent): Reading {
    const name = this.#between(event.anchorStart, event.anchorEnd)
    const start = this.#startOf(event)
    const target = this.#anchors.get(name)
    if (target !== undefined) return { ...target, start }
    this.#addAt(event.anchorStart - 1, () => `there is no anchor &${name} before this alias`)
    return { ...nothing, start }
  }

  #readMapping(event: MappingEvent): Reading {
    this.#refuseTag(event, '!!map')
    // Without a prototype, so that a service may be called "constructor".
    const value: Record<string, unknown> = Object.create(null)
    const within = new Map<string, Place>()
    while (this.#peek().type !== EVENT_ID.POP) {
      const { key, at } = this.#readKey()
      const { value: member, start = at, within: places } = this.#read()
      const first = within.get(key)
      if (first) {
        this.#addAt(
          at,
          () => `duplicate key "${key}"; it is first given in line ${placeIn(this.#text, first.key).line}`,
        )
        continue
      }
      // zod passes over this key without a word.
      if (key === '__proto__') this.#addAt(at, () => 'a key may not be called __proto__')
      value[key] = member
      within.set(key, { key: at, value: start, within: places })
    }
    this.#at += 1
    return { value, start: event.start, within }
  }

  /** A key is the text that stands there: `1.10:` names "1.10". */
  #readKey(): { readonly key: string; readonly at: number } {
    const event = this.#peek()
    const at = this.#startOf(event) ?? this.#nextStart()
    if (event.type === EVENT_ID.SCALAR && event.tagStart === -1 && event.anchorStart === -1) {
      this.#at += 1
      return { key: getScalarValue(this.#text, event), at }
    }
    const { value } = this.#read()
    if (typeof value !== 'object' || value === null) return { key: String(value), at }
    this.#addAt(at, () => 'a key has to be a name')
    return { key: '', at }
  }

  #readList(event: SequenceEvent): Reading {
    this.#refuseTag(event, '!!seq')
    const value: unknown[] = []
    const within = new Map<string, Place>()
    while (this.#peek().type !== EVENT_ID.POP) {
      const item = this.#read()
      const at = item.start ?? event.start
      within.set(`${value.length}`, { key: at, value: at, within: item.within })
      value.push(item.value)
    }
    this.#at += 1
    return { value, start: event.start, within }
  }

  #readScalar(event: ScalarEvent): Reading {
    const text = getScalarValue(this.#text, event)
    const start = this.#startOf(event)
    if (event.tagStart !== -1) return { value: this.#taggedValue(text, event), start, within: nowhere }
    return { value: event.style === SCALAR_STYLE.PLAIN ? wordValue(text) : text, start, within: nowhere }
  }

  #taggedValue(text: string, event: ScalarEvent): unknown {
    const name = this.#between(event.tagStart, event.tagEnd)
    const tag = scalarTags.get(name)
    if (tag === undefined) {
      this.#refuseTag(event)
      return text
    }
    const value = tag.resolve(text, true, tag.tagName)
    if (value !== NOT_RESOLVED) return value
    this.#addAt(event.tagStart, () => `"${text}" is no ${name}`)
    return text
  }

  /** A tag could make anything of what follows it. */
  #refuseTag({ tagStart, tagEnd }: Exclude<NodeEvent, AliasEvent>, except?: string): void {
    if (tagStart === -1) return
    const name = this.#between(tagStart, tagEnd)
    if (name !== except) this.#addAt(tagStart, () => `unknown tag ${name}`)
  }

  #peek(): Event {
    return this.#events[this.#at]!
  }

  /** Where whatever is written next begins: of what is not written itself. */
  #nextStart(): number {
    for (let at = this.#at; at < this.#events.length; at += 1) {
      const start = this.#startOf(this.#events[at]!)
      if (start !== undefined) return start
    }
    return this.#text.length
  }

  #between(start: number, end: number): string {
    return this.#text.slice(start, end)
  }

  /** Where a node begins in the text, its quotes included; `undefined` for one that is not written. */
  #startOf(event: Event): number | undefined {
    if (event.type === EVENT_ID.MAPPING || event.type === EVENT_ID.SEQUENCE) return event.start
    if (event.type === EVENT_ID.ALIAS) return event.anchorStart - 1
    if (event.type !== EVENT_ID.SCALAR || event.valueStart === -1) return undefined
    const { style, valueStart } = event
    if (style === SCALAR_STYLE.PLAIN) return valueStart
    if (style === SCALAR_STYLE.LITERAL_BLOCK) return this.#text.lastIndexOf('|', valueStart)
    if (style === SCALAR_STYLE.FOLDED_BLOCK) return this.#text.lastIndexOf('>', valueStart)
    return valueStart - 1
  }

  /** Offset of what `path` leads to, or of the nearest thing on the way there. */
  #offsetOf(path: Path, at: 'key' | 'value'): number {
    let place = this.#root
    for (const segment of path) {
      const next = place.within.get(String(segment))
      if (next === undefined) return place.key
      place = next
    }
    return place[at]
  }
}

/** What the parser found, in words that say what to look for. */
function yamlFault(reason: string): string {
  if (reason.startsWith('nesting exceeded')) return `nested deeper than ${deepest} levels`
  return `not valid YAML: ${faultWords.get(reason) ?? reason}`
}

const faultWords: ReadonlyMap<string, string> = new Map([
  ['second document', 'a fleet file is one document; remove the second'],
  ['deficient indentation', 'indented too little; or a quote, [ or { before this is not closed'],
  [
    'end of the stream or a document separator is expected',
    'this belongs to nothing before it; is it indented as what it belongs to, with a space after each colon?',
  ],
])

function wordValue(word: string): unknown {
  const first = word.charAt(0)
  for (const tag of wordTags) {
    if (tag.implicitFirstChars !== null && !tag.implicitFirstChars.includes(first)) continue
    const value: unknown = tag.resolve(word, false, tag.tagName)
    if (value !== NOT_RESOLVED) return value
  }
  return word
}
