import * as z from 'zod'
import { limits } from './limits.ts'
import { Sha256, StepTitle } from './names.ts'

/** How the decision, effect or refusal came out. */
export const AuditOutcome = z.enum(['success', 'failure', 'unknown', 'refused'])
export type AuditOutcome = z.infer<typeof AuditOutcome>

/** The end of a source's chain. */
export const AuditHead = z.strictObject({ sequence: z.int().nonnegative(), hash: Sha256 })
export type AuditHead = z.infer<typeof AuditHead>

/** The end of a chain that has no event yet. */
export const noHead: AuditHead = { sequence: 0, hash: '0'.repeat(64) }

/** `/agents/mail1` or `/coordinators/ID`. */
const Source = z.string().max(200)

/**
 * The end of a chain and whose it is. It travels with every message, and the other side keeps it in its own chain: an
 * end that was cut off is missed there.
 */
export const SourceHead = z.strictObject({ source: Source, ...AuditHead.shape })
export type SourceHead = z.infer<typeof SourceHead>

/**
 * An audit event: CloudEvents 1.0 in structured JSON (https://github.com/cloudevents/spec). `sequence`,
 * `previoushash` and `hash` are extension attributes that chain the events of one source together.
 */
export const AuditEvent = z.strictObject({
  specversion: z.literal('1.0'),
  /** Unique within the source: its sequence number. */
  id: z.string().max(80),
  source: Source,
  /** `filo.action.finished` and the like. */
  type: z
    .string()
    .regex(/^filo(\.[a-z-]+)+$/)
    .max(100),
  /** `mta@mail1`, a host, or a run. */
  subject: z.string().max(200),
  time: z.iso.datetime(),
  datacontenttype: z.literal('application/json'),
  data: z.looseObject({
    outcome: AuditOutcome.optional(),
    run: z.string().max(100).optional(),
    step: StepTitle.optional(),
    action: z.string().max(100).optional(),
    operator: z.string().max(200).optional(),
    reason: z.string().max(limits.textChars).optional(),
    /** How the chains of others ended when they were last heard of. */
    heads: z.array(SourceHead).max(limits.headsPerEvent).optional(),
  }),
  /** Contiguous within the source, from 1. */
  sequence: z.int().positive(),
  /** The hash of the event before; 64 zeros for the first. */
  previoushash: Sha256,
  /** SHA-256 of the canonical JSON (RFC 8785) of all the other members. */
  hash: Sha256,
})
export type AuditEvent = z.infer<typeof AuditEvent>
