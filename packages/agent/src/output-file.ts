import { closeSync, fstatSync, ftruncateSync, openSync, read, readSync, writeSync } from 'node:fs'
import { promisify } from 'node:util'
import { cut, limits, type Output, type Redactor } from '@filo/protocol'
import { printable } from './printable.ts'
import { WashedLines, type Washed } from './washed-lines.ts'

/** Above this much the file is emptied: what an operator may read stays, a disk is not filled (R13). */
const fileBytes = 1024 * 1024
const readBytes = 64 * 1024
const lookAgainMs = 200

const readInto = promisify(read)

/**
 * What an action prints, followed in the file that it prints into. The file is opened for appending, by the agent
 * and so by all that inherit it: a daemon that still writes after the file was emptied writes at its new end. Most
 * actions print nothing: only what there is to read is waited for. Secrets are overwritten in the file itself, moments
 * after they were printed, and what a daemon printed since the last action at the latest when the next one begins.
 */
export class OutputFile {
  /** For the process to inherit. */
  readonly fd: number
  readonly path: string
  /** Of the same file: what is opened for appending writes at its end wherever it is told to (pwrite(2), BUGS). */
  readonly #washingFd: number
  readonly #onLine: (line: string) => void
  readonly #timer: NodeJS.Timeout
  readonly #lines: WashedLines
  #position: number
  #reading: Promise<void> = Promise.resolve()
  #head = Buffer.alloc(0)
  #tail = Buffer.alloc(0)
  #seenBytes = 0
  #line = Buffer.alloc(0)

  private constructor(
    path: string,
    fd: number,
    position: number,
    redactor: Redactor,
    onLine: (line: string) => void,
  ) {
    this.fd = fd
    this.path = path
    this.#washingFd = openSync(path, 'r+')
    this.#position = position
    this.#lines = new WashedLines(redactor)
    this.#onLine = onLine
    this.#timer = setInterval(() => void this.#look(), lookAgainMs)
  }

  /** Opens the file at its end, made or emptied where need be. `onLine` gets each line within moments. */
  static open(path: string, redactor: Redactor, onLine: (line: string) => void): OutputFile {
    // No others: what a script prints may hold passwords.
    const fd = openSync(path, 'a+', 0o640)
    const { size } = fstatSync(fd)
    if (size > fileBytes) ftruncateSync(fd)
    const file = new OutputFile(path, fd, size > fileBytes ? 0 : size, redactor, onLine)
    file.#washOld(redactor)
    return file
  }

  /** Reads what is left, ends following, and gives the beginning and the end of all that was printed. */
  async close(): Promise<Output> {
    clearInterval(this.#timer)
    await this.#look()
    this.#give(this.#lines.end(), this.#position)
    closeSync(this.fd)
    closeSync(this.#washingFd)
    const head = wholeCharacters(this.#head)
    const tail = wholeCharacters(this.#tail)
    return {
      head: legible(head),
      tail: legible(tail),
      droppedBytes: this.#seenBytes - this.#head.length - this.#tail.length,
    }
  }

  /** What has been printed since the last action was over, or while no agent ran. */
  #washOld(redactor: Redactor): void {
    const old = Buffer.alloc(this.#position)
    const bytes = old.subarray(0, readSync(this.fd, old, 0, old.length, 0))
    const lines = new WashedLines(redactor)
    let at = 0
    for (const washed of [...lines.take(bytes), lines.end()]) {
      this.#overwrite(washed, at)
      at += washed.bytes.length
    }
  }

  /** One look at a time, in order. A file that cannot be read costs the output, not the action. */
  #look(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#readOn()).catch(() => undefined)
    return this.#reading
  }

  async #readOn(): Promise<void> {
    if (fstatSync(this.fd).size <= this.#position) return
    const buffer = Buffer.allocUnsafe(readBytes)
    for (;;) {
      const { bytesRead } = await readInto(this.fd, buffer, 0, buffer.length, this.#position)
      if (bytesRead === 0) break
      this.#position += bytesRead
      this.#seenBytes += bytesRead
      let end = this.#position - this.#lines.heldBytes - bytesRead
      for (const washed of this.#lines.take(buffer.subarray(0, bytesRead))) {
        end += washed.bytes.length
        this.#give(washed, end)
      }
    }
    if (this.#position > fileBytes) {
      ftruncateSync(this.fd)
      this.#position = 0
    }
  }

  /** @param end where it ends in the file; some of it may have been there before the file was emptied. */
  #give(washed: Washed, end: number): void {
    const { bytes, isEnd } = washed
    this.#overwrite(washed, end - bytes.length)
    const room = limits.outputHeadBytes - this.#head.length
    this.#head = Buffer.concat([this.#head, bytes.subarray(0, room)])
    this.#tail = Buffer.concat([this.#tail, bytes.subarray(room)])
    this.#tail = this.#tail.subarray(Math.max(0, this.#tail.length - limits.outputTailBytes))
    this.#line = Buffer.concat([this.#line, bytes])
    // A line that never ends is handed on in parts.
    if (isEnd || this.#line.length >= readBytes / 4) {
      const line = printable(this.#line.toString('utf8')).trimEnd()
      if (line !== '') this.#onLine(cut(line, limits.progressLineChars))
      this.#line = Buffer.alloc(0)
    }
  }

  #overwrite({ bytes, isChanged }: Washed, at: number): void {
    const before = Math.max(0, -at)
    if (!isChanged || before >= bytes.length) return
    // Emptied by an action beside this one: what is gone needs no washing, and writing there would make a hole.
    if (fstatSync(this.#washingFd).size < at + bytes.length) return
    writeSync(this.#washingFd, bytes, before, bytes.length - before, at + before)
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
