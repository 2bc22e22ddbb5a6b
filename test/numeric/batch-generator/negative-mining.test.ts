import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BatchGenerator, LossComputer, type NegativeMining, type Vector } from '../../../src/index.js';
import { Farthest } from '../../support/farthest.js';
import { mulberry32, withMathRandom } from '../../support/golden.js';

interface Row {
  input: string;
  output: string;
  inputEmb: Vector;
  outputEmb: Vector;
}

const vector = fc
  .array(fc.integer({ min: -9, max: 9 }), { minLength: 4, maxLength: 4 })
  .filter(row => row.some(value => value !== 0));
const batchOf = fc
  .array(fc.record({ input: fc.nat(9), output: fc.nat(6), vector, noise: vector }), { minLength: 1, maxLength: 9 })
  .map(rows =>
    rows.map(
      ({ input, output, vector: inputEmb, noise }): Row => ({
        input: `${input}`,
        output: `${output}`,
        inputEmb: Float32Array.from(inputEmb),
        outputEmb: Float32Array.from(noise, (value, k) => value + inputEmb[k]! + 0.5),
      }),
    ),
  );
const limits = fc.record(
  { maxSimilarity: fc.constantFrom(-0.2, 0.3, 0.8), relativeMargin: fc.constantFrom(0, 0.05, 0.4) },
  { requiredKeys: [] },
);

/** The rule as a loop over all pairs, in the original's arithmetic. */
function allowed(rows: readonly Row[], i: number, { strategy, ...limit }: NegativeMining): number[] {
  const cosine = (a: Vector, b: Vector): number => LossComputer._cosineSimilarity(a, b);
  const own = cosine(rows[i]!.inputEmb, rows[i]!.outputEmb);
  return rows.flatMap((row, j) => {
    const similarity = cosine(rows[i]!.inputEmb, row.outputEmb);
    const isSameRow = row.outputEmb.every((value, k) => value === rows[i]!.outputEmb[k]);
    const isDuplicate = row.input === rows[i]!.input || row.output === rows[i]!.output || isSameRow;
    if (limit.excludeDuplicates === false ? i === j : isDuplicate) return [];
    if (limit.maxSimilarity !== undefined && similarity > limit.maxSimilarity) return [];
    if (limit.relativeMargin !== undefined && similarity > own - limit.relativeMargin * Math.abs(own)) return [];
    return strategy === 'semi-hard' && similarity >= own ? [] : [j];
  });
}

function mine(rows: readonly Row[], negativeMining: NegativeMining, seed?: number): (Vector | undefined)[] {
  const config = { batchSize: rows.length, shuffle: false, negativeMining, ...(seed !== undefined && { seed }) };
  return [...new BatchGenerator(rows, config)][0]!.negatives!;
}

describe('negativeMining', () => {
  it.each(['hardest', 'semi-hard'] as const)('%s: follows the rule, computed over all pairs', strategy => {
    fc.assert(
      fc.property(batchOf, limits, fc.boolean(), (rows, limit, excludeDuplicates) => {
        const mining = { strategy, ...limit, excludeDuplicates };
        const negatives = mine(rows, mining);
        rows.forEach((row, i) => {
          const candidates = allowed(rows, i, mining);
          const similarityOf = (j: number): number => LossComputer._cosineSimilarity(row.inputEmb, rows[j]!.outputEmb);
          const highest = Math.max(...candidates.map(similarityOf));
          const expected = candidates.length === 0 ? [row.outputEmb] : candidates.map(j => rows[j]!.outputEmb);
          expect(expected).toContain(negatives[i]);
          const mined = LossComputer._cosineSimilarity(row.inputEmb, negatives[i]!);
          if (candidates.length > 0) expect(mined).toBeCloseTo(highest, 12);
        });
      }),
      { numRuns: 200 },
    );
  });

  it('random: picks each remaining candidate equally often, and the same ones for the same seed', () => {
    const rows = [0, 1, 2, 3, 4].map(i => ({
      input: `${i}`,
      output: `${i}`,
      inputEmb: [Math.cos(i), Math.sin(i)],
      outputEmb: [Math.cos(i + 0.3), Math.sin(i + 0.3)],
    }));
    const counts = new Map<unknown, number>();
    const mining: NegativeMining = { strategy: 'random', maxSimilarity: 0.2 };
    for (let seed = 0; seed < 900; seed++) {
      const [negative] = mine(rows, mining, seed);
      counts.set(negative, (counts.get(negative) ?? 0) + 1);
    }
    const left = allowed(rows, 0, mining);
    expect(left).toHaveLength(3);
    // Within 5 standard deviations of 300.
    for (const j of left)
      expect(Math.abs(counts.get(rows[j]!.outputEmb)! - 300)).toBeLessThan(5 * Math.sqrt(900 * (1 / 3) * (2 / 3)));
    expect(mine(rows, mining, 5)).toEqual(mine(rows, mining, 5));
  });

  it('decides ties and near ties in float64: the first of the most similar wins, on every backend', () => {
    const near = [1, 1e-4, 0];
    const rows = [[1, 0, 0], [1, 2e-4, 0], near, near].map((row, i) => ({
      input: `${i}`,
      output: `${i}`,
      inputEmb: [1, 0, 0],
      outputEmb: row,
    }));
    expect(mine(rows, { strategy: 'hardest' }).slice(1)).toEqual([
      [1, 0, 0],
      [1, 0, 0],
      [1, 0, 0],
    ]);
    expect(mine(rows, { strategy: 'hardest' })[0]).toBe(near);
    expect(mine(rows, { strategy: 'semi-hard' })[0]).toBe(rows[2]!.outputEmb);
  });

  it('skips an output with another text and the same row as the positive', () => {
    const rows = [
      [1, 0],
      [1, 0],
      [0, 1],
    ].map((row, i) => ({ input: `${i}`, output: `${i}`, inputEmb: [1, 0.1], outputEmb: row }));
    expect(mine(rows, { strategy: 'hardest' }).slice(0, 2)).toEqual([
      [0, 1],
      [0, 1],
    ]);
    expect(mine(rows, { strategy: 'hardest', excludeDuplicates: false })[0]).toEqual([1, 0]);
  });

  it('returns the own positive in a batch of one, or of duplicates only', () => {
    const one = { input: 'a', output: 'b', inputEmb: [1, 0], outputEmb: [0, 1] };
    for (const strategy of ['hardest', 'semi-hard', 'random'] as const) {
      expect(mine([one], { strategy })).toEqual([one.outputEmb]);
      expect(mine([one, { ...one, output: 'c' }], { strategy })).toEqual([one.outputEmb, one.outputEmb]);
    }
  });

  it('accepts zero rows, tiny rows and rows of unequal length', () => {
    const rows = [
      [0, 0],
      [1e-20, 0],
      [1, 0, 5],
      [0, 3],
    ].map((row, i) => ({
      input: `${i}`,
      output: `${i}`,
      inputEmb: row,
      outputEmb: [...row].reverse(),
    }));
    const negatives = mine(rows, { strategy: 'hardest' });
    rows.forEach((row, i) => {
      const others = rows.filter((_, j) => j !== i);
      const best = Math.max(...others.map(other => LossComputer._cosineSimilarity(row.inputEmb, other.outputEmb)));
      expect(LossComputer._cosineSimilarity(row.inputEmb, negatives[i]!)).toBeCloseTo(best, 12);
    });
  });

  it('uses an overridden _cosineSimilarity', () => {
    const data = [
      [1, 0],
      [0.9, 0.1],
      [-1, 0],
    ].map(row => ({ inputEmb: row, outputEmb: row }));
    const [batch] = new Farthest(data, { negativeMining: { strategy: 'hardest' }, shuffle: false });
    expect(batch!.negatives).toEqual([
      [-1, 0],
      [-1, 0],
      [1, 0],
    ]);
  });

  it('lets callbacks run kernels: it reads no view of their memory after random draws or keys of duplicates', () => {
    const noise = mulberry32(9);
    const rows = (count: number): Float32Array[] =>
      Array.from({ length: count }, () => Float32Array.from({ length: 32 }, () => noise() - 0.5));
    const [inputs, outputs] = [rows(24), rows(24)];
    const data = inputs.map((inputEmb, i) => ({ input: `${i}`, output: `${i}`, inputEmb, outputEmb: outputs[i]! }));
    const disturb = (): void => {
      LossComputer.contrastive(rows(40), rows(40), null, { gradients: true });
    };
    const mineWith = (onUse: () => void): unknown[] => {
      const original = Math.random;
      const draw = mulberry32(4);
      Math.random = () => {
        onUse();
        return draw();
      };
      try {
        const negativeMining: NegativeMining = { strategy: 'random', maxSimilarity: 0.05 };
        const duplicatesBy = ({ input }: { input: string }): string => {
          onUse();
          return `${Number(input) % 20}`;
        };
        const options = { batchSize: 24, shuffle: false, negativeMining, duplicatesBy };
        return [...new BatchGenerator(data, options)].map(({ negatives }) =>
          negatives!.map(row => outputs.indexOf(row)),
        );
      } finally {
        Math.random = original;
      }
    };
    const [expected] = mineWith(() => {}) as number[][];
    expect(mineWith(disturb)).toEqual([expected]);
    expected!.forEach((negative, i) => {
      expect(negative % 20).not.toBe(i % 20);
      expect(LossComputer._cosineSimilarity(inputs[i]!, outputs[negative]!)).toBeLessThanOrEqual(0.05);
    });
  });

  it('random draws once per anchor without a seed', () =>
    withMathRandom(1, draws => {
      const data = [0, 1, 2].map(i => ({ inputEmb: [1, i], outputEmb: [i, 1] }));
      const [batch] = new BatchGenerator(data, { shuffle: false, negativeMining: { strategy: 'random' } });
      expect(batch!.negatives).toHaveLength(3);
      expect(draws()).toBe(3);
    }));

  it('refuses rows that are not finite, and does not move on', () => {
    const data = [
      [1, 2],
      [3, 4],
    ].map((row, i) => ({ inputEmb: row, outputEmb: [i, 1] }));
    const generator = new BatchGenerator(data, { negativeMining: { strategy: 'hardest' }, shuffle: false });
    data[1]!.outputEmb[0] = Number.NaN;
    expect(() => generator.next()).toThrow('BatchGenerator.next: positives[1][0] must be finite, got NaN');
    expect(generator.currentIndex).toBe(0);
  });
});

describe('a pipeline of mining and own negatives', () => {
  it('never shows an anchor its own positive as a negative', () => {
    fc.assert(
      fc.property(batchOf, fc.constantFrom('hardNegatives', 'hardest', 'semi-hard', 'random'), (rows, kind) => {
        const mining =
          kind === 'hardNegatives' ? { hardNegatives: true } : { negativeMining: { strategy: kind } as NegativeMining };
        const [batch] = new BatchGenerator(rows, { batchSize: rows.length, ...mining });
        const { anchors, positives, negatives } = batch!;
        anchors.forEach((anchor, i) => {
          const { loss, gradients, negativeGradients } = LossComputer.contrastive(
            [anchor],
            [positives[i]!],
            [negatives![i]!],
            { negativeMode: 'own', gradients: true },
          );
          // With its own positive as a negative, the loss would be log 2.
          const isOwn = positives[i]!.every((value, k) => value === negatives![i]![k]);
          if (isOwn)
            expect([loss, ...gradients![0]!, ...negativeGradients![0]!].every(value => value === 0)).toBe(true);
          else expect(loss).toBeGreaterThan(0);
        });
      }),
    );
  });
});
