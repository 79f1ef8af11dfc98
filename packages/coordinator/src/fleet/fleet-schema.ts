import * as z from 'zod'
import { FleetFile } from './fleet-file.ts'

/** The JSON Schema of filo.yaml, for editors. Checked in as `fleet.schema.json`; its test keeps the two equal. */
export function fleetJsonSchema(): string {
  const schema = z.toJSONSchema(FleetFile, { io: 'input' })
  return `${JSON.stringify({ title: 'filo.yaml', ...schema }, undefined, 2)}\n`
}
