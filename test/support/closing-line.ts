import type { Reporter, TestCase, TestModule } from 'vitest/node'

/**
 * Ends a test run with what was not tested and why, and with one line that people and programs read alike:
 * `812 passed, 0 failed, 3 skipped`.
 */
export class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const counts = { passed: 0, failed: errors.length, skipped: 0 }
    const untested = new Map<string, TestCase[]>()
    for (const module of modules) {
      const tests = [...module.children.allTests()]
      if (module.state() === 'failed' && tests.length === 0) counts.failed += 1
      for (const test of tests) {
        const result = test.result()
        if (result.state !== 'pending') counts[result.state] += 1
        if (result.state !== 'skipped') continue
        const { note = 'its file or suite failed before it, or says to skip it' } = result
        untested.set(note, [...(untested.get(note) ?? []), test])
      }
    }
    for (const [why, tests] of untested) {
      const files = new Set(tests.map(({ module }) => module.relativeModuleId))
      process.stdout.write(`\nNOT TESTED: ${tests.length} in ${[...files].join(', ')}: ${why}\n`)
    }
    const { passed, failed, skipped } = counts
    process.stdout.write(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`)
  }
}
