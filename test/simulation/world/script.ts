import type { ProcessGroup } from '../../../packages/agent/src/managers/manager.ts'
import type { Time } from './time.ts'

/** A process group on a host: an init script at its work, or a hook. The agent that started it may be long gone. */
export class Script {
  readonly group: ProcessGroup
  /** It does not die of SIGKILL: it waits for a disk that does not answer. */
  isStuck = false
  #isAlive = true
  readonly #over = Promise.withResolvers<'returned' | 'killed'>()

  constructor(group: ProcessGroup) {
    this.group = group
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  /** How it ended. */
  get over(): Promise<'returned' | 'killed'> {
    return this.#over.promise
  }

  return(): void {
    this.#end('returned')
  }

  kill(): void {
    if (!this.isStuck) this.#end('killed')
  }

  #end(how: 'returned' | 'killed'): void {
    if (!this.#isAlive) return
    this.#isAlive = false
    this.#over.resolve(how)
  }
}

/** The process groups of a host. */
export class Scripts {
  readonly #time: Time
  readonly #all = new Map<number, Script>()
  #pgid = 1000

  constructor(time: Time) {
    this.#time = time
  }

  start(): Script {
    this.#pgid += 1
    const script = new Script({ pgid: this.#pgid, startTicks: Math.floor(this.#time.nowMs / 10) })
    this.#all.set(this.#pgid, script)
    void script.over.then(() => this.#all.delete(script.group.pgid))
    return script
  }

  find({ pgid, startTicks }: ProcessGroup): Script | undefined {
    const script = this.#all.get(pgid)
    return script?.group.startTicks === startTicks ? script : undefined
  }

  /** The machine goes down. */
  endAll(): void {
    for (const script of this.#all.values()) {
      script.isStuck = false
      script.kill()
    }
  }
}
