import { describe, expect, it } from 'vitest';
import { LossComputer, type LossResult, type Rows, type WeightedLoss } from '../../../src/index.js';
import { expectClose } from '../../support/close.js';

const rows = [
  [1, 2],
  [3, 4],
];
const classes = [
  [1, 2, 0],
  [0, 1, 3],
];
const untyped = (value: unknown): never => value as never;

describe('a bad argument is named', () => {
  it.each<[message: string, call: () => unknown]>([
    ['mse: targets must be an array, got undefined', () => LossComputer.mse(rows, untyped(undefined))],
    ['mse: targets[1] must be a Float32Array', () => LossComputer.mse(rows, untyped([[1, 2], 3]))],
    ['triplet: negatives must be an array, got 1', () => LossComputer.triplet(rows, rows, untyped(1))],
    [
      'cosineEmbedding: targets must be an array, got undefined',
      () => LossComputer.cosineEmbedding(rows, untyped(undefined), null),
    ],
    ['cosineEmbedding: labels[1] must be finite, got NaN', () => LossComputer.cosineEmbedding(rows, rows, [1, NaN])],
    ['cosineEmbedding: labels[0] must be a number', () => LossComputer.cosineEmbedding(rows, rows, untyped(['x', 1]))],
    [
      'crossEntropy: ignoreIndex must be a',
      () => LossComputer.crossEntropy(classes, [0, 1], { ignoreIndex: untyped('0') }),
    ],
    [
      'crossEntropy: ignoreIndex must be an integer',
      () => LossComputer.crossEntropy(classes, [0, 1], { ignoreIndex: 0.5 }),
    ],
    [
      'crossEntropy: targets[1] must be an integer from 0 to 2, got 7',
      () => LossComputer.crossEntropy(classes, [-100, 7], { ignoreIndex: -100 }),
    ],
    [
      'contrastive: negatives has 3 rows, anchors has 2',
      () => LossComputer.contrastive(rows, rows, [...rows, [1, 1]], { negativeMode: 'inBatch+own' }),
    ],
  ])('%s', (message, call) => {
    expect(call).toThrow(`LossComputer.${message}`);
  });

  it.each(['gradA', 'gradB'] as const)('%s of a part of combine that has another shape', matrix => {
    const part = (gradients: object): WeightedLoss => ({
      weight: 1,
      loss: {
        loss: 1,
        components: {},
        adapterGradients: untyped(new Map([['a', { gradA: [[1]], gradB: [[1]], ...gradients }]])),
      },
    });
    const label = `LossComputer.combine: losses[1].loss.adapterGradients.get("a").${matrix}`;
    expect(() => LossComputer.combine([part({}), part({ [matrix]: [[1, 2]] })])).toThrow(
      `${label}[0] has 2 entries, the one before has 1`,
    );
    expect(() => LossComputer.combine([part({}), part({ [matrix]: [[1], [2]] })])).toThrow(
      `${label} has 2 rows, the one before has 1`,
    );
  });

  it('temperatureGradient of a part of combine that is no number', () => {
    const loss = LossComputer.contrastive(rows, rows, null, { gradients: true });
    expect(() =>
      LossComputer.combine([
        { loss, weight: 1 },
        { loss: { ...loss, temperatureGradient: Number.NaN }, weight: 1 },
      ]),
    ).toThrow('LossComputer.combine: losses[1].loss.temperatureGradient must be a finite number, got NaN');
  });
});

describe('gradients are returned only on demand', () => {
  it.each<[string, () => LossResult]>([
    ['contrastive', () => LossComputer.contrastive(rows, rows)],
    ['crossEntropy', () => LossComputer.crossEntropy(classes, [0, 1])],
    ['mse', () => LossComputer.mse(rows, rows)],
    ['triplet', () => LossComputer.triplet(rows, rows, rows)],
    ['cosineEmbedding', () => LossComputer.cosineEmbedding(rows, rows, null)],
  ])('%s', (_, call) => {
    expect(Object.keys(call()).sort()).toEqual(['components', 'loss']);
  });
});

it('combine adds gradients of rows of unequal lengths', () => {
  const ragged: Rows = [
    [1, 2, 3],
    [4, 5],
  ];
  const others: Rows = [
    [2, 1, 1],
    [1, 3],
  ];
  const loss = LossComputer.cosineEmbedding(ragged, others, null, { gradients: true });
  const { gradients } = LossComputer.combine([
    { loss, weight: 0.5 },
    { loss, weight: 2 },
  ]);
  const expected = loss.gradients!.map(row => Array.from(row, value => 2.5 * value));
  expect(gradients!.map(row => row.length)).toEqual([3, 2]);
  for (const [i, row] of gradients!.entries()) expectClose(row, expected[i]!, 1e-6);
});

describe('crossEntropy', () => {
  it('counts the first of equally large logits as the answer', () => {
    const accuracyOf = (target: number): number =>
      LossComputer.crossEntropy([[0, 5, 5, 1]], [target], { diagnostics: true }).components.accuracy!;
    expect([0, 1, 2, 3].map(accuracyOf)).toEqual([0, 1, 0, 0]);
  });

  it('blames labelSmoothing for no loss only where -Infinity is the one thing that is not finite', () => {
    const call = (logits: number[]) => () => LossComputer.crossEntropy([logits], [2], { labelSmoothing: 0.1 });
    expect(call([-Infinity, 1, 0])).toThrow('labelSmoothing spreads over all classes');
    expect(call([-Infinity, Infinity, 0])).toThrow('predictions[0][1] must be finite, got Infinity');
    expect(call([-Infinity, NaN, 0])).toThrow('predictions[0][1] must be finite, got NaN');
  });

  it('names the weights that are too large, and no class weights that are not', () => {
    const call = (options: object) => () =>
      LossComputer.crossEntropy(classes, [0, 1], {
        reduction: 'sum',
        gradients: true,
        weights: [1e300, 1e300],
        ...options,
      });
    for (const options of [{}, { classWeights: [1, 2, 3] }])
      expect(call(options)).toThrow(/the result overflows; weights hold numbers that are too large$/);
    expect(call({ weights: [1, 1], classWeights: [1e300, 1e300, 1] })).toThrow(
      /the result overflows; classWeights hold numbers that are too large, or too far apart$/,
    );
  });
});
