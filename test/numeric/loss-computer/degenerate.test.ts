import { describe, expect, it } from 'vitest';
import { LossComputer, type LossResult } from '../../../src/index.js';

/** Cases without an ordinary answer: the loss and its gradients must have the documented values. */

const zero = [0, 0];
const [x, y] = [
  [1, 0],
  [0.6, 0.8],
];
const gradients = { gradients: true } as const;
const allGradients = ({ gradients: first = [], targetGradients = [], negativeGradients = [] }: LossResult): number[] =>
  [...first, ...targetGradients, ...negativeGradients].flatMap(row => Array.from(row));

describe('loss 0, and every gradient exactly 0', () => {
  it.each<[string, () => LossResult]>([
    ['contrastive: one pair', () => LossComputer.contrastive([x], [y], null, gradients)],
    [
      'contrastive: one pair, symmetric',
      () => LossComputer.contrastive([x], [y], null, { symmetric: true, ...gradients }),
    ],
    ['contrastive: no negatives at all', () => LossComputer.contrastive([x, y], [y, x], [], gradients)],
    [
      'contrastive: every negative masked by ids',
      () => LossComputer.contrastive([x, y], [y, x], null, { ids: [1, 1], ...gradients }),
    ],
    [
      'contrastive: own negatives that equal the positives',
      () => LossComputer.contrastive([x, y], [y, x], [y, x], { negativeMode: 'own', ...gradients }),
    ],
    ['contrastive: weights 0', () => LossComputer.contrastive([x, y], [y, x], null, { weights: [0, 0], ...gradients })],
    [
      'crossEntropy: everything ignored',
      () => LossComputer.crossEntropy([x, y], [7, 7], { ignoreIndex: 7, ...gradients }),
    ],
    [
      'crossEntropy: everything ignored, class weights',
      () => LossComputer.crossEntropy([x, y], [7, 7], { ignoreIndex: 7, classWeights: [1, 2], ...gradients }),
    ],
    [
      'crossEntropy: the only classes weigh nothing',
      () => LossComputer.crossEntropy([x, y], [0, 0], { classWeights: [0, 1], ...gradients }),
    ],
    ['crossEntropy: one class', () => LossComputer.crossEntropy([[3]], [0], gradients)],
    ['triplet: satisfied', () => LossComputer.triplet([x], [x], [[9, 9]], gradients)],
    ['mse: no error', () => LossComputer.mse([x], [x], gradients)],
    [
      'cosineEmbedding: dissimilar below the margin',
      () => LossComputer.cosineEmbedding([x], [[0, 1]], [-1], gradients),
    ],
  ])('%s', (_, compute) => {
    const result = compute();
    expect(result.loss).toBe(0);
    expect(allGradients(result).length).toBeGreaterThan(0);
    expect(allGradients(result).every(value => value === 0)).toBe(true);
  });
});

describe('a zero row has cosine 0, and gradient exactly 0', () => {
  it('contrastive', () => {
    const result = LossComputer.contrastive([zero, x], [y, zero], null, { temperature: 1, ...gradients });
    // Anchor 0 has the cosines 0 and 0. Anchor 1 has cosine 0 with its own positive and 0.6 with the other.
    expect(result.loss).toBeCloseTo((Math.log(2) + Math.log(1 + Math.exp(0.6))) / 2, 6);
    expect(Array.from(result.gradients![0]!, Math.abs)).toEqual(zero);
    expect(Array.from(result.targetGradients![1]!, Math.abs)).toEqual(zero);
    expect(allGradients(result).every(Number.isFinite)).toBe(true);
  });

  it('cosineEmbedding', () => {
    const result = LossComputer.cosineEmbedding([zero], [x], null, gradients);
    expect([result.loss, ...allGradients(result)]).toEqual([1, 0, 0, 0, 0]);
  });

  it('triplet of cosines', () => {
    const result = LossComputer.triplet([zero], [x], [y], { distance: 'cosine', ...gradients });
    expect([result.loss, ...allGradients(result)]).toEqual([0.5, 0, 0, 0, 0, 0, 0]);
  });
});

describe('rows that coincide', () => {
  it('anchor and positive: the loss is finite, and the two do not pull each other', () => {
    const result = LossComputer.contrastive([x, y], [x, y], null, { temperature: 0.5, ...gradients });
    expect(result.loss).toBeCloseTo(Math.log(1 + Math.exp((0.6 - 1) / 0.5)), 5);
    expect(allGradients(result).every(Number.isFinite)).toBe(true);
  });

  it('at Euclidean distance 0 have subgradient 0: only the negative is pushed', () => {
    const result = LossComputer.triplet([x], [x], [[1, 0.25]], gradients);
    expect(result.loss).toBe(0.25);
    expect(Array.from(result.gradients![0]!)).toEqual([0, 1]);
    expect(Array.from(result.targetGradients![0]!)).toEqual([0, 0]);
    expect(Array.from(result.negativeGradients![0]!)).toEqual([0, -1]);
    const all = LossComputer.triplet([x], [x], [x], { swap: true, ...gradients });
    expect([all.loss, ...allGradients(all)]).toEqual([0.5, 0, 0, 0, 0, 0, 0]);
  });
});

describe('where a plain softmax overflows', () => {
  it('contrastive at temperature 1e-3 is the difference of the similarities over the temperature', () => {
    // exp(0.8 / 1e-3) is beyond float64.
    const result = LossComputer.contrastive([x, [0, 1]], [y, x], null, { temperature: 1e-3, ...gradients });
    expect(result.loss).toBeCloseTo((0.4 / 1e-3 + 0.8 / 1e-3) / 2, 2);
    expect(allGradients(result).every(Number.isFinite)).toBe(true);
    expect(Math.max(...allGradients(result).map(Math.abs))).toBeGreaterThan(100);
  });

  it('crossEntropy at logits of a million', () => {
    const result = LossComputer.crossEntropy([[1e6, -1e6]], [1], gradients);
    expect([result.loss, ...allGradients(result)]).toEqual([2e6, 1, -1]);
  });
});
