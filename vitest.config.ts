import { globSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { ClosingLine } from './test/support/closing-line.ts'
import { LongestFirst } from './test/support/longest-first.ts'
import { Uncovered } from './test/support/uncovered.ts'

/** Those that use whatever broker `FILO_TEST_BROKER` names. */
const overAnyBroker = globSync('test/**/*.test.ts').filter((file) =>
  /support\/(?:(?:tls-)?broker|cluster)\.ts/.test(readFileSync(file, 'utf8')),
)

/**
 * unit: pure and quick, beside the code. contract: the promises of transports and managers, against the real
 * programs. integration: whole agents, coordinators and fleets of real processes, over RabbitMQ; over NATS, those that
 * need a broker once more. simulation: the same code in a world that is played, in processes of its own. lab: machines
 * with a systemd of their own, after all others. Each project finds its files by its own ending or folder.
 */
export default defineConfig({
  test: {
    // Most of a test's time is spent waiting for real processes: three side by side even on a small machine.
    maxWorkers: Math.max(3, availableParallelism() - 1),
    reporters: ['default', new Uncovered(), new ClosingLine()],
    // With --coverage: whether unit tests take every branch of the pure folders. Uncovered tells which they do not.
    coverage: {
      provider: 'v8',
      include: ['packages/coordinator/src/{fleet,import,plan,run}/**/*.ts'],
      exclude: ['**/*.test.ts', '**/scene.ts', '**/random-*.ts'],
      reporter: [],
      thresholds: { branches: 100 },
    },
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['packages/**/*.test.ts', 'test/simulation/mutants/*.test.ts'],
          exclude: ['**/*.contract.test.ts'],
          setupFiles: ['test/support/property-seed.ts'],
          testTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'contract',
          include: ['packages/**/*.contract.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/**/*.test.ts'],
          exclude: ['test/simulation/**'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'nats',
          include: overAnyBroker,
          env: { FILO_TEST_BROKER: 'nats' },
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'simulation',
          include: ['test/simulation/*.test.ts'],
        },
      },
      {
        test: {
          name: 'lab',
          include: ['test/lab/**/*.lab.ts'],
          globalSetup: 'test/lab/global-setup.ts',
          // By themselves: each lab is several machines.
          sequence: { groupOrder: 1 },
          testTimeout: 300_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
})
