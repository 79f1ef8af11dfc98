import { closeSync, openSync, readSync } from 'node:fs'
import { basename } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { DamagedDatabase } from './errors.ts'
import { Mark } from './mark.ts'
import { registerRowSum, schemaOf, sumOf, tally, type Schema, type Table } from './schema.ts'
import { brokenFrame } from './wal.ts'

/**
 * Reads all of a database, and throws DamagedDatabase with the place of the first thing that is not as it was
 * written. Touches nothing. Throws what SQLite says of a database that another process has locked, and of a disk.
 */
export function lookForDamage(path: string, schema: Schema, timeoutMs: number): void {
  const least = Mark.leastChanges(path)
  try {
    inspect(path, schema, least, { timeout: timeoutMs, readOnly: true })
  } catch (error) {
    if (!isStorageFailure(error)) throw error
    // A reader needs an index of the log beside it, for which there may be no room; its only user keeps it in memory.
    inspect(path, schema, least, { timeout: timeoutMs, readOnly: false })
  }
}

function inspect(
  path: string,
  schema: Schema,
  least: number,
  options: { readonly timeout: number; readonly readOnly: boolean },
): void {
  const damaged = (place: string, cause?: unknown): never => {
    throw new DamagedDatabase(path, place, cause)
  }
  const sql = new DatabaseSync(path, options)
  let reading = 'its first page'
  try {
    registerRowSum(sql)
    if (!options.readOnly) sql.exec('pragma locking_mode = exclusive')
    // One view of it, however much others write meanwhile.
    sql.exec('begin')
    if (isNew(sql) && least === 0) return
    const lost = lostChanges(sql, least)
    if (lost > 0) {
      const at = brokenFrame(`${path}-wal`)
      const place = at === undefined ? '' : `: ${basename(path)}-wal is damaged at byte ${at}`
      damaged(`${lost} of the changes that were written last cannot be read${place}`)
    }
    reading = 'its pages'
    const [first] = sql.prepare('pragma integrity_check(1)').all()
    const found = String(first?.['integrity_check'])
    if (found !== 'ok') damaged(found.replaceAll(/\s+/g, ' ').replace('*** in database main *** ', ''))
    const misshapen = changedSchema(sql, schema)
    if (misshapen !== undefined) damaged(misshapen)
    for (const table of [...schema.tables, tally]) {
      reading = `table ${table.name}`
      const row = changedRow(sql, table)
      if (row !== undefined) damaged(`the row with ${row} of table ${table.name} does not match its checksum`)
    }
    reading = 'the tally of its tables'
    const table = miscounted(sql, schema)
    if (table !== undefined) damaged(`table ${table} has not the rows that were written`)
    const flaw = changedHeader(path)
    if (flaw !== undefined) damaged(flaw)
  } catch (error) {
    if (error instanceof DamagedDatabase || isBusy(error) || isStorageFailure(error)) throw error
    damaged(`${reading} cannot be read: ${error instanceof Error ? error.message : String(error)}`, error)
  } finally {
    sql.close()
  }
}

/** A process that made the file may have ended before it made anything in it. */
function isNew(sql: DatabaseSync): boolean {
  const { page_count: pages } = sql.prepare('pragma page_count').get() as { page_count: number }
  return pages <= 1 && sql.prepare('select count(*) as n from sqlite_schema').get()!['n'] === 0
}

function lostChanges(sql: DatabaseSync, least: number): number {
  if (sql.prepare("select 1 from sqlite_schema where name = 'tally'").get() === undefined) return least
  return least - Number(sql.prepare('select sum(changes) as n from tally').get()!['n'])
}

/** A trigger or an index that is not ours, or no more, would do or show something else from now on. */
function changedSchema(sql: DatabaseSync, schema: Schema): string | undefined {
  using model = new DatabaseSync(':memory:')
  registerRowSum(model)
  model.exec(schemaOf(schema))
  const told = (db: DatabaseSync): Map<string, string> => {
    const rows = db.prepare('select type, name, tbl_name, sql from sqlite_schema').all()
    return new Map(rows.map((row) => [String(row['name']), JSON.stringify(row)]))
  }
  const [expected, stands] = [told(model), told(sql)]
  const names = [...new Set([...expected.keys(), ...stands.keys()])]
  const changed = names.find((name) => expected.get(name) !== stands.get(name))
  return changed && `${changed} is not made as this version of Filo makes it`
}

/** The key of a row that does not match its checksum. */
function changedRow(sql: DatabaseSync, table: Table): string | undefined {
  const key = table.key.map((column) => `'${column} ' || ${column}`).join(" || ', ' || ")
  const query = `select ${key} as row from ${table.name} where row_sum is not ${sumOf(table)} limit 1`
  return sql.prepare(query).get()?.['row'] as string | undefined
}

/** A table from which rows are missing, or that has some twice. */
function miscounted(sql: DatabaseSync, schema: Schema): string | undefined {
  const counted = sql.prepare('select rows, sums from tally where name = ?')
  const differs = ({ name }: Table): boolean => {
    const { rows, sums } = sql
      .prepare(`select count(*) as rows, coalesce(sum(row_sum), 0) as sums from ${name}`)
      .get()!
    const tallied = counted.get(name)
    return tallied?.['rows'] !== rows || tallied?.['sums'] !== sums
  }
  return schema.tables.find(differs)?.name
}

/** SQLite takes a file of a format that it does not know for one that must not be written. */
function changedHeader(path: string): string | undefined {
  const bytes = Buffer.alloc(20)
  const file = openSync(path, 'r')
  try {
    readSync(file, bytes, 0, bytes.length, 0)
  } finally {
    closeSync(file)
  }
  // https://sqlite.org/fileformat2.html#the_database_header: 2 is for a write-ahead log.
  const at = [18, 19].find((offset) => bytes[offset] !== 2)
  return at === undefined ? undefined : `byte ${at} of its header is ${bytes[at]}, not 2`
}

function primaryCode(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : undefined
}

/** Whether another process has a database to itself: SQLite's BUSY and LOCKED (https://sqlite.org/rescode.html). */
export function isBusy(error: unknown): boolean {
  return [5, 6].includes(primaryCode(error) ?? 0)
}

/** SQLite's PERM, READONLY, IOERR, FULL and CANTOPEN: nothing is known of the content. */
function isStorageFailure(error: unknown): boolean {
  return [3, 8, 10, 13, 14].includes(primaryCode(error) ?? 0)
}
