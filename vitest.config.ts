import { defineConfig } from 'vitest/config';

const setupFiles = ['test/support/properties.ts'];
const testTimeout = 30_000;
/** Tests of numbers, which hold on every kernel backend. */
const numeric = ['test/numeric/**/*.test.ts'];

/** `#platform` is the source, as tsconfig.json has it. */
const conditions = ['microlora-source', 'node'];
const resolve = { conditions };
const ssr = { resolve };

export default defineConfig({
  test: {
    projects: [
      ...['simd', 'scalar'].map(backend => ({
        resolve,
        ssr,
        test: {
          name: backend,
          include: numeric,
          testTimeout,
          env: { KERNEL_BACKEND: backend },
          setupFiles: [...setupFiles, 'test/support/backend.ts'],
        },
      })),
      {
        resolve,
        ssr,
        test: {
          name: 'other',
          include: ['test/**/*.test.ts'],
          exclude: [...numeric, 'test/package/**'],
          setupFiles,
          testTimeout,
        },
      },
    ],
    coverage: {
      include: ['src/**/*.ts'],
      exclude: ['src/**/types.ts', 'src/kernels/kernels.ts', 'src/kernels/simd/binary.ts', 'src/kernels/assembly/**'],
      reporter: ['text-summary'],
      thresholds: { lines: 95, branches: 90 },
    },
  },
});
