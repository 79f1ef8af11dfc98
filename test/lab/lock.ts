import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** Waits until no other process has the file's lock; it is given back with the end of this process at the latest. */
export async function holdLock(file: string): Promise<AsyncDisposable> {
  // flock(1) and the shell hold the lock for as long as their input is open.
  const holder = spawn('flock', [file, 'sh', '-c', 'echo held; cat > /dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(holder, 'close')
  await Promise.race([
    once(holder.stdout, 'data'),
    ended.then(() => Promise.reject(new Error(`the lock of ${file} cannot be held`))),
  ])
  return {
    async [Symbol.asyncDispose]() {
      holder.stdin.end()
      await ended
    },
  }
}
