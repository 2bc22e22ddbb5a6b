import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LossComputer, type LossResult, type Rows, type Vector } from '../../../src/index.js';
import { arbitraryRows, expectGradient } from '../../laws/gradients.js';
import { expectClose, expectCloseToLargest } from '../../support/close.js';
import { mulberry32 } from '../../support/golden.js';

/** Laws that hold for every loss with every option. */

interface Loss {
  name: string;
  /** Number of arguments that are rows. Each gets n rows. */
  count: number;
  of: (rows: Rows[], options?: object) => LossResult;
  /** The same loss of some of the rows, with their per-row options, for losses that have one loss per row. */
  ofRow?: (rows: Rows[], i: number, options: object) => LossResult;
}

const moved = (rows: Rows, by: number): Rows => rows.map(row => [row[0]! + by, ...Array.from(row).slice(1)]);
const alternate = (rows: Rows): number[] => rows.map((_, i) => i % 2);

/** InfoNCE at a temperature where finite differences resolve every candidate's share. */
function infoNce(name: string, count: 2 | 3, options: (rows: Rows) => object): Loss {
  const of: Loss['of'] = ([a, p, n], others = {}) =>
    LossComputer.contrastive(a!, p!, n ?? null, { temperature: 0.5, ...options(a!), ...others });
  return { name: `contrastive, ${name}`, count, of };
}

/** A loss of single rows. */
function single(name: string, count: number, of: (rows: Rows[], options: object, first: number) => LossResult): Loss {
  return {
    name,
    count,
    of: (rows, options = {}) => of(rows, options, 0),
    ofRow: (rows, i, options) =>
      of(
        rows.map(each => [each[i]!]),
        options,
        i,
      ),
  };
}

const explicit: Loss = {
  ...infoNce('explicit negatives', 3, () => ({})),
  ofRow: ([a, p, n], i, options) => LossComputer.contrastive([a![i]!], [p![i]!], n!, { temperature: 0.5, ...options }),
};
const own: Loss = {
  ...infoNce('own negatives', 3, () => ({ negativeMode: 'own' })),
  ofRow: ([a, p, n], i, options) =>
    LossComputer.contrastive([a![i]!], [p![i]!], [n![i]!], { temperature: 0.5, ...options }),
};

const losses: Loss[] = [
  infoNce('in-batch', 2, () => ({})),
  infoNce('ids', 2, rows => ({ ids: alternate(rows) })),
  infoNce('symmetric', 2, () => ({ symmetric: true })),
  infoNce('symmetric, ids', 2, rows => ({ symmetric: true, ids: alternate(rows) })),
  infoNce('explicit negatives, symmetric', 3, () => ({ symmetric: true })),
  infoNce('in-batch and explicit negatives', 3, () => ({ negativeMode: 'inBatch+explicit' })),
  infoNce('all at once', 3, rows => ({ negativeMode: 'inBatch+explicit', symmetric: true, ids: alternate(rows) })),
  explicit,
  own,
  // Rows are far from each other, and the negative is not equally far from anchor and positive. There the loss would
  // have a kink and no derivative to compare with.
  single('triplet', 3, ([a, p, n], o) => LossComputer.triplet(a!, moved(p!, 20), moved(n!, 30), { margin: 99, ...o })),
  single('triplet, swap, nearer to the positive', 3, ([a, p, n], o) =>
    LossComputer.triplet(a!, moved(p!, 20), moved(n!, 30), { margin: 99, swap: true, ...o }),
  ),
  single('triplet, swap, nearer to the anchor', 3, ([a, p, n], o) =>
    LossComputer.triplet(a!, moved(p!, 20), moved(n!, -10), { margin: 99, swap: true, ...o }),
  ),
  single('triplet, cosine', 3, ([a, p, n], o) =>
    LossComputer.triplet(a!, p!, n!, { margin: 3, distance: 'cosine', ...o }),
  ),
  single('mse', 2, ([a, b], o) => LossComputer.mse(a!, b!, o)),
  single('cosine embedding', 2, ([a, b], o) => LossComputer.cosineEmbedding(a!, b!, null, o)),
  single('cosine embedding, labels', 2, ([a, b], o, first) =>
    LossComputer.cosineEmbedding(
      a!,
      b!,
      a!.map((_, i) => ((first + i) % 2 ? 1 : -1)),
      { margin: -2, ...o },
    ),
  ),
  single('cross-entropy', 1, ([a], o, first) =>
    LossComputer.crossEntropy(
      a!,
      a!.map((_, i) => (first + i) % 2),
      o,
    ),
  ),
  single('cross-entropy, smoothed', 1, ([a], o) =>
    LossComputer.crossEntropy(
      a!,
      a!.map(() => 0),
      { labelSmoothing: 0.2, ...o },
    ),
  ),
  {
    ...single('cross-entropy, ignoring', 1, ([a], o, first) =>
      LossComputer.crossEntropy(
        a!,
        a!.map((_, i) => ((first + i) % 2 ? -1 : 0)),
        { ignoreIndex: -1, ...o },
      ),
    ),
    ofRow: undefined,
  },
  {
    ...single('cross-entropy, class weights', 1, ([a], o, first) =>
      LossComputer.crossEntropy(
        a!,
        a!.map((_, i) => (first + i) % 2),
        { classWeights: a![0]!.map((_, c) => c + 1), labelSmoothing: 0.1, ...o },
      ),
    ),
    // Its mean also divides by class weights, so it is not a mean of its rows' means.
    ofRow: undefined,
  },
].map(({ ofRow, ...loss }) => (ofRow ? { ...loss, ofRow } : loss));

interface Problem {
  rows: number[][][];
  weights: number[];
}
const problemOf = (count: number, least = 1): fc.Arbitrary<Problem> =>
  fc.record({ n: fc.integer({ min: least, max: 6 }), dim: fc.integer({ min: 2, max: 5 }) }).chain(({ n, dim }) =>
    fc.record({
      rows: fc.array(arbitraryRows(n, dim), { minLength: count, maxLength: count }),
      weights: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: n, maxLength: n }),
    }),
  );
const replaced = (rows: Rows[], argument: number, by: Rows): Rows[] =>
  rows.map((each, k) => (k === argument ? by : each));
const gradientsOf = (result: LossResult, count: number): Rows[] =>
  [result.gradients!, result.targetGradients!, result.negativeGradients!].slice(0, count);

describe.each(losses)('$name', ({ count, of, ofRow }) => {
  it.each([
    { reduction: 'mean', isWeighted: false },
    { reduction: 'mean', isWeighted: true },
    { reduction: 'sum', isWeighted: false },
    { reduction: 'sum', isWeighted: true },
  ] as const)('gradients equal finite differences: $reduction, weighted $isWeighted', ({ reduction, isWeighted }) => {
    fc.assert(
      fc.property(problemOf(count), ({ rows, weights }) => {
        const options = { reduction, ...(isWeighted && { weights }) };
        gradientsOf(of(rows, { ...options, gradients: true }), count).forEach((gradient, argument) => {
          const lossOf = (changed: number[][]): number => of(replaced(rows, argument, changed), options).loss;
          expectGradient(lossOf, rows[argument]!, gradient);
        });
      }),
      { numRuns: 10 },
    );
  });

  it('does not depend on the order of rows, and its gradients follow the order', () => {
    fc.assert(
      fc.property(problemOf(count, 4), ({ rows, weights }) => {
        // Rows move by two among an even number, because options of the table alternate by row.
        const n = rows[0]!.length & ~1;
        const permuted = <T>(values: readonly T[]): T[] => Array.from({ length: n }, (_, i) => values[(i + 2) % n]!);
        const even = rows.map(each => each.slice(0, n));
        const result = of(even, { weights: weights.slice(0, n), gradients: true });
        const other = of(even.map(permuted), { weights: permuted(weights), gradients: true });
        expectClose(other.loss, result.loss, 1e-5, 1e-3);
        const expected = gradientsOf(result, count).flatMap(permuted<Vector>);
        expectCloseToLargest([...gradientsOf(other, count).flat(), [1e-2]], [...expected, [1e-2]], 1e-4);
      }),
      { numRuns: 20 },
    );
  });

  it('is 0 with weights 0, and so are its gradients', () => {
    const rows = Array.from({ length: count }, (_, k) => [
      [1, k + 2],
      [k - 3, 1],
    ]);
    for (const reduction of ['mean', 'sum']) {
      const result = of(rows, { weights: [0, 0], reduction, gradients: true });
      expect(result.loss).toBe(0);
      for (const gradient of gradientsOf(result, count).flat())
        expect(Array.from(gradient).map(Math.abs)).toEqual([0, 0]);
    }
  });

  if (!ofRow) return;
  it('is the weighted sum, or mean, of the losses of its rows', () => {
    fc.assert(
      fc.property(problemOf(count), ({ rows, weights }) => {
        const each = weights.map((_, i) => ofRow(rows, i, { reduction: 'sum' }).loss);
        const total = weights.reduce((sum, weight, i) => sum + weight * each[i]!, 0);
        const all = weights.reduce((sum, weight) => sum + weight, 0);
        expectClose(of(rows, { weights, reduction: 'sum' }).loss, total, 1e-5, 1e-3);
        expectClose(of(rows, { weights }).loss, all === 0 ? 0 : total / all, 1e-5, 1e-3);
        expectClose(of(rows).loss, each.reduce((sum, loss) => sum + loss) / each.length, 1e-5, 1e-3);
      }),
      { numRuns: 20 },
    );
  });
});

describe('a loss of cosines', () => {
  const cosines = losses.filter(({ name }) => /contrastive|cosine/.test(name));
  it.each(cosines)('$name: does not change with the length of its inputs, and its gradients shrink with it', loss => {
    fc.assert(
      fc.property(problemOf(loss.count), fc.constantFrom(0.25, 3, 100), ({ rows }, scale) => {
        const result = loss.of(rows, { gradients: true });
        const longer = replaced(
          rows,
          0,
          rows[0]!.map(row => row.map(value => scale * value)),
        );
        const scaled = loss.of(longer, { gradients: true });
        expectClose(scaled.loss, result.loss, 1e-5, 1e-3);
        const expected = result.gradients!.map(row => row.map(value => value / scale));
        const size = Math.max(1e-3, ...expected.flatMap(row => Array.from(row, Math.abs)));
        expectCloseToLargest([...scaled.gradients!, [size]], [...expected, [size]], 1e-4);
      }),
      { numRuns: 20 },
    );
  });
});

describe('the size of the blocks that kernels work in', () => {
  it('does not matter: all anchors at once give the sum over parts of them', () => {
    const random = mulberry32(5);
    const rows = (count: number): Float32Array[] =>
      Array.from({ length: count }, () => Float32Array.from({ length: 20 }, () => random() - 0.5));
    const [anchors, positives, negatives] = [rows(150), rows(150), rows(33)];
    const options = { reduction: 'sum', gradients: true } as const;
    const whole = LossComputer.contrastive(anchors, positives, negatives, options);
    for (const size of [1, 63, 64, 65, 149]) {
      let [loss, temperatureGradient] = [0, 0];
      const gradients: Rows[] = [];
      const ofNegatives = negatives.map(row => new Float64Array(row.length));
      for (let first = 0; first < anchors.length; first += size) {
        const [a, p] = [anchors.slice(first, first + size), positives.slice(first, first + size)];
        const part = LossComputer.contrastive(a, p, negatives, options);
        loss += part.loss;
        temperatureGradient += part.temperatureGradient!;
        gradients.push([...part.gradients!, ...part.targetGradients!]);
        part.negativeGradients!.forEach((row, j) => {
          row.forEach((value, k) => {
            ofNegatives[j]![k]! += value;
          });
        });
      }
      expectClose(loss, whole.loss, 1e-5);
      expectClose(temperatureGradient, whole.temperatureGradient!, 1e-4);
      expectCloseToLargest(whole.negativeGradients!, ofNegatives, 1e-4);
      if (size > 75) continue;
      const [a, p] = [
        gradients.flatMap(each => each.slice(0, each.length / 2)),
        gradients.flatMap(each => each.slice(each.length / 2)),
      ];
      expectCloseToLargest([...whole.gradients!, ...whole.targetGradients!], [...a, ...p], 1e-5);
    }
  });
});
