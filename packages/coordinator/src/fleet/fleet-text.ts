import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  parseDocument,
  type Pair,
  type ParsedNode,
  type YAMLError,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import { placeIn, type Problem } from './problem.ts'

/** Where something stands in the document, as zod writes it: keys and indexes from the root. */
export type Path = readonly PropertyKey[]

/** What is shown at once; a file with more faults than this has one fault. */
const problemsShown = 200

/** How deep a fleet file may nest; the schema itself needs eight levels. */
const deepest = 32

/** A value with its offsets in the text, and those of what is in it. */
interface Place {
  readonly key: number
  /** Of a value that is not written the same as `key`. */
  readonly value: number
  readonly within: ReadonlyMap<string, Place>
}

/** What a node says, and where what is in it stands. */
interface Reading {
  readonly value: unknown
  readonly within: ReadonlyMap<string, Place>
}

const nothing: Reading = { value: null, within: new Map() }

/**
 * The text of a fleet file as plain values, with the place of each. Faults are gathered here, so that all of
 * them come at once and in the order of the file.
 */
export class FleetText {
  /** What the file says; `undefined` where it is no YAML at all. */
  readonly value: unknown
  readonly #file: string
  readonly #text: string
  readonly #root: Place
  readonly #problems: Problem[] = []
  #notShown = 0
  readonly #anchors = new Map<string, Reading>()

  constructor(text: string, file: string) {
    this.#file = file
    this.#text = text
    const document = parseDocument(text, {
      version: '1.2',
      schema: 'core',
      merge: false,
      prettyErrors: false,
      uniqueKeys: false,
    })
    const tooDeep = document.errors.find(({ code }) => code === 'RESOURCE_EXHAUSTION')
    // Where the parser came to its end, whatever else it says follows from that.
    for (const fault of tooDeep ? [tooDeep] : [...document.errors, ...document.warnings]) {
      this.#addAt(fault.pos[0], () => `not valid YAML: ${yamlFault(fault)}`)
    }
    const root = document.errors.length === 0 ? document.contents : null
    const { value, within } = this.#read(root, 0)
    this.value = document.errors.length === 0 ? value : undefined
    const at = root === null ? 0 : startOf(root)
    this.#root = { key: at, value: at, within }
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

  /**
   * Plain values of a node, and the faults that only the tree shows. The library's own check for duplicate keys
   * compares every key with every other, and its aliases may be copied without end; here both are linear.
   */
  #read(node: ParsedNode | null, depth: number): Reading {
    if (node === null) return nothing
    if (depth > deepest) {
      this.#addAt(startOf(node), () => `nested deeper than ${deepest} levels`)
      return nothing
    }
    if (isAlias(node)) {
      const target = this.#anchors.get(node.source)
      if (target !== undefined) return target
      this.#addAt(startOf(node), () => `there is no anchor &${node.source} before this alias`)
      return nothing
    }
    const reading = isMap(node)
      ? this.#readMapping(node, depth)
      : isSeq(node)
        ? this.#readList(node, depth)
        : { value: node.value, within: nothing.within }
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, reading)
    return reading
  }

  #readMapping(node: YAMLMap.Parsed, depth: number): Reading {
    // Without a prototype, so that a service may be called "constructor".
    const value: Record<string, unknown> = Object.create(null)
    const within = new Map<string, Place>()
    for (const pair of node.items) {
      const key = keyText(pair.key)
      const at = startOf(pair.key)
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
      const reading = this.#read(pair.value, depth + 1)
      value[key] = reading.value
      within.set(key, { key: at, value: startOfValue(pair) ?? at, within: reading.within })
    }
    return { value, within }
  }

  #readList(node: YAMLSeq.Parsed, depth: number): Reading {
    const value: unknown[] = []
    const within = new Map<string, Place>()
    for (const item of node.items) {
      const reading = this.#read(item, depth + 1)
      const at = startOf(item)
      within.set(`${value.length}`, { key: at, value: at, within: reading.within })
      value.push(reading.value)
    }
    return { value, within }
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

function yamlFault({ code, message }: YAMLError): string {
  if (code === 'MULTIPLE_DOCS') return 'a fleet file is one document; remove the second'
  // The parser goes one call deeper for each level, and no file that is meant is deep enough to notice.
  return code === 'RESOURCE_EXHAUSTION' ? 'nested too deeply to be read' : message
}

function startOf(node: ParsedNode): number {
  return node.range[0]
}

/** Of a value that is not written at all, as in `key:`, there is none. */
function startOfValue({ value }: Pair<ParsedNode, ParsedNode | null>): number | undefined {
  return value === null || (isScalar(value) && value.value === null && value.source === '')
    ? undefined
    : startOf(value)
}

function keyText(key: ParsedNode): string {
  return isScalar<string | number | boolean | null>(key) ? `${key.value ?? ''}` : key.toString()
}
