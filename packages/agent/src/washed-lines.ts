import type { Redactor } from '@filo/protocol'

/** A line that never ends is handed on in parts of this size. */
const lineBytes = 16 * 1024
/** What is held back of such a part: a secret that has only begun in it is not yet known as one. */
const heldBytes = 1024
/** A private key that does not end is one no more after so many lines. */
const keyLines = 200

const mask = 0x2a // *
const keyBegins = /-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----/
const keyEnds = /-----END [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----/

/** Bytes with their secrets replaced by asterisks, one for each byte. */
export interface Washed {
  readonly bytes: Buffer
  /** Whether any was. */
  readonly isChanged: boolean
  /** Whether it is the end of a line, with its line feed or carriage return. */
  readonly isEnd: boolean
}

/** Washes secrets out of bytes that come in pieces: a line at a time, since a secret may come in pieces too. */
export class WashedLines {
  readonly #redactor: Redactor
  #rest = Buffer.alloc(0)
  /** Lines of a private key that may still come. */
  #keyLines = 0
  /** The value that the line began with is hidden, and so is all that follows on the line. */
  #isHiding = false

  constructor(redactor: Redactor) {
    this.#redactor = redactor.ofBytes
  }

  /** How much of what came in has not been given out: the begin of a line that has not ended. */
  get heldBytes(): number {
    return this.#rest.length
  }

  /** Takes what has come, gives what is sure; together the pieces that are given are as long as what was taken. */
  take(bytes: Uint8Array): Washed[] {
    this.#rest = Buffer.concat([this.#rest, bytes])
    const washed: Washed[] = []
    let from = 0
    // Latin-1 has one character for each byte, so that an index in it is one in the buffer.
    for (const { index } of this.#rest.toString('latin1').matchAll(/[\r\n]/g)) {
      washed.push(this.#washLine(this.#rest.subarray(from, index + 1), true))
      from = index + 1
    }
    this.#rest = this.#rest.subarray(from)
    if (this.#rest.length >= lineBytes) washed.push(this.#washPart())
    return washed
  }

  /** What is left when no more comes. */
  end(): Washed {
    const last = this.#washLine(this.#rest, true)
    this.#rest = Buffer.alloc(0)
    return last
  }

  #washLine(line: Buffer, isEnd: boolean): Washed {
    const text = line.toString('latin1')
    const end = /[\r\n]$/.test(text) ? line.length - 1 : line.length
    const isKey = this.#keyLines > 0 || keyBegins.test(text)
    if (isKey) this.#keyLines = keyEnds.test(text) ? 0 : this.#keyLines > 0 ? this.#keyLines - 1 : keyLines
    const ranges = isKey || this.#isHiding ? [[0, end] as const] : this.#redactor.ranges(text.slice(0, end))
    if (isEnd) this.#isHiding = false
    return masked(line, ranges, isEnd)
  }

  /** Of a long line: what stands before the part that is held back, and before a secret that reaches into it. */
  #washPart(): Washed {
    const text = this.#rest.toString('latin1')
    const ranges =
      this.#keyLines > 0 || this.#isHiding ? [[0, text.length] as const] : this.#redactor.ranges(text)
    const wanted = text.length - heldBytes
    const across = ranges.find(([from, to]) => from < wanted && to > wanted)
    // One that is longer than a part goes on to the end of the line, for all that is known.
    if (across?.[0] === 0) this.#isHiding = true
    const cut = across === undefined || across[0] === 0 ? wanted : across[0]
    const washed = masked(this.#rest.subarray(0, cut), ranges, false)
    this.#rest = this.#rest.subarray(cut)
    return washed
  }
}

function masked(line: Buffer, ranges: readonly (readonly [number, number])[], isEnd: boolean): Washed {
  if (ranges.length === 0 || ranges[0]![0] >= line.length) return { bytes: line, isChanged: false, isEnd }
  const bytes = Buffer.from(line)
  for (const [from, to] of ranges) bytes.fill(mask, Math.min(from, bytes.length), Math.min(to, bytes.length))
  return { bytes, isChanged: !bytes.equals(line), isEnd }
}
