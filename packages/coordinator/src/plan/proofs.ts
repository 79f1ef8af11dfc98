import type { Draft, Laid } from './draft.ts'

/** Proofs that instances run which a plan leaves alone; one for each, whoever asks. */
export class RunningProofs {
  readonly #draft: Draft
  readonly #laid = new Map<number, Laid>()
  readonly #because = new Map<number, number>()

  constructor(draft: Draft) {
    this.#draft = draft
  }

  /** The proof for `instance`, which the step of `because` asked for, if it was not there before. */
  of(instance: number, because?: number): Laid {
    const known = this.#laid.get(instance)
    if (known !== undefined) return known
    const laid = this.#draft.prove(instance, 'running', { needs: [], follows: [] })
    this.#laid.set(instance, laid)
    if (because !== undefined) this.#because.set(instance, because)
    return laid
  }

  /** Notes which step asked for each, once those steps are there. */
  setReasons(steps: ReadonlyMap<number, Laid>): void {
    for (const [instance, because] of this.#because) {
      this.#draft.setBecause(this.#laid.get(instance)!.step, steps.get(because)!.step)
    }
  }
}
