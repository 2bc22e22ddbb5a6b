import { readFileSync, writeFileSync } from 'node:fs';
import { defineConfig, type Options } from 'tsup';

/** A third off the time to import. Names stay, for stack traces. Node prints the line of an uncaught error: short ones. */
const shorten: Options['esbuildOptions'] = options => {
  options.minifyWhitespace = true;
  options.minifySyntax = true;
  options.lineLimit = 120;
};

/** Files that must come with a copy of each package of the report's bundle. */
const LICENCE_FILES = {
  echarts: ['NOTICE', 'LICENSE', 'licenses/LICENSE-d3'],
  zrender: ['LICENSE'],
  tslib: ['LICENSE.txt'],
} as const;
const BUNDLED = Object.keys(LICENCE_FILES) as (keyof typeof LICENCE_FILES)[];
const LICENCES = 'report.licences.txt';

export default defineConfig([
  {
    entry: ['src/index.ts'],
    format: 'esm',
    platform: 'node',
    target: 'node18',
    dts: true,
    sourcemap: true,
    esbuildOptions: shorten,
    clean: true,
    removeNodeProtocol: false,
  },
  // A bundle of its own with its charts' library, for every runtime.
  {
    entry: ['src/report.ts'],
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    dts: true,
    noExternal: [/./],
    define: { 'process.env.NODE_ENV': '"production"' },
    esbuildOptions: options => {
      options.minify = true;
      options.lineLimit = 500;
      options.legalComments = 'none';
    },
    banner: { js: `/*! Contains ${BUNDLED.join(', ')}. Their licences: ${LICENCES} */` },
    onSuccess: async () => writeFileSync(`dist/${LICENCES}`, licences()),
  },
]);

/** The licences and notices of the packages in the report's bundle. */
function licences(): string {
  return BUNDLED.flatMap(name =>
    LICENCE_FILES[name].map(
      file => `${name}, ${file}\n\n${readFileSync(`node_modules/${name}/${file}`, 'utf8').trim()}\n`,
    ),
  ).join(`\n${'='.repeat(72)}\n\n`);
}
