import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { ClosingLine } from './test/support/closing-line.ts'

/**
 * unit: pure and quick, beside the code. contract: the promises of transports and managers, against the real
 * programs. integration: whole agents, coordinators and fleets of real processes. Each project finds its files by
 * its own ending or folder.
 */
export default defineConfig({
  test: {
    // Most of a test's time is spent waiting for real processes: two side by side even on a small machine.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    reporters: ['default', new ClosingLine()],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['packages/**/*.test.ts'],
          exclude: ['**/*.contract.test.ts'],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'contract',
          include: ['packages/**/*.contract.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'lab',
          include: ['test/lab/**/*.lab.ts'],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
})
