import { describe, expect, it, vi } from 'vitest';
import { DataPreprocessor, type ExampleSource, type TrainingExample } from '../../src/index.js';
import { calls, Endless, pairs } from '../support/sources.js';

describe.each(calls)('%s, failing', (_, call) => {
  const failures: [string, () => unknown][] = [
    [
      'that throws',
      () => {
        throw new Error('no model');
      },
    ],
    ['that rejects', () => Promise.reject(new Error('no model'))],
  ];

  it.each(failures)('for an embedder %s in its third batch: closes the source, and works again', async (_, fail) => {
    let batches = 0;
    const embedder = (texts: string[]): number[][] =>
      ++batches === 3 ? (fail() as number[][]) : texts.map(text => [text.length]);
    const preprocessor = new DataPreprocessor({ embedder, embedBatchSize: 5 });
    // A chunk of ten examples with equal outputs has eleven texts, so three batches.
    const source = new Endless();
    await expect(call(preprocessor, source.sync)).rejects.toThrow('no model');
    expect(source).toMatchObject({ read: 10, returned: 1 });
    expect(preprocessor.getStats()).toEqual({
      processed: 0,
      filtered: 0,
      augmented: 0,
      cacheHits: 0,
      vocabSize: 0,
      cacheSize: 0,
    });
    expect(await preprocessor.process(pairs(30))).toHaveLength(30);
    expect(preprocessor.stats.processed).toBe(30);
  });

  it('in the middle of a chunk counts the work before it', async () => {
    const tokenizer = (text: string): number[] => {
      if (text === 'in 150') throw new Error('not a word');
      return [1];
    };
    const preprocessor = new DataPreprocessor({ tokenizer, qualityThreshold: 0.5 });
    const examples = pairs(200).map((example, i) => ({ ...example, quality: i === 140 ? 0 : 1 }));
    await expect(call(preprocessor, examples)).rejects.toThrow('not a word');
    expect(preprocessor.stats).toMatchObject({ processed: 149, filtered: 1 });
    expect(await preprocessor.process(pairs(100))).toHaveLength(100);
  });

  it('for a source that throws passes the error on, and does not close a source that closed itself', async () => {
    for (const kind of ['sync', 'async'] as const) {
      const source = new Endless();
      const iterable = source[kind];
      const failing: ExampleSource = Object.assign(Object.create(iterable) as typeof iterable, {
        ...(kind === 'sync'
          ? { [Symbol.iterator]: () => failAt(5, source.sync[Symbol.iterator]()) }
          : { [Symbol.asyncIterator]: () => failAt(5, source.async[Symbol.asyncIterator]()) }),
      });
      const preprocessor = new DataPreprocessor();
      await expect(call(preprocessor, failing)).rejects.toThrow('disk on fire');
      expect(source).toMatchObject({ read: 5, returned: 0 });
      expect(await preprocessor.process(pairs(3))).toHaveLength(3);
    }
  });

  it('for a bad example closes synchronous and asynchronous sources', async () => {
    for (const kind of ['sync', 'async'] as const) {
      const source = new Endless();
      const bad = mapped(source[kind], (example, i) => (i === 3 ? { input: 'x' } : example) as TrainingExample);
      await expect(call(new DataPreprocessor(), bad)).rejects.toThrow('examples[3].output must be a string');
      expect(source.returned).toBe(1);
    }
  });

  it('does not fix the length of an embedder’s rows', async () => {
    let width = 2;
    let batches = 0;
    const embedder = (texts: string[]): number[][] => {
      if (++batches === 4) throw new Error('out of memory');
      return texts.map(() => new Array<number>(width).fill(1));
    };
    const preprocessor = new DataPreprocessor({ embedder, embedBatchSize: 10 });
    // The second chunk fails. The first is already in the cache.
    const examples = pairs(40).map(example => ({ ...example, output: 'same' }));
    const onProgress = vi.fn();
    await expect(preprocessor.process(examples, { onProgress })).rejects.toThrow('out of memory');
    expect(onProgress).toHaveBeenCalledOnce();
    expect(preprocessor.config.embeddingDim).toBeUndefined();
    width = 3;
    const rows = await preprocessor.process(examples);
    expect(rows.every(row => row.inputEmb.length === 3 && row.outputEmb.length === 3)).toBe(true);
    expect(preprocessor.config.embeddingDim).toBe(3);
    width = 4;
    await expect(preprocessor.process(pairs(50))).rejects.toThrow('has 4 entries, expected 3');
  });
});

it('ignores a cached first chunk of another length that comes from a failed call', async () => {
  let width = 2;
  const preprocessor = new DataPreprocessor({ embedder: texts => texts.map(() => new Array<number>(width).fill(1)) });
  const failed = preprocessor.process(pairs(5), {
    onProgress: () => {
      throw new Error('stop');
    },
  });
  await expect(failed).rejects.toThrow('stop');
  width = 3;
  const rows = await preprocessor.process(pairs(5));
  expect(rows.flatMap(row => [row.inputEmb.length, row.outputEmb.length])).toEqual(new Array(10).fill(3));
});

it('refuses rows of two lengths from calls that run at the same time', async () => {
  const widths = [2, 3];
  let open: () => void;
  const gate = new Promise<void>(resolve => {
    open = resolve;
  });
  const embedder = async (texts: string[]): Promise<number[][]> => {
    const width = widths.shift()!;
    if (widths.length === 0) open();
    await gate;
    return texts.map(() => new Array<number>(width).fill(1));
  };
  const preprocessor = new DataPreprocessor({ embedder });
  const results = await Promise.allSettled([
    preprocessor.process([{ input: 'a', output: 'b' }]),
    preprocessor.process([{ input: 'c', output: 'd' }]),
  ]);
  expect(results.map(result => result.status)).toEqual(['fulfilled', 'rejected']);
  expect((results[1] as PromiseRejectedResult).reason.message).toBe(
    'DataPreprocessor.process: embedder returned rows of 3 entries, and of 2 before',
  );
});

function failAt<I extends Iterator<unknown> | AsyncIterator<unknown>>(count: number, iterator: I): I {
  let calls = 0;
  const next = (): unknown => {
    if (calls++ === count) throw new Error('disk on fire');
    return iterator.next();
  };
  return { next, return: iterator.return } as unknown as I;
}

function mapped(
  source: ExampleSource,
  change: (example: TrainingExample, i: number) => TrainingExample,
): ExampleSource {
  if (Symbol.asyncIterator in source) {
    return (async function* () {
      let i = 0;
      for await (const example of source) yield change(example, i++);
    })();
  }
  return (function* () {
    let i = 0;
    for (const example of source) yield change(example, i++);
  })();
}
