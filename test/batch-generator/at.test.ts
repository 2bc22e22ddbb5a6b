import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BatchGenerator, type BatchGeneratorOptions } from '../../src/index.js';

const examplesOf = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    input: `question ${i % 7}`,
    output: `answer ${i % 11}`,
    inputEmb: [Math.sin(i), Math.cos(3 * i), i % 7],
    outputEmb: [Math.cos(i), Math.sin(5 * i), i % 11],
    quality: (i % 5) / 5,
  }));

const options = fc.record(
  {
    batchSize: fc.integer({ min: 1, max: 7 }),
    seed: fc.integer({ min: 0, max: 100 }),
    dropLast: fc.boolean(),
    noDuplicates: fc.boolean(),
    curriculum: fc.boolean(),
    hardNegatives: fc.boolean(),
    shard: fc.constantFrom(undefined, { rank: 1, worldSize: 2 }),
    isWeighted: fc.boolean(),
  },
  { requiredKeys: ['batchSize', 'seed'] },
);

describe('BatchGenerator.at', () => {
  it('gives the batch of each step, in any order, and leaves the generator where it stands', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), options, fc.infiniteStream(fc.nat()), (count, given, draws) => {
        const { isWeighted, ...rest } = given;
        const data = examplesOf(count);
        const config: BatchGeneratorOptions = {
          ...(rest as BatchGeneratorOptions),
          ...(isWeighted && { sampleWeights: data.map((_, i) => 1 + (i % 3)) }),
        };
        let steps: unknown[];
        try {
          steps = [...new BatchGenerator(data, config).epochs(4)];
        } catch (error) {
          // A shard may lack an example.
          fc.pre(!(error instanceof RangeError));
          throw error;
        }
        fc.pre(steps.length > 0 && new BatchGenerator(data, config).length > 0);
        const batches = new BatchGenerator(data, config);
        const standing = JSON.stringify(batches.stateDict());
        for (let i = 0; i < 8; i++) {
          const step = draws.next().value % steps.length;
          expect(batches.at(step)).toEqual(steps[step]);
        }
        expect(JSON.stringify(batches.stateDict())).toBe(standing);
        expect([...batches.epochs(4)]).toEqual(steps);
      }),
      { numRuns: 150 },
    );
  });

  it('needs no seed where the order does not depend on chance', () => {
    const batches = new BatchGenerator(examplesOf(5), { batchSize: 2, shuffle: false });
    expect(batches.at(5)).toMatchObject({ epoch: 1, step: 5, batch: { size: 1 } });
  });

  it('sees data and options that were changed', () => {
    const batches = new BatchGenerator(examplesOf(4), { batchSize: 2, seed: 1 });
    expect(batches.at(2).epoch).toBe(1);
    batches.data.push(...examplesOf(4));
    expect(batches.at(2).epoch).toBe(0);
    batches.config.batchSize = 8;
    expect(batches.at(2)).toMatchObject({ epoch: 2, batch: { size: 8 } });
  });

  it.each<[string, () => unknown]>([
    [
      'BatchGenerator.at: step must be an integer of at least 0, got -1',
      () => new BatchGenerator(examplesOf(3), { seed: 1 }).at(-1),
    ],
    [
      'BatchGenerator.at: step must be an integer of at least 0, got 1.5',
      () => new BatchGenerator(examplesOf(3), { seed: 1 }).at(1.5),
    ],
    [
      'BatchGenerator.at: seed is missing, so the order cannot be made again',
      () => new BatchGenerator(examplesOf(3)).at(0),
    ],
    ['BatchGenerator.at: data of 0 examples make no batch', () => new BatchGenerator([], { seed: 1 }).at(0)],
    [
      'BatchGenerator.at: data of 3 examples make no batch',
      () => new BatchGenerator(examplesOf(3), { batchSize: 4, dropLast: true, seed: 1 }).at(0),
    ],
  ])('%s', (message, call) => {
    expect(call).toThrow(message);
  });
});
