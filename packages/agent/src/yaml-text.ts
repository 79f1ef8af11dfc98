import { loadAll, YAMLException } from 'js-yaml'

/**
 * What a YAML text of one document says; null where it says nothing. Throws where it is none, with line and column, and
 * without the line itself: it may hold a password.
 */
export function parseYaml(text: string): unknown {
  const documents = documentsOf(text)
  if (documents.length > 1)
    throw new Error('expected one document, and there are more: remove all but the first')
  return documents[0] ?? null
}

function documentsOf(text: string): unknown[] {
  try {
    return loadAll(text)
  } catch (error) {
    if (!(error instanceof YAMLException) || error.mark === undefined) throw error
    const { line, column } = error.mark
    throw new Error(`${error.reason} in line ${line + 1}, column ${column + 1}`, { cause: error })
  }
}
