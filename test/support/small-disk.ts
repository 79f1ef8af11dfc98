import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** A file system of a test's own that is full when the test says so. */
export interface SmallDisk extends Disposable {
  readonly path: string
  fill(): void
  empty(): void
}

/** Mounts a tmpfs (tmpfs(5)) at `path`, over what is there. Takes root. */
export function mountSmallDisk(path: string): SmallDisk {
  mkdirSync(path, { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m,mode=0700', 'none', path])
  const ballast = join(path, 'ballast')
  return {
    path,
    fill() {
      const file = openSync(ballast, 'a')
      try {
        // Smaller than a page at last, so that no room is left for one.
        for (const bytes of [1 << 20, 1 << 12, 1]) writeUntilFull(file, Buffer.alloc(bytes))
      } finally {
        closeSync(file)
      }
    },
    empty: () => rmSync(ballast, { force: true }),
    // Lazily: a process that has not ended yet may still have a file open there.
    [Symbol.dispose]: () => void execFileSync('umount', ['--lazy', path]),
  }
}

function writeUntilFull(file: number, bytes: Buffer): void {
  for (;;) {
    try {
      if (writeSync(file, bytes) < bytes.length) return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return
      throw error
    }
  }
}
