import * as z from 'zod'

export const namePattern = /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/

/**
 * A name of a fleet, host, service or stage. It becomes a part of queue names, subjects, file names and
 * selections, so it holds none of the characters that mean something in any of those.
 */
export const Name = z
  .string()
  .regex(
    namePattern,
    'a name is 1 to 63 letters, digits, "-", "_" or ".", and begins and ends with a letter or digit',
  )
export type Name = z.infer<typeof Name>

/** An instance as people write it: a service on a host, `mta@mail1`. */
export type InstanceName = `${string}@${string}`

export function instanceName(service: string, host: string): InstanceName {
  return `${service}@${host}`
}

/** A step as people write it. The longest is a hook on another host: three names and what is between them. */
export const StepTitle = z.string().max(220)
export type StepTitle = z.infer<typeof StepTitle>

/** 128 random bits, as `crypto.randomUUID` writes them. Actions, incarnations and ledgers are named so. */
export const Id = z.uuid()
export type Id = z.infer<typeof Id>

/** A SHA-256 in lower-case hexadecimal. */
export const Sha256 = z.string().regex(/^[0-9a-f]{64}$/)
export type Sha256 = z.infer<typeof Sha256>

/** The name of a run: sorts by time, can be read out over a telephone. */
export const RunId = z.string().regex(/^r\d{8}-\d{6}-[0-9a-z]{4}$/)
export type RunId = z.infer<typeof RunId>
