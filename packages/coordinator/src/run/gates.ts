import type { Plan } from '../plan/plan.ts'

/** What a step's phase means to the steps that wait for it. */
export interface Standing {
  /** Proven or waived: opens the gates of those that need it. */
  readonly met: boolean
  /** Ended in any way, and not unknown: opens the gates of those that only follow it. */
  readonly ended: boolean
}

/**
 * Which gates are open, kept up to date as steps change: a change costs as much as the step has successors, so a
 * whole run costs as much as the plan has edges (P8). Proofs may have aged all the same: see decide.ts.
 */
export class Gates {
  readonly #stepCount: number
  readonly #needers: Adjacency
  readonly #followers: Adjacency
  /** Per node: waits that are not over. For a join that asks for `enough`, only its follows are counted here. */
  readonly #unmet: Int32Array
  /** Per step: those among them that are needs. */
  readonly #lacking: Int32Array
  /** Per join: needs that are met, and how many it asks for. */
  readonly #metInputs: Int32Array
  readonly #wanted: Int32Array
  /** Per join: inputs of both kinds that have not ended. */
  readonly #unended: Int32Array
  readonly #met: Uint8Array
  readonly #ended: Uint8Array

  constructor(plan: Plan) {
    const nodes = [...plan.steps, ...plan.joins]
    this.#stepCount = plan.steps.length
    this.#needers = invert(nodes, (node) => node.needs)
    this.#followers = invert(nodes, (node) => node.follows)
    this.#unmet = new Int32Array(nodes.length)
    this.#lacking = new Int32Array(this.#stepCount)
    this.#metInputs = new Int32Array(nodes.length)
    this.#wanted = new Int32Array(nodes.length)
    this.#unended = new Int32Array(nodes.length)
    this.#met = new Uint8Array(nodes.length)
    this.#ended = new Uint8Array(nodes.length)
    nodes.forEach((node, index) => {
      const isJoin = index >= this.#stepCount
      this.#unmet[index] = node.follows.length + (isJoin ? 0 : node.needs.length)
      if (!isJoin) this.#lacking[index] = node.needs.length
      this.#unended[index] = node.follows.length + node.needs.length
      this.#wanted[index] = isJoin ? (plan.joins[index - this.#stepCount]!.enough ?? node.needs.length) : 0
    })
    // A join of nothing is met from the beginning.
    for (let join = this.#stepCount; join < nodes.length; join++) this.#reviewJoin(join)
  }

  /** Whether all that the step waits for is over. */
  isOpen(step: number): boolean {
    return this.#unmet[step] === 0
  }

  /** Whether all that the step needs is met, whatever it follows. */
  hasNeeds(step: number): boolean {
    return this.#lacking[step] === 0
  }

  /** Whether this step or join stands as met. */
  isMet(node: number): boolean {
    return this.#met[node] === 1
  }

  /** Notes a step's new standing and calls `turned` for each step whose needs or whose gate it makes or unmakes. */
  set(step: number, standing: Standing, turned: (step: number) => void): void {
    this.#setMet(step, standing.met, turned)
    this.#setEnded(step, standing.ended, turned)
  }

  #setMet(node: number, met: boolean, turned?: (step: number) => void): void {
    if ((this.#met[node] === 1) === met) return
    this.#met[node] = met ? 1 : 0
    this.#needers.forEach(node, (needer) => {
      if (needer < this.#stepCount) this.#countNeed(needer, met, turned)
      else {
        this.#metInputs[needer]! += met ? 1 : -1
        this.#reviewJoin(needer, turned)
      }
    })
  }

  #setEnded(node: number, ended: boolean, turned?: (step: number) => void): void {
    if ((this.#ended[node] === 1) === ended) return
    this.#ended[node] = ended ? 1 : 0
    this.#followers.forEach(node, (follower) => {
      this.#countWait(follower, ended, turned)
      if (follower >= this.#stepCount) this.#countEnd(follower, ended, turned)
    })
    this.#needers.forEach(node, (needer) => {
      if (needer >= this.#stepCount) this.#countEnd(needer, ended, turned)
    })
  }

  #countNeed(step: number, met: boolean, turned?: (step: number) => void): void {
    const lacking = (this.#lacking[step]! += met ? -1 : 1)
    this.#unmet[step]! += met ? -1 : 1
    if (lacking === (met ? 0 : 1)) turned?.(step)
  }

  #countWait(node: number, over: boolean, turned?: (step: number) => void): void {
    const unmet = (this.#unmet[node]! += over ? -1 : 1)
    if (node >= this.#stepCount) this.#reviewJoin(node, turned)
    else if (unmet === (over ? 0 : 1)) turned?.(node)
  }

  #countEnd(join: number, ended: boolean, turned?: (step: number) => void): void {
    this.#unended[join]! += ended ? -1 : 1
    this.#reviewJoin(join, turned)
  }

  #reviewJoin(join: number, turned?: (step: number) => void): void {
    this.#setMet(join, this.#unmet[join] === 0 && this.#metInputs[join]! >= this.#wanted[join]!, turned)
    this.#setEnded(join, this.#unended[join] === 0, turned)
  }
}

/** For each node the nodes that name it, in one flat array: a million edges fit in 8 MB. */
class Adjacency {
  readonly #starts: Int32Array
  readonly #targets: Int32Array

  constructor(starts: Int32Array, targets: Int32Array) {
    this.#starts = starts
    this.#targets = targets
  }

  forEach(node: number, visit: (target: number) => void): void {
    for (let at = this.#starts[node]!; at < this.#starts[node + 1]!; at++) visit(this.#targets[at]!)
  }
}

function invert<Node>(nodes: readonly Node[], sources: (node: Node) => readonly number[]): Adjacency {
  const starts = new Int32Array(nodes.length + 1)
  for (const node of nodes) for (const source of sources(node)) starts[source + 1]!++
  for (let at = 0; at < nodes.length; at++) starts[at + 1]! += starts[at]!
  const targets = new Int32Array(starts[nodes.length]!)
  const next = starts.slice()
  nodes.forEach((node, index) => {
    for (const source of sources(node)) targets[next[source]!++] = index
  })
  return new Adjacency(starts, targets)
}
