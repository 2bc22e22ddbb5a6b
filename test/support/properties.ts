import fc from 'fast-check';

/**
 * Properties draw the same cases in every run, so a failure comes from a change. `FC_SEED=7 npx vitest run` draws
 * other cases.
 */
fc.configureGlobal({ seed: Number(process.env['FC_SEED'] ?? 1) });
