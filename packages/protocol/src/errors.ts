/** The world misbehaved: named by what is lost. Each is translated into a value in exactly one place. */

/** The message reached no mailbox, as the broker says. A hint for speed, never a proof that nothing was delivered. */
export class NobodyThere extends Error {
  override name = 'NobodyThere'
}

/** The message may or may not have been delivered: the connection broke or the confirm did not come. */
export class Ambiguous extends Error {
  override name = 'Ambiguous'
}

/** Another process already receives at this address. */
export class AddressInUse extends Error {
  override name = 'AddressInUse'
}

/** The broker cannot be reached, or refused us. */
export class BrokerUnavailable extends Error {
  override name = 'BrokerUnavailable'
}

/** What stands in the files of a database is not what was written there. */
export class DamagedDatabase extends Error {
  override name = 'DamagedDatabase'
  readonly path: string
  /** Where in it; finishes a sentence. */
  readonly place: string

  constructor(path: string, place: string, cause?: unknown) {
    super(`${path} is damaged: ${place}`, { cause })
    this.path = path
    this.place = place
  }
}
