import { defineConfig } from 'tsup';

export default defineConfig({
  entry: ['src/index.ts'],
  format: 'esm',
  platform: 'node',
  target: 'node18',
  dts: true,
  sourcemap: true,
  // A third off the time to import; names stay, for stack traces. Node prints the line of an uncaught error: short ones.
  esbuildOptions: options => {
    options.minifyWhitespace = true;
    options.minifySyntax = true;
    options.lineLimit = 120;
  },
  clean: true,
  removeNodeProtocol: false,
});
