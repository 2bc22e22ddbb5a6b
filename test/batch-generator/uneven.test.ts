import { describe, expect, it } from 'vitest';
import { type Batch, BatchGenerator, type BatchGeneratorOptions, type EmbeddedExample } from '../../src/index.js';

type Pair = EmbeddedExample & { input: string; output: string };
const pair = (input: string, output: string, i: number): Pair => ({
  input,
  output,
  inputEmb: Float32Array.of(i, 1),
  outputEmb: Float32Array.of(1, i),
});
const distinct = (count: number): Pair[] => Array.from({ length: count }, (_, i) => pair(`q${i}`, `a${i}`, i));
/** Four of seven have one output, so that batches of up to four hold two, two, two and one. */
const repeating = ['a', 'a', 'b', 'a', 'c', 'a', 'd'].map((output, i) => pair(`q${i}`, output, i));
const numbersIn = ({ anchors }: Batch<Pair>): number[] => anchors.map(row => row[0]!);
const stepsOf = (generator: BatchGenerator<Pair>, total: number): number[] =>
  Array.from(generator.epochs(total), ({ step }) => step);

describe('batches of unequal sizes', () => {
  const options: BatchGeneratorOptions = { noDuplicates: true, batchSize: 4, seed: 1 };

  it('are resumed after each of them', () => {
    const whole = Array.from(new BatchGenerator(repeating, options), numbersIn);
    expect(whole.map(numbers => numbers.length)).toEqual([2, 2, 2, 1]);
    for (let done = 0; done <= whole.length; done++) {
      const first = new BatchGenerator(repeating, options);
      for (let i = 0; i < done; i++) first.next();
      const state = JSON.parse(JSON.stringify(first.stateDict()));
      expect(state).not.toHaveProperty('order');
      const second = new BatchGenerator(repeating, options);
      second.loadStateDict(state);
      expect(second.remaining).toBe(whole.length - done);
      expect(Array.from(second, numbersIn)).toEqual(whole.slice(done));
    }
  });

  it('are counted from where a caller sets currentIndex', () => {
    const generator = new BatchGenerator(repeating, options);
    generator.currentIndex = 4;
    expect(generator.remaining).toBe(2);
    expect(stepsOf(generator, 1)).toEqual([2, 3]);
  });
});

describe('a position in a state', () => {
  const options: BatchGeneratorOptions = { batchSize: 2, seed: 1 };

  it('may be the end of the epoch, also behind a smaller batch', () => {
    const generator = new BatchGenerator(distinct(5), options);
    for (const _ of generator);
    const other = new BatchGenerator(distinct(5), options);
    const state = generator.stateDict();
    expect(state).not.toHaveProperty('order');
    other.loadStateDict(state);
    expect([other.remaining, other.next().done]).toEqual([0, true]);
  });

  it.each([1, 3, 6])('must be where a batch starts, not %i', currentIndex => {
    const generator = new BatchGenerator(distinct(5), options);
    expect(() => generator.loadStateDict({ ...generator.stateDict(), currentIndex })).toThrow(RangeError);
  });
});

describe('numbers of steps', () => {
  it.each<[string, BatchGeneratorOptions]>([
    ['dropLast', { dropLast: true }],
    ['sampleWeights', { sampleWeights: [1, 2, 3, 4, 5, 6, 7] }],
    ['both', { dropLast: true, sampleWeights: [1, 2, 3, 4, 5, 6, 7] }],
  ])('of a distant epoch are the batches of the epochs before it, where %s makes their lengths differ', (_, more) => {
    const options: BatchGeneratorOptions = { ...more, noDuplicates: true, batchSize: 2, seed: 3 };
    const lengths = Array.from({ length: 8 }, (__, epoch) => {
      const generator = new BatchGenerator(repeating, options);
      generator.setEpoch(epoch);
      return generator.length;
    });
    for (let epoch = 0; epoch < 8; epoch++) {
      const generator = new BatchGenerator(repeating, options);
      generator.setEpoch(epoch);
      const before = lengths.slice(0, epoch).reduce((sum, length) => sum + length, 0);
      expect(generator.stateDict().stepsBefore).toBe(before);
      expect(stepsOf(generator, epoch + 1)).toEqual(Array.from({ length: lengths[epoch]! }, (__, i) => before + i));
    }
    if (more.sampleWeights) expect(new Set(lengths).size).toBeGreaterThan(1);
  });

  it('continue from those of a state', () => {
    const generator = new BatchGenerator(distinct(4), { batchSize: 2, seed: 1 });
    generator.setEpoch(2);
    generator.loadStateDict({ ...generator.stateDict(), stepsBefore: 70 });
    expect(stepsOf(generator, 4)).toEqual([70, 71, 72, 73]);
  });

  it('keep the batches that were made before the data changed, from any epoch on', () => {
    const generator = new BatchGenerator(distinct(4), { batchSize: 2, seed: 1 });
    generator.setEpoch(3);
    for (const _ of generator);
    generator.reset();
    for (const _ of generator);
    generator.data = distinct(20);
    expect(generator.stateDict().stepsBefore).toBe(8);
  });

  it.each<[string, (generator: BatchGenerator<Pair>) => void]>([
    ['other data', generator => (generator.data = distinct(12))],
    ['another configuration', generator => (generator.config = { ...generator.config, batchSize: 1 })],
  ])('start anew at setEpoch with %s', (_, change) => {
    const generator = new BatchGenerator(distinct(6), { batchSize: 3, seed: 1 });
    stepsOf(generator, 2);
    change(generator);
    generator.setEpoch(2);
    expect(generator.stateDict().stepsBefore).toBe(2 * generator.length);
    generator.setEpoch(1);
    expect(generator.stateDict().stepsBefore).toBe(generator.length);
  });

  it('are known after a state whose order was changed', () => {
    const generator = new BatchGenerator(distinct(6), { batchSize: 2, seed: 1 });
    generator.indices = [5, 4, 3, 2, 1, 0];
    const other = new BatchGenerator(distinct(6), { batchSize: 2, seed: 1 });
    other.loadStateDict(generator.stateDict());
    other.setEpoch(1);
    expect(other.stateDict().stepsBefore).toBe(3);
  });

  it('of no data are none, and no epoch passes', () => {
    for (const dropLast of [false, true]) {
      const generator = new BatchGenerator<Pair>([], { noDuplicates: true, dropLast });
      expect(stepsOf(generator, 3)).toEqual([]);
      expect(generator.epoch).toBe(0);
    }
  });
});

describe('the length of a shard', () => {
  it.each(['repeat', 'none'] as const)('is the number of its batches, with pad %o', pad => {
    for (let count = 1; count < 12; count++) {
      for (let worldSize = 1; worldSize < 5; worldSize++) {
        for (let rank = 0; rank < worldSize; rank++) {
          const generator = new BatchGenerator(distinct(count), {
            batchSize: 2,
            seed: 1,
            shard: { rank, worldSize, pad },
          });
          const { length, remaining } = generator;
          expect([length, remaining]).toEqual(Array(2).fill([...generator].length));
        }
      }
    }
  });
});
