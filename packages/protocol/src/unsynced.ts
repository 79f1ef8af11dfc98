import type { DatabaseSync } from 'node:sqlite'

/**
 * Writes to a database in WAL mode without waiting for the disk: what is written survives this process however it
 * ends, but perhaps not the machine. The next transaction that waits makes it durable too. Not within a transaction.
 */
export function writeUnsynced(db: DatabaseSync, write: () => void): void {
  // https://sqlite.org/pragma.html#pragma_synchronous: in WAL mode only `full` syncs at each commit.
  db.exec('pragma synchronous = normal')
  try {
    write()
  } finally {
    db.exec('pragma synchronous = full')
  }
}
