import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, type TestContext, test } from 'vitest';
import { HERE, type InstalledPackage, installPackage, ROOT, removePackage, run } from './installed-package.js';

interface Trained {
  kernels: string;
  losses: number[];
  weights: string;
  logged?: string[];
}

interface SharedWork {
  isShared: boolean;
  one: number[];
  two: number[];
}

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(path => existsSync(path));
const BUNDLERS = ['esbuild', 'rollup', 'vite', 'webpack'];

let pkg: InstalledPackage;
/** Holds the runtimes and bundlers. */
let tools: string;
/** What Node does, with SIMD and in plain JavaScript. */
let expected: Trained;
let plain: Trained;
/** Rows of the table of runtimes. */
const table: string[][] = [];

beforeAll(async () => {
  pkg = await installPackage();
  tools = join(pkg.folder, 'runtimes');
  await cp(join(HERE, 'runtimes'), tools, { recursive: true });
  await run('npm', ['install', '--no-audit', '--no-fund'], tools);
  const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  await run(process.execPath, [compiler, '--project', pkg.consumer, '--noCheck', '--module', 'nodenext'], pkg.consumer);
  expected = noted('Node', process.version, await run(process.execPath, ['out/print-twenty-steps.js'], pkg.consumer));
  const jitless = await run(process.execPath, ['--jitless', 'out/print-twenty-steps.js'], pkg.consumer);
  plain = noted('Node, --jitless', process.version, jitless);
}, 300_000);

afterAll(async () => {
  console.log(['runtime', 'version', 'kernels', 'weights'].join(' | '));
  for (const row of table) console.log(row.join(' | '));
  await removePackage(pkg);
});

/** Parses what a runtime printed, and adds a row to the table. */
function noted(runtime: string, version: string, output: string | Trained): Trained {
  const trained = typeof output === 'string' ? (JSON.parse(output.trim().split('\n').at(-1)!) as Trained) : output;
  table.push([runtime, version, trained.kernels, trained.weights]);
  return trained;
}

/** Skips a test, with a row in the table and the reason. */
function skip(ctx: TestContext, runtime: string, reason: string): never {
  table.push([runtime, `skipped: ${reason}`, '', '']);
  return ctx.skip(reason);
}

/** What a runtime says about its version, or undefined where this machine cannot have it. */
async function versionOf(program: string, args: string[]): Promise<string | undefined> {
  const said = await run(program, [...args, '--version'], tools).catch(() => '');
  return said.match(/\d+\.\d+\.\d+/)?.[0];
}

/** The version of an installed package, or undefined. */
async function installed(name: string): Promise<string | undefined> {
  const manifest = await readFile(join(tools, 'node_modules', name, 'package.json'), 'utf8').catch(() => '{}');
  return JSON.parse(manifest).version;
}

/** Checks that a runtime trained to the bits of Node, with SIMD. */
function expectSameBits(trained: Trained): void {
  const { kernels, losses, weights } = trained;
  expect({ kernels, losses, weights }).toEqual(expected);
}

/** Checks that a runtime trained to the bits of Node's plain JavaScript, with one warning that it is slow. */
function expectSlowAndSame({ logged, ...trained }: Trained): void {
  expect(trained).toEqual(plain);
  expect(logged!.filter(line => line.startsWith('SlowKernelsWarning: '))).toHaveLength(1);
}

/** Checks that a helper thread took a part of a loss, which is the same to the bit. */
function expectShared(output: string | SharedWork): void {
  const { isShared, one, two } = typeof output === 'string' ? (JSON.parse(output) as SharedWork) : output;
  expect(isShared).toBe(true);
  expect(two).toEqual(one);
}

async function bundled(bundler: string, folder = 'web'): Promise<string> {
  const file = join(pkg.folder, folder, `${bundler}.mjs`);
  if (existsSync(file)) return file;
  await mkdir(join(pkg.folder, folder), { recursive: true });
  await run(process.execPath, ['bundle.mjs', bundler, join(pkg.consumer, 'out', 'twenty-steps.js'), file], tools);
  return file;
}

test('Node trains with SIMD, and without a just-in-time compiler in plain JavaScript', async () => {
  expect(expected.kernels).toBe('simd');
  expect(expected.losses).toHaveLength(20);
  expect(plain.kernels).toBe('scalar');
  expect(plain.losses).toEqual(expected.losses.map(loss => expect.closeTo(loss, 4)));
  expectShared(await run(process.execPath, ['out/print-shared-work.js'], pkg.consumer));
});

test.for([18, 22, 24])('Node %i trains to the same bits', async (major, ctx) => {
  const node = ['--yes', '--package', `node@${major}`, 'node'];
  const version = await versionOf('npx', node);
  if (!version) return skip(ctx, `Node ${major}`, 'the registry does not give it');
  const trained = await run('npx', [...node, 'out/print-twenty-steps.js'], pkg.consumer);
  expectSameBits(noted('Node', `v${version}`, trained));
});

test('a worker thread of Node trains to the same bits', async () => {
  const program = `
    const { Worker } = require('node:worker_threads');
    new Worker('./out/twenty-steps-worker.js').on('message', result => console.log(JSON.stringify(result)));`;
  const trained = await run(process.execPath, ['--eval', program], pkg.consumer);
  expectSameBits(noted('Node, worker', process.version, trained));
});

test.for<[string, string[]]>([
  ['bun', ['run']],
  ['deno', ['run', '--allow-all']],
])('%s trains to the same bits, and its threads share work', async ([runtime, args], ctx) => {
  const program = join(tools, 'node_modules', '.bin', runtime);
  const version = await versionOf(program, []);
  if (!version) return skip(ctx, runtime, 'its package has no program for this machine');
  expectSameBits(noted(runtime, version, await run(program, [...args, 'out/print-twenty-steps.js'], pkg.consumer)));
  expectShared(await run(program, [...args, 'out/print-shared-work.js'], pkg.consumer));
});

test('a bundle for Node by vite trains to the same bits', async () => {
  const file = await bundled('vite-node', 'node');
  const program = `import { twentySteps } from ${JSON.stringify(file)}; console.log(JSON.stringify(await twentySteps()));`;
  const trained = await run(process.execPath, ['--input-type=module', '--eval', program], pkg.folder);
  expectSameBits(noted('Node, bundle by vite', process.version, trained));
});

describe('a bundle for browsers', () => {
  test.each(BUNDLERS)('by %s has nothing of Node', async bundler => {
    const text = await readFile(await bundled(bundler), 'utf8');
    expect(text.length).toBeGreaterThan(50_000);
    expect(text).not.toMatch(/(?:from|import|require)\s*\(?\s*["']node:/);
  });

  test('trains to the same bits in a page and in a worker, and in plain JavaScript under a strict policy', async ctx => {
    if (!CHROMIUM) return skip(ctx, 'Chromium', 'it is not installed');
    if (!(await installed('playwright-core'))) return skip(ctx, 'Chromium', 'playwright-core is not installed');
    for (const bundler of BUNDLERS) await bundled(bundler);
    const output = await run(process.execPath, ['browser.mjs', CHROMIUM, join(pkg.folder, 'web')], tools);
    const { version, pages, strict, worker, threads, threadsOfWorker } = JSON.parse(output);
    for (const bundler of BUNDLERS) {
      const { logged, ...trained } = noted(`Chromium, page by ${bundler}`, version, pages[bundler]);
      expect(logged).toEqual([]);
      expectSameBits(trained);
    }
    expectSameBits(noted('Chromium, worker', version, worker));
    expectSlowAndSame(noted('Chromium, strict policy', version, strict));
    expectShared(threads);
    expectShared(threadsOfWorker);
  });

  test('trains in workerd: in plain JavaScript, and with a compiled module to the same bits', async ctx => {
    const version = await installed('workerd');
    if (!version || !(await installed('miniflare'))) return skip(ctx, 'workerd', 'miniflare is not installed');
    const bundle = await bundled('esbuild');
    const wasm = join(pkg.consumer, 'node_modules', 'microlora-training-utils', 'dist', 'kernels.wasm');
    expectSlowAndSame(noted('workerd', version, await run(process.execPath, ['workerd.mjs', bundle], tools)));
    const withModule = await run(process.execPath, ['workerd.mjs', bundle, wasm], tools);
    const { logged, ...trained } = noted('workerd, useKernelModule', version, withModule);
    expect(logged).toEqual([]);
    expectSameBits(trained);
  });
});

describe('what a bundle for browsers holds', () => {
  /** Bytes of a minified bundle of these names, as they are and by gzip. */
  async function sizeOf(name: string, names: string): Promise<{ minified: number; gzip: number }> {
    const output = join(pkg.folder, `${name}.js`);
    const program = `
      import { build } from 'esbuild';
      await build({
        stdin: { contents: ${JSON.stringify(`export ${names} from 'microlora-training-utils'`)}, resolveDir: ${JSON.stringify(pkg.consumer)} },
        outfile: ${JSON.stringify(output)}, bundle: true, minify: true, format: 'esm', platform: 'browser',
      });`;
    await run(process.execPath, ['--input-type=module', '--eval', program], tools);
    const sizes = { minified: (await stat(output)).size, gzip: gzipSync(await readFile(output)).length };
    table.push([`bundle of ${names}`, '', `${sizes.minified} bytes`, `${sizes.gzip} by gzip`]);
    return sizes;
  }

  test('does not read a global of Node', async () => {
    // esbuild replaces a name only where it is a free variable: not in strings, comments and properties.
    const free = ['Buffer', 'process', 'global', 'require', 'setImmediate', '__dirname', '__filename'];
    const program = `
      import { build } from 'esbuild';
      const { outputFiles } = await build({
        stdin: {
          contents: "export * from 'microlora-training-utils'",
          resolveDir: ${JSON.stringify(pkg.consumer)},
        },
        define: Object.fromEntries(${JSON.stringify(free)}.map(name => [name, 'FREE_' + name])),
        write: false, bundle: true, format: 'esm', platform: 'browser',
      });
      console.log(outputFiles[0].text);`;
    const text = await run(process.execPath, ['--input-type=module', '--eval', program], tools);
    expect(text.length).toBeGreaterThan(300_000);
    expect(text.match(/.{0,80}\bFREE_.{0,40}/g)).toBeNull();
  });

  test('is what the program uses', async () => {
    const schedules = await sizeOf('schedules', '{ LRSchedulers }');
    const losses = await sizeOf('losses', '{ LossComputer }');
    const training = await sizeOf('training', '{ AdamW, LoRAAdapter, LossComputer, LRSchedulers }');
    const all = await sizeOf('all', '*');
    expect(schedules.minified).toBeLessThan(11_000);
    expect(losses.minified).toBeLessThan(110_000);
    expect(training.minified).toBeLessThan(140_000);
    expect(all.minified).toBeLessThan(300_000);
  });
});
