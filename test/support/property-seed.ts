import * as fc from 'fast-check'

// Property tests try the same cases every time, so that a check that fails has failed for a change. Another
// FILO_SEED tries others.
fc.configureGlobal({ seed: Number(process.env['FILO_SEED'] ?? 1) })
