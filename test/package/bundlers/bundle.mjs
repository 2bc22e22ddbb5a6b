// `node bundle.mjs <bundler> <entry> <output>`: a program and what it imports as one CommonJS file for Node.

import { basename, dirname } from 'node:path';

const bundlers = { esbuild: withEsbuild, rollup: withRollup, webpack: withWebpack };
const [bundler, entry, output] = process.argv.slice(2);
await bundlers[bundler](entry, output);

/** As `esbuild --bundle --platform=node`. */
async function withEsbuild(entry, output) {
  const { build } = await import('esbuild');
  const { warnings } = await build({ entryPoints: [entry], outfile: output, bundle: true, platform: 'node' });
  if (warnings.length > 0) throw new Error(JSON.stringify(warnings));
}

async function withRollup(entry, output) {
  const { rollup } = await import('rollup');
  const { nodeResolve } = await import('@rollup/plugin-node-resolve');
  const onwarn = warning => {
    throw new Error(warning.message);
  };
  const bundle = await rollup({ input: entry, external: /^node:/, plugins: [nodeResolve()], onwarn });
  await bundle.write({ file: output, format: 'cjs' });
}

async function withWebpack(entry, output) {
  const { default: webpack } = await import('webpack');
  const compiler = webpack({
    mode: 'production',
    target: 'node',
    entry,
    output: { path: dirname(output), filename: basename(output), library: { type: 'commonjs2' } },
  });
  const stats = await new Promise((resolve, reject) => {
    compiler.run((error, result) => (error ? reject(error) : resolve(result)));
  });
  if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString('errors-warnings'));
}
