import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BatchGenerator, type BatchGeneratorState, type DuplicatesBy, type EmbeddedExample } from '../../src/index.js';
import { mulberry32 } from '../support/golden.js';

type Labelled = EmbeddedExample & { input: string; output: string };

/** Labels of `count` examples on one side. */
type Side = (random: () => number, count: number) => number[];

/** Distributions of labels, from all distinct to all equal. */
const sides: Record<string, Side> = {
  distinct: (_, count) => Array.from({ length: count }, (__, i) => i),
  same: (_, count) => new Array<number>(count).fill(0),
  'two, 70 to 30': (random, count) => Array.from({ length: count }, () => (random() < 0.7 ? 0 : 1)),
  five: (random, count) => Array.from({ length: count }, () => Math.floor(5 * random())),
  'half as many': (random, count) => Array.from({ length: count }, () => Math.floor((count / 2) * random())),
  'powers of two': (random, count) => Array.from({ length: count }, () => Math.floor(Math.log2(1 / (1 - random())))),
  'one and many': (random, count) => Array.from({ length: count }, (_, i) => (random() < 0.5 ? 0 : i + 1)),
  runs: (_, count) => Array.from({ length: count }, (__, i) => Math.floor(i / 12)),
  turns: (_, count) => Array.from({ length: count }, (__, i) => i % 12),
};
const names = Object.keys(sides);

const problem = fc.record({
  count: fc.integer({ min: 1, max: 240 }),
  inputs: fc.constantFrom(...names),
  outputs: fc.constantFrom(...names),
  batchSize: fc.constantFrom(1, 2, 3, 8, 30, 300),
  shuffle: fc.boolean(),
  isWeighted: fc.boolean(),
  dropLast: fc.boolean(),
  seed: fc.nat(1000),
});

function examplesOf(inputs: readonly number[], outputs: readonly number[]): Labelled[] {
  return inputs.map((input, i) => ({
    input: `in ${input}`,
    output: `out ${outputs[i]}`,
    inputEmb: [input],
    outputEmb: [outputs[i]!],
  }));
}

const countsOf = (values: Iterable<unknown>): Map<unknown, number> => {
  const counts = new Map<unknown, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
};
const commonest = (values: Iterable<unknown>): number => Math.max(0, ...countsOf(values).values());

describe('noDuplicates over all distributions of labels', () => {
  it('makes the fewest batches: no duplicates, all examples, even sizes, and the same batches for a seed and on resume', () => {
    fc.assert(
      fc.property(problem, ({ count, inputs, outputs, isWeighted, ...others }) => {
        const draw = mulberry32(others.seed);
        const data = examplesOf(sides[inputs]!(draw, count), sides[outputs]!(draw, count));
        const config = { ...others, ...(isWeighted && { sampleWeights: data.map((_, i) => (i % 4) + 1) }) };
        const options = { ...config, noDuplicates: true };
        const generator = new BatchGenerator(data, options);
        const drawn = new BatchGenerator(data, { ...config, dropLast: false });
        const { length } = generator;
        const half = new BatchGenerator(data, options);
        for (let i = 0; i < length >> 1; i++) half.next();
        const state = JSON.parse(JSON.stringify(half.stateDict())) as BatchGeneratorState;
        const resumed = new BatchGenerator(data, options);
        resumed.loadStateDict(state);

        const order = drawn.indices.map(i => data[i]!);
        const batches = [...generator].map(({ examples }) => examples);
        expect(batches).toHaveLength(length);
        expect([...resumed].map(({ examples }) => examples)).toEqual(batches.slice(length >> 1));
        for (const batch of batches) {
          expect(batch.length).toBeGreaterThan(0);
          expect(batch.length).toBeLessThanOrEqual(config.batchSize);
          expect(commonest(batch.map(({ input }) => input))).toBe(1);
          expect(commonest(batch.map(({ output }) => output))).toBe(1);
        }
        const sizes = batches.map(batch => batch.length);
        const used = countsOf(batches.flat());
        const available = countsOf(order);
        if (config.dropLast) {
          expect(sizes.every(size => size === config.batchSize)).toBe(true);
          for (const [example, times] of used) expect(times).toBeLessThanOrEqual(available.get(example)!);
          return;
        }
        const full = Math.ceil(count / config.batchSize);
        const fewest = Math.max(
          full,
          ...['input' as const, 'output' as const].map(side => commonest(order.map(each => each[side]))),
        );
        expect(length).toBe(fewest);
        expect(used).toEqual(available);
        if (fewest > full) expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      }),
      { numRuns: 400 },
    );
  });

  it('makes one batch per row of a grid, where every batch must have every label', () => {
    const cells = Array.from({ length: 30 * 30 }, (_, i) => [Math.floor(i / 30), i % 30] as const);
    const data = examplesOf(
      cells.map(([input]) => input),
      cells.map(([, output]) => output),
    );
    const generator = new BatchGenerator(data, { batchSize: 64, seed: 3, noDuplicates: true });
    const batches = [...generator];
    expect(batches.map(({ size }) => size)).toEqual(new Array(30).fill(30));
    for (const { examples } of batches) {
      expect(new Set(examples.map(({ input }) => input)).size).toBe(30);
      expect(new Set(examples.map(({ output }) => output)).size).toBe(30);
    }
    expect(new Set(batches.flatMap(({ examples }) => examples)).size).toBe(900);
  });

  it('draws from Math.random only for the order', () => {
    const data = examplesOf(sides['five']!(Math.random, 100), sides['five']!(Math.random, 100));
    const original = Math.random;
    let draws = 0;
    Math.random = () => {
      draws++;
      return original();
    };
    try {
      new BatchGenerator(data, { noDuplicates: true });
    } finally {
      Math.random = original;
    }
    expect(draws).toBe(99);
  });
});

describe('duplicatesBy', () => {
  const sizesOf = (texts: readonly [string, string][], duplicatesBy?: DuplicatesBy<Labelled>): number[] => {
    const data = texts.map(([input, output], i) => ({ input, output, inputEmb: [i], outputEmb: [i] }));
    const options = { shuffle: false, noDuplicates: true, ...(duplicatesBy && { duplicatesBy }) };
    return [...new BatchGenerator<Labelled>(data, options)].map(({ size }) => size);
  };
  const same = [1, 1];
  const apart = [2];

  it.each<[string, string, number[]]>([
    ['yes', 'yes', same],
    ['Yes.', 'yes', same],
    ['Yes!', 'YES?', same],
    ['yes  sir', ' Yes sir. ', same],
    ['caf\u00e9', 'cafe\u0301', same],
    ['soft\u00adware', 'software', same],
    ['ｆｕｌｌ', 'full', same],
    ['はい。', 'はい', same],
    ['...', '?', apart],
    ['C', 'C++', apart],
    ['C', 'C#', apart],
    ['1.5', '15', apart],
    ['yes', 'no', apart],
  ])("'text': %j and %j", (one, other, sizes) => {
    expect(
      sizesOf(
        [
          ['a', one],
          ['b', other],
        ],
        'text',
      ),
    ).toEqual(sizes);
    expect(
      sizesOf(
        [
          [one, 'a'],
          [other, 'b'],
        ],
        'text',
      ),
    ).toEqual(sizes);
    const exact = one === other ? same : apart;
    expect(
      sizesOf(
        [
          ['a', one],
          ['b', other],
        ],
        'exact',
      ),
    ).toEqual(exact);
    expect(
      sizesOf([
        ['a', one],
        ['b', other],
      ]),
    ).toEqual(exact);
  });

  it("'row' compares rows of any type on both sides, and ignores texts", () => {
    const row = [0.5, -0, 3];
    const data = [
      { input: 'a', output: 'x', inputEmb: row, outputEmb: [1] },
      { input: 'b', output: 'x', inputEmb: Float32Array.from(row, value => value + 0), outputEmb: [2] },
      { input: 'c', output: 'z', inputEmb: [9], outputEmb: Float64Array.of(1) },
      { input: 'a', output: 'z', inputEmb: [8], outputEmb: [3] },
    ];
    const batches = [...new BatchGenerator(data, { shuffle: false, noDuplicates: true, duplicatesBy: 'row' })];
    expect(batches.map(({ examples }) => examples.map(({ inputEmb }) => inputEmb[0]))).toEqual([
      [0.5, 8],
      [0.5, 9],
    ]);
  });

  it('a function’s key stands for the whole example', () => {
    const texts: [string, string][] = [
      ['a', 'x'],
      ['a', 'y'],
      ['b', 'y'],
    ];
    expect(sizesOf(texts, example => example.output)).toEqual([2, 1]);
    expect(sizesOf(texts, example => example.input.length)).toEqual([1, 1, 1]);
    expect(sizesOf(texts, example => BigInt(example.output.charCodeAt(0)))).toEqual([2, 1]);
    expect(sizesOf(texts, example => `${example.input}${example.output}`)).toEqual([3]);
    // The number 1 differs from the text 1.
    expect(sizesOf(texts, example => (example.output === 'x' ? '1' : 1))).toEqual([2, 1]);
  });

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    [Number.NaN, 'NaN'],
    [{}, 'an object'],
    [Promise.resolve('key'), 'a Promise'],
  ])('a key of %s is refused', (key, described) => {
    const by = (example: Labelled): string => (example.input === 'b' ? (key as unknown as string) : 'key');
    const message = `duplicatesBy must return a string, number or bigint, got ${described} for data[1]`;
    expect(() =>
      sizesOf(
        [
          ['a', 'x'],
          ['b', 'y'],
        ],
        by,
      ),
    ).toThrow(new TypeError(`BatchGenerator: ${message}`));
    const generator = new BatchGenerator<Labelled>(examplesOf([0, 1], [0, 1]), {
      shuffle: false,
      duplicatesBy: ({ input }) => (input === 'in 1' ? (key as unknown as string) : 'key'),
      negativeMining: { strategy: 'hardest' },
    });
    expect(() => generator.next()).toThrow(new TypeError(`BatchGenerator.next: ${message}`));
    expect(generator.currentIndex).toBe(0);
  });

  it('an error of the function leaves the generator unchanged', () => {
    let fails = false;
    const by = ({ output }: Labelled): string => {
      if (fails) throw new Error('no key');
      return output;
    };
    const generator = new BatchGenerator(examplesOf([0, 1, 2], [0, 0, 1]), {
      seed: 1,
      noDuplicates: true,
      duplicatesBy: by,
    });
    generator.next();
    const state = generator.stateDict();
    fails = true;
    expect(() => generator.reset()).toThrow('no key');
    expect(generator.stateDict()).toEqual(state);
  });

  it('decides which negatives are duplicates', () => {
    const data = ['Yes.', 'yes', 'no'].map((output, i) => ({
      input: `${i}`,
      output,
      inputEmb: [1, 0],
      outputEmb: [1, i],
    }));
    const minedBy = (duplicatesBy: 'exact' | 'text' | 'row' | ((example: { input: string }) => string)): unknown[] => {
      const options = { shuffle: false, duplicatesBy, negativeMining: { strategy: 'hardest' as const } };
      const { positives, negatives } = new BatchGenerator(data, options).next().value!;
      return negatives!.map(negative => positives.indexOf(negative));
    };
    expect(minedBy('exact')).toEqual([1, 0, 0]);
    expect(minedBy('text')).toEqual([2, 2, 0]);
    // All inputs are the same row.
    expect(minedBy('row')).toEqual([0, 1, 2]);
    expect(minedBy(({ input }) => (input === '0' ? 'a' : 'b'))).toEqual([1, 0, 0]);
  });

  it('accepts long texts', () => {
    const long = 'x'.repeat(300);
    expect(
      sizesOf([
        ['a', long],
        ['b', `${long}y`],
        ['c', long],
      ]),
    ).toEqual([2, 1]);
  });
});
