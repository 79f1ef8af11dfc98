import type { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'

// Every row carries a checksum of all of its columns, which SQLite itself computes at each insert and update; and
// the table `tally` counts, for each table, its rows, the sum of their checksums, and all changes ever made. A row
// that is not what was written does not match its checksum; one that is missing, or that comes twice, is missing in
// its table's tally.

/** A table, as SQLite's CREATE TABLE has it. */
export interface Table {
  readonly name: string
  /** Each column with its type and constraints. */
  readonly columns: Readonly<Record<string, string>>
  /** The columns that a row is known by. */
  readonly key: readonly [string, ...string[]]
  /** Stored in the order of its key, without a row number beside it. */
  readonly isClustered?: true
}

export interface Schema {
  readonly tables: readonly Table[]
  /** Statements that make indexes. */
  readonly indexes?: readonly string[]
}

export const tally: Table = {
  name: 'tally',
  columns: {
    name: 'text not null',
    rows: 'integer not null',
    sums: 'integer not null',
    changes: 'integer not null',
  },
  key: ['name'],
  isClustered: true,
}

/** The SQL function that checksums are computed by. Its values depend on the order of its arguments. */
export function registerRowSum(sql: DatabaseSync): void {
  // A CRC of 32 bits finds every burst of errors that is no longer than that; who forges is found by the audit chain.
  sql.function('row_sum', { deterministic: true, varargs: true }, (...values) =>
    crc32(JSON.stringify(values)),
  )
}

/** The call that gives what `row_sum` of a row should be. */
export function sumOf(table: Table): string {
  return `row_sum(${Object.keys(table.columns).join(', ')})`
}

/** All that makes the database what it should be; changes nothing where it is. */
export function schemaOf({ tables, indexes = [] }: Schema): string {
  return [
    createTable(tally),
    ...tables.flatMap((table) => [createTable(table), ...countIn(table)]),
    ...indexes,
  ]
    .map((statement) => `${statement};\n`)
    .join('')
}

function createTable(table: Table): string {
  const columns = Object.entries(table.columns).map(([name, type]) => `${name} ${type}`)
  const sum = `row_sum integer not null generated always as (${sumOf(table)}) stored`
  const key = table.isClustered ? [`primary key (${table.key.join(', ')})`] : []
  const options = table.isClustered ? 'strict, without rowid' : 'strict'
  return `create table if not exists ${table.name} (${[...columns, sum, ...key].join(', ')}) ${options}`
}

function countIn({ name }: Table): string[] {
  const count = (event: string, at: string, change: string): string =>
    `create trigger if not exists ${name}_${event} after ${at} on ${name} begin ` +
    `update tally set ${change}, changes = changes + 1 where name = '${name}'; end`
  return [
    count('added', 'insert', 'rows = rows + 1, sums = sums + new.row_sum'),
    count('changed', 'update', 'sums = sums - old.row_sum + new.row_sum'),
    count('removed', 'delete', 'rows = rows - 1, sums = sums - old.row_sum'),
    `insert or ignore into tally (name, rows, sums, changes) values ('${name}', 0, 0, 0)`,
  ]
}
