import type { AuditDraft, Claim, Clock, Holder } from '@filo/protocol'
import type { Ledger } from './ledger.ts'

// R8. One run at a time acts on a host. A grant is given for 30 s and renewed by every exchange; no new one is
// given while an action is started and not finished; a take-over gets a higher number and inherits what runs.

/** How long a grant is good without a word from its holder, milliseconds. */
export const leaseMs = 30_000

export type ClaimAnswer =
  | { readonly kind: 'granted'; readonly holder: Holder }
  | { readonly kind: 'held'; readonly holder: Holder; readonly detail: string }

/** Who may act on the host. The number of a grant is durable; how long it is good is this process's own. */
export class Claims {
  readonly #ledger: Ledger
  readonly #clock: Clock
  #holder: Holder | null
  #leaseUntilMs: number
  #turn = 0

  constructor(ledger: Ledger, clock: Clock) {
    this.#ledger = ledger
    this.#clock = clock
    this.#holder = ledger.holder()
    // How much of the lease was left when the last agent process ended is not known: it has all of it again.
    this.#leaseUntilMs = clock.sinceBoot() + leaseMs
  }

  get holder(): Holder | null {
    return this.#holder
  }

  /** Another number each time that the host is given or given back. */
  get turn(): number {
    return this.#turn
  }

  claim(claim: Claim): ClaimAnswer {
    const holder = this.#holder
    if (holder?.run === claim.run && holder.coordinator === claim.coordinator) {
      this.#renew()
      return { kind: 'granted', holder }
    }
    if (holder !== null && !this.#mayPass(holder, claim)) {
      return {
        kind: 'held',
        holder,
        detail: `held by ${holder.run} of ${holder.operator} since ${holder.since}`,
      }
    }
    this.#holder = this.#ledger.grant(
      {
        run: claim.run,
        coordinator: claim.coordinator,
        operator: claim.operator,
        since: this.#clock.wall().toISOString(),
      },
      (granted) => grantEvent(granted, claim, holder),
    )
    this.#turn += 1
    this.#renew()
    return { kind: 'granted', holder: this.#holder }
  }

  /** Whether the grant quoted by a run is the one in force. */
  isHeldBy(run: string, coordinator: string, grant: number): boolean {
    const holder = this.#holder
    return holder?.run === run && holder.coordinator === coordinator && holder.grant === grant
  }

  /** Every word of the holder renews its claim. */
  hearFrom(coordinator: string): void {
    if (this.#holder?.coordinator === coordinator) this.#renew()
  }

  /** Gives the host back; while an action goes on it stays with whoever holds it, until the lease ends (R8). */
  release(run: string, grant: number, operator: string): void {
    if (this.#holder?.run !== run || this.#holder.grant !== grant) return
    if (this.#ledger.openActions().length > 0) return
    this.#ledger.release({
      type: 'filo.claim.released',
      subject: run,
      data: { run, operator, outcome: 'success' },
    })
    this.#holder = null
    this.#turn += 1
  }

  /** The holder had the host halted, and is done with it: whoever asks next may have it. */
  lapse(): void {
    this.#leaseUntilMs = Number.NEGATIVE_INFINITY
  }

  #renew(): void {
    this.#leaseUntilMs = this.#clock.sinceBoot() + leaseMs
  }

  #mayPass(holder: Holder, claim: Claim): boolean {
    if (claim.takeOver === 'any') return true
    if (claim.takeOver === 'run' && holder.run === claim.run) return true
    return this.#clock.sinceBoot() > this.#leaseUntilMs && this.#ledger.openActions().length === 0
  }
}

function grantEvent(granted: Holder, claim: Claim, before: Holder | null): AuditDraft {
  const { run, grant, operator } = granted
  const passed =
    before === null ? {} : { from: { run: before.run, grant: before.grant, operator: before.operator } }
  return {
    type: 'filo.claim.granted',
    subject: run,
    data: { run, operator, outcome: 'success', grant, takeOver: claim.takeOver, ...passed },
  }
}
