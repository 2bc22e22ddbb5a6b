import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import {
  DataPreprocessor,
  type DataPreprocessorOptions,
  NgramEmbedder,
  type ProcessedExample,
  Retriever,
  type TrainingExample,
} from '../../src/index.js';
import { questionPairs } from '../support/question-pairs.js';

describe('tokenizer', () => {
  it('makes the tokens instead of the vocabulary, cut to maxLength', async () => {
    const tokenizer = vi.fn((text: string) => Array.from(text, character => character.codePointAt(0)!));
    const preprocessor = new DataPreprocessor({ tokenizer, maxLength: 2 });
    const [example] = await preprocessor.process([{ input: 'abc', output: 'd' }]);
    expect(example).toMatchObject({ inputTokens: [97, 98], outputTokens: [100] });
    expect(preprocessor.getStats()).toMatchObject({ vocabSize: 0, processed: 1 });
    expect(preprocessor._tokenize('e')).toEqual([101]);
    expect(tokenizer.mock.calls).toEqual([['abc'], ['d'], ['e']]);
  });

  const bad: [string, unknown][] = [
    ['DataPreprocessor._tokenize: tokenizer: of "abc": the result must be an array, got undefined', undefined],
    [
      'DataPreprocessor._tokenize: tokenizer: of "abc": the result must be an array, got a Promise',
      Promise.resolve([1]),
    ],
    [
      'DataPreprocessor._tokenize: tokenizer: of "abc": the result must be an array, got a Uint32Array',
      Uint32Array.of(1),
    ],
    ['DataPreprocessor._tokenize: tokenizer: of "abc": token 1 must be an integer of at least 0, got -1', [1, -1]],
    ['DataPreprocessor._tokenize: tokenizer: of "abc": token 0 must be an integer of at least 0, got 0.5', [0.5]],
    ['DataPreprocessor._tokenize: tokenizer: of "abc": token 0 must be an integer of at least 0, got "1"', ['1']],
    [
      'DataPreprocessor._tokenize: tokenizer: of "abc": token 0 must be an integer of at least 0, got undefined',
      new Array(3),
    ],
  ];
  it.each(bad)('%s', async (message, tokens) => {
    const preprocessor = new DataPreprocessor({ tokenizer: () => tokens as number[] });
    await expect(preprocessor.process([{ input: 'abc', output: 'd' }])).rejects.toThrow(message);
    expect(preprocessor.stats.processed).toBe(0);
  });
});

describe('deduplicate', () => {
  const run = async (examples: TrainingExample[], preprocessor: DataPreprocessor): Promise<ProcessedExample[]> =>
    preprocessor.process(examples);

  it('skips later repeats of each (input, output), as a loop over all pairs does', async () => {
    // Some texts are equal when joined, and some have lone surrogates, which are all equal in UTF-8.
    const text = fc.constantFrom('', 'a', 'ab', 'b', '1:a', '\ud800', '\ud801', 'ba');
    const examples = fc.array(fc.record({ input: text, output: text }), { maxLength: 300 });
    await fc.assert(
      fc.asyncProperty(examples, async data => {
        const expected = data.filter(
          (a, i) => !data.slice(0, i).some(b => a.input === b.input && a.output === b.output),
        );
        const preprocessor = new DataPreprocessor({ deduplicate: true, embeddingDim: 2 });
        const rows = await run(data, preprocessor);
        expect(rows.map(({ input, output }) => ({ input, output }))).toEqual(expected);
        expect(preprocessor.getStats()).toMatchObject({
          processed: expected.length,
          duplicates: data.length - expected.length,
          filtered: 0,
        });
      }),
      { numRuns: 40 },
    );
  });

  it('compares within one call, after the filter, and without the variations', async () => {
    const preprocessor = new DataPreprocessor({ deduplicate: true, qualityThreshold: 0.5 });
    const pair = { input: 'a', output: 'b' };
    const rows = await run([{ ...pair, quality: 0 }, { ...pair, quality: 0.7 }, pair], preprocessor);
    expect(rows.map(row => row.quality)).toEqual([0.7]);
    expect(preprocessor.stats).toMatchObject({ processed: 1, filtered: 1, duplicates: 1 });
    expect(await run([pair], preprocessor)).toHaveLength(1);

    class Same extends DataPreprocessor {
      override async _augmentExample(example: TrainingExample): Promise<TrainingExample[]> {
        return [example];
      }
    }
    expect(await run([pair, pair], new Same({ deduplicate: true, augmentation: true }))).toHaveLength(2);
  });

  it('adds nothing to the statistics where it is off', async () => {
    expect(new DataPreprocessor().stats).not.toHaveProperty('duplicates');
    expect(new DataPreprocessor({ deduplicate: true }).stats.duplicates).toBe(0);
  });
});

describe('the vocabulary', () => {
  it('is read again after any edit by the caller', () => {
    const edits: [string, (preprocessor: DataPreprocessor) => unknown][] = [
      ['set', ({ vocab }) => vocab.set('hello', 99)],
      ['delete', ({ vocab }) => vocab.delete('hello')],
      ['clear', ({ vocab }) => vocab.clear()],
      ['clear and set', ({ vocab }) => [vocab.clear(), vocab.set('world', 0), vocab.set('hello', 7)]],
      ['set before and after', ({ vocab }) => [vocab.set('a', 5), vocab.set('hello', 4)]],
    ];
    for (const [name, edit] of edits) {
      const preprocessor = new DataPreprocessor();
      const reference = new DataPreprocessor();
      reference.vocab = new Map();
      for (const text of ['hello', 'hello world'])
        expect(preprocessor._tokenize(text)).toEqual(reference._tokenize(text));
      for (const each of [preprocessor, reference]) edit(each);
      for (const text of ['hello world', 'hello', 'world']) {
        expect(preprocessor._tokenize(text), name).toEqual(reference._tokenize(text));
      }
      expect(preprocessor.vocab, name).toEqual(reference.vocab);
      expect(preprocessor.vocabSize, name).toBe(reference.vocabSize);
    }
  });

  it('looks like a plain Map', () => {
    const preprocessor = new DataPreprocessor();
    preprocessor._tokenize('hello world');
    expect(preprocessor.vocab).toStrictEqual(
      new Map([
        ['hello', 0],
        ['world', 1],
      ]),
    );
    expect(preprocessor.vocab.set('x', 2)).toBe(preprocessor.vocab);
    expect([preprocessor.vocab.delete('x'), preprocessor.vocab.delete('x'), preprocessor.vocab.size]).toEqual([
      true,
      false,
      2,
    ]);
  });

  it('may be a Map of the caller, whose edits count too', () => {
    const preprocessor = new DataPreprocessor();
    const mine = new Map([['hello', 7]]);
    preprocessor._tokenize('hello');
    preprocessor.vocab = mine;
    expect(preprocessor._tokenize('hello')).toEqual([7, 32]);
    Map.prototype.set.call(mine, 'hello', 8);
    expect(preprocessor._tokenize('hello')).toEqual([8, 32]);
  });

  it('learns words that were spelled as characters while it was full', () => {
    const preprocessor = new DataPreprocessor();
    preprocessor.vocabSize = 50_000;
    for (let i = 0; i < 2; i++) expect(preprocessor._tokenize('ab')).toEqual([97, 98, 32]);
    preprocessor.vocabSize = 3;
    expect(preprocessor._tokenize('ab')).toEqual([3, 32]);
  });

  it('gives long texts the same tokens again', () => {
    const preprocessor = new DataPreprocessor();
    const texts = Array.from({ length: 6 }, (_, i) => String(i).repeat(2 ** 20)).concat('x'.repeat(2 ** 23));
    const tokens = texts.map(text => preprocessor._tokenize(text));
    expect(tokens).toEqual(texts.map((_, i) => [i, 32]));
    expect(texts.map(text => preprocessor._tokenize(text))).toEqual(tokens);
  });
});

it('uses a patched prototype', async () => {
  const spy = vi.spyOn(DataPreprocessor.prototype, '_processExample').mockResolvedValue(null);
  expect(await new DataPreprocessor().process([{ input: 'a', output: 'b' }])).toEqual([]);
  expect(spy).toHaveBeenCalledExactlyOnceWith({ input: 'a', output: 'b' });
  spy.mockRestore();
  expect(await new DataPreprocessor().process([{ input: 'a', output: 'b' }])).toHaveLength(1);
});

it('embeds for search with n-grams, and by default does not, as its comment says', async () => {
  const mrrOf = async (pairs: readonly TrainingExample[], options: DataPreprocessorOptions): Promise<number> => {
    const rows = await new DataPreprocessor(options).process(pairs);
    const retriever = new Retriever(rows.map(({ outputEmb }) => outputEmb));
    return retriever.evaluate(
      rows.map(({ inputEmb }) => inputEmb),
      rows.map((_, i) => i),
    ).mrr;
  };
  for (const language of ['English', 'Chinese', 'Japanese']) {
    const pairs = questionPairs[language]!.map(([input, output]) => ({ input, output }));
    // The mean reciprocal rank of random answers.
    const chance = pairs.reduce((sum, _, i) => sum + 1 / (i + 1), 0) / pairs.length;
    const embedder = await new NgramEmbedder().fit(pairs.flatMap(({ input, output }) => [input, output]));
    expect(await mrrOf(pairs, {}), language).toBeLessThan(chance + 0.25);
    expect(await mrrOf(pairs, { embedder: 'ngram' })).toBeGreaterThan(chance + 0.4);
    expect(await mrrOf(pairs, { embedder })).toBeGreaterThan(chance + 0.4);
  }
});
