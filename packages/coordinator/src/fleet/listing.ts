/** Names for a sentence: `a, b, c and 97 more`. */
export function listing(names: readonly string[], most = 12): string {
  const shown = names.slice(0, most).join(', ')
  return names.length > most ? `${shown} and ${names.length - most} more` : shown
}
