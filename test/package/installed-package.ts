import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of these tests. */
export const HERE = dirname(fileURLToPath(import.meta.url));

/** The folder of the project. */
export const ROOT = dirname(dirname(HERE));

/** The freshly built package, packed and installed into a copy of `consumer` outside of the project. */
export interface InstalledPackage {
  /** The folder of all the paths below. */
  folder: string;
  /** The packed file. */
  tarball: string;
  /** Paths in the tarball, sorted. */
  files: string[];
  /** The project that depends only on the tarball. */
  consumer: string;
  /** Text of a file of the installed package. */
  read(file: string): Promise<string>;
}

export async function installPackage(): Promise<InstalledPackage> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'microlora-training-utils-')));
  await run('npm', ['run', 'build'], ROOT);
  const packing = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], ROOT);
  const [packed] = JSON.parse(packing) as [{ filename: string; files: { path: string }[] }];
  const tarball = join(folder, packed.filename);

  const consumer = join(folder, 'consumer');
  await copyConsumerTo(consumer);
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], consumer);
  await mkdir(join(consumer, 'node_modules', '@types'));
  await symlink(join(ROOT, 'node_modules', '@types', 'node'), join(consumer, 'node_modules', '@types', 'node'), 'dir');

  return {
    folder,
    tarball,
    files: packed.files.map(({ path }) => path).sort(),
    consumer,
    read: file => readFile(join(consumer, 'node_modules', 'microlora-training-utils', file), 'utf8'),
  };
}

export function removePackage({ folder }: InstalledPackage): Promise<void> {
  return rm(folder, { recursive: true, force: true });
}

/** A copy of the consumer project, with nothing installed. */
export function copyConsumerTo(folder: string): Promise<void> {
  return cp(join(HERE, 'consumer'), folder, { recursive: true });
}

/** Installs the bundlers beside a package. `bundle(bundler, entry, output)` then makes one CommonJS file. */
export async function installBundlers({
  folder,
}: InstalledPackage): Promise<(bundler: string, entry: string, output: string) => Promise<string>> {
  const bundlers = join(folder, 'bundlers');
  await cp(join(HERE, 'bundlers'), bundlers, { recursive: true });
  await run('npm', ['install', '--no-audit', '--no-fund'], bundlers);
  return (...args) => run(process.execPath, ['bundle.mjs', ...args], bundlers);
}

/** Commits the current project, except installed and built files, to a new git repository. */
export async function commitProjectTo(repository: string): Promise<void> {
  const leftOut = new Set(['.git', 'node_modules', 'dist', 'coverage']);
  await cp(ROOT, repository, { recursive: true, filter: source => !leftOut.has(relative(ROOT, source)) });
  const settings = ['-c', 'user.name=test', '-c', 'user.email=test@example.com', '-c', 'commit.gpgsign=false'];
  await run('git', ['init', '--quiet'], repository);
  await run('git', ['add', '--all'], repository);
  await run('git', [...settings, 'commit', '--quiet', '--message', 'The project'], repository);
}

/** Runs a program and returns its standard output. If it fails, the error has all of its output. */
export function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, { cwd, maxBuffer: 2 ** 25 }, (error, stdout) => {
      if (error) reject(new Error(`${error.message}\n${stdout}`));
      else resolve(stdout);
    });
    child.stdin?.end();
  });
}
