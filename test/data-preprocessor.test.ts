import { describe, expect, it, vi } from 'vitest';
import {
  DataPreprocessor,
  type DataPreprocessorOptions,
  NgramEmbedder,
  type ProcessedExample,
  type TrainingExample,
} from '../src/index.js';
import { readGolden, withMathRandom } from './support/golden.js';

interface OriginalCase {
  config: DataPreprocessorOptions;
  seed: number;
  examples: TrainingExample[];
  processed: (Omit<ProcessedExample, 'inputEmb' | 'outputEmb'> & { inputEmb: number[]; outputEmb: number[] })[];
  events: unknown[];
  stats: object;
  vocab: [string, number][];
}

interface CappedCase {
  capped: true;
  text: string;
  tokens: number[];
  vocabSize: number;
}

describe('the original’s answers', () => {
  const { cases } = readGolden<{ cases: (OriginalCase | CappedCase)[] }>('data-preprocessor');

  it.each(cases.filter(each => 'processed' in each))(
    'config $config',
    async ({ config, seed, examples, ...golden }) => {
      await withMathRandom(seed, async () => {
        const preprocessor = new DataPreprocessor(config);
        const events: unknown[] = [];
        preprocessor.on('process:complete', event => events.push(structuredClone(event)));
        const processed = await preprocessor.process(examples);
        const plain = processed.map(each => ({
          ...each,
          inputEmb: Array.from(each.inputEmb),
          outputEmb: Array.from(each.outputEmb),
        }));
        // The original's variations lose the metadata of their example.
        const expected = golden.processed.map((row, i) => ({ ...row, metadata: row.metadata ?? plain[i]?.metadata }));
        expect(JSON.parse(JSON.stringify(plain))).toEqual(JSON.parse(JSON.stringify(expected)));
        expect(processed.every(each => each.inputEmb instanceof Float32Array)).toBe(true);
        expect(events).toEqual(golden.events);
        expect(preprocessor.getStats()).toEqual(golden.stats);
        expect([...preprocessor.vocab]).toEqual(golden.vocab);
      });
    },
  );

  it('spells new words as character codes once the vocabulary is full', () => {
    const capped = cases.find(each => 'capped' in each)!;
    const preprocessor = new DataPreprocessor();
    for (let i = 0; i < 50_000; i++) preprocessor._tokenize(`w${i}`);
    expect(preprocessor._tokenize(capped.text)).toEqual(capped.tokens);
    expect(preprocessor.vocabSize).toBe(capped.vocabSize);
  });

  it('gives a text the same tokens again, by every code path and in any number', () => {
    const preprocessor = new DataPreprocessor();
    const reference = new DataPreprocessor();
    // More tokens than the cache keeps, most of them twice. A single text has more than the cache.
    const texts = Array.from({ length: 12 }, (_, i) => `x${i % 10} `.repeat(50_000));
    for (const text of [...texts, 'y '.repeat(600_000)]) {
      const tokens = preprocessor._tokenize(text);
      reference.vocab = new Map(preprocessor.vocab);
      reference.vocabSize = preprocessor.vocabSize;
      expect(reference._tokenize(text).join()).toBe(tokens.join());
      tokens.fill(-1);
      expect(preprocessor._tokenize(text).includes(-1)).toBe(false);
    }
    preprocessor.vocab = new Map([['odd', 1.5]]);
    for (let i = 0; i < 2; i++) expect(preprocessor._tokenize('odd')).toEqual([1.5, 32]);
  });

  it('draws random numbers as often as the original, and none without augmentation', async () => {
    const examples = [{ input: 'write code', output: 'x' }];
    await withMathRandom(1, async draws => {
      await new DataPreprocessor().process(examples);
      expect(draws()).toBe(0);
      await new DataPreprocessor({ augmentation: true, seed: 5 }).process(examples);
      expect(draws()).toBe(0);
      await new DataPreprocessor({ augmentation: true }).process(examples);
      // Three decisions, and per variation one draw, or two where a word is inserted.
      expect(draws()).toBeGreaterThanOrEqual(3);
    });
  });
});

describe('subclasses', () => {
  it('use their own _embed, _tokenize, _augmentExample and _processExample, in the original’s order', async () => {
    const calls: string[] = [];
    class Mine extends DataPreprocessor {
      override _tokenize(text: string): number[] {
        calls.push(`tokenize ${text}`);
        return [text.length];
      }
      override _embed(text: string): Float32Array {
        calls.push(`embed ${text}`);
        return Float32Array.of(Math.random());
      }
      override async _augmentExample(example: TrainingExample): Promise<TrainingExample[]> {
        calls.push(`augment ${example.input}`);
        return [{ ...example, input: `${example.input}!` }];
      }
    }
    await withMathRandom(7, async draws => {
      const processed = await new Mine({ augmentation: true }).process([{ input: 'a', output: 'b' }]);
      expect(processed.map(each => [each.input, each.inputTokens])).toEqual([
        ['a', [1]],
        ['a!', [2]],
      ]);
      expect(draws()).toBe(4);
    });
    const ofExample = (input: string): string[] => [`tokenize ${input}`, 'tokenize b', `embed ${input}`, 'embed b'];
    expect(calls).toEqual([...ofExample('a'), 'augment a', ...ofExample('a!')]);
  });

  it('skip an example for which their _processExample returns nothing', async () => {
    class Picky extends DataPreprocessor {
      override async _processExample(example: TrainingExample): Promise<ProcessedExample | null> {
        return example.input === 'no' ? null : super._processExample(example);
      }
    }
    const preprocessor = new Picky({ embedder: texts => texts.map(() => [1, 2]), cacheBytes: 0 });
    const processed = await preprocessor.process([
      { input: 'no', output: 'x' },
      { input: 'yes', output: 'x' },
    ]);
    expect(processed.map(each => each.input)).toEqual(['yes']);
    expect(preprocessor.stats.processed).toBe(1);
  });

  it.each<DataPreprocessorOptions>([{}, { embedder: texts => texts.map(() => [1, 2]) }])(
    'may be a single object whose _processExample gets each example, then its variations: %j',
    async options => {
      const preprocessor = new DataPreprocessor({ ...options, augmentation: true });
      preprocessor._augmentExample = async example =>
        ['!', '?'].map(end => ({ ...example, input: example.input + end }));
      const plain = preprocessor._processExample;
      const calls: [self: unknown, args: unknown[]][] = [];
      preprocessor._processExample = async function (this: DataPreprocessor, ...args) {
        calls.push([this, args]);
        return args[0].input.endsWith('?') ? null : plain.apply(this, args);
      };
      const examples = ['a', 'b'].map(input => ({ input, output: 'x' }));
      const processed = await preprocessor.process(examples);
      expect(processed.map(each => each.input)).toEqual(['a', 'a!', 'b', 'b!']);
      expect(preprocessor.stats).toMatchObject({ processed: 2, augmented: 2 });
      const given = ['a', 'a!', 'a?', 'b', 'b!', 'b?'].map(input => [{ input, output: 'x' }]);
      expect(calls.map(([, args]) => args)).toEqual(given);
      expect(calls.every(([self]) => self === preprocessor)).toBe(true);
    },
  );
});

describe('quality', () => {
  const at = (quality?: number): TrainingExample => ({
    input: 'a',
    output: 'b',
    ...(quality !== undefined && { quality }),
  });

  it('counts 0 as 0 and a missing value as 1', async () => {
    const preprocessor = new DataPreprocessor({ qualityThreshold: 0.5 });
    const processed = await preprocessor.process([at(0), at(), at(0.5)]);
    expect(processed.map(each => each.quality)).toEqual([1, 0.5]);
    expect(preprocessor.stats).toMatchObject({ processed: 2, filtered: 1 });
    expect((await new DataPreprocessor().process([at(0)])).map(each => each.quality)).toEqual([0]);
  });
});

describe('sources', () => {
  const examples = Array.from({ length: 600 }, (_, i) => ({ input: `text ${i}`, output: `answer ${i}` }));

  it('may be arrays, iterables and async iterables', async () => {
    const run = (source: Iterable<TrainingExample> | AsyncIterable<TrainingExample>): Promise<ProcessedExample[]> =>
      new DataPreprocessor({ embeddingDim: 8 }).process(source);
    const expected = await run(examples);
    expect(expected).toHaveLength(600);
    expect(await run(new Set(examples))).toEqual(expected);
    expect(await run(asyncFrom(examples))).toEqual(expected);
  });

  it('change nothing when an array has a bad example at its end', async () => {
    const preprocessor = new DataPreprocessor();
    const bad = [...examples.slice(0, 5), { input: 'x' }] as TrainingExample[];
    await expect(preprocessor.process(bad)).rejects.toThrow(
      'DataPreprocessor.process: examples[5].output must be a string, got undefined',
    );
    expect(preprocessor.getStats()).toEqual({
      processed: 0,
      filtered: 0,
      augmented: 0,
      cacheHits: 0,
      vocabSize: 0,
      cacheSize: 0,
    });
  });

  it('are closed when they yield a bad example', async () => {
    let closed = false;
    async function* source(): AsyncGenerator<TrainingExample> {
      try {
        yield* examples.slice(0, 3);
        yield { input: 3, output: 'x' } as unknown as TrainingExample;
      } finally {
        closed = true;
      }
    }
    await expect(new DataPreprocessor().process(source())).rejects.toThrow('examples[3].input must be a string, got 3');
    expect(closed).toBe(true);
  });
});

describe('the cache', () => {
  it('returns the same row for the same text, and counts the hits', async () => {
    const preprocessor = new DataPreprocessor({ embeddingDim: 4 });
    expect(preprocessor._embed('a')).toBe(preprocessor._embed('a'));
    expect(preprocessor.stats.cacheHits).toBe(1);
    preprocessor.clearCache();
    expect(preprocessor.getStats()).toMatchObject({ cacheHits: 0, cacheSize: 0 });
  });

  it('keeps the most recently used texts within cacheBytes', () => {
    // A row of 4 floats and a one-letter text take 18 bytes.
    const preprocessor = new DataPreprocessor({ embeddingDim: 4, cacheBytes: 36 });
    for (const text of ['a', 'b', 'a', 'c']) preprocessor._embed(text);
    expect([...preprocessor.embeddingCache.keys()]).toEqual(['a', 'c']);
    preprocessor.embeddingCache.set('a', Float32Array.of(1, 2, 3, 4));
    preprocessor.embeddingCache.delete('c');
    for (const text of ['d', 'e']) preprocessor._embed(text);
    expect([...preprocessor.embeddingCache.keys()]).toEqual(['d', 'e']);
    expect(preprocessor.embeddingCache.delete('x')).toBe(false);
  });

  it('may have no room at all', async () => {
    const preprocessor = new DataPreprocessor({ embeddingDim: 4, cacheBytes: 0 });
    const processed = await preprocessor.process([{ input: 'a', output: 'a' }]);
    expect(processed[0]!.inputEmb).toEqual(processed[0]!.outputEmb);
    expect(preprocessor.embeddingCache.size).toBe(0);
  });
});

describe("embedder: 'ngram'", () => {
  it('is an unfitted NgramEmbedder with embeddingDim, and its rows always have length 1', async () => {
    const texts = ['Array.prototype.map', 'C++ == C#', '日本語', ''];
    const widths: DataPreprocessorOptions[] = [{}, { embeddingDim: 64 }];
    for (const width of widths) {
      const { embeddingDim: dim = 384 } = width;
      const expected = new NgramEmbedder({ dim }).embed(texts);
      for (const normalizeEmbeddings of [true, false]) {
        const preprocessor = new DataPreprocessor({ embedder: 'ngram', ...width, normalizeEmbeddings });
        const processed = await preprocessor.process(texts.map(input => ({ input, output: 'x' })));
        expect(processed.map(each => each.inputEmb)).toEqual(expected);
        expect(texts.map(text => preprocessor._embed(text))).toEqual(expected);
      }
    }
  });
});

describe('an embedder object', () => {
  const examples = Array.from({ length: 300 }, (_, i) => ({ input: `in ${i}`, output: `out ${i % 3}` }));
  const texts = examples.flatMap(({ input, output }) => [input, output]);

  it('may be a fitted NgramEmbedder, and the rows have its length', async () => {
    const embedder = await new NgramEmbedder({ dim: 50 }).fit(texts);
    const preprocessor = new DataPreprocessor({ embedder });
    expect(preprocessor.config).toMatchObject({ normalizeEmbeddings: false, embeddingDim: undefined });
    const processed = await preprocessor.process(examples);
    expect(processed.map(each => each.inputEmb)).toEqual(embedder.embed(examples.map(each => each.input)));
    expect(processed.map(each => each.outputEmb)).toEqual(embedder.embed(examples.map(each => each.output)));
    expect(preprocessor.config.embeddingDim).toBe(50);
    expect(processed[0]!.inputEmb.buffer.byteLength).toBe(200);
  });

  it('is called as a method with batches of distinct texts that are not cached, and may be asynchronous', async () => {
    class Lengths {
      readonly calls: number[] = [];
      async embed(batch: readonly string[]): Promise<number[][]> {
        this.calls.push(batch.length);
        return batch.map(text => [3, text.length]);
      }
    }
    const embedder = new Lengths();
    const preprocessor = new DataPreprocessor({ embedder, embedBatchSize: 100, normalizeEmbeddings: true });
    const processed = await preprocessor.process(examples);
    expect(Math.max(...embedder.calls)).toBe(100);
    expect(embedder.calls.reduce((sum, each) => sum + each)).toBe(303);
    const { inputEmb } = processed[0]!;
    expect(Array.from(inputEmb)).toEqual(Array.from(Float32Array.of(3 / Math.hypot(3, 4), 4 / Math.hypot(3, 4))));
    await preprocessor.process(examples);
    expect(embedder.calls.reduce((sum, each) => sum + each)).toBe(303);
  });

  it('is called by _embed where it is synchronous', async () => {
    const sync = new DataPreprocessor({ embedder: new NgramEmbedder({ dim: 20 }) });
    expect(sync._embed('a')).toEqual(new NgramEmbedder({ dim: 20 }).embed(['a'])[0]);
    expect(sync._embed('a')).toBe(sync._embed('a'));
    const scaled = new DataPreprocessor({ embedder: { embed: () => [[3, 4]] }, normalizeEmbeddings: true });
    expect(Array.from(scaled._embed('a'))).toEqual(Array.from(Float32Array.of(0.6, 0.8)));
    const wrong = new DataPreprocessor({ embedder: { embed: () => [[3, 4]] }, embeddingDim: 3 });
    expect(() => wrong._embed('a')).toThrow('DataPreprocessor._embed: embedder: row 0 ("a") has 2 entries, expected 3');
    for (const embed of [async () => [[1]], () => Promise.reject(new Error('no model'))]) {
      const preprocessor = new DataPreprocessor({ embedder: { embed } });
      expect(() => preprocessor._embed('a')).toThrow(
        'DataPreprocessor._embed: "a" is not embedded yet; the embedder runs in process()',
      );
      expect(preprocessor.embeddingCache.size).toBe(0);
    }
    // A zero row has no direction, and stays.
    const zero = new DataPreprocessor({ embedder: { embed: () => [[0, 0]] }, normalizeEmbeddings: true });
    expect(zero._embed('a')).toEqual(Float32Array.of(0, 0));
  });

  it('is named in the errors about its rows', async () => {
    const process = (rows: unknown): Promise<unknown> =>
      new DataPreprocessor({ embedder: { embed: () => rows as number[][] } }).process([{ input: 'a', output: 'b' }]);
    await expect(process([[1]])).rejects.toThrow('DataPreprocessor.process: embedder returned 1 row for 2 texts');
    await expect(process('rows')).rejects.toThrow(
      'DataPreprocessor.process: embedder: its result must be an array, got "rows"',
    );
    await expect(process([[1], [Number.NaN]])).rejects.toThrow(
      'DataPreprocessor.process: embedder: row 1 ("b")[0] must be finite',
    );
  });
});

describe('an embedder function', () => {
  const examples = Array.from({ length: 300 }, (_, i) => ({ input: `in ${i}`, output: `out ${i % 3}` }));

  it('gets batches of distinct texts that are not cached', async () => {
    const embedder = vi.fn(async (texts: readonly string[]) => texts.map(text => [text.length, 1]));
    const preprocessor = new DataPreprocessor({ embedder, embedBatchSize: 100 });
    const processed = await preprocessor.process(examples);
    expect(processed.map(each => Array.from(each.inputEmb))).toEqual(examples.map(each => [each.input.length, 1]));
    const texts = embedder.mock.calls.flatMap(([batch]) => batch);
    expect(new Set(texts).size).toBe(303);
    expect(texts).toHaveLength(303);
    expect(Math.max(...embedder.mock.calls.map(([batch]) => batch.length))).toBe(100);
    await preprocessor.process(examples);
    expect(embedder.mock.calls.flatMap(([batch]) => batch)).toHaveLength(303);
    expect(preprocessor.config.embeddingDim).toBe(2);
  });

  it('also gets the variations', async () => {
    const embedder = (texts: readonly string[]): number[][] => texts.map(text => [text.length]);
    const preprocessor = new DataPreprocessor({
      embedder,
      augmentation: true,
      augmentationFactor: 4,
      seed: 3,
      cacheBytes: 0,
    });
    const processed = await preprocessor.process(examples);
    expect(preprocessor.stats.augmented).toBeGreaterThan(100);
    expect(processed.every(each => each.inputEmb[0] === each.input.length)).toBe(true);
  });

  it('has its rows kept unchanged by default', async () => {
    const embedder = (texts: readonly string[]): Float64Array[] => texts.map(() => Float64Array.of(3, 4));
    const run = async (options: DataPreprocessorOptions): Promise<number[]> =>
      Array.from(
        (await new DataPreprocessor({ embedder, ...options }).process([{ input: 'a', output: 'b' }]))[0]!.inputEmb,
      );
    expect(await run({})).toEqual([3, 4]);
    expect(await run({ normalizeEmbeddings: true })).toEqual(Array.from(Float32Array.of(0.6, 0.8)));
  });

  it('works for texts that leave the cache before their chunk is finished', async () => {
    const embedder = (texts: readonly string[]): number[][] => texts.map(text => [text.length]);
    const pairs = (name: string, count: number): TrainingExample[] =>
      Array.from({ length: count }, (_, i) => ({ input: `${name} in ${i}`, output: `${name} out ${i}` }));
    const preprocessor = new DataPreprocessor({ embedder, cacheBytes: 400 * 30 });
    await preprocessor.process(pairs('old', 100));
    expect(await preprocessor.process([...pairs('new', 150), ...pairs('old', 100)])).toHaveLength(250);
  });

  it('serves several calls at the same time', async () => {
    const embedder = async (texts: readonly string[]): Promise<number[][]> => {
      await new Promise(resolve => setTimeout(resolve, texts.length % 3));
      return texts.map(text => [text.length]);
    };
    const preprocessor = new DataPreprocessor({ embedder, cacheBytes: 0 });
    const runs = await Promise.all([preprocessor.process(examples), preprocessor.process(examples.slice(50))]);
    expect(runs.map(each => each.length)).toEqual([300, 250]);
  });

  it('may throw: the error is passed on, and the preprocessor still works', async () => {
    let broken = true;
    const embedder = async (texts: readonly string[]): Promise<number[][]> => {
      if (broken) throw new Error('model not loaded');
      return texts.map(() => [1]);
    };
    const preprocessor = new DataPreprocessor({ embedder });
    await expect(preprocessor.process(examples)).rejects.toThrow('model not loaded');
    expect(preprocessor.getStats()).toMatchObject({ processed: 0, vocabSize: 0 });
    broken = false;
    expect(await preprocessor.process(examples)).toHaveLength(300);
  });

  it('is not called by _embed', () => {
    const preprocessor = new DataPreprocessor({ embedder: texts => texts.map(() => [1]) });
    expect(() => preprocessor._embed('a')).toThrow('DataPreprocessor._embed: "a" is not embedded yet');
  });
});

describe('seed', () => {
  const examples = Array.from({ length: 50 }, (_, i) => ({ input: `please write code ${i}`, output: 'x' }));
  const inputs = async (seed: number): Promise<string[]> =>
    (await new DataPreprocessor({ augmentation: true, seed }).process(examples)).map(each => each.input);

  it('makes augmentation reproducible', async () => {
    expect(await inputs(1)).toEqual(await inputs(1));
    expect(await inputs(1)).not.toEqual(await inputs(2));
  });
});

describe('metadata', () => {
  it.each([{}, { embedder: (texts: readonly string[]) => texts.map(() => [1]) }])(
    'is kept by every variation of an example',
    async options => {
      const examples = Array.from({ length: 50 }, (_, id) => ({ input: `write ${id}`, output: 'x', metadata: { id } }));
      const preprocessor = new DataPreprocessor({ augmentation: true, augmentationFactor: 4, seed: 1, ...options });
      const rows = await preprocessor.process([...examples, { input: 'write', output: 'y' }]);
      expect(preprocessor.stats.augmented).toBeGreaterThan(20);
      const last = rows.findIndex(({ output }) => output === 'y');
      for (const row of rows.slice(0, last)) {
        const { id } = row.metadata as { id: number };
        expect(row.metadata).toBe(examples[id]!.metadata);
        expect(row.input.toLowerCase()).toContain(String(id));
      }
      for (const row of rows.slice(last)) expect(row.metadata).toBeUndefined();
    },
  );
});

async function* asyncFrom<T>(values: readonly T[]): AsyncGenerator<T> {
  for (const value of values) {
    await null;
    yield value;
  }
}
