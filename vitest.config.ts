import { defineConfig } from 'vitest/config';

/** Tests of numbers, which hold on every kernel backend. */
const numeric = [
  'batch-generator',
  'bad-input',
  'ewc-manager',
  'kernels',
  'lora-adapter',
  'loss-computer',
  'optimizers',
];
const files = numeric.map(name => `test/${name}.test.ts`);

export default defineConfig({
  test: {
    projects: [
      {
        test: { name: 'simd', include: files, env: { KERNEL_BACKEND: 'simd' }, setupFiles: 'test/support/backend.ts' },
      },
      {
        test: {
          name: 'scalar',
          include: files,
          env: { KERNEL_BACKEND: 'scalar' },
          setupFiles: 'test/support/backend.ts',
        },
      },
      { test: { name: 'other', include: ['test/*.test.ts'], exclude: files } },
    ],
    coverage: {
      include: ['src/**/*.ts'],
      exclude: ['src/**/types.ts', 'src/kernels/kernels.ts', 'src/kernels/simd/binary.ts', 'src/kernels/assembly/**'],
      reporter: ['text-summary'],
      thresholds: { lines: 95, branches: 90 },
    },
  },
});
