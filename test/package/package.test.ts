import { cp, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  commitProjectTo,
  copyConsumerTo,
  type InstalledPackage,
  installBundlers,
  installPackage,
  ROOT,
  removePackage,
  run,
} from './installed-package.js';

const SIX = [
  'BatchGenerator',
  'DataPreprocessor',
  'EWCManager',
  'GradientCheckpointer',
  'LossComputer',
  'LRSchedulers',
];

/** Names in the declarations that are not exported: the functions behind `LRSchedulers`, and the emitters' base class. */
const INTERNAL = [
  'constant',
  'linear',
  'cosine',
  'cosineWarmRestarts',
  'exponential',
  'warmupCosine',
  'oneCycle',
  'polynomial',
  'warmupLinear',
  'inverseSqrt',
  'warmupStableDecay',
  'stepDecay',
  'multiStepDecay',
  'EmitterEvents',
  'EventName',
  'Arguments',
  'Listener',
  'TypedEmitter',
];

let pkg: InstalledPackage;
beforeAll(async () => {
  pkg = await installPackage();
  return () => removePackage(pkg);
});

describe('the tarball', () => {
  test('holds only the bundle, its declarations and the texts', async () => {
    // One file per module, for bundlers and browsers.
    const isPart = (file: string): boolean => /^dist\/(?:modules|platform)\/[\w/-]+\.js$/.test(file);
    expect(pkg.files.filter(isPart).length).toBeGreaterThan(150);
    expect(pkg.files.filter(file => !isPart(file))).toEqual([
      'CHANGELOG.md',
      'CONTRIBUTING.md',
      'LICENSE',
      'README.md',
      'dist/bullmq.d.ts',
      'dist/bullmq.js',
      'dist/index.d.ts',
      'dist/index.js',
      'dist/index.js.map',
      'dist/kernels.wasm',
      'dist/kernels.wasm.d.ts',
      'dist/licences.txt',
      'dist/report.d.ts',
      'dist/report.js',
      'dist/tasks.d.ts',
      'dist/tasks.js',
      ...(await readdir(join(ROOT, 'docs'))).sort().map(file => `docs/${file}`),
      'package.json',
    ]);
  });

  test('is an ES module without side effects for Node 18 and later', async () => {
    const manifest = JSON.parse(await pkg.read('package.json'));
    expect(manifest).toMatchObject({ type: 'module', sideEffects: false, engines: { node: '>=18' } });
    expect(manifest.exports).toEqual({
      '.': {
        types: './dist/index.d.ts',
        node: { module: './dist/modules/index.js', default: './dist/index.js' },
        default: './dist/modules/index.js',
      },
      './kernels.wasm': { types: './dist/kernels.wasm.d.ts', default: './dist/kernels.wasm' },
      './report': { types: './dist/report.d.ts', default: './dist/report.js' },
      './bullmq': { types: './dist/bullmq.d.ts', default: './dist/bullmq.js' },
      './tasks': { types: './dist/tasks.d.ts', default: './dist/tasks.js' },
      './package.json': './package.json',
    });
    expect(Object.keys(manifest.exports['.'])[0]).toBe('types');
  });

  test('needs no other package', async () => {
    const { packages } = JSON.parse(await readFile(join(pkg.consumer, 'package-lock.json'), 'utf8'));
    expect(Object.keys(packages)).toEqual(['', 'node_modules/microlora-training-utils']);
    const manifest = JSON.parse(await pkg.read('package.json'));
    const isOptional = Object.values<{ optional: boolean }>(manifest.peerDependenciesMeta).every(peer => peer.optional);
    expect([manifest.dependencies, isOptional]).toEqual([undefined, true]);
    expect(Object.keys(manifest.peerDependenciesMeta)).toEqual(Object.keys(manifest.peerDependencies));
  });

  test('holds every file that README links to', async () => {
    const links = Array.from((await pkg.read('README.md')).matchAll(/\]\((?!https?:)([^)#]+)\)/g), match => match[1]!);
    expect(links.length).toBeGreaterThan(10);
    expect(links.filter(link => !pkg.files.includes(link))).toEqual([]);
  });

  test('has a source map with its sources', async () => {
    const { sources, sourcesContent } = JSON.parse(await pkg.read('dist/index.js.map'));
    expect(sources).toContain('../src/index.ts');
    expect(sources.filter((source: string) => !source.startsWith('../src/'))).toEqual([]);
    expect(sourcesContent).toHaveLength(sources.length);
    expect(await pkg.read('dist/index.js')).toMatch(/^\/\/# sourceMappingURL=index\.js\.map\s*$/m);
  });

  test('does not contain the path of its build', async () => {
    for (const file of pkg.files.filter(path => path.startsWith('dist/')))
      expect((await pkg.read(file)).includes(ROOT), file).toBe(false);
  });

  test('passes publint', async () => {
    const tarball = Uint8Array.from(await readFile(pkg.tarball)).buffer;
    const { messages, pkg: manifest } = await publint({ pack: { tarball }, strict: true });
    expect(messages.map(message => formatMessage(message, manifest))).toEqual([]);
  });

  test('resolves to the right types wherever ES modules are supported', async () => {
    const attw = join(ROOT, 'node_modules', '.bin', 'attw');
    await run(attw, [pkg.tarball, '--profile', 'esm-only', '--no-emoji', '--no-color'], pkg.consumer);
  });
});

describe('the declarations', () => {
  let lines: string[];
  let declared: string[];
  beforeAll(async () => {
    lines = (await pkg.read('dist/index.d.ts')).split('\n');
    const declaration = /^(?:declare )?(?:abstract )?(?:class|const|function|interface|type) (\w+)/;
    declared = lines.flatMap(line => declaration.exec(line)?.[1] ?? []);
  });

  test('open with the six classes', () => {
    expect(declared.slice(0, 6)).toEqual(SIX);
    const start = lines.slice(0, 100);
    expect(lines.filter(line => line.startsWith('import'))).toEqual([]);
    expect(start.filter(line => /^\S/.test(line) && !/^(import|declare class|\/\*\*|\})/.test(line))).toEqual([]);
  });

  test('export every type by its own name', () => {
    expect(lines.filter(line => /\w\$\d/.test(line))).toEqual([]);
    const [exported] = lines.flatMap(line => /^export \{ (.*) \};$/.exec(line)?.[1] ?? []);
    const names = new Set(exported!.split(', ').map(each => each.replace(/^type /, '').replace(/ as .*/, '')));
    const internal = new Set(declared.filter(name => !names.has(name)));
    expect([...internal].sort()).toEqual([...INTERNAL].sort());
  });
});

/** Compiles the consumer project. Lines marked with `@ts-expect-error` must not compile. */
function compile(typescript: string, ...options: string[]): Promise<string> {
  const compiler = join(ROOT, 'node_modules', typescript, 'bin', 'tsc');
  return run(process.execPath, [compiler, '--project', pkg.consumer, ...options], pkg.consumer);
}

describe('a strict consumer', () => {
  for (const typescript of ['typescript-5.6', 'typescript', 'typescript-7'])
    test.each([
      ['nodenext', 'nodenext'],
      ['esnext', 'bundler'],
    ])(`compiles with ${typescript}, module %s, moduleResolution %s`, async (module, moduleResolution) => {
      await compile(typescript, '--noEmit', '--module', module, '--moduleResolution', moduleResolution);
    });

  for (const lib of ['DOM', 'WebWorker'])
    test.each([
      ['typescript-5.6', 'nodenext', 'nodenext'],
      ['typescript', 'esnext', 'bundler'],
      ['typescript-7', 'esnext', 'bundler'],
    ])(
      `compiles without Node's types and with ${lib}, by %s, module %s`,
      async (typescript, module, moduleResolution) => {
        const project = ['--project', join(pkg.consumer, 'web'), '--lib', `ES2022,${lib}`];
        await compile(typescript, ...project, '--module', module, '--moduleResolution', moduleResolution);
      },
    );
});

describe('a program', () => {
  let losses: number[];
  beforeAll(async () => {
    await compile('typescript', '--noCheck', '--module', 'nodenext');
    losses = JSON.parse(await run(process.execPath, ['out/train.js'], pkg.consumer)).losses;
  });

  test('imports the six classes by name and as the default object, also re-exported', async () => {
    const imports = JSON.parse(await run(process.execPath, ['out/imports.js'], pkg.consumer));
    expect(imports.original.sort()).toEqual([...SIX].sort());
    expect(imports.named).toEqual(expect.arrayContaining([...SIX, 'AdamW', 'LoRAAdapter', 'SGD', 'readJsonl']));
    expect(imports.isSame).toBe(true);
  });

  test('sees classes and functions with their exported names', async () => {
    const program = `
      import * as library from 'microlora-training-utils';
      const names = Object.entries(library).flatMap(([name, value]) => typeof value === 'function' ? [[name, value.name]] : []);
      const schedules = Object.values(library.LRSchedulers).map(schedule => schedule.name);
      const message = (() => { try { new library.EWCManager().merge(new library.LoRAAdapter({ dim: 2 })); } catch (error) { return error.message; } })();
      console.log(JSON.stringify({ names, schedules, message }));`;
    const output = await run(process.execPath, ['--input-type=module', '--eval', program], pkg.consumer);
    const { names, schedules, message } = JSON.parse(output);
    expect(names.map(([name]: string[]) => name)).toEqual(
      expect.arrayContaining(['EWCManager', 'LoRAAdapter', 'NgramEmbedder', 'SGD', 'cosineSimilarity']),
    );
    for (const [name, own] of names) expect(own).toBe(name);
    for (const name of schedules) expect(name).toMatch(/^[a-z]+$/i);
    expect(message).toBe('EWCManager.merge: other must be an EWCManager, got a LoRAAdapter');
  });

  test('can resolve package.json but no file of the bundle', async () => {
    const find = (path: string): Promise<string> => {
      const program = `console.log(import.meta.resolve('microlora-training-utils/${path}'))`;
      return run(process.execPath, ['--input-type=module', '--eval', program], pkg.consumer);
    };
    await expect(find('package.json')).resolves.toContain('node_modules/microlora-training-utils/package.json');
    await expect(find('dist/index.js')).rejects.toThrow('ERR_PACKAGE_PATH_NOT_EXPORTED');
  });

  test('writes a report with the licences of what draws it, which nothing else loads', async () => {
    const program = `
      import { trainingReport } from 'microlora-training-utils/report';
      console.log(trainingReport({ title: 'A training', steps: [2, 1] }));`;
    const args = ['--input-type=module', '--eval', program];
    const page = await run(process.execPath, args, pkg.consumer);
    for (const version of [18, 24])
      expect(await run('npx', ['--yes', '--package', `node@${version}`, 'node', ...args], pkg.consumer)).toBe(page);
    expect(page).toMatch(/^<!DOCTYPE html>.*Loss by step.*<\/html>\n/s);
    const bundle = await pkg.read('dist/report.js');
    expect(bundle).not.toMatch(/from ?["']|\bimport\(|\brequire\(|\bprocess\.|node:/);
    expect(bundle.split('\n')[0]).toContain('licences.txt');
    const licences = await pkg.read('dist/licences.txt');
    for (const words of [
      'Apache ECharts',
      'Apache License',
      'Baidu',
      'Mike Bostock',
      'Microsoft Corporation',
      'Joyent',
      'Paul Miller',
    ])
      expect(licences).toContain(words);
    expect(await pkg.read('dist/index.js')).not.toMatch(/echarts/i);
  });

  test('trains', () => {
    expect(losses).toHaveLength(10);
    expect(losses.at(-1)).toBeLessThan(0.9 * losses[0]!);
  });

  test.each([18, 20, 22, 24])('trains the same on Node %i', async version => {
    const trained = await run('npx', ['--yes', '--package', `node@${version}`, 'node', 'out/train.js'], pkg.consumer);
    expectSameTraining(trained, `v${version}.`);
  });

  test('trains the same without a just-in-time compiler, and so without WebAssembly', async () => {
    expectSameTraining(await run(process.execPath, ['--jitless', 'out/train.js'], pkg.consumer), process.version);
  });

  test('trains the same with the package installed from git, which builds it', async () => {
    const repository = join(pkg.folder, 'repository');
    const project = join(pkg.folder, 'git-consumer');
    await commitProjectTo(repository);
    await copyConsumerTo(project);
    await cp(join(pkg.consumer, 'out'), join(project, 'out'), { recursive: true });
    await run('npm', ['install', '--no-audit', '--no-fund', `git+${pathToFileURL(repository)}`], project);
    expectSameTraining(await run(process.execPath, ['out/train.js'], project), process.version);
  });

  function expectSameTraining(output: string, version: string): void {
    const trained = JSON.parse(output);
    expect(trained.node).toContain(version);
    expect(trained.losses).toEqual(losses.map(loss => expect.closeTo(loss, 3)));
  }
});

describe('a bundle as one CommonJS file', () => {
  let bundle: Awaited<ReturnType<typeof installBundlers>>;
  let unbundled: string;
  let trained: string;
  beforeAll(async () => {
    bundle = await installBundlers(pkg);
    await compile('typescript', '--noCheck', '--module', 'nodenext');
    unbundled = await run(process.execPath, ['out/hashes.js'], pkg.consumer);
    expect(JSON.parse(unbundled)).toMatchObject({ total: 9, kernels: 'simd' });
    trained = await run(process.execPath, ['out/print-twenty-steps.js'], pkg.consumer);
    expect(JSON.parse(trained)).toMatchObject({ kernels: 'simd' });
  });

  test.each(['esbuild', 'rollup', 'webpack'])(
    'by %s hashes, computes and trains the same as the package',
    async bundler => {
      // The bundle is moved away, because it must not need the package.
      const folder = join(pkg.folder, `by-${bundler}`);
      await mkdir(folder);
      await bundle(bundler, join(pkg.consumer, 'out', 'hashes.js'), join(folder, 'hashes.cjs'));
      expect(await readFile(join(folder, 'hashes.cjs'), 'utf8')).not.toContain("'microlora-training-utils'");
      expect(await run(process.execPath, ['hashes.cjs'], folder)).toBe(unbundled);
      expect(await run(process.execPath, ['--jitless', 'hashes.cjs'], folder)).toContain('"kernels":"scalar"');
      await bundle(bundler, join(pkg.consumer, 'out', 'print-twenty-steps.js'), join(folder, 'training.cjs'));
      expect(await run(process.execPath, ['training.cjs'], folder)).toBe(trained);
    },
  );

  test.each([18, 24])('runs on Node %i', async version => {
    const folder = join(pkg.folder, 'by-esbuild');
    const node = ['--yes', '--package', `node@${version}`, 'node'];
    expect(await run('npx', [...node, 'hashes.cjs'], folder)).toBe(unbundled);
  });
});
