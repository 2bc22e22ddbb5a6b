import fc from 'fast-check';

/**
 * Properties draw the same cases at every run, so that a red run is a change's doing; `FC_SEED=7 npx vitest run` draws
 * others.
 */
fc.configureGlobal({ seed: Number(process.env['FC_SEED'] ?? 1) });
