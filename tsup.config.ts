import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { defineConfig, type Options } from 'tsup';

/** The core is a file beside the subpaths, so that they share its kernels. */
const core = {
  name: 'core',
  setup(build: { onResolve(filter: { filter: RegExp }, resolve: () => object): void }) {
    build.onResolve({ filter: /^(?:\.\.?\/)+index\.js$/ }, () => ({ path: './index.js', external: true }));
  },
};

/** Files that must come with a copy of each package of the bundles. */
const LICENCE_FILES = {
  echarts: ['NOTICE', 'LICENSE', 'licenses/LICENSE-d3'],
  zrender: ['LICENSE'],
  tslib: ['LICENSE.txt'],
  events: ['LICENSE'],
  '@noble/hashes': ['LICENSE'],
} as const;
const BUNDLED = Object.keys(LICENCE_FILES) as (keyof typeof LICENCE_FILES)[];
const LICENCES = 'licences.txt';

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

rmSync('dist', { recursive: true, force: true });
mkdirSync('dist');
copyFileSync('src/kernels/simd/kernels.wasm', 'dist/kernels.wasm');
writeFileSync('dist/kernels.wasm.d.ts', 'declare const module: object;\nexport default module;\n');
writeFileSync(`dist/${LICENCES}`, licences());

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
    entry: [
      'src/**/*.ts',
      ...['report', 'bullmq', 'tasks'].flatMap(part => [`!src/${part}/**`, `!src/${part}.ts`]),
      '!src/platform/**',
      '!src/kernels/assembly/**',
    ],
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
  // Training on many machines. Bullmq is an optional peer, and tasks run on any queue.
  ...['bullmq', 'tasks'].map(
    (subpath): Options => ({
      ...common,
      entry: [`src/${subpath}.ts`],
      platform: 'node',
      sourcemap: false,
      dts: true,
      external: ['bullmq'],
      esbuildPlugins: [core],
      esbuildOptions: (options, context) => {
        common.esbuildOptions?.(options, context);
        options.conditions = ['microlora-source'];
      },
    }),
  ),
  // A bundle of its own with its charts' library, for every runtime.
  {
    entry: ['src/report.ts'],
    outDir: 'dist',
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
      options.conditions = ['microlora-source'];
    },
    banner: { js: `/*! Contains other packages. Their licences: ${LICENCES} */` },
  },
]);

/** The licences and notices of the packages in the bundles. */
function licences(): string {
  return BUNDLED.flatMap(name =>
    LICENCE_FILES[name].map(
      file => `${name}, ${file}\n\n${readFileSync(`node_modules/${name}/${file}`, 'utf8').trim()}\n`,
    ),
  ).join(`\n${'='.repeat(72)}\n\n`);
}
