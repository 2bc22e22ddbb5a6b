import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BatchGenerator, type BatchGeneratorOptions } from '../../src/index.js';
import { withMathRandom } from '../support/golden.js';

interface Pair {
  input: string;
  output: string;
  inputEmb: number[];
  outputEmb: number[];
  quality: number;
}

/** Pairs whose inputs and outputs repeat in the pattern of these numbers. */
function pairs(inputs: readonly number[], outputs: readonly number[] = inputs): Pair[] {
  return inputs.map((input, i) => ({
    input: `in ${input}`,
    output: `out ${outputs[i]}`,
    inputEmb: [input, 1],
    outputEmb: [1, outputs[i]!],
    quality: (i % 3) / 2,
  }));
}

const distinct = (count: number): Pair[] => pairs(Array.from({ length: count }, (_, i) => i));
const sorted = (values: Iterable<number>): number[] => [...values].sort((a, b) => a - b);

/** For each batch of the epoch, the positions of its examples in the data. */
function epochOf(generator: BatchGenerator<Pair>): number[][] {
  return [...generator].map(batch => batch.examples.map(example => generator.data.indexOf(example)));
}

describe('setEpoch', () => {
  it('starts any epoch as an uninterrupted run would', () => {
    const generator = new BatchGenerator(distinct(9), { batchSize: 2, seed: 5 });
    const whole = [...generator.epochs(4)];
    generator.setEpoch(2);
    expect([...generator.epochs(4)]).toEqual(whole.filter(({ epoch }) => epoch >= 2));
  });
});

describe('seed null', () => {
  it('means no seed', () =>
    withMathRandom(1, draws => {
      const generator = new BatchGenerator(distinct(6), { seed: null as unknown as number });
      expect(draws()).toBe(5);
      expect(generator.stateDict().order).toBeDefined();
    }));
});

describe('an order that fails', () => {
  it('leaves the generator unchanged', () => {
    class Failing extends BatchGenerator<Pair> {
      override _createIndices(): number[] {
        if (this.epoch > 0) throw new Error('no order');
        return super._createIndices();
      }
    }
    const generator = new Failing(distinct(6), { batchSize: 2, seed: 1 });
    generator.next();
    expect(() => generator.reset()).toThrow('no order');
    expect(() => generator.setEpoch(3)).toThrow('no order');
    expect([generator.epoch, generator.currentIndex, generator.remaining]).toEqual([0, 2, 2]);
  });
});

describe('shard', () => {
  const union = fc.record({
    count: fc.integer({ min: 1, max: 30 }),
    worldSize: fc.integer({ min: 1, max: 9 }),
    batchSize: fc.integer({ min: 1, max: 4 }),
    shuffle: fc.boolean(),
    curriculum: fc.boolean(),
  });

  it('without padding: the shards together have each example once, and their sizes differ by at most one', () => {
    fc.assert(
      fc.property(union, ({ count, worldSize, ...config }) => {
        const data = distinct(count);
        const shards = Array.from(
          { length: worldSize },
          (_, rank) => new BatchGenerator(data, { ...config, seed: 3, shard: { rank, worldSize, pad: 'none' } }),
        );
        const sizes = shards.map(shard => shard.indices.length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        for (const shard of shards) expect(shard.length).toBe(Math.ceil(shard.indices.length / config.batchSize));
        expect(sorted(shards.flatMap(shard => epochOf(shard).flat()))).toEqual(data.map((_, i) => i));
      }),
    );
  });

  it('with padding: shards of equal length that together have all examples and the fewest repeats', () => {
    fc.assert(
      fc.property(union, ({ count, worldSize, ...config }) => {
        const data = distinct(count);
        const shards = Array.from(
          { length: worldSize },
          (_, rank) => new BatchGenerator(data, { ...config, seed: 3, shard: { rank, worldSize } }),
        );
        expect(new Set(shards.map(shard => shard.length)).size).toBe(1);
        const all = shards.flatMap(shard => epochOf(shard).flat());
        expect(all).toHaveLength(Math.ceil(count / worldSize) * worldSize);
        expect(new Set(all).size).toBe(count);
      }),
    );
  });

  it('takes every worldSize-th example of the order of a single generator', () => {
    const { indices } = new BatchGenerator(distinct(7), { seed: 1 });
    const shard = new BatchGenerator(distinct(7), { seed: 1, shard: { rank: 1, worldSize: 3 } });
    expect(shard.indices).toEqual([indices[1], indices[4], indices[0]]);
  });
});

describe('shard with noDuplicates', () => {
  const problem = fc
    .record({
      count: fc.integer({ min: 1, max: 60 }),
      inputs: fc.integer({ min: 1, max: 60 }),
      outputs: fc.integer({ min: 1, max: 60 }),
    })
    .chain(({ count, inputs, outputs }) =>
      fc.record({
        inputs: fc.array(fc.nat(inputs - 1), { minLength: count, maxLength: count }),
        outputs: fc.array(fc.nat(outputs - 1), { minLength: count, maxLength: count }),
        batchSize: fc.integer({ min: 1, max: 5 }),
        worldSize: fc.integer({ min: 1, max: 4 }),
        pad: fc.constantFrom('repeat', 'none'),
        dropLast: fc.boolean(),
        isWeighted: fc.boolean(),
        seed: fc.nat(99),
      }),
    );

  it('gives all workers equally many batches, steps without duplicates, and every example', () => {
    let [cases, made] = [0, 0];
    fc.assert(
      fc.property(problem, ({ inputs, outputs, worldSize, pad, isWeighted, ...config }) => {
        cases++;
        const data = pairs(inputs, outputs);
        const weights = isWeighted && { sampleWeights: inputs.map((_, i) => (i % 3) + 1) };
        const whole = { ...config, ...weights, noDuplicates: true };
        const alone = new BatchGenerator(data, { ...whole, batchSize: config.batchSize * worldSize });
        for (let epoch = 0; epoch < 3; epoch++) {
          alone.setEpoch(epoch);
          const { length, indices } = alone;
          const workerAt = (rank: number): BatchGenerator<Pair> => {
            const worker = new BatchGenerator<Pair>([], {
              ...whole,
              sampleWeights: [],
              shard: { rank, worldSize, pad },
            });
            worker.config = { ...worker.config, ...weights };
            if (!weights) delete worker.config.sampleWeights;
            worker.data = data;
            worker.setEpoch(epoch);
            return worker;
          };
          if (indices.length < length * worldSize) {
            // A step has fewer examples than there are workers.
            if (pad === 'none')
              expect(() => workerAt(0)).toThrow(/^BatchGenerator\.setEpoch: shard and noDuplicates leave/);
            continue;
          }
          made++;
          const workers = Array.from({ length: worldSize }, (_, rank) => workerAt(rank));
          expect(new Set(workers.map(worker => worker.length))).toEqual(new Set([length]));
          const ofWorkers = workers.map(epochOf);
          for (let step = 0; step < length; step++) {
            const parts = ofWorkers.map(batches => batches[step]!);
            const sizes = parts.map(part => part.length);
            expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
            expect(Math.min(...sizes)).toBeGreaterThan(0);
            expect(Math.max(...sizes)).toBeLessThanOrEqual(config.batchSize);
            if (config.dropLast) expect(Math.min(...sizes)).toBe(config.batchSize);
            for (const labels of [inputs, outputs])
              expect(new Set(parts.flat().map(i => labels[i])).size).toBe(parts.flat().length);
          }
          const all = ofWorkers.flat(2);
          if (pad === 'none') expect(sorted(all)).toEqual(sorted(indices));
          else expect(new Set(all)).toEqual(new Set(indices));
        }
      }),
      { numRuns: 300 },
    );
    expect(made).toBeGreaterThan(cases);
  });

  it('equals the plain shard where there are no duplicates', () => {
    for (const [count, pad] of [
      [48, 'none'],
      [47, 'none'],
      [48, 'repeat'],
      [46, 'repeat'],
      [49, 'repeat'],
    ] as const) {
      for (const rank of [0, 1, 2]) {
        const config = { batchSize: 4, seed: 2, shard: { rank, worldSize: 3, pad } };
        const plain = new BatchGenerator(distinct(count), config);
        expect(epochOf(new BatchGenerator(distinct(count), { ...config, noDuplicates: true }))).toEqual(epochOf(plain));
      }
    }
  });

  it('fills a step with examples of other steps, and repeats them equally often', () => {
    const outputs = Array.from({ length: 40 }, (_, i) => (i < 30 ? 0 : 1));
    const data = pairs(
      outputs.map((_, i) => i),
      outputs,
    );
    const config = { batchSize: 1, seed: 1, noDuplicates: true };
    const workers = [0, 1].map(rank => epochOf(new BatchGenerator(data, { ...config, shard: { rank, worldSize: 2 } })));
    expect(workers.map(batches => batches.length)).toEqual([30, 30]);
    const counts = outputs.map((_, i) => workers.flat(2).filter(index => index === i).length);
    expect(counts.slice(0, 30).every(count => count === 1)).toBe(true);
    expect(counts.slice(30).every(count => count === 3)).toBe(true);
  });

  it('accepts parts that differ by one where no other example fits, and refuses a worker without an example', () => {
    const outputs = Array.from({ length: 20 }, (_, i) => i % 5);
    const data = pairs(
      outputs.map((_, i) => i),
      outputs,
    );
    const config = { batchSize: 8, seed: 1, noDuplicates: true };
    const sizes = (rank: number, worldSize: number): number[] =>
      epochOf(new BatchGenerator(data, { ...config, shard: { rank, worldSize } })).map(batch => batch.length);
    expect([sizes(0, 2), sizes(1, 2)]).toEqual([
      [3, 3, 3, 3],
      [2, 2, 2, 2],
    ]);
    expect(() => sizes(0, 6)).toThrow(
      'BatchGenerator: shard and noDuplicates leave 5 examples for 6 workers in a step; there are no more without duplicates',
    );
    const none = { ...config, shard: { rank: 0, worldSize: 6, pad: 'none' as const } };
    expect(() => new BatchGenerator(data, none)).toThrow(
      "BatchGenerator: shard and noDuplicates leave 5 examples for 6 workers in a step; pad: 'none' repeats none",
    );
  });
});

describe('sampleWeights', () => {
  it('draw in proportion, and never draw an example of weight 0', () => {
    const weights = [0, 1, 0, 3, 0];
    const counts = [0, 0, 0, 0, 0];
    for (let seed = 0; seed < 2000; seed++) {
      const { indices } = new BatchGenerator(distinct(5), { seed, sampleWeights: weights });
      expect(indices).toHaveLength(5);
      for (const index of indices) counts[index]!++;
    }
    expect([counts[0], counts[2], counts[4]]).toEqual([0, 0, 0]);
    // Within 5 standard deviations.
    expect(Math.abs(counts[3]! - 7500)).toBeLessThan(5 * Math.sqrt(10_000 * 0.75 * 0.25));
  });

  it('without shuffle keep the order of the data', () => {
    const { indices } = new BatchGenerator(distinct(20), {
      seed: 1,
      shuffle: false,
      sampleWeights: new Array(20).fill(1),
    });
    expect(indices).toEqual(sorted(indices));
    expect(new Set(indices).size).toBeLessThan(20);
  });

  it('draw from Math.random once per example without a seed', () =>
    withMathRandom(1, draws => {
      new BatchGenerator(distinct(6), { sampleWeights: [1, 1, 1, 1, 1, 1] });
      expect(draws()).toBe(6);
    }));
});

describe('noDuplicates', () => {
  /** Data with labels from almost distinct to a few in all. */
  const problem = fc
    .record({
      count: fc.integer({ min: 1, max: 60 }),
      inputs: fc.integer({ min: 1, max: 40 }),
      outputs: fc.integer({ min: 1, max: 40 }),
    })
    .chain(({ count, inputs, outputs }) =>
      fc.record({
        inputs: fc.array(fc.nat(inputs - 1), { minLength: count, maxLength: count }),
        outputs: fc.array(fc.nat(outputs - 1), { minLength: count, maxLength: count }),
        batchSize: fc.integer({ min: 1, max: 12 }),
        curriculum: fc.boolean(),
        seed: fc.nat(99),
      }),
    );
  const commonest = (labels: readonly number[]): number =>
    Math.max(...labels.map(label => labels.filter(other => other === label).length));

  it('makes batches without equal inputs or outputs, uses all examples, and makes as few batches as possible', () => {
    fc.assert(
      fc.property(problem, ({ inputs, outputs, batchSize, curriculum, seed }) => {
        const generator = new BatchGenerator(pairs(inputs, outputs), {
          batchSize,
          curriculum,
          seed,
          noDuplicates: true,
        });
        const fewest = Math.max(commonest(inputs), commonest(outputs), Math.ceil(inputs.length / batchSize));
        expect([generator.length, generator.remaining]).toEqual([fewest, fewest]);
        const batches = epochOf(generator);
        expect(batches).toHaveLength(fewest);
        expect(generator.remaining).toBe(0);
        expect(sorted(batches.flat())).toEqual(inputs.map((_, i) => i));
        const sizes = batches.map(batch => batch.length);
        if (fewest > Math.ceil(inputs.length / batchSize))
          expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        for (const batch of batches) {
          expect(batch.length).toBeGreaterThan(0);
          expect(batch.length).toBeLessThanOrEqual(batchSize);
          expect(new Set(batch.map(i => inputs[i])).size).toBe(batch.length);
          expect(new Set(batch.map(i => outputs[i])).size).toBe(batch.length);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('with dropLast skips the batches that are not full, and counts the others', () => {
    fc.assert(
      fc.property(problem, ({ inputs, outputs, batchSize, seed }) => {
        const config = { batchSize, seed, noDuplicates: true, dropLast: true };
        const generator = new BatchGenerator(pairs(inputs, outputs), config);
        const { length } = generator;
        const batches = epochOf(generator);
        expect(batches).toHaveLength(length);
        expect(batches.every(batch => batch.length === batchSize)).toBe(true);
        expect(new Set(batches.flat()).size).toBe(length * batchSize);
      }),
    );
  });

  it('cuts as usual where there are no duplicates', () => {
    const plain = new BatchGenerator(distinct(50), { seed: 2 });
    expect(epochOf(new BatchGenerator(distinct(50), { seed: 2, noDuplicates: true }))).toEqual(epochOf(plain));
  });

  it('spreads a common output evenly, rather than making batches of one', () => {
    const outputs = [...new Array(6).fill(0), 1, 2, 3, 4, 5, 6];
    const generator = new BatchGenerator(
      pairs(
        outputs.map((_, i) => i),
        outputs,
      ),
      { batchSize: 4, seed: 1, noDuplicates: true },
    );
    expect(epochOf(generator).map(batch => batch.length)).toEqual([2, 2, 2, 2, 2, 2]);
  });

  it('compares rows by their numbers where there are no texts, for rows of every type', () => {
    const rows = [[1, 2], Float32Array.of(1, 2), [0, 1], [-0, 1]];
    const data = rows.map((row, i) => ({ inputEmb: row, outputEmb: [i] }));
    const generator = new BatchGenerator(data, { batchSize: 4, noDuplicates: true, shuffle: false });
    expect([...generator].map(batch => batch.size)).toEqual([2, 2]);
  });

  it('uses the earliest examples that fit, so a few duplicates change the order little', () => {
    // Every tenth example has the output of the one before it.
    const outputs = Array.from({ length: 1000 }, (_, i) => (i % 10 === 9 ? i - 1 : i));
    const inputs = outputs.map((_, i) => i);
    const generator = new BatchGenerator(pairs(inputs, outputs), { batchSize: 8, shuffle: false, noDuplicates: true });
    const moved = epochOf(generator).flatMap((batch, place) => batch.map(i => Math.abs(Math.floor(i / 8) - place)));
    expect(Math.max(...moved)).toBeLessThanOrEqual(1);
  });

  it('with dropLast makes as many full batches as possible where one side repeats', () => {
    fc.assert(
      fc.property(problem, ({ outputs, batchSize, seed }) => {
        const inputs = outputs.map((_, i) => i);
        const config = { batchSize, seed, noDuplicates: true, dropLast: true };
        const counts = [...new Set(outputs)].map(label => outputs.filter(other => other === label).length);
        // This many batches can be full if labels, each used at most this often, fill them.
        const fills = (batches: number): boolean =>
          counts.reduce((sum, count) => sum + Math.min(count, batches), 0) >= batches * batchSize;
        let most = 0;
        while (fills(most + 1)) most++;
        expect(new BatchGenerator(pairs(inputs, outputs), config).length).toBe(most);
      }),
    );
  });

  it('counts steps exactly where epochs have different lengths', () => {
    const inputs = Array.from({ length: 30 }, (_, i) => i % 11);
    for (const config of [
      { dropLast: true },
      { sampleWeights: inputs.map(input => input + 1) },
      { shard: { rank: 0, worldSize: 2 } },
    ] satisfies BatchGeneratorOptions[]) {
      const options = { ...config, batchSize: 4, seed: 1, noDuplicates: true };
      const generator = new BatchGenerator(pairs(inputs), options);
      const whole = [...generator.epochs(5)];
      expect(whole.map(({ step }) => step)).toEqual(whole.map((_, i) => i));
      const later = new BatchGenerator(pairs(inputs), options);
      later.setEpoch(3);
      expect([...later.epochs(5)]).toEqual(whole.filter(({ epoch }) => epoch >= 3));
    }
  });
});
