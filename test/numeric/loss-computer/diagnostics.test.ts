import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LossComputer, type Rows } from '../../../src/index.js';
import { arbitraryRows } from '../../laws/gradients.js';
import { expectClose } from '../../support/close.js';
import { mulberry32 } from '../../support/golden.js';

const cosine = (a: Rows[number], b: Rows[number]): number => LossComputer._cosineSimilarity(a, b);
const mean = (values: readonly number[], weights: readonly number[]): number => {
  const all = weights.reduce((sum, weight) => sum + weight, 0);
  return all === 0 ? 0 : values.reduce((sum, value, i) => sum + weights[i]! * value, 0) / all;
};
const problem = fc.integer({ min: 1, max: 6 }).chain(n =>
  fc.record({
    rows: fc.tuple(arbitraryRows(n, 4), arbitraryRows(n, 4), arbitraryRows(n, 4)),
    weights: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: n, maxLength: n }),
    ids: fc.array(fc.nat(2), { minLength: n, maxLength: n }),
  }),
);

describe('diagnostics', () => {
  it('of contrastive: accuracy and mean cosines over the pairs that count, in every mode', () => {
    fc.assert(
      fc.property(problem, ({ rows, weights, ids }) => {
        const [anchors, positives, negatives] = rows;
        const inBatch = (i: number): Rows => positives.filter((_, j) => j !== i && ids[j] !== ids[i]);
        for (const [given, options, negativesOf] of [
          [null, { ids }, inBatch],
          [negatives, {}, () => negatives],
          [negatives, { negativeMode: 'own' }, (i: number) => [negatives[i]!]],
          [negatives, { negativeMode: 'inBatch+explicit', ids }, (i: number) => [...inBatch(i), ...negatives]],
        ] as const) {
          const { components } = LossComputer.contrastive(anchors, positives, given, {
            ...options,
            weights,
            diagnostics: true,
          });
          const own = anchors.map((anchor, i) => cosine(anchor, positives[i]!));
          const others = anchors.map((anchor, i) => negativesOf(i).map(row => cosine(anchor, row)));
          expectClose(components['positiveCosine']!, mean(own, weights), 1e-5, 1e-2);
          expectClose(
            components['negativeCosine']!,
            mean(
              others.flat(),
              others.flatMap((row, i) => row.map(() => weights[i]!)),
            ),
            1e-5,
            1e-2,
          );
          // Nearly equal cosines may compare either way in float32.
          if (others.some((row, i) => row.some(value => Math.abs(value - own[i]!) < 1e-5))) continue;
          const right = own.map((value, i) => (others[i]!.every(other => other < value) ? 1 : 0));
          expectClose(components['accuracy']!, mean(right, weights), 1e-12);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('that are shares count first and then divide, without rounding in between', () => {
    const unit = (angle: number): number[] => [Math.cos(angle), Math.sin(angle)];
    for (const n of [10, 600, 1000]) {
      const hits = n / 10;
      const isHit = (i: number): boolean => i < hits;
      const [near, far] = [unit(0), unit(1)];
      const anchors = Array.from({ length: n }, () => near);
      const positives = anchors.map((_, i) => (isHit(i) ? near : far));
      const negatives = anchors.map((_, i) => (isHit(i) ? far : near));
      const accuracyOf = (result: { components: Record<string, number> }): number | undefined =>
        result.components['accuracy'] ?? result.components['activeTriplets'];
      const own = { negativeMode: 'own', diagnostics: true } as const;
      expect(accuracyOf(LossComputer.contrastive(anchors, positives, negatives, own))).toBe(0.1);
      expect(accuracyOf(LossComputer.contrastive(anchors, positives, negatives, { ...own, symmetric: true }))).toBe(
        0.1,
      );
      const logits = Array.from({ length: n }, (_, i) => [isHit(i) ? 1 : -1, 0]);
      const targets = logits.map(() => 0);
      for (const classWeights of [undefined, [0.3, 0.7]]) {
        const options = { diagnostics: true, ...(classWeights && { classWeights }) };
        expect(accuracyOf(LossComputer.crossEntropy(logits, targets, options))).toBe(0.1);
      }
      const triplets = { diagnostics: true, margin: 0, reduction: 'sum' } as const;
      expect(accuracyOf(LossComputer.triplet(anchors, negatives, positives, triplets))).toBe(0.1);
      const weights = logits.map((_, i) => (isHit(i) ? 9 : 1));
      expect(accuracyOf(LossComputer.crossEntropy(logits, targets, { diagnostics: true, weights }))).toBe(0.5);
    }
  });

  it('count a negative that equals the positive as not less similar, and accept rows beyond float32', () => {
    const random = mulberry32(8);
    const rows = (): Float32Array[] =>
      Array.from({ length: 40 }, () => Float32Array.from({ length: 33 }, () => random() - 0.5));
    const [anchors, positives] = [rows(), rows()];
    for (const negativeMode of ['explicit', 'inBatch+explicit'] as const) {
      const { components } = LossComputer.contrastive(anchors, positives, positives, {
        negativeMode,
        diagnostics: true,
      });
      expect(components['accuracy']).toBe(0);
    }
    const large = anchors.map(row => Array.from(row, value => 1e200 * value));
    const { components } = LossComputer.contrastive(large, positives, null, { diagnostics: true });
    const { components: ordinary } = LossComputer.contrastive(anchors, positives, null, { diagnostics: true });
    for (const name of ['accuracy', 'positiveCosine', 'negativeCosine'] as const)
      expect(components[name]).toBeCloseTo(ordinary[name]!, 5);
  });

  it('of triplet: the share of triplets with a loss', () => {
    fc.assert(
      fc.property(
        problem,
        fc.constantFrom('euclidean', 'cosine'),
        fc.boolean(),
        ({ rows, weights }, distance, swap) => {
          const [anchors, positives, negatives] = rows;
          const options = { distance, swap, margin: 0.2 } as const;
          const active = anchors.map((anchor, i) =>
            LossComputer.triplet([anchor], [positives[i]!], [negatives[i]!], options).loss > 0 ? 1 : 0,
          );
          const { components } = LossComputer.triplet(anchors, positives, negatives, {
            ...options,
            weights,
            diagnostics: true,
          });
          expectClose(components['activeTriplets']!, mean(active, weights), 1e-12);
        },
      ),
    );
  });

  it('of crossEntropy: how often the target is highest, without ignored rows', () => {
    const logits = [
      [1, 3, 2],
      [5, 0, 0],
      [0, 0, 1],
      [9, 0, 0],
    ];
    const options = { ignoreIndex: -1, diagnostics: true };
    const { components } = LossComputer.crossEntropy(logits, [1, 2, 2, -1], options);
    expectClose(components['accuracy']!, 2 / 3);
    expect(LossComputer.crossEntropy(logits, [-1, -1, -1, -1], options).components['accuracy']).toBe(0);
  });

  it('of cosineEmbedding: the mean cosines of similar and of dissimilar pairs', () => {
    const [a, b] = [
      [
        [1, 0],
        [1, 0],
        [1, 0],
      ],
      [
        [1, 0],
        [0.6, 0.8],
        [0, 1],
      ],
    ];
    const { components } = LossComputer.cosineEmbedding(a, b, [1, 1, -1], { diagnostics: true });
    expectClose(components['positiveCosine']!, 0.8, 1e-6);
    expectClose(components['negativeCosine']!, 0, 1e-6);
  });

  it('are absent by default', () => {
    expect(Object.keys(LossComputer.contrastive([[1]], [[1]]).components)).toEqual(['contrastive']);
    expect(Object.keys(LossComputer.triplet([[1]], [[1]], [[1]]).components)).toEqual(['triplet']);
  });
});
