import { open, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { AuditEvent } from '@filo/protocol'
import { SinkLost, type Sink } from './sink.ts'

/** When a file is put aside, and how many of those are kept. */
export interface Rotation {
  readonly bytes: number
  readonly keep: number
}

interface Waiting {
  readonly line: string
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/**
 * JSON lines in a file, on disk before they count as kept. A file that has reached its size becomes `FILE.1`, that one
 * `FILE.2`, and so on. What arrives while one write goes to the disk goes there together with the next.
 */
export class FileSink implements Sink {
  readonly #path: string
  readonly #rotation: Rotation
  #file: FileHandle
  #bytes: number
  #waiting: Waiting[] = []
  #writing: Promise<void> | undefined

  private constructor(path: string, rotation: Rotation, file: FileHandle, bytes: number) {
    this.#path = path
    this.#rotation = rotation
    this.#file = file
    this.#bytes = bytes
  }

  /** A line that a crash cut short is taken away: its event was not kept, and comes again. Throws SinkLost. */
  static async open(path: string, rotation: Rotation): Promise<FileSink> {
    try {
      const file = await open(path, 'a+', 0o640)
      const bytes = await endOfLastLine(file)
      await file.truncate(bytes)
      await syncFolder(path)
      return new FileSink(path, rotation, file, bytes)
    } catch (error) {
      throw lost(path, error)
    }
  }

  keep(event: AuditEvent): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line: `${JSON.stringify(event)}\n`, resolve, reject })
      this.#writing ??= this.#write().finally(() => (this.#writing = undefined))
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing
    await this.#file.close()
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting
      this.#waiting = []
      try {
        await this.#append(Buffer.from(batch.map(({ line }) => line).join('')))
        for (const { resolve } of batch) resolve()
      } catch (error) {
        for (const { reject } of [...batch, ...this.#waiting]) reject(lost(this.#path, error))
        this.#waiting = []
      }
    }
  }

  async #append(bytes: Buffer): Promise<void> {
    if (this.#bytes > 0 && this.#bytes + bytes.length > this.#rotation.bytes) await this.#rotate()
    await this.#file.appendFile(bytes)
    await this.#file.datasync()
    this.#bytes += bytes.length
  }

  async #rotate(): Promise<void> {
    await this.#file.close()
    const { keep } = this.#rotation
    await rm(`${this.#path}.${keep}`, { force: true })
    for (let number = keep - 1; number >= 1; number -= 1)
      await moveIfThere(`${this.#path}.${number}`, `${this.#path}.${number + 1}`)
    if (keep > 0) await rename(this.#path, `${this.#path}.1`)
    else await rm(this.#path)
    this.#file = await open(this.#path, 'a+', 0o640)
    this.#bytes = 0
    await syncFolder(this.#path)
  }
}

/** Bytes up to and with the last newline. */
async function endOfLastLine(file: FileHandle): Promise<number> {
  const { size } = await file.stat()
  const chunk = Buffer.alloc(64 * 1024)
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - chunk.length)
    const { bytesRead } = await file.read(chunk, 0, end - start, start)
    const newline = chunk.subarray(0, bytesRead).lastIndexOf('\n')
    if (newline >= 0) return start + newline + 1
    end = start
  }
  return 0
}

async function moveIfThere(from: string, to: string): Promise<void> {
  const isThere = await stat(from).then(
    () => true,
    () => false,
  )
  if (isThere) await rename(from, to)
}

/** fsync(2): a new name is only on disk when its folder is. */
async function syncFolder(path: string): Promise<void> {
  await using folder = await open(dirname(path), 'r')
  await folder.sync()
}

function lost(path: string, error: unknown): SinkLost {
  return new SinkLost(`${path} cannot be written: ${(error as Error).message}`, { cause: error })
}
