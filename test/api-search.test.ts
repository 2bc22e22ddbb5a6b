import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LoRAAdapter } from '../src/index.js';
import { faqPairs, type Pair, translationPairs } from './support/made-up-pairs.js';
import { chartOf, curvesOf, parsePage, textOf } from './support/report-page.js';

const script = fileURLToPath(new URL('../examples/api-search.mjs', import.meta.url));

interface Output {
  code: number | null;
  out: string;
  err: string;
}

let folder: string;
let translations: string;
let faq: string;
let model: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'api-search-'));
  // A name that is too long for a table.
  translations = file('translations-of-made-up-words-作られた言葉.jsonl', jsonl(translationPairs()));
  faq = file('faq.jsonl', jsonl(faqPairs()));
  model = join(folder, 'model.json');
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function jsonl(pairs: readonly unknown[]): string {
  return pairs.map(pair => JSON.stringify(pair)).join('\n');
}

function demo(...args: string[]): Promise<Output> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const output = { out: '', err: '' };
    child.stdout.setEncoding('utf8').on('data', text => {
      output.out += text;
    });
    child.stderr.setEncoding('utf8').on('data', text => {
      output.err += text;
    });
    child.on('error', reject).on('close', code => resolve({ code, ...output }));
  });
}

/** Columns that a line takes on a terminal. */
function widthOf(line: string): number {
  return Array.from(line).reduce(
    (sum, character) => sum + (/[\p{Script=Han}\p{Script=Hiragana}]/u.test(character) ? 2 : 1),
    0,
  );
}

describe('examples/api-search.mjs', () => {
  it('trains, saves a model, and finds answers to queries that were not in the training', async () => {
    const args = ['--data', translations, '--epochs', '20', '--rank', '16'];
    const { code, out, err } = await demo(...args, '--json', '--save', model);
    expect([code, err.includes('Saved (')]).toEqual([0, true]);
    const [set] = JSON.parse(out).sets;
    expect(set.textIndex.recallAt1).toBe(0);
    expect(set.untrained.recallAt1).toBeLessThan(0.2);
    expect(set.trained.recallAt1).toBeGreaterThan(0.9);
    for (const name of ['textIndex', 'untrained', 'trained']) {
      const { recallAt1, recallAt10, mrr, intervals } = set[name];
      expect(recallAt1).toBeLessThanOrEqual(recallAt10);
      for (const [value, [low, high]] of [
        [recallAt1, intervals.recallAt1],
        [recallAt10, intervals.recallAt10],
        [mrr, intervals.mrr],
      ]) {
        expect(low).toBeLessThanOrEqual(value);
        expect(high).toBeGreaterThanOrEqual(value);
      }
    }
    expect(set.validationMrr).toHaveLength(21);
    expect(set.validationMrr[set.keptEpoch]).toBe(Math.max(...set.validationMrr));
    expect(set.training + set.validation + set.heldOut).toBe(256);

    // The queries of the examples are held out, so training did not see them.
    for (const { input, output, trained } of set.examples) {
      const found = await demo('--search', input, '--model', model, '--json');
      const { query, results } = JSON.parse(found.out);
      expect(query).toBe(input);
      expect(results).toHaveLength(10);
      if (trained.rank === 1)
        expect(results.slice(0, 3).map((result: { answer: string }) => result.answer)).toContain(output);
      const scores = results.map((result: { score: number }) => result.score);
      expect(scores).toEqual([...scores].sort((a, b) => b - a));
    }
    const shown = await demo('--search', set.examples[0].input, '--model', model);
    expect(shown.out.split('\n')[0]).toMatch(/^ {2}1\. \d\.\d{3} {2}\w+ --\w+$/);
  });

  it('writes a page about the training, the same twice, and nothing else that differs', async () => {
    const args = ['--data', translations, '--data', faq, '--epochs', '2', '--rank', '4', '--json'];
    const pages = [1, 2].map(i => join(folder, `report-${i}.html`));
    const plain = await demo(...args);
    for (const page of pages) {
      const { code, out, err } = await demo(...args, '--report', page);
      expect([code, out]).toEqual([0, plain.out]);
      expect(err).toBe(`${plain.err}\nA page about the training is in ${page}\n`);
    }
    const [once, again] = pages.map(page => readFileSync(page, 'utf8'));
    expect(again).toBe(once);
    const page = parsePage(once!);
    expect(page.errors).toEqual([]);
    const { sets, continual } = JSON.parse(plain.out);
    const texts = page.elements.map(textOf);
    for (const { input, output } of sets[0].examples) expect(texts).toEqual(expect.arrayContaining([input, output]));
    expect(texts).toContain(continual.untrained.first.recallAt1.toFixed(3));
    expect(curvesOf(chartOf(page, 'loss'), 'var(--curve-1)')[0]!.length).toBeGreaterThan(2);
  });

  it('trains the first adapters on a second set, prints the same text twice, and keeps lines within 80 columns', async () => {
    const long = translationPairs().map(
      ({ input, output }): Pair => ({
        input: `${input} ${'作られた言葉 '.repeat(10)}`,
        output: `${output}\n\t${'言葉'.repeat(50)}`,
      }),
    );
    const second = file('長い長い長い長い長い長い長い.jsonl', jsonl(long));
    const both = join(folder, 'both.json');
    const args = ['--data', translations, '--data', second, '--epochs', '1', '--rank', '4', '--save', both];
    const [once, again] = [await demo(...args), await demo(...args)];
    expect([once.code, once.err]).toEqual([0, '']);
    expect(again.out).toBe(once.out);
    for (const name of ['MiniSearch', 'untrained embedding', 'trained embedding', 'then with the function penalty'])
      expect(once.out).toContain(name);
    const [report] = once.out.split('\nSaved (');
    expect(report!.split('\n').filter(line => widthOf(line) > 80)).toEqual([]);
    expect(once.out).not.toMatch(/[^\S\n ]/);
    const found = await demo('--search', '作られた言葉', '--model', both);
    expect(found.out.split('\n').filter(line => widthOf(line) > 80)).toEqual([]);
    expect(readdirSync(folder).filter(name => name.endsWith('.new'))).toEqual([]);
  });

  it('keeps the untrained start and says so where training lowers the validation metric', async () => {
    const { out, err } = await demo('--data', faq, '--epochs', '3', '--json');
    const [set] = JSON.parse(out).sets;
    expect(set.losses.at(-1)).toBeLessThan(set.losses[0]);
    expect(set.validationMrr.at(-1)).toBeLessThan(set.validationMrr[0]);
    expect(set.keptEpoch).toBe(0);
    expect(set.trained).toEqual(set.untrained);
    expect(err).toContain('No epoch found the validation queries’ answers better: all stays untrained.');
  });

  it.each<[string, string[], string]>([
    ['an unknown option', ['--bogus'], "Unknown option '--bogus' (--help lists the options)"],
    ['a text instead of a number', ['--epochs', 'ten'], '--epochs must be a whole number from 1 to 10000, not "ten"'],
    ['a rank of 0', ['--rank', '0'], '--rank must be a whole number from 1 to 1024, not "0"'],
    ['a search without a model', ['--search', 'a'], '--search needs a --model to search'],
    ['an empty search', ['--search', ' ', '--model', 'm.json'], '--search needs a query'],
    ['a model without a search', ['--model', 'm.json'], '--model is read with --search only'],
    [
      'training and search at once',
      ['--search', 'a', '--model', 'm.json', '--seed', '2'],
      '--seed is for training and cannot be given with --search',
    ],
    [
      'a report of a search',
      ['--search', 'a', '--model', 'm.json', '--report', 'r.html'],
      '--report is for training and cannot be given with --search',
    ],
    ['three sets', ['--data', 'a', '--data', 'b', '--data', 'c'], '--data can be given twice at most, not 3 times'],
  ])('refuses %s', async (_, args, message) => {
    expect(await demo(...args)).toEqual({ code: 2, out: '', err: `api-search: ${message}\n` });
  });

  it.each<[string, () => string[], (path: string) => string]>([
    [
      'a file that is missing',
      () => ['--data', join(folder, 'none')],
      path => `cannot read "${path}": there is no such file`,
    ],
    ['a folder', () => ['--data', folder], path => `cannot read "${path}": it is a folder`],
    ['an empty file', () => ['--data', file('empty.jsonl', '\n')], path => `"${path}" holds no pairs`],
    [
      'pairs without an output',
      () => ['--data', file('half.jsonl', jsonl([{ input: 'a', output: 'b' }, { input: 'c' }]))],
      path => `record 2 of "${path}" needs a non-empty string as its "output"`,
    ],
    [
      'too few pairs',
      () => ['--data', file('few.jsonl', jsonl([{ input: 'a', output: 'b' }]))],
      () => 'few.jsonl: the split leaves 0 to train on and 1 to test on, too few; add more pairs',
    ],
    [
      'pairs of one input',
      () => ['--data', file('one.jsonl', jsonl(spellings('one input')))],
      () =>
        expect.stringMatching(/^api-search: one\.jsonl: the split leaves \d+ to train on and \d+ to test on, too few/),
    ],
    [
      'a file that is not a model',
      () => ['--search', 'a', '--model', file('none.json', '{"answers":[]}')],
      path => `"${path}" is no model that --save wrote: its "format" is not "api-search model"`,
    ],
    [
      'a model that is not JSON',
      () => ['--search', 'a', '--model', file('text.json', 'hello')],
      path => expect.stringContaining(`"${path}" is no model that --save wrote: `),
    ],
    [
      'a save path in a missing folder',
      () => ['--save', join(folder, 'none', 'm.json')],
      path => `cannot write "${path}": there is no folder "${join(folder, 'none')}"`,
    ],
    [
      'no place for a report',
      () => ['--report', join(folder, 'none', 'r.html')],
      path => `cannot write "${path}": there is no folder "${join(folder, 'none')}"`,
    ],
    ['a save path that is a folder', () => ['--save', folder], path => `cannot write "${path}": it is no file`],
  ])('refuses %s', async (_, makeArgs, message) => {
    const args = makeArgs();
    const expected = message(args.at(-1)!);
    const err = typeof expected === 'string' ? `api-search: ${expected}\n` : expected;
    expect(await demo(...args)).toEqual({ code: 1, out: '', err });
  });

  it('refuses a model with a missing part or a part that does not fit', async () => {
    const saved = JSON.parse(readFileSync(model, 'utf8'));
    const weights = (...names: string[]): string => {
      const adapters = names.map((name): [string, LoRAAdapter] => [name, new LoRAAdapter({ dim: 3, seed: 1 })]);
      return Buffer.from(LoRAAdapter.toSafetensors(new Map(adapters))).toString('base64');
    };
    for (const [damage, reason] of [
      [{ version: 2 }, 'its version is 2, known is 1'],
      [{ answers: [1] }, 'its "answers" are no list of texts'],
      [{ adapters: weights('query') }, 'its adapter "query" does not fit rows of 1024'],
      [{ adapters: weights('other') }, 'it has no adapter "query"'],
      [{ adapters: 'AAAA' }, ''],
      [{ embedder: undefined }, ''],
      [{ embedder: { ...saved.embedder, frequencies: 'x' } }, 'NgramEmbedder.loadStateDict: state.frequencies'],
    ] as const) {
      const path = file('damaged.json', JSON.stringify({ ...saved, ...damage }));
      const { code, out, err } = await demo('--search', 'a', '--model', path);
      expect([code, out]).toEqual([1, '']);
      expect(err).toContain(`api-search: "${path}" is no model that --save wrote: ${reason}`);
      expect(err.split('\n')).toHaveLength(2);
    }
  });

  it('saves a small file of counts, matrices and answers, without rows', () => {
    expect(existsSync(model)).toBe(true);
    expect(statSync(model).size).toBeLessThan(1_000_000);
  });
});

/** Many spellings of one text. */
function spellings(text: string): Pair[] {
  return Array.from({ length: 64 }, (_, i) => ({
    input: Array.from(text, (letter, k) => ((i >> (k % 6)) & 1 ? letter.toUpperCase() : letter)).join(''),
    output: `answer ${i}`,
  }));
}
