import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HERE, type InstalledPackage, installPackage, ROOT, removePackage, run } from './installed-package.js';

interface Trained {
  kernels: string;
  losses: number[];
  weights: string;
  logged?: string[];
}

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(path => existsSync(path));
const BUNDLERS = ['esbuild', 'rollup', 'vite', 'webpack'];

let pkg: InstalledPackage;
/** Holds the runtimes and bundlers. */
let tools: string;
/** What Node does. */
let expected: Trained;
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

/** Checks that a runtime trained to the bits of Node, with SIMD. */
function expectSameBits(trained: Trained): void {
  const { kernels, losses, weights } = trained;
  expect({ kernels, losses, weights }).toEqual(expected);
}

async function bundled(bundler: string): Promise<string> {
  const file = join(pkg.folder, 'web', `${bundler}.mjs`);
  if (existsSync(file)) return file;
  await mkdir(join(pkg.folder, 'web'), { recursive: true });
  await run(process.execPath, ['bundle.mjs', bundler, join(pkg.consumer, 'out', 'twenty-steps.js'), file], tools);
  return file;
}

test('Node trains with SIMD', () => {
  expect(expected.kernels).toBe('simd');
  expect(expected.losses).toHaveLength(20);
});

test.each([18, 22, 24])('Node %i trains to the same bits', async version => {
  const node = ['--yes', '--package', `node@${version}`, 'node'];
  const trained = await run('npx', [...node, 'out/print-twenty-steps.js'], pkg.consumer);
  expectSameBits(noted('Node', `${version}`, trained));
});

test('a worker thread of Node trains to the same bits', async () => {
  const program = `
    const { Worker } = require('node:worker_threads');
    new Worker('./out/twenty-steps-worker.js').on('message', result => console.log(JSON.stringify(result)));`;
  const trained = await run(process.execPath, ['--eval', program], pkg.consumer);
  expectSameBits(noted('Node, worker', process.version, trained));
});

test.each([
  ['bun', ['run'], ['--version']],
  ['deno', ['run', '--allow-all'], ['--version']],
])('%s trains to the same bits', async (runtime, args, versionArgs) => {
  const program = join(tools, 'node_modules', '.bin', runtime);
  const version = (await run(program, versionArgs, tools)).match(/\d+\.\d+\.\d+/)![0];
  expectSameBits(noted(runtime, version, await run(program, [...args, 'out/print-twenty-steps.js'], pkg.consumer)));
});

describe('a bundle for browsers', () => {
  test.each(BUNDLERS)('by %s has nothing of Node', async bundler => {
    const text = await readFile(await bundled(bundler), 'utf8');
    expect(text.length).toBeGreaterThan(50_000);
    expect(text).not.toMatch(/(?:from|import|require)\s*\(?\s*["']node:/);
    expect(text).not.toMatch(/\bBuffer\.(?:from|alloc|concat)|\bprocess\.(?:env|versions|execPath|emitWarning)/);
  });

  test('trains to the same bits in a page and in a worker, and in plain JavaScript under a strict policy', async ctx => {
    if (!CHROMIUM) {
      table.push(['Chromium', 'skipped: not installed', '', '']);
      return ctx.skip('Chromium is not installed');
    }
    for (const bundler of BUNDLERS) await bundled(bundler);
    const output = await run(process.execPath, ['browser.mjs', CHROMIUM, join(pkg.folder, 'web')], tools);
    const { version, pages, strict, worker } = JSON.parse(output);
    for (const bundler of BUNDLERS) {
      const { logged, ...trained } = noted(`Chromium, page by ${bundler}`, version, pages[bundler]);
      expect(logged).toEqual([]);
      expectSameBits(trained);
    }
    expectSameBits(noted('Chromium, worker', version, worker));
    const { logged, kernels, losses } = noted('Chromium, strict policy', version, strict);
    expect(kernels).toBe('scalar');
    expect(losses).toEqual(expected.losses.map(loss => expect.closeTo(loss, 4)));
    expect(logged!.filter(line => line.startsWith('SlowKernelsWarning: '))).toHaveLength(1);
  });

  test('trains in workerd: in plain JavaScript, and with a compiled module to the same bits', async () => {
    const bundle = await bundled('esbuild');
    const { version } = JSON.parse(await readFile(join(tools, 'node_modules', 'workerd', 'package.json'), 'utf8'));
    const wasm = join(pkg.consumer, 'node_modules', 'microlora-training-utils', 'dist', 'kernels.wasm');
    const plain = noted('workerd', version, await run(process.execPath, ['workerd.mjs', bundle], tools));
    expect(plain.kernels).toBe('scalar');
    const withModule = await run(process.execPath, ['workerd.mjs', bundle, wasm], tools);
    expectSameBits(noted('workerd, useKernelModule', version, withModule));
    const jitless = await run(process.execPath, ['--jitless', 'out/print-twenty-steps.js'], pkg.consumer);
    const { weights, kernels } = noted('Node, --jitless', process.version, jitless);
    expect({ weights, kernels }).toEqual({ weights: plain.weights, kernels: 'scalar' });
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
