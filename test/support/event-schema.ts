import { readFileSync } from 'node:fs'
import * as z from 'zod'

const known = new Map<string, z.ZodType>()

/** The JSON Schema that is shipped for a type of audit event. */
export function schemaOf(type: string): z.ZodType {
  const file = new URL(`../../packages/protocol/schemas/${type}.schema.json`, import.meta.url)
  const schema = known.get(type) ?? z.fromJSONSchema(JSON.parse(readFileSync(file, 'utf8')))
  known.set(type, schema)
  return schema
}
