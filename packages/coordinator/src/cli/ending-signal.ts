/** Aborted when somebody wants a command that goes on by itself to end: Ctrl-C, or what means the same. */
export function endingSignal(): AbortSignal {
  const ending = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => ending.abort())
  return ending.signal
}
