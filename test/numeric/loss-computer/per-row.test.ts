import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LossComputer, type LossResult, type Rows } from '../../../src/index.js';
import { arbitraryRows } from '../../laws/gradients.js';
import { expectClose } from '../../support/close.js';

/** `perRow` against plain loops. The suite contrastive-negatives does this for contrastive. */

interface Loss {
  name: string;
  of: (rows: Rows[], options: object) => LossResult;
  /** The loss of one row. */
  row: (rows: number[][][], i: number) => number;
}

const dot = (a: number[], b: number[]): number => a.reduce((sum, value, k) => sum + value * b[k]!, 0);
const distance = (a: number[], b: number[]): number => Math.hypot(...a.map((value, k) => value - b[k]!));
const cosine = (a: number[], b: number[]): number => dot(a, b) / (Math.sqrt(dot(a, a) * dot(b, b)) + 1e-8);
const targetOf = (i: number): number => i % 2;
const softmaxLoss = (row: number[], target: number): number =>
  Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[target]!;

const losses: Loss[] = [
  {
    name: 'triplet',
    of: ([a, p, n], options) => LossComputer.triplet(a!, p!, n!, options),
    row: ([a, p, n], i) => Math.max(0, distance(a![i]!, p![i]!) - distance(a![i]!, n![i]!) + 0.5),
  },
  {
    name: 'triplet, cosine and swap',
    of: ([a, p, n], options) => LossComputer.triplet(a!, p!, n!, { distance: 'cosine', swap: true, ...options }),
    row: ([a, p, n], i) => {
      const far = Math.min(1 - cosine(a![i]!, n![i]!), 1 - cosine(p![i]!, n![i]!));
      return Math.max(0, 1 - cosine(a![i]!, p![i]!) - far + 0.5);
    },
  },
  {
    name: 'mse',
    of: ([a, b], options) => LossComputer.mse(a!, b!, options),
    row: ([a, b], i) => distance(a![i]!, b![i]!) ** 2 / a![i]!.length,
  },
  {
    name: 'cosine embedding',
    of: ([a, b], options) =>
      LossComputer.cosineEmbedding(
        a!,
        b!,
        a!.map((_, i) => targetOf(i)),
        options,
      ),
    row: ([a, b], i) => {
      const similarity = cosine(a![i]!, b![i]!);
      return targetOf(i) === 1 ? 1 - similarity : Math.max(0, similarity);
    },
  },
  {
    name: 'cross-entropy',
    of: ([a], options) =>
      LossComputer.crossEntropy(
        a!,
        a!.map((_, i) => targetOf(i)),
        options,
      ),
    row: ([a], i) => softmaxLoss(a![i]!, targetOf(i)),
  },
  {
    name: 'cross-entropy, smoothed',
    of: ([a], options) =>
      LossComputer.crossEntropy(
        a!,
        a!.map((_, i) => targetOf(i)),
        { labelSmoothing: 0.3, ...options },
      ),
    row: ([a], i) => {
      const row = a![i]!;
      const mean = row.reduce((sum, _, c) => sum + softmaxLoss(row, c), 0) / row.length;
      return 0.7 * softmaxLoss(row, targetOf(i)) + 0.3 * mean;
    },
  },
  {
    name: 'cross-entropy, class weights',
    of: ([a], options) =>
      LossComputer.crossEntropy(
        a!,
        a!.map((_, i) => targetOf(i)),
        { classWeights: a![0]!.map((_, c) => c + 1), ...options },
      ),
    row: ([a], i) => (targetOf(i) + 1) * softmaxLoss(a![i]!, targetOf(i)),
  },
  {
    name: 'cross-entropy, odd rows ignored',
    of: ([a], options) =>
      LossComputer.crossEntropy(
        a!,
        a!.map((_, i) => (i % 2 ? -100 : 0)),
        { ignoreIndex: -100, ...options },
      ),
    row: ([a], i) => (i % 2 ? 0 : softmaxLoss(a![i]!, 0)),
  },
];

const problem = fc
  .record({ n: fc.integer({ min: 1, max: 6 }), dim: fc.integer({ min: 2, max: 40 }) })
  .chain(({ n, dim }) =>
    fc.record({
      rows: fc.array(arbitraryRows(n, dim), { minLength: 3, maxLength: 3 }),
      weights: fc.array(fc.nat(2), { minLength: n, maxLength: n }),
      reduction: fc.constantFrom('mean', 'sum'),
      isFloat32: fc.boolean(),
      gradients: fc.boolean(),
    }),
  );

describe.each(losses)('$name', ({ of, row }) => {
  it('has the plain loss of every row with any weights and reduction, and changes nothing else', () => {
    fc.assert(
      fc.property(problem, ({ rows, weights, reduction, isFloat32, gradients }) => {
        const given = isFloat32 ? rows.map(each => each.map(values => Float32Array.from(values))) : rows;
        const expected = rows[0]!.map((_, i) => row(rows, i));
        const options = { weights, reduction, gradients };
        const { perRow, ...others } = of(given, { ...options, perRow: true });
        expect(perRow).toBeInstanceOf(Float64Array);
        expectClose(perRow!, expected, 1e-5, 1e-2);
        expect(others).toEqual(of(given, options));
        expectClose(of(given, { perRow: true }).perRow!, expected, 1e-5, 1e-2);
        // With reduction 'sum', the losses of the rows add up to the loss.
        const total = perRow!.reduce((sum, loss, i) => sum + weights[i]! * loss, 0);
        expectClose(of(given, { weights, reduction: 'sum' }).loss, total, 1e-9, 1e-3);
      }),
      { numRuns: 50 },
    );
  });
});

describe('rows that do not count', () => {
  const spoiled = [
    [1, 2],
    [Number.NaN, 0],
  ];

  it('of crossEntropy are read only where their losses are requested', () => {
    const options = { weights: [1, 0] };
    const { loss } = LossComputer.crossEntropy(spoiled, [0, 0], options);
    expect(loss).toBeCloseTo(softmaxLoss([1, 2], 0), 6);
    expect(() => LossComputer.crossEntropy(spoiled, [0, 0], { ...options, perRow: true })).toThrow(
      'crossEntropy: predictions[1][0] must be finite, got NaN',
    );
    const ruledOut = [
      [1, 2],
      [-Infinity, 0],
    ];
    expect(() => LossComputer.crossEntropy(ruledOut, [0, 0], { ...options, perRow: true })).toThrow(
      'crossEntropy: targets[1] is class 0, which predictions[1] rules out by -Infinity',
    );
  });

  it('of crossEntropy are not read where they are ignored, and have loss 0', () => {
    const { loss, perRow, gradients } = LossComputer.crossEntropy(spoiled, [0, 9], {
      ignoreIndex: 9,
      perRow: true,
      gradients: true,
    });
    expect(loss).toBeCloseTo(softmaxLoss([1, 2], 0), 6);
    expect(perRow[0]).toBeCloseTo(loss, 12);
    expect([perRow[1], ...gradients[1]!]).toEqual([0, 0, 0]);
  });

  it('of weight 0 have their loss and a gradient of 0', () => {
    const logits = [
      [1, 2],
      [3, 4],
    ];
    const { perRow, gradients } = LossComputer.crossEntropy(logits, [0, 1], {
      weights: [0, 0],
      perRow: true,
      gradients: true,
    });
    expectClose(perRow, [softmaxLoss([1, 2], 0), softmaxLoss([3, 4], 1)], 1e-6);
    expect(gradients.flatMap(row => Array.from(row))).toEqual([0, 0, 0, 0]);
  });

  it('are returned only on request', () => {
    expect(LossComputer.mse([[1]], [[2]])).not.toHaveProperty('perRow');
    expect(LossComputer.contrastive([[1]], [[2]], null, { perRow: false })).not.toHaveProperty('perRow');
  });
});
