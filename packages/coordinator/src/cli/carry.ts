/** How an operator wants a run to be carried out. */
export interface SessionChoices {
  readonly yes?: true
  readonly continue?: true
  /** Milliseconds. */
  readonly patience: number
  readonly reason?: string
}
