import { open, type FileHandle } from 'node:fs/promises'
import { cut, limits, type Output } from '@filo/protocol'
import { printable } from './printable.ts'

/** Above this much the file is emptied: what an operator may read stays, a disk is not filled (R13). */
const fileBytes = 1024 * 1024
const readBytes = 64 * 1024
/** A line that never ends is handed on in parts of this size. */
const lineBytes = 16 * 1024
const lookAgainMs = 200

/**
 * What an action prints, followed in the file that it prints into. The file is opened for appending, by the agent
 * and so by all that inherit it: a daemon that still writes after the file was emptied writes at its new end.
 */
export class OutputFile {
  /** For the process to inherit. */
  readonly fd: number
  readonly path: string
  readonly #file: FileHandle
  readonly #onLine: (line: string) => void
  readonly #timer: NodeJS.Timeout
  #position: number
  #reading: Promise<void> = Promise.resolve()
  #head = Buffer.alloc(0)
  #tail = Buffer.alloc(0)
  #seenBytes = 0
  #line = Buffer.alloc(0)

  private constructor(file: FileHandle, path: string, position: number, onLine: (line: string) => void) {
    this.#file = file
    this.#position = position
    this.#onLine = onLine
    this.fd = file.fd
    this.path = path
    this.#timer = setInterval(() => void this.#look(), lookAgainMs)
  }

  /** Opens the file at its end, made or emptied where need be. `onLine` gets each line within moments. */
  static async open(path: string, onLine: (line: string) => void): Promise<OutputFile> {
    // No others: what a script prints may hold passwords.
    const file = await open(path, 'a+', 0o640)
    const { size } = await file.stat()
    if (size > fileBytes) await file.truncate(0)
    return new OutputFile(file, path, size > fileBytes ? 0 : size, onLine)
  }

  /** Reads what is left, ends following, and gives the beginning and the end of all that was printed. */
  async close(): Promise<Output> {
    clearInterval(this.#timer)
    await this.#look()
    this.#emitLine(this.#line)
    await this.#file.close()
    const head = wholeCharacters(this.#head)
    const tail = wholeCharacters(this.#tail)
    return {
      head: legible(head),
      tail: legible(tail),
      droppedBytes: this.#seenBytes - this.#head.length - this.#tail.length,
    }
  }

  /** One look at a time, in order. A file that cannot be read costs the output, not the action. */
  #look(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#readOn()).catch(() => undefined)
    return this.#reading
  }

  async #readOn(): Promise<void> {
    const buffer = Buffer.alloc(readBytes)
    for (;;) {
      const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, this.#position)
      if (bytesRead === 0) break
      this.#position += bytesRead
      this.#take(buffer.subarray(0, bytesRead))
    }
    if (this.#position > fileBytes) {
      await this.#file.truncate(0)
      this.#position = 0
    }
  }

  #take(bytes: Buffer): void {
    this.#seenBytes += bytes.length
    const room = limits.outputHeadBytes - this.#head.length
    this.#head = Buffer.concat([this.#head, bytes.subarray(0, room)])
    this.#tail = Buffer.concat([this.#tail, bytes.subarray(room)])
    this.#tail = this.#tail.subarray(Math.max(0, this.#tail.length - limits.outputTailBytes))
    this.#splitLines(bytes)
  }

  #splitLines(bytes: Buffer): void {
    const text = Buffer.concat([this.#line, bytes])
    let from = 0
    // Latin-1 has one character for each byte, so that an index in it is one in the buffer.
    for (const { index } of text.toString('latin1').matchAll(/[\r\n]/g)) {
      this.#emitLine(text.subarray(from, index))
      from = index + 1
    }
    if (text.length - from >= lineBytes) {
      this.#emitLine(text.subarray(from))
      from = text.length
    }
    this.#line = Buffer.from(text.subarray(from))
  }

  #emitLine(bytes: Buffer): void {
    const line = printable(bytes.toString('utf8')).trimEnd()
    if (line !== '') this.#onLine(cut(line, limits.progressLineChars))
  }
}

/**
 * As text that takes no more bytes than it did: what is no UTF-8 becomes a question mark rather than U+FFFD, which
 * takes three, so that no output makes a result too large to be sent.
 */
function legible(bytes: Buffer): string {
  return printable(bytes.toString('utf8').replaceAll('\uFFFD', '?'))
}

/** Without the halves of UTF-8 characters that a cut left at either end. */
function wholeCharacters(bytes: Buffer): Buffer {
  let start = 0
  while (start < 3 && isContinuation(bytes[start])) start++
  let last = bytes.length - 1
  while (last >= bytes.length - 4 && last > start && isContinuation(bytes[last])) last--
  const lead = bytes[last] ?? 0
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1
  const isCut = last + length > bytes.length
  return bytes.subarray(start, isCut ? last : bytes.length)
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80
}
