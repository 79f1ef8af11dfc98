import { cut, type Live, type ProcessRef, type State } from '@filo/protocol'
import type { Sighting } from './manager.ts'

// What svstat prints of a service (https://cr.yp.to/daemontools/svstat.html), one line for each.

/** supervise's word on a service. */
export type Supervised =
  | {
      readonly kind: 'up'
      readonly pid: number
      /** `svc -d` has come, and the process is still there. */
      readonly isWantedDown: boolean
      readonly isPaused: boolean
    }
  | {
      readonly kind: 'down'
      /** supervise is about to start it again. */
      readonly isWantedUp: boolean
    }
  /** No supervise runs in the directory: what became of the service's processes is for others to say. */
  | { readonly kind: 'unsupervised' }
  | { readonly kind: 'missing' }
  /** svstat could not look. */
  | { readonly kind: 'unclear' }

/** What a line says behind the name of the directory. */
export interface SvstatLine {
  readonly supervised: Supervised
  /** svstat's own words. */
  readonly words: string
  /** How long ago its process began or ended, by the wall clock: only ever printed. */
  readonly ageS?: number
}

/**
 * supervise naps for a second after each start before it notices an end, and then starts again at once: by svstat, a
 * service that cannot run is up at almost any moment. One that outlived the nap has at least begun to run.
 */
export const napMs = 1000

/** The words for a directory, out of all that svstat printed: one line for each, in the order of its arguments. */
export function readSvstat(stdout: string, directories: readonly string[]): SvstatLine[] {
  const lines = stdout.split('\n')
  return directories.map((directory, at) => {
    const line = lines[at] ?? ''
    if (!line.startsWith(`${directory}: `))
      return { supervised: { kind: 'unclear' }, words: 'svstat said nothing' }
    return readWords(line.slice(directory.length + 2).trim())
  })
}

function readWords(words: string): SvstatLine {
  const up = /^up \(pid (\d+)\) (\d+) seconds((?:, [\w ]+)*)$/.exec(words)
  if (up !== null) {
    const flags = up[3]!
    const isWantedDown = flags.includes(', want down')
    const supervised = {
      kind: 'up',
      pid: Number(up[1]),
      isWantedDown,
      isPaused: flags.includes(', paused'),
    } as const
    return { supervised, words, ageS: Number(up[2]) }
  }
  const down = /^down (\d+) seconds((?:, [\w ]+)*)$/.exec(words)
  if (down !== null) {
    const supervised = { kind: 'down', isWantedUp: down[2]!.includes(', want up') } as const
    return { supervised, words, ageS: Number(down[1]) }
  }
  if (words === 'unable to chdir: file does not exist') return { supervised: { kind: 'missing' }, words }
  if (words === 'supervise not running' || words === 'unable to open supervise/ok: file does not exist') {
    return { supervised: { kind: 'unsupervised' }, words }
  }
  return { supervised: { kind: 'unclear' }, words }
}

/** What the machine says of the process that svstat named. */
export interface Sighted {
  readonly ref: ProcessRef
  readonly ageMs: number
}

/** What a line means. @param process the one with the pid of the line; undefined where it has ended. */
export function judgeLine({ supervised, words, ageS }: SvstatLine, process: Sighted | undefined): Sighting {
  const [state, live, note] = judgeSupervised(supervised, process)
  return {
    state,
    live,
    detail: cut(note === '' ? words : `${words}; ${note}`),
    ...(process !== undefined && { processes: [process.ref] }),
    // By the process's own age: the seconds that svstat gives are those of a clock that may be set (R14).
    ...(state === 'running' && process !== undefined && { heldMs: process.ageMs }),
    ...((state === 'running' || state === 'stopped') &&
      ageS !== undefined && { since: new Date(Date.now() - ageS * 1000) }),
  }
}

function judgeSupervised(supervised: Supervised, process: Sighted | undefined): [State, Live, note: string] {
  switch (supervised.kind) {
    case 'up':
      if (supervised.isWantedDown) return ['stopping', 'yes', '']
      if (process === undefined)
        return ['failed', 'yes', 'the process has ended, and supervise starts it again each second']
      if (supervised.isPaused) return ['failed', 'yes', 'to let it go on: svc -c']
      return process.ageMs < napMs ? ['starting', 'yes', ''] : ['running', 'yes', '']
    case 'down':
      return supervised.isWantedUp ? ['failed', 'yes', 'it has ended by itself'] : ['stopped', 'no', '']
    case 'missing':
      return ['missing', 'unknown', 'there is no such service directory on this host']
    case 'unsupervised':
    case 'unclear':
      return ['unknown', 'unknown', '']
  }
}
