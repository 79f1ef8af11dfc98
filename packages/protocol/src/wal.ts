import { readFileSync } from 'node:fs'

// The write-ahead log as https://sqlite.org/fileformat2.html#walformat has it. Only to say where it is damaged: what
// it holds is SQLite's to read.

const headerBytes = 32
const frameHeaderBytes = 24
/** The last bit of the magic number says that checksums are over big-endian words. */
const magic = 0x377f0682

/** The first byte of the header or frame whose checksum fails; undefined where the log ends with none such. */
export function brokenFrame(path: string): number | undefined {
  let log: Buffer
  try {
    log = readFileSync(path)
  } catch {
    return undefined
  }
  if (log.length < headerBytes) return undefined
  if ((log.readUInt32BE(0) & ~1) !== magic) return 0
  const isBigEndian = (log.readUInt32BE(0) & 1) === 1
  const pageBytes = log.readUInt32BE(8)
  let sum = checksum(log.subarray(0, 24), [0, 0], isBigEndian)
  if (!isAt(log, 24, sum) || pageBytes < 512 || pageBytes > 65_536) return 0
  const salts = log.subarray(16, 24)
  const frameBytes = frameHeaderBytes + pageBytes
  for (let at = headerBytes; at + frameBytes <= log.length; at += frameBytes) {
    sum = checksum(log.subarray(at, at + 8), sum, isBigEndian)
    sum = checksum(log.subarray(at + frameHeaderBytes, at + frameBytes), sum, isBigEndian)
    if (!log.subarray(at + 8, at + 16).equals(salts) || !isAt(log, at + 16, sum)) return at
  }
  return undefined
}

type Checksum = readonly [number, number]

function checksum(bytes: Buffer, [first, second]: Checksum, isBigEndian: boolean): Checksum {
  let [one, two] = [first, second]
  for (let at = 0; at < bytes.length; at += 8) {
    const [x, y] = isBigEndian
      ? [bytes.readUInt32BE(at), bytes.readUInt32BE(at + 4)]
      : [bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4)]
    one = (one + x + two) >>> 0
    two = (two + y + one) >>> 0
  }
  return [one, two]
}

function isAt(bytes: Buffer, at: number, [one, two]: Checksum): boolean {
  return bytes.readUInt32BE(at) === one && bytes.readUInt32BE(at + 4) === two
}
