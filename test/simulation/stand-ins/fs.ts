import * as real from 'node:fs'
import { ambient } from './ambient.ts'

// In place of node:fs: what product code does to files by their names, where they are on a simulated disk.

export * from 'node:fs'

export function rmSync(path: string, options?: real.RmOptions): void {
  if (!path.startsWith('file:')) return real.rmSync(path, options)
  const { file } = ambient().find(path)
  file.disk.remove(file.path)
}
