import { expect, test } from 'vitest'
import { fleetJsonSchema } from './fleet-schema.ts'

test('the JSON Schema that editors use is the one of the code (vitest -u writes it anew)', async () => {
  await expect(fleetJsonSchema()).toMatchFileSnapshot('../../fleet.schema.json')
})

test('every key that a fleet file may hold says what it is for', () => {
  const undescribed: string[] = []
  visit(JSON.parse(fleetJsonSchema()), 'filo.yaml')
  expect(undescribed).toEqual([])

  function visit(schema: unknown, path: string): void {
    if (typeof schema !== 'object' || schema === null) return
    for (const [key, value] of Object.entries(schema)) {
      if (key !== 'properties') visit(value, `${path}.${key}`)
      else
        for (const [name, property] of Object.entries(value as Record<string, object>)) {
          if (!('description' in property)) undescribed.push(`${path}.${name}`)
          visit(property, `${path}.${name}`)
        }
    }
  }
})
