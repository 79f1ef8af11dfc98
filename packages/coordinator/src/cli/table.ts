/** A text, and how it is coloured once its width is known. */
export type Cell = string | { readonly text: string; readonly paint: (text: string) => string }

const gap = '  '
/** Below this a last column says nothing; the line is left to wrap instead. */
const leastLastColumn = 16

/**
 * Lines of aligned columns. With `columns`, the width of the terminal, the last column is cut to fit; the others
 * are what a person searches for and copies, and stay whole.
 */
export function formatTable(
  heading: readonly string[],
  rows: readonly (readonly Cell[])[],
  columns?: number,
): string[] {
  const widths = heading.map((title, at) =>
    rows.reduce((widest, row) => Math.max(widest, widthOf(textOf(row[at] ?? ''))), widthOf(title)),
  )
  const last = heading.length - 1
  const before = widths.slice(0, last).reduce((sum, width) => sum + width + gap.length, 0)
  const room = columns === undefined ? Number.POSITIVE_INFINITY : Math.max(columns - before, leastLastColumn)
  return [heading, ...rows].map((row) =>
    widths
      .map((width, at) => {
        const cell = row[at] ?? ''
        const text = at === last ? fit(textOf(cell), room) : textOf(cell)
        const painted = typeof cell === 'string' ? text : cell.paint(text)
        return at === last ? painted : painted + ' '.repeat(width - widthOf(text))
      })
      .join(gap)
      .trimEnd(),
  )
}

/** A text of at most `room` characters, with an ellipsis where it was cut. */
export function fit(text: string, room: number): string {
  const characters = Array.from(text)
  return characters.length <= room ? text : `${characters.slice(0, Math.max(room - 1, 0)).join('')}…`
}

function textOf(cell: Cell): string {
  return typeof cell === 'string' ? cell : cell.text
}

function widthOf(text: string): number {
  return Array.from(text).length
}
