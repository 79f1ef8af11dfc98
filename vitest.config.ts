import { defineConfig } from 'vitest/config'

/**
 * unit: pure and quick, beside the code. contract: the promises of transports and managers, against the real
 * programs. integration: whole fleets of real processes. Each project finds its files by its own ending.
 */
export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['packages/**/*.test.ts'], exclude: ['**/*.contract.test.ts'] } },
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
    ],
  },
})
