import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasRedis, RedisServer } from './support/redis.js';

/**
 * The scripts of README, docs and doc comments run as printed, in a folder that has the built package installed. They
 * also compile unchanged under strict TypeScript.
 */

const root = fileURLToPath(new URL('..', import.meta.url));
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const guides = readdirSync(join(root, 'docs'))
  .filter(file => file.endsWith('.md'))
  .map(file => [`docs/${file}`, readFileSync(join(root, 'docs', file), 'utf8')] as const);
const trainingLoop = guides.find(([file]) => file === 'docs/training-loop.md')![1];

const folder = mkdtempSync(join(tmpdir(), 'documentation-'));
mkdirSync(join(folder, 'node_modules'));
symlinkSync(root, join(folder, 'node_modules', 'microlora-training-utils'), 'junction');
for (const peer of ['bullmq', 'ioredis'])
  symlinkSync(join(root, 'node_modules', peer), join(folder, 'node_modules', peer), 'junction');
writeFileSync(join(folder, 'pairs.jsonl'), fenced(trainingLoop, 'jsonl')[0]!);
afterAll(() => rmSync(folder, { recursive: true }));

const scripts = [
  ...[['README', readme] as const, ...guides].flatMap(([file, text]) =>
    fenced(text, 'js').map((code, i) => [`${file}, script ${i + 1}`, code] as const),
  ),
  ...readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.ts'))
    .flatMap(file => {
      const comments = readFileSync(join(root, 'src', file), 'utf8').replaceAll(/^ *\* ?/gm, '');
      return fenced(comments, 'js').map(code => [`src/${file}`, code] as const);
    }),
];

describe('scripts print what their comments say', () => {
  it('exist', () => {
    expect(scripts.length).toBeGreaterThan(10);
  });

  // They run one after the other, because the second script of the training loop reads a file of the first.
  let redis: RedisServer | undefined;
  beforeAll(async () => {
    redis = hasRedis ? await RedisServer.start() : undefined;
    return () => redis?.stop();
  });

  it.for(scripts)('%s', async ([, code], { skip }) => {
    if (code.includes("from 'bullmq'")) skip(!redis, 'redis-server is missing');
    const printed = await run(code, { REDIS_PORT: String(redis?.port) });
    const expected = Array.from(code.matchAll(/^ *console\.log\(.*\); \/\/ (.*)$/gm), match => match[1]!);
    const lines = printed.trimEnd().split('\n');
    for (const line of expected) expect(lines).toContain(line);
  });
});

describe('scripts under strict TypeScript', () => {
  beforeAll(() => {
    symlinkSync(join(root, 'node_modules', '@types'), join(folder, 'node_modules', '@types'), 'junction');
    // Each script becomes a separate module, because a script may have neither imports nor exports.
    for (const [i, [name, code]] of scripts.entries()) {
      writeFileSync(join(folder, `script-${i}.ts`), `// ${name}\n${code}\nexport {};\n`);
    }
    const compilerOptions = {
      strict: true,
      noEmit: true,
      target: 'es2022',
      module: 'nodenext',
      moduleDetection: 'force',
      types: ['node'],
    };
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }));
  });

  it.each(['typescript-5.6', 'typescript', 'typescript-7'])('compile with %s', async typescript => {
    const compiler = join(root, 'node_modules', typescript, 'bin', 'tsc');
    const { stdout } = await promisify(execFile)(process.execPath, [compiler, '--project', folder]).catch(
      error => error,
    );
    expect(stdout.trim()).toBe('');
  });
});

describe('no example', () => {
  const files = ['examples', 'bench']
    .flatMap(filesIn)
    .filter(file => file.endsWith('.mjs'))
    .map(file => [file, readFileSync(join(root, file), 'utf8')] as const);

  it.each([...scripts, ...files])('%s calls backward after forward, which may belong to other rows', (_, code) => {
    expect(code).not.toMatch(/\.forward\(.*\.backward\(/s);
  });
});

describe('the training loop', () => {
  const code = fenced(trainingLoop, 'js')[0]!;

  it('has about thirty lines, and lowers the loss', async () => {
    expect(code.trim().split('\n').length).toBeLessThanOrEqual(40);
    const losses = Array.from((await run(code)).matchAll(/loss ([\d.]+)/g), match => Number(match[1]));
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
  });

  it('writes the same bytes twice', async () => {
    await run(code);
    const once = readFileSync(join(folder, 'model.json'));
    await run(code);
    expect(readFileSync(join(folder, 'model.json')).equals(once)).toBe(true);
  });
});

/** Files below a folder, except installed packages, which may link back to this folder. */
function filesIn(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter(({ name }) => name !== 'node_modules')
    .flatMap(entry => (entry.isDirectory() ? filesIn(join(folder, entry.name)) : [join(folder, entry.name)]));
}

async function run(code: string, env: object = {}): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', code], {
    cwd: folder,
    env: { ...process.env, ...env },
  });
  return stdout;
}

function fenced(text: string, language: string): string[] {
  return Array.from(text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms')), match => match[1]!);
}
