import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { defineConfig, type Options } from 'tsup';

rmSync('dist', { recursive: true, force: true });
mkdirSync('dist');
copyFileSync('src/kernels/simd/kernels.wasm', 'dist/kernels.wasm');

const common: Options = {
  format: 'esm',
  target: 'node18',
  outDir: 'dist',
  sourcemap: true,
  removeNodeProtocol: false,
  // A third off the time to import; names stay, for stack traces. Node prints the line of an uncaught error: short ones.
  esbuildOptions: options => {
    options.minifyWhitespace = true;
    options.minifySyntax = true;
    options.lineLimit = 120;
  },
};

export default defineConfig([
  // One file, which Node imports in the least time.
  {
    ...common,
    entry: ['src/index.ts'],
    platform: 'node',
    dts: true,
    esbuildOptions: (options, context) => {
      common.esbuildOptions?.(options, context);
      options.conditions = ['microlora-source'];
    },
  },
  // One file per module, of which a bundler keeps what a program uses. What depends on the runtime is in `#platform/*`.
  {
    ...common,
    entry: ['src/**/*.ts', '!src/platform/**', '!src/kernels/assembly/**'],
    outDir: 'dist/modules',
    bundle: false,
    sourcemap: false,
    platform: 'neutral',
  },
  ...(['node', 'web'] as const).map(platform => ({
    ...common,
    entry: [`src/platform/${platform}/*.ts`],
    outDir: `dist/platform/${platform}`,
    platform: platform === 'node' ? ('node' as const) : ('browser' as const),
    noExternal: ['events', '@noble/hashes'],
    splitting: true,
    sourcemap: false,
  })),
]);
