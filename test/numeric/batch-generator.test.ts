import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BatchGenerator, type BatchGeneratorOptions, type EmbeddedExample, type Vector } from '../../src/index.js';
import { Farthest } from '../support/farthest.js';
import { readGolden, withMathRandom } from '../support/golden.js';

interface OriginalCase {
  config: BatchGeneratorOptions;
  seed: number;
  data: { inputEmb: number[]; outputEmb: number[]; quality: number }[];
  epochs: {
    length: number;
    remaining: number[];
    batches: { order: number[]; negatives: number[] | null; size: number }[];
  }[];
}

describe('the original’s answers', () => {
  const { cases } = readGolden<{ cases: OriginalCase[] }>('batch-generator');

  it.each(cases)('config $config', async ({ config, seed, data: rows, epochs }) => {
    const data = rows.map(({ inputEmb, outputEmb, quality }) => ({
      inputEmb: Float32Array.from(inputEmb),
      outputEmb: Float32Array.from(outputEmb),
      // The original reads a quality of 0 as 1, and the port reads it as 0, so the port gets 1 here.
      quality: quality || 1,
    }));
    await withMathRandom(seed, () => {
      const generator = new BatchGenerator(data, config);
      epochs.forEach((golden, epoch) => {
        if (epoch > 0) generator.reset();
        expect(generator.length).toBe(golden.length);
        const remaining = [generator.remaining];
        const batches = [];
        for (const batch of generator) {
          remaining.push(generator.remaining);
          expect(batch.anchors).toEqual(batch.examples.map(each => each.inputEmb));
          expect(batch.positives).toEqual(batch.examples.map(each => each.outputEmb));
          batches.push({
            order: batch.examples.map(each => data.indexOf(each)),
            negatives: batch.negatives?.map(negative => data.findIndex(each => each.outputEmb === negative)) ?? null,
            size: batch.size,
          });
        }
        expect(batches).toEqual(golden.batches);
        expect(remaining).toEqual(golden.remaining);
      });
    });
  });

  it('draws once per element except the first, and never without shuffle or with a seed', async () => {
    await withMathRandom(1, draws => {
      new BatchGenerator(examples(10), { shuffle: false });
      new BatchGenerator(examples(10), { seed: 1 });
      expect(draws()).toBe(0);
      new BatchGenerator(examples(10)).reset();
      expect(draws()).toBe(18);
    });
  });
});

describe('one epoch', () => {
  it('is its own iterator, and stays done until reset', () => {
    const generator = new BatchGenerator(examples(5), { batchSize: 2 });
    expect([...generator].map(batch => batch.size)).toEqual([2, 2, 1]);
    expect([...generator]).toEqual([]);
    generator.reset();
    expect(generator.epoch).toBe(1);
    expect([...generator]).toHaveLength(3);
  });

  it('has no batches without data', () => {
    const generator = new BatchGenerator([], { batchSize: 2 });
    expect([...generator]).toEqual([]);
    expect([generator.length, generator.remaining]).toEqual([0, 0]);
    expect([...generator.epochs(1e9)]).toEqual([]);
  });

  it('is sorted by quality with 0 below all, and keeps the order of the shuffle in ties', () => {
    const data = [{ quality: 0 }, { quality: 1 }, {}, { quality: 0.5 }].map(each => ({
      inputEmb: [1],
      outputEmb: [1],
      ...each,
    }));
    const generator = new BatchGenerator(data, { curriculum: true, curriculumEpochs: 1, shuffle: false });
    expect(generator.indices).toEqual([1, 2, 3, 0]);
    generator.reset();
    expect(generator.indices).toEqual([0, 1, 2, 3]);
  });
});

describe('hard negatives', () => {
  it('are the most similar positives of other rows, as a plain search finds them', () => {
    const rows = fc.array(fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 3, maxLength: 3 }), {
      minLength: 4,
      maxLength: 12,
    });
    fc.assert(
      fc.property(rows, inputs => {
        const data = inputs
          .slice(0, inputs.length & ~1)
          .map((row, i, all) => ({ inputEmb: row, outputEmb: all[all.length - 1 - i]! }));
        const generator = new BatchGenerator(data, { batchSize: data.length, hardNegatives: true, shuffle: false });
        const { anchors, positives, negatives } = generator.next().value!;
        anchors.forEach((anchor, i) => {
          const others = positives.filter((_, j) => j !== i);
          const best = others.reduce((a, b) =>
            generator._cosineSimilarity(anchor, b) > generator._cosineSimilarity(anchor, a) ? b : a,
          );
          expect(generator._cosineSimilarity(anchor, negatives![i]!)).toBeCloseTo(
            generator._cosineSimilarity(anchor, best),
            6,
          );
        });
      }),
    );
  });

  it('of a batch of one are its own positive, because there is no other', () => {
    const [batch] = new BatchGenerator(examples(1), { hardNegatives: true });
    expect(batch!.negatives).toEqual(batch!.positives);
  });

  it('are one per anchor, also where a caller mines among more or fewer positives', () => {
    const generator = new BatchGenerator(examples(0));
    const positives = [
      [1, 0],
      [0, 1],
      [1, 1],
    ];
    expect(
      generator._mineHardNegatives(
        [
          [1, 0],
          [0, 1],
        ],
        positives,
      ),
    ).toEqual([
      [1, 1],
      [1, 1],
    ]);
    expect(generator._mineHardNegatives(positives, positives.slice(0, 2))).toEqual([
      [0, 1],
      [1, 0],
      [1, 0],
    ]);
  });

  it('use an overridden _cosineSimilarity and _mineHardNegatives', () => {
    const data = [
      [1, 0],
      [0.9, 0.1],
      [-1, 0],
    ].map(row => ({ inputEmb: row, outputEmb: row }));
    const [batch] = new Farthest(data, { hardNegatives: true, shuffle: false });
    expect(batch!.negatives).toEqual([
      [-1, 0],
      [-1, 0],
      [1, 0],
    ]);
    class First extends BatchGenerator<EmbeddedExample> {
      override _mineHardNegatives<V extends Vector>(_: readonly Vector[], positives: readonly V[]): V[] {
        return positives.map(() => positives[0]!);
      }
    }
    expect([...new First(data, { hardNegatives: true, shuffle: false })][0]!.negatives).toEqual([
      [1, 0],
      [1, 0],
      [1, 0],
    ]);
  });

  it('refuse rows that are not finite', () => {
    const data = examples(3);
    const generator = new BatchGenerator(data, { hardNegatives: true, shuffle: false });
    data[1]!.outputEmb[0] = Number.NaN;
    expect(() => generator.next()).toThrow('BatchGenerator.next: positives[1][0] must be finite, got NaN');
    expect(generator.currentIndex).toBe(0);
  });
});

describe('seed', () => {
  const order = (seed: number, epoch: number): number[] => {
    const generator = new BatchGenerator(examples(50), { seed });
    for (let i = 0; i < epoch; i++) generator.reset();
    return generator.indices;
  };

  it('makes the order depend only on seed and epoch', () => {
    expect(order(3, 2)).toEqual(order(3, 2));
    expect(order(3, 2)).not.toEqual(order(3, 1));
    expect(order(4, 1)).not.toEqual(order(3, 2));
    expect(order(0, 0).sort((a, b) => a - b)).toEqual(examples(50).map((_, i) => i));
  });

  it('shuffles evenly: every element reaches every place equally often', () => {
    const counts = [0, 0, 0, 0, 0];
    for (let seed = 0; seed < 5000; seed++) counts[new BatchGenerator(examples(5), { seed }).indices.indexOf(0)]!++;
    // Within 5 standard deviations of 1000.
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt(5000 * 0.2 * 0.8));
  });
});

describe('epochs', () => {
  it('runs through all epochs, counts epochs and steps, and ends at the start of the next epoch', () => {
    const generator = new BatchGenerator(examples(5), { batchSize: 2, seed: 1 });
    const steps = [...generator.epochs(2)];
    expect(steps.map(({ epoch, step }) => [epoch, step])).toEqual([
      [0, 0],
      [0, 1],
      [0, 2],
      [1, 3],
      [1, 4],
      [1, 5],
    ]);
    expect(generator.epoch).toBe(2);
    expect([...generator.epochs(2)]).toEqual([]);
    expect([...generator.epochs(3)].map(({ epoch, step }) => [epoch, step])).toEqual([
      [2, 6],
      [2, 7],
      [2, 8],
    ]);
  });

  it('continues in mid-epoch where the loop ended', () => {
    const whole = [...new BatchGenerator(examples(7), { batchSize: 2, seed: 1 }).epochs(2)];
    const generator = new BatchGenerator(examples(7), { batchSize: 2, seed: 1 });
    const seen = [];
    for (const each of generator.epochs(2)) {
      seen.push(each);
      if (each.step === 1) break;
    }
    expect([...seen, ...generator.epochs(2)]).toEqual(whole);
  });

  it('does not count a batch that dropLast skips', () => {
    const generator = new BatchGenerator(examples(5), { batchSize: 2, dropLast: true, seed: 1 });
    expect([...generator.epochs(2)].map(each => each.step)).toEqual([0, 1, 2, 3]);
    expect([...new BatchGenerator(examples(1), { batchSize: 2, dropLast: true }).epochs(3)]).toEqual([]);
  });
});

function examples(count: number): { inputEmb: number[]; outputEmb: number[] }[] {
  return Array.from({ length: count }, (_, i) => ({ inputEmb: [i, 1], outputEmb: [1, i] }));
}
