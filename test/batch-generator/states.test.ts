import { describe, expect, it, vi } from 'vitest';
import { BatchGenerator, type BatchGeneratorOptions, type EmbeddedExample } from '../../src/index.js';

const pairs = (count: number): (EmbeddedExample & { input: string; output: string })[] =>
  Array.from({ length: count }, (_, i) => ({
    input: `q${i}`,
    output: `a${i}`,
    inputEmb: Float32Array.of(1, i),
    outputEmb: Float32Array.of(i, 1),
  }));

describe('a state without a seed', () => {
  it.each<[string, BatchGeneratorOptions]>([
    ['sampleWeights, which draw examples several times', { sampleWeights: [9, 1, 1, 1, 1, 1] }],
    ['noDuplicates and dropLast, which skip examples', { noDuplicates: true, dropLast: true, batchSize: 4 }],
    ['noDuplicates', { noDuplicates: true }],
  ])('is loaded with %s', (_, options) => {
    const first = new BatchGenerator(pairs(6), { batchSize: 2, ...options });
    first.next();
    const state = JSON.parse(JSON.stringify(first.stateDict()));
    const second = new BatchGenerator(pairs(6), { batchSize: 2, ...options });
    second.loadStateDict(state);
    expect([...second]).toEqual([...first]);
  });

  it('is loaded with a changed order of a shard, which is a part of the whole', () => {
    const options: BatchGeneratorOptions = { batchSize: 2, seed: 1, shard: { rank: 1, worldSize: 2 } };
    const first = new BatchGenerator(pairs(6), options);
    first.indices = [...first.indices].reverse();
    const second = new BatchGenerator(pairs(6), options);
    second.loadStateDict(JSON.parse(JSON.stringify(first.stateDict())));
    expect([...second]).toEqual([...first]);
  });

  it('must hold a permutation where every example comes once', () => {
    const generator = new BatchGenerator(pairs(3));
    const state = generator.stateDict();
    expect(() => generator.loadStateDict({ ...state, order: { indices: [0, 0, 1] } })).toThrow(RangeError);
  });

  it('holds no order where nothing is drawn', () => {
    expect(new BatchGenerator(pairs(3), { shuffle: false }).stateDict()).not.toHaveProperty('order');
    expect(new BatchGenerator(pairs(3)).stateDict()).toHaveProperty('order');
  });
});

describe('the configuration in a state', () => {
  const base: BatchGeneratorOptions = { seed: 1, negativeMining: { strategy: 'hardest', maxSimilarity: 0.9 } };

  it.each<[string, BatchGeneratorOptions]>([
    ['strategy', { negativeMining: { strategy: 'random', maxSimilarity: 0.9 } }],
    ['maxSimilarity', { negativeMining: { strategy: 'hardest', maxSimilarity: 0.8 } }],
    ['relativeMargin', { negativeMining: { strategy: 'hardest', maxSimilarity: 0.9, relativeMargin: 0.1 } }],
    ['excludeDuplicates', { negativeMining: { strategy: 'hardest', maxSimilarity: 0.9, excludeDuplicates: false } }],
  ])('must have the same %s of negativeMining', (_, other) => {
    const state = new BatchGenerator(pairs(3), { ...base, ...other }).stateDict();
    const generator = new BatchGenerator(pairs(3), base);
    expect(() => generator.loadStateDict(state)).toThrow('negativeMining');
    expect(() => generator.loadStateDict(new BatchGenerator(pairs(3), base).stateDict())).not.toThrow();
  });

  it('has the weights as a hash', () => {
    const state = new BatchGenerator(pairs(3), { seed: 1, sampleWeights: [1, 2, 3] }).stateDict();
    expect(state.config['sampleWeights']).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe('sampleWeights', () => {
  it('are one per example, also of no examples', () => {
    expect(() => new BatchGenerator([], { sampleWeights: [] })).not.toThrow();
    expect(() => new BatchGenerator([], { sampleWeights: [1] })).toThrow(RangeError);
    expect(() => new BatchGenerator(pairs(1), { sampleWeights: [] })).toThrow(RangeError);
  });

  it('never draw an example of weight 0, also where the product of draw and sum is rounded up to the sum', () => {
    const random = vi.spyOn(Math, 'random').mockReturnValue(1 - 2 ** -53);
    try {
      expect(new BatchGenerator(pairs(3), { sampleWeights: [0, 5e-324, 0] }).indices).toEqual([1, 1, 1]);
    } finally {
      random.mockRestore();
    }
  });
});

describe('own negatives', () => {
  const withOwn = (own: object): EmbeddedExample[] => pairs(2).map(each => ({ ...each, ...own }));
  const batchOf = (own: object): unknown =>
    new BatchGenerator(withOwn(own), { shuffle: false }).next().value?.negatives?.map(row => Array.from(row));

  it('may be one row, or a list', () => {
    expect(batchOf({ negativeEmb: [5, 6] })).toEqual([
      [5, 6],
      [5, 6],
    ]);
    expect(batchOf({ negativeEmbs: [[5, 6]], negativeEmb: null })).toEqual([
      [5, 6],
      [5, 6],
    ]);
    for (const none of [{}, { negativeEmb: null }, { negativeEmb: undefined, negativeEmbs: null }])
      expect(batchOf(none)).toBeUndefined();
  });

  it.each<[string, object]>([
    ['data[0].negativeEmb must be a Float32Array', { negativeEmb: 1 }],
    ['data[0].negativeEmb[1] must be finite, got NaN', { negativeEmb: [1, Number.NaN] }],
    ['data[0].negativeEmbs must be an array', { negativeEmbs: 1 }],
    ['data[0].negativeEmbs[1] must be a Float32Array', { negativeEmbs: [[1, 2], 'x'] }],
    [
      'data[0].negativeEmbs[1][0] must be finite, got Infinity',
      {
        negativeEmbs: [
          [1, 2],
          [Infinity, 0],
        ],
      },
    ],
    ['data[0] has both negativeEmb and negativeEmbs', { negativeEmb: [1, 2], negativeEmbs: [[1, 2]] }],
  ])('are refused where %s', (message, own) => {
    expect(() => batchOf(own)).toThrow(`BatchGenerator: ${message}`);
  });
});

it('an empty row is refused, of every type', () => {
  for (const row of [new Float32Array(0), new Float64Array(0), []])
    expect(() => new BatchGenerator([{ inputEmb: Float32Array.of(1), outputEmb: row }])).toThrow(
      'data[0].outputEmb is empty',
    );
});

describe('duplicates', () => {
  it('by text end in any number of marks and spaces', () => {
    const data = pairs(4);
    for (const [i, input] of ['What is it', 'What is it?!', 'what is it ...', 'What is it not'].entries())
      data[i]!.input = input;
    const options = { noDuplicates: true, duplicatesBy: 'text', batchSize: 4, shuffle: false } as const;
    expect(new BatchGenerator(data, options).length).toBe(3);
  });

  it('by a function that fails in mid-epoch are named by their place in the data', () => {
    const data = pairs(6);
    let isBad = false;
    const generator = new BatchGenerator(data, {
      shuffle: false,
      batchSize: 2,
      negativeMining: { strategy: 'random' },
      duplicatesBy: ({ input }) => (isBad && input === 'q3' ? (undefined as never) : input!),
    });
    isBad = true;
    generator.next();
    expect(() => generator.next()).toThrow('for data[3]');
  });
});

describe('negativeMining near its limits', () => {
  const rows = (outputs: number[][], negativeMining: BatchGeneratorOptions['negativeMining']): number[][] => {
    const data = outputs.map((outputEmb, i) => ({ inputEmb: [1, 0], outputEmb, output: `${i}`, input: `${i}` }));
    const generator = new BatchGenerator(data, { shuffle: false, ...(negativeMining && { negativeMining }) });
    return generator.next().value!.negatives!.map(row => Array.from(row));
  };

  it('semi-hard takes no output that is just as similar as the positive', () => {
    const outputs = [
      [3, 4],
      [3, -4],
      [0, 1],
    ];
    expect(rows(outputs, { strategy: 'semi-hard' }).slice(0, 2)).toEqual([
      [0, 1],
      [0, 1],
    ]);
  });

  it('maxSimilarity takes an output that is just as similar, and none that is more similar by 1e-12', () => {
    const outputs = [
      [1, 0],
      [3, 4],
      [0, 1],
    ];
    const similarity = new BatchGenerator(pairs(1))._cosineSimilarity([1, 0], [3, 4]);
    for (const strategy of ['hardest', 'semi-hard'] as const) {
      expect(rows(outputs, { strategy, maxSimilarity: similarity })[0]).toEqual([3, 4]);
      expect(rows(outputs, { strategy, maxSimilarity: similarity - 1e-12 })[0]).toEqual([0, 1]);
    }
  });
});

it('hard negatives by an overridden similarity are the first of equally similar rows', () => {
  class Constant extends BatchGenerator<EmbeddedExample> {
    override _cosineSimilarity(): number {
      return 0;
    }
  }
  const batch = new Constant(pairs(4), { shuffle: false, hardNegatives: true }).next().value!;
  expect(batch.negatives!.map(row => row[0])).toEqual([1, 0, 0, 0]);
});
