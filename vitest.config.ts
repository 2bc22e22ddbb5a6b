import { defineConfig } from 'vitest/config';

/** Tests of numbers, which hold on every kernel backend. */
const numeric = [
  'batch-generator',
  'bad-input',
  'checkpoint-chain',
  'checkpoint-resume',
  'contrastive-adapters',
  'contrastive-negatives',
  'ewc-continual',
  'ewc-manager',
  'ewc-two-adapters',
  'int16',
  'keep-best',
  'kernels',
  'kernel-threads',
  'lora-adapter',
  'mine-hard-negatives',
  'negative-mining',
  'loss-computer',
  'loss-laws',
  'loss-degenerate',
  'loss-overflow',
  'loss-diagnostics',
  'optimizers',
  'own-negatives',
  'retriever',
  'retriever-bad-input',
  'retriever-int16',
  'scan',
  'per-row-losses',
  'training-faq',
  'training-resume',
];
const setupFiles = ['test/support/properties.ts'];
const testTimeout = 30_000;
const files = numeric.map(name => `test/${name}.test.ts`);

export default defineConfig({
  test: {
    projects: [
      ...['simd', 'scalar'].map(backend => ({
        test: {
          name: backend,
          include: files,
          testTimeout,
          env: { KERNEL_BACKEND: backend },
          setupFiles: [...setupFiles, 'test/support/backend.ts'],
        },
      })),
      { test: { name: 'other', include: ['test/*.test.ts'], exclude: files, setupFiles, testTimeout } },
    ],
    coverage: {
      include: ['src/**/*.ts'],
      exclude: ['src/**/types.ts', 'src/kernels/kernels.ts', 'src/kernels/simd/binary.ts', 'src/kernels/assembly/**'],
      reporter: ['text-summary'],
      thresholds: { lines: 95, branches: 90 },
    },
  },
});
