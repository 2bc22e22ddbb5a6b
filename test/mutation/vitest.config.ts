import { defineConfig, type Plugin } from 'vitest/config';

/** Most cases of a property here. Fewer cases let more mutants survive, never fewer. */
const MOST_CASES = 30;
/** Starts of the titles of tests that take seconds where the code is instrumented. */
const SLOW = [
  'finds the binomial schedules',
  'gives the loss of cosines of rounded entries',
  'has the temperature’s derivative to 2e-4',
  'is refused at the first metadata key above 10,000',
  'refuses what fromSafetensors would refuse',
];

/** The part of the library whose tests run, such as `optimizers`. */
const part = process.env['MUTATION_PART'] ?? '*';

/** The tests of `npm run mutation`: those of one part, on one kernel backend. */
const conditions = ['microlora-source', 'node'];

export default defineConfig({
  plugins: [lighterTests()],
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: [
      ...[`test/${part}`, `test/numeric/${part}`].flatMap(path => [`${path}.test.ts`, `${path}/**/*.test.ts`]),
      'test/{hostile-states,unknown-options,numeric/bad-input}.test.ts',
    ],
    exclude: ['test/package/**'],
    testTimeout: 30_000,
    env: { KERNEL_BACKEND: 'simd' },
    setupFiles: ['test/support/properties.ts', 'test/mutation/fewer-cases.ts', 'test/support/backend.ts'],
  },
});

function lighterTests(): Plugin {
  return {
    name: 'lighter-tests',
    enforce: 'pre',
    transform: (code, id) =>
      id.endsWith('.test.ts')
        ? code
            .replace(/\bnumRuns: (\d+)/g, (_, runs) => `numRuns: ${Math.min(Number(runs), MOST_CASES)}`)
            .replace(new RegExp(`\\bit\\((?='(?:${SLOW.join('|')}))`, 'g'), 'it.skip(')
        : undefined,
  };
}
