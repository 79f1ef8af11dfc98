import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from 'yaml'
import type { Problem } from './problem.ts'

/** Where something stands in the document, as zod writes it: keys and indexes from the root. */
export type Path = readonly PropertyKey[]

/** What is shown at once; a file with more faults than this has one fault. */
const problemsShown = 200

/** How deep a fleet file may nest; the schema itself needs eight levels. */
const deepest = 32

/**
 * The text of a fleet file as plain values, with the place of each. Faults are gathered here, so that all of
 * them come at once and in the order of the file.
 */
export class FleetText {
  /** What the file says; `undefined` where it is no YAML at all. */
  readonly value: unknown
  readonly #file: string
  readonly #lines = new LineCounter()
  readonly #root: Node | null = null
  readonly #problems: Problem[] = []
  #notShown = 0
  readonly #anchors = new Map<string, { node: Node; value: unknown }>()
  readonly #targets = new WeakMap<Node, Node>()
  readonly #pairs = new WeakMap<Node, Map<string, Placed>>()

  constructor(text: string, file: string) {
    this.#file = file
    const document = readYaml(text, this.#lines)
    if (document === undefined) {
      this.#addAt(0, () => 'nested too deeply to be read')
      return
    }
    for (const fault of [...document.errors, ...document.warnings]) {
      this.#addAt(fault.pos[0], () => `not valid YAML: ${yamlFault(fault)}`)
    }
    if (document.errors.length > 0) return
    this.#root = document.contents
    this.value = this.#valueOf(document.contents, 0)
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
    const { line, col } = this.#lines.linePos(this.#offsetOf(path, at))
    return `${this.#file}:${line}:${col}`
  }

  #addAt(offset: number, text: () => string): void {
    if (this.#problems.length >= problemsShown) {
      this.#notShown += 1
      return
    }
    const { line, col } = this.#lines.linePos(offset)
    this.#problems.push({ file: this.#file, line, column: col, text: text() })
  }

  /**
   * Plain values of a node, and the faults that only the tree shows. The library's own check for duplicate keys
   * compares every key with every other, and its aliases may be copied without end; here both are linear.
   */
  #valueOf(node: Node | null, depth: number): unknown {
    if (node === null) return null
    if (depth > deepest) {
      this.#addAt(startOf(node), () => `nested deeper than ${deepest} levels`)
      return null
    }
    if (isAlias(node)) {
      const target = this.#anchors.get(node.source)
      if (!target) {
        this.#addAt(startOf(node), () => `there is no anchor &${node.source} before this alias`)
        return null
      }
      this.#targets.set(node, target.node)
      return target.value
    }
    const value = isMap(node)
      ? this.#mappingOf(node, depth)
      : isSeq(node)
        ? node.items.map((item) => this.#valueOf(item as Node, depth + 1))
        : isScalar(node)
          ? node.value
          : null
    const anchor = 'anchor' in node ? node.anchor : undefined
    if (anchor !== undefined) this.#anchors.set(anchor, { node, value })
    return value
  }

  #mappingOf(node: Node & { items: unknown[] }, depth: number): object {
    // Without a prototype, so that a service may be called "constructor".
    const value: Record<string, unknown> = Object.create(null)
    const pairs = new Map<string, Placed>()
    for (const pair of node.items as { key: Node | null; value: Node | null }[]) {
      const key = keyText(pair.key)
      const at = pair.key === null ? startOf(node) : startOf(pair.key)
      const first = pairs.get(key)
      if (first) {
        this.#addAt(
          at,
          () => `duplicate key "${key}"; it is first given in line ${this.#lines.linePos(first.at).line}`,
        )
        continue
      }
      // zod passes over this key without a word.
      if (key === '__proto__') this.#addAt(at, () => 'a key may not be called __proto__')
      pairs.set(key, { at, value: pair.value })
      value[key] = this.#valueOf(pair.value, depth + 1)
    }
    this.#pairs.set(node, pairs)
    return value
  }

  /** Offset of what `path` leads to, or of the nearest thing on the way there. */
  #offsetOf(path: Path, at: 'key' | 'value'): number {
    let node = this.#root
    let key = node === null ? 0 : startOf(node)
    for (const segment of path) {
      if (node !== null && isAlias(node)) node = this.#targets.get(node) ?? null
      if (node !== null && isMap(node)) {
        const placed = this.#pairs.get(node)?.get(String(segment))
        if (!placed) return key
        key = placed.at
        node = placed.value
      } else if (node !== null && isSeq(node)) {
        const item = node.items[Number(segment)] as Node | undefined
        if (!item) return key
        key = startOf(item)
        node = item
      } else return key
    }
    return at === 'key' || node === null || isEmpty(node) ? key : startOf(node)
  }
}

interface Placed {
  /** Offset of the key. */
  readonly at: number
  readonly value: Node | null
}

function readYaml(text: string, lineCounter: LineCounter): Document.Parsed | undefined {
  try {
    return parseDocument(text, {
      version: '1.2',
      schema: 'core',
      merge: false,
      prettyErrors: false,
      uniqueKeys: false,
      lineCounter,
    })
  } catch (error) {
    // The parser goes one call deeper for each level, and no file that is meant is deep enough to notice.
    if (error instanceof RangeError) return undefined
    throw error
  }
}

function yamlFault(fault: { code: string; message: string }): string {
  return fault.code === 'MULTIPLE_DOCS' ? 'a fleet file is one document; remove the second' : fault.message
}

function startOf(node: Node): number {
  return node.range?.[0] ?? 0
}

function isEmpty(node: Node): boolean {
  return isScalar(node) && node.value === null && !node.source
}

function keyText(key: Node | null): string {
  if (key === null) return ''
  return isScalar<string | number | boolean | null>(key) ? `${key.value ?? ''}` : key.toString()
}
