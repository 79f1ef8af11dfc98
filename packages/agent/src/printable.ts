import { stripVTControlCharacters } from 'node:util'

/**
 * Text of a foreign program as it may be shown on an operator's terminal: escape sequences and control characters
 * other than line feed and tab are removed, and so are the marks that turn the direction of writing (U+202E and
 * its kin), with which a line can be made to read as another. A carriage return begins a new line.
 */
export function printable(text: string): string {
  return (
    stripVTControlCharacters(text)
      .replace(/\r\n?/g, '\n')
      // eslint-disable-next-line no-control-regex
      .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '')
  )
}

/** The first line that says something, for a detail that has room for one. */
export function firstLine(text: string): string {
  return (
    printable(text)
      .split('\n')
      .map((line) => line.trim())
      .find((line) => line !== '') ?? ''
  )
}
