import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import {
  DataPreprocessor,
  type DataPreprocessorOptions,
  type ProcessOptions,
  type ProcessProgress,
  type TrainingExample,
} from '../../src/index.js';
import { all, asyncFrom, calls, Endless, lengths, pairs } from '../support/sources.js';

describe('stream', () => {
  it('yields the rows, counts and tokens of process, for every source and all options', async () => {
    const text = fc.constantFrom('write code', 'help', 'x', 'explain the function', '');
    const examples = fc.array(fc.record({ input: text, output: text, quality: fc.constantFrom(0, 0.5, 1) }), {
      maxLength: 20,
    });
    const options = fc.record({
      embedder: fc.constantFrom<NonNullable<DataPreprocessorOptions['embedder']>[]>('hash', 'ngram', lengths),
      embedBatchSize: fc.integer({ min: 1, max: 4 }),
      augmentation: fc.boolean(),
      deduplicate: fc.boolean(),
      qualityThreshold: fc.constantFrom(0, 0.5),
      cacheBytes: fc.constantFrom(0, 2 ** 20),
      seed: fc.integer({ min: 0, max: 9 }),
    });
    const property = fc.asyncProperty(examples, options, fc.boolean(), async (data, config, isAsync) => {
      const [a, b] = [new DataPreprocessor(config), new DataPreprocessor(config)];
      expect(await all(a.stream(isAsync ? asyncFrom(data) : new Set(data)))).toEqual(await b.process(data));
      expect(a.getStats()).toEqual(b.getStats());
      expect([...a.vocab]).toEqual([...b.vocab]);
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it.each(['sync', 'async'] as const)('reads at most a chunk ahead of the consumer, %s', async kind => {
    const embedder = vi.fn(lengths);
    for (const [preprocessor, chunk] of [
      [new DataPreprocessor({ embeddingDim: 4 }), 128],
      [new DataPreprocessor({ embedder, embedBatchSize: 10 }), 20],
    ] as const) {
      const source = new Endless();
      let rows = 0;
      for await (const { input } of preprocessor.stream(source[kind])) {
        expect(input).toBe(`in ${rows++}`);
        expect(source.read).toBeLessThanOrEqual(Math.ceil(rows / chunk) * chunk);
        if (rows === 2.5 * chunk) break;
      }
      expect(source.returned).toBe(1);
      expect(preprocessor.stats.processed).toBe(3 * chunk);
    }
    // An example has two texts, so a chunk has exactly four full batches.
    expect(embedder.mock.calls.map(([texts]) => texts.length)).toEqual(new Array(12).fill(10));
  });

  it('does not read the source before the first row is requested, and emits an event at the end', async () => {
    const source = new Endless();
    const preprocessor = new DataPreprocessor();
    const complete = vi.fn();
    preprocessor.on('process:complete', complete);
    await preprocessor.stream(source.sync).return();
    expect(source).toMatchObject({ read: 0, returned: 0 });
    expect(complete).not.toHaveBeenCalled();
    await all(preprocessor.stream(pairs(3)));
    expect(complete).toHaveBeenCalledExactlyOnceWith({ total: 3, stats: preprocessor.stats });
  });

  it('passes on the error of closing the source, if there was no other error', async () => {
    const preprocessor = new DataPreprocessor();
    const broken = (): Iterable<TrainingExample> => {
      const step = { done: false, value: { input: 'a', output: 'b' } };
      const fail = (): never => {
        throw new Error('cannot close');
      };
      return { [Symbol.iterator]: () => ({ next: () => step, return: fail }) };
    };
    const left = (async () => {
      for await (const _ of preprocessor.stream(broken())) break;
    })();
    await expect(left).rejects.toThrow('cannot close');
    const failed = preprocessor.process(broken(), {
      onProgress: () => {
        throw new Error('first');
      },
    });
    await expect(failed).rejects.toThrow('first');
  });
});

describe.each(calls)('%s, progress', (_, call) => {
  it('reports after each chunk what was read and produced, by event and by callback', async () => {
    const preprocessor = new DataPreprocessor({ qualityThreshold: 0.5 });
    const [heard, called]: ProcessProgress[][] = [[], []];
    preprocessor.on('process:progress', progress => heard!.push(progress));
    const examples = pairs(300).map((example, i) => ({ ...example, quality: i < 100 ? 0 : 1 }));
    await call(preprocessor, examples, { onProgress: progress => called!.push(progress) });
    expect(called).toEqual([
      { read: 128, produced: 28, total: 300 },
      { read: 256, produced: 156, total: 300 },
      { read: 300, produced: 200, total: 300 },
    ]);
    expect(heard).toEqual(called);
  });

  it('counts variations, and knows the total only for an array or a Set', async () => {
    const totals: (number | undefined)[] = [];
    const options: ProcessOptions = { onProgress: ({ total }) => totals.push(total) };
    for (const source of [pairs(3), new Set(pairs(4)), asyncFrom(pairs(5)), pairs(0)]) {
      await call(new DataPreprocessor(), source, options);
    }
    expect(totals).toEqual([3, 4, undefined]);
    const preprocessor = new DataPreprocessor({ augmentation: true, augmentationFactor: 4, seed: 1 });
    let produced = 0;
    await call(preprocessor, pairs(50), { onProgress: progress => (produced = progress.produced) });
    expect(produced).toBe(50 + preprocessor.stats.augmented);
  });
});
