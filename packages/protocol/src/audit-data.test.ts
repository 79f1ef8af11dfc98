import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { auditData, auditJsonSchema, type AuditType } from './audit-data.ts'

const types = Object.keys(auditData) as AuditType[]
const schemas = join(import.meta.dirname, '..', 'schemas')

test.for(types)('the JSON Schema of %s is the one of the code (vitest -u writes it anew)', async (type) => {
  await expect(auditJsonSchema(type)).toMatchFileSnapshot(join(schemas, `${type}.schema.json`))
})

test('there is no JSON Schema of a type that no event has', () => {
  expect(readdirSync(schemas).toSorted()).toEqual(types.map((type) => `${type}.schema.json`).toSorted())
})
