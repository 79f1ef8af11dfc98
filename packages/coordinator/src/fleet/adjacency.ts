/** Edges between dense integers, as they are found. */
export class EdgeList {
  readonly from: number[] = []
  readonly to: number[] = []

  add(from: number, to: number): void {
    this.from.push(from)
    this.to.push(to)
  }
}

/** Edges by the node they leave, in two flat arrays: a million of them are eight megabytes. */
export class Adjacency {
  readonly #starts: Int32Array
  readonly #targets: Int32Array

  private constructor(size: number, from: readonly number[], to: readonly number[]) {
    this.#starts = new Int32Array(size + 1)
    this.#targets = new Int32Array(from.length)
    for (const node of from) this.#starts[node + 1]! += 1
    for (let node = 0; node < size; node += 1) this.#starts[node + 1]! += this.#starts[node]!
    const free = this.#starts.slice()
    for (const [index, node] of from.entries()) {
      this.#targets[free[node]!] = to[index]!
      free[node]! += 1
    }
  }

  static forward(size: number, edges: EdgeList): Adjacency {
    return new Adjacency(size, edges.from, edges.to)
  }

  static backward(size: number, edges: EdgeList): Adjacency {
    return new Adjacency(size, edges.to, edges.from)
  }

  get edges(): number {
    return this.#targets.length
  }

  /** What `node` leads to, in the order in which the edges were added. */
  of(node: number): Int32Array {
    return this.#targets.subarray(this.#starts[node], this.#starts[node + 1])
  }
}
