import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it, vi } from 'vitest';
import {
  BatchGenerator,
  DataPreprocessor,
  type DataPreprocessorOptions,
  loadCheckpoint,
  type ProcessedExample,
  saveCheckpoint,
  type TrainingExample,
} from '../../src/index.js';
import '../support/properties.js';

const folder = mkdtempSync(join(tmpdir(), 'tokens-'));
afterAll(() => rmSync(folder, { recursive: true }));

const untyped = (value: unknown): never => value as never;
const pairs: TrainingExample[] = [
  { input: 'red green', output: 'blue', quality: 0.5, metadata: { id: 1 } },
  { input: 'blue red', output: 'green yellow', negatives: ['red', 'black'] },
];

describe('examples of shards', () => {
  const word = fc.constantFrom('red', 'green', 'blue', 'Grün', '黒', '');
  const text = fc.array(word, { maxLength: 4 }).map(words => words.join(' '));
  const example: fc.Arbitrary<TrainingExample> = fc.record(
    {
      input: text,
      output: text,
      quality: fc.constantFrom(0.2, 0.6, 1),
      negatives: fc.array(text, { maxLength: 2 }),
      metadata: fc.integer(),
    },
    { requiredKeys: ['input', 'output'] },
  );
  /** Examples, the shard of each, and the order in which the shards are read. */
  const split = fc.array(fc.tuple(example, fc.nat(3)), { maxLength: 12 }).chain(dealt =>
    fc.record({
      examples: fc.constant(dealt.map(([each]) => each)),
      shards: fc.constant(dealt.map(([, shard]) => shard)),
      order: fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
      isShared: fc.boolean(),
    }),
  );
  type Split = typeof split extends fc.Arbitrary<infer Value> ? Value : never;

  /** The rows of all shards, back in the order of the examples. A place whose example was skipped is undefined. */
  async function inShards(
    { examples, shards, order, isShared }: Split,
    options: DataPreprocessorOptions,
  ): Promise<ProcessedExample[]> {
    const rows: ProcessedExample[] = [];
    const { qualityThreshold = 0 } = options;
    const shared = new DataPreprocessor(options);
    for (const shard of order) {
      const places = [...examples.keys()].filter(i => shards[i] === shard);
      const preprocessor = isShared ? shared : new DataPreprocessor(options);
      const processed = await preprocessor.process(places.map(i => examples[i]!));
      const kept = places.filter(i => (examples[i]!.quality ?? 1) >= qualityThreshold);
      expect(processed.length).toBe(kept.length);
      kept.forEach((i, k) => {
        rows[i] = processed[k]!;
      });
    }
    return rows.filter(row => row !== undefined);
  }

  it('without tokens equal those of one run, for any split and any order of the shards', async () => {
    await fc.assert(
      fc.asyncProperty(split, fc.constantFrom(0, 0.5), async (dealt, qualityThreshold) => {
        const options = { tokens: false, embeddingDim: 8, qualityThreshold };
        const whole = await new DataPreprocessor(options).process(dealt.examples);
        expect(await inShards(dealt, options)).toEqual(whole);
      }),
    );
  });

  it('with tokens depend on who reads what first', async () => {
    const dealt: Split = { examples: pairs, shards: [0, 1], order: [0, 1, 2, 3], isShared: false };
    const options = { embeddingDim: 8 };
    const whole = await new DataPreprocessor(options).process(pairs);
    expect(whole[1]!.inputTokens).toEqual([2, 32, 0, 32]);
    // Separate preprocessors start at 0, and one that reads the second shard first numbers its words first.
    expect((await inShards(dealt, options))[1]!.inputTokens).toEqual([0, 32, 1, 32]);
    const reversed = { ...dealt, order: [1, 0, 2, 3], isShared: true };
    expect((await inShards(reversed, options))[1]!.inputTokens).toEqual([0, 32, 1, 32]);
  });
});

describe('tokens: false', () => {
  it('changes nothing but the tokens', async () => {
    const options = { seed: 3, augmentation: true, augmentationFactor: 4, embeddingDim: 8 };
    const withTokens = new DataPreprocessor(options);
    const without = new DataPreprocessor({ ...options, tokens: false });
    for (let i = 0; i < 8; i++) {
      const expected = await withTokens.process(pairs);
      const rows = await without.process(pairs);
      expect(rows).toEqual(expected.map(row => ({ ...row, inputTokens: [], outputTokens: [] })));
      expect(new Set(rows.flatMap(row => [row.inputTokens, row.outputTokens])).size).toBe(2 * rows.length);
    }
    expect(without.stats).toEqual(withTokens.stats);
    expect(withTokens.stats.augmented).toBeGreaterThan(0);
    expect(withTokens.vocabSize).toBeGreaterThan(0);
    expect([without.vocab.size, without.vocabSize, without.getStats().vocabSize]).toEqual([0, 0, 0]);
  });

  it.each<DataPreprocessorOptions>([{ tokens: true }, { tokens: untyped(undefined) }])('%o is the default', async options => {
    const preprocessor = new DataPreprocessor(options);
    expect(preprocessor.config.tokens).toBe(true);
    expect(await preprocessor.process(pairs)).toEqual(await new DataPreprocessor().process(pairs));
  }); // biome-ignore format: a table

  it('gives none in a stream, and for an embedder of the caller’s', async () => {
    const embedder = (texts: string[]): number[][] => texts.map(text => [text.length]);
    const preprocessor = new DataPreprocessor({ tokens: false, embedder });
    const tokens: number[][] = [];
    for await (const row of preprocessor.stream(pairs)) tokens.push(row.inputTokens, row.outputTokens);
    expect(tokens).toEqual([[], [], [], []]);
    expect(preprocessor.vocabSize).toBe(0);
  });

  it('does not call an overridden _tokenize', async () => {
    const tokenize = vi.fn(() => [7]);
    class Own extends DataPreprocessor {
      override _tokenize = tokenize;
    }
    const [row] = await new Own({ tokens: false }).process(pairs);
    expect(tokenize).not.toHaveBeenCalled();
    expect(row!.inputTokens).toEqual([]);
    expect((await new Own().process(pairs))[0]!.inputTokens).toEqual([7]);
  });

  it('makes none where an overridden _processExample calls _tokenize', async () => {
    class Own extends DataPreprocessor {
      override async _processExample(example: TrainingExample): Promise<ProcessedExample | null> {
        return { ...(await super._processExample(example))!, inputTokens: this._tokenize(example.input) };
      }
    }
    const preprocessor = new Own({ tokens: false });
    expect((await preprocessor.process(pairs)).map(row => row.inputTokens)).toEqual([[], []]);
    expect(preprocessor.vocab.size).toBe(0);
  });

  it('leaves the batches of a curriculum as they are', async () => {
    const graded = Array.from({ length: 9 }, (_, i) => ({
      input: `${'w '.repeat(i)}`,
      output: 'o',
      quality: (i * 4) % 9,
    }));
    const orders = [];
    for (const tokens of [true, false]) {
      const rows = await new DataPreprocessor({ tokens, embeddingDim: 4 }).process(graded);
      const batches = new BatchGenerator(rows, { curriculum: true, batchSize: 2, seed: 1 });
      orders.push([...batches].flatMap(batch => batch.examples.map(({ quality }) => quality)));
    }
    expect(orders[1]).toEqual(orders[0]);
    expect(orders[1]).toEqual([8, 7, 6, 5, 4, 3, 2, 1, 0]);
  });

  it('is refused together with a tokenizer, before the tokenizer is called', () => {
    const tokenizer = vi.fn(() => [1]);
    const make = (): unknown => new DataPreprocessor({ tokens: false, tokenizer });
    expect(make).toThrow(RangeError);
    expect(make).toThrow(
      'DataPreprocessor: tokens is false, so that tokenizer would never be called; pass only one of them',
    );
    expect(tokenizer).not.toHaveBeenCalled();
    expect(() => new DataPreprocessor({ tokens: true, tokenizer })).not.toThrow();
  });

  it.each([0, 1, 'false', null, []])('must be true or false, not %j', tokens => {
    const make = (): unknown => new DataPreprocessor({ tokens: untyped(tokens) });
    expect(make).toThrow(TypeError);
    expect(make).toThrow(/^DataPreprocessor: tokens must be /);
  });
});

describe('the state of a preprocessor without tokens', () => {
  const options = { tokens: false, seed: 5, augmentation: true, augmentationFactor: 4, embeddingDim: 8 };

  it.each<[string, (from: DataPreprocessor, to: DataPreprocessor) => void]>([
    ['JSON', (from, to) => to.loadStateDict(JSON.parse(JSON.stringify(from.stateDict())))],
    [
      'a checkpoint',
      (from, to) => {
        const path = join(folder, 'state.safetensors');
        saveCheckpoint(path, { from });
        loadCheckpoint(path, { from: to });
      },
    ],
  ])('continues the run, by %s', async (_, copy) => {
    const unbroken = new DataPreprocessor(options);
    await unbroken.process(pairs);
    const resumed = new DataPreprocessor(options);
    copy(unbroken, resumed);
    expect(resumed.stateDict()).toEqual(unbroken.stateDict());
    expect(resumed.stateDict()).toMatchObject({ words: [], tokens: [], vocabSize: 0 });
    for (let i = 0; i < 5; i++) expect(await resumed.process(pairs)).toEqual(await unbroken.process(pairs));
    expect(resumed.vocabSize).toBe(0);
  });

  it('does not load the vocabulary of one with tokens', async () => {
    const withTokens = new DataPreprocessor({ ...options, tokens: true });
    const without = new DataPreprocessor(options);
    // Before the first text there is no vocabulary yet.
    without.loadStateDict(withTokens.stateDict());
    await withTokens.process([{ input: 'one two', output: 'one' }]);
    const before = without.stateDict();
    const load = (): void => without.loadStateDict(withTokens.stateDict());
    expect(load).toThrow(RangeError);
    expect(load).toThrow(
      /^DataPreprocessor\.loadStateDict: state has a vocabulary of \d+ words, but tokens is false here$/,
    );
    expect(without.stateDict()).toEqual(before);
  });
});
