// `node bundle.mjs <bundler> <entry> <output>`: a program and what it imports as one module for browsers. `vite-node` makes
// one for Node.

import { basename, dirname, join } from 'node:path';

const bundlers = {
  esbuild: withEsbuild,
  rollup: withRollup,
  vite: withVite,
  'vite-node': forNode,
  webpack: withWebpack,
};
const [bundler, entry, output] = process.argv.slice(2);
await bundlers[bundler](entry, output);

async function withEsbuild(entry, output) {
  const { build } = await import('esbuild');
  // A `.wasm` file is the runtime's to load.
  const external = ['*.wasm'];
  await build({ entryPoints: [entry], outfile: output, bundle: true, platform: 'browser', format: 'esm', external });
}

async function withRollup(entry, output) {
  const { rollup } = await import('rollup');
  const { nodeResolve } = await import('@rollup/plugin-node-resolve');
  const bundle = await rollup({ input: entry, plugins: [nodeResolve({ browser: true })] });
  await bundle.write({ file: output, format: 'es', inlineDynamicImports: true });
}

async function withVite(entry, output) {
  const { build } = await import('vite');
  const lib = { entry, formats: ['es'], fileName: () => basename(output) };
  const outDir = dirname(output);
  await build({ root: dirname(entry), logLevel: 'error', build: { lib, outDir, emptyOutDir: false } });
}

/** As `vite build --ssr`, with the packages inside. */
async function forNode(entry, output) {
  const { build } = await import('vite');
  const outDir = dirname(output);
  const rollupOptions = { output: { entryFileNames: basename(output) } };
  await build({
    root: dirname(entry),
    logLevel: 'error',
    ssr: { noExternal: true },
    build: { ssr: entry, outDir, emptyOutDir: false, rollupOptions },
  });
}

async function withWebpack(entry, output) {
  const { default: webpack } = await import('webpack');
  const compiler = webpack({
    mode: 'production',
    target: 'web',
    entry,
    experiments: { outputModule: true },
    output: { path: dirname(output), filename: basename(output), module: true, library: { type: 'module' } },
    resolve: { modules: [join(dirname(entry), 'node_modules'), 'node_modules'] },
  });
  const stats = await new Promise((resolve, reject) => {
    compiler.run((error, result) => (error ? reject(error) : resolve(result)));
  });
  if (stats.hasErrors()) throw new Error(stats.toString('errors-warnings'));
}
