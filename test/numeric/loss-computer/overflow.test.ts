import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Adapter,
  kernelBackend,
  LoRAAdapter,
  LossComputer,
  type LossResult,
  type Rows,
  useKernelBackend,
} from '../../../src/index.js';
import { expectClose } from '../../support/close.js';
import { mulberry32 } from '../../support/golden.js';

const random = mulberry32(3);
const rows = (n: number, d: number, magnitude = 1): Float32Array[] =>
  Array.from({ length: n }, () => Float32Array.from({ length: d }, () => magnitude * (random() - 0.5)));
const [anchors, positives, negatives] = [rows(4, 3), rows(4, 3), rows(4, 3)];
const weights = [1e39, 1e39, 1e39, 1e39];
const sum = { gradients: true, reduction: 'sum', weights } as const;
const adapters = new Map<string, Adapter>([['a', new LoRAAdapter({ dim: 3, rank: 2, seed: 1 })]]);
const through = { anchors: 'a', positives: 'a' };
const tooSmall = (temperature: number): string => `temperature is too small, got ${temperature}`;
const tooLarge = 'weights hold numbers that are too large';

describe('a gradient that overflows', () => {
  const tiny = { gradients: true, temperature: 1e-40 } as const;
  it.each<[string, () => LossResult]>([
    [
      `contrastive: the result overflows; ${tooSmall(1e-40)}`,
      () => LossComputer.contrastive(anchors, positives, null, tiny),
    ],
    [
      `contrastive: the result overflows; ${tooSmall(1e-40)}`,
      () => LossComputer.contrastive(anchors, positives, negatives, { ...tiny, symmetric: true }),
    ],
    [
      `contrastive: the result overflows; ${tooSmall(1e-40)}`,
      () => LossComputer.contrastive(anchors, positives, null, { ...tiny, adapters, through }),
    ],
    [`contrastive: the result overflows; ${tooLarge}`, () => LossComputer.contrastive(anchors, positives, null, sum)],
    [
      `contrastive: the result overflows; ${tooLarge}`,
      () => LossComputer.contrastive(anchors, positives, null, { ...sum, adapters, through }),
    ],
    [
      `contrastive: the result overflows; ${tooSmall(1e-40)} and ${tooLarge}`,
      () => LossComputer.contrastive(anchors, positives, null, { ...sum, temperature: 1e-40 }),
    ],
    [
      'contrastive: the result overflows; anchors, positives, adapters.get("a").loraA, adapters.get("a").loraB hold numbers that are too large',
      () =>
        LossComputer.contrastive(rows(2, 3, 1e38), positives.slice(2), null, {
          gradients: true,
          adapters: new Map([
            ['a', LoRAAdapter.from({ loraA: [[1e3], [1e3], [1e3]], loraB: [[1e3, 1e3, 1e3]], scaling: 1 })],
          ]),
          through,
        }),
    ],
    [`crossEntropy: the result overflows; ${tooLarge}`, () => LossComputer.crossEntropy(anchors, [0, 1, 2, 0], sum)],
    [
      'crossEntropy: the result overflows; classWeights hold numbers that are too large, or too far apart',
      () =>
        LossComputer.crossEntropy(anchors, [0, 1, 2, 0], {
          gradients: true,
          reduction: 'sum',
          classWeights: [1e39, 1e39, 1e39],
        }),
    ],
    [
      'crossEntropy: the result overflows; classWeights hold numbers that are too large, or too far apart',
      () =>
        LossComputer.crossEntropy(anchors, [0, 0, 0, 0], {
          gradients: true,
          labelSmoothing: 0.1,
          classWeights: [1e-300, 1, 1],
        }),
    ],
    [
      `crossEntropy: the result overflows; ${tooLarge}`,
      () => LossComputer.crossEntropy([[0, 1, -Infinity], ...anchors.slice(1)], [0, 1, 2, 0], sum),
    ],
    [
      `triplet: the result overflows; ${tooLarge}`,
      () => LossComputer.triplet(anchors, positives, negatives, { ...sum, margin: 9 }),
    ],
    [
      `triplet: the result overflows; ${tooLarge}`,
      () => LossComputer.triplet(anchors, positives, negatives, { ...sum, margin: 9, distance: 'cosine' }),
    ],
    [
      'triplet: the result overflows; margin is too large, got 1e+308',
      () => LossComputer.triplet(anchors, positives, negatives, { reduction: 'sum', margin: 1e308 }),
    ],
    [`mse: the result overflows; ${tooLarge}`, () => LossComputer.mse(anchors, positives, sum)],
    [
      'mse: the result overflows; predictions, targets hold numbers that are too large',
      () => LossComputer.mse([[1e39, 0]], [[-1e39, 0]], { gradients: true }),
    ],
    [
      `cosineEmbedding: the result overflows; ${tooLarge}`,
      () => LossComputer.cosineEmbedding(anchors, positives, null, sum),
    ],
    [
      'cosineEmbedding: the result overflows; margin is too large, got -1e+308',
      () => LossComputer.cosineEmbedding(anchors, positives, [-1, -1, -1, -1], { reduction: 'sum', margin: -1e308 }),
    ],
  ])('is an error that names the cause: %s', (message, compute) => {
    expect(compute).toThrow(RangeError);
    expect(compute).toThrow(message);
  });

  it('does not occur where float32 holds the right value, for factors of any size', () => {
    // The rows are far apart, so the softmax leaves 2e-31 of 1e40 for the negative.
    const far = LossComputer.contrastive([[1, 0]], [[1, 0]], [[0, 1]], {
      gradients: true,
      reduction: 'sum',
      weights: [1e40],
      temperature: 1 / 71,
    });
    expectClose(far.negativeGradients![0]![0]!, (1e40 * 71) / (1 + Math.exp(71)), 1e-5);
    const likely = LossComputer.crossEntropy([[80, 0]], [0], { gradients: true, reduction: 'sum', weights: [1e40] });
    expectClose(likely.gradients![0]![1]!, 1e40 / (1 + Math.exp(80)), 1e-5);
    // Intermediate sums are beyond float32.
    const adapter = LoRAAdapter.from({ loraA: [[1, 1, -1]], loraB: [[3e38], [3e38], [3e38]], scaling: 1 });
    const { output } = adapter.trace([[1]]);
    expectClose(output[0]![0]!, 3e38, 1e-6);
  });

  it('is the same on both backends: finite and equal gradients, or a RangeError with the same message', () => {
    const factor = fc.constantFrom(1, 1e-38, 1e-20, 1e20, 1e38);
    const wide = fc.constantFrom(1, 1e-300, 1e-150, 1e150, 1e300);
    const problem = fc.record({
      seed: fc.integer(),
      n: fc.integer({ min: 1, max: 5 }),
      d: fc.integer({ min: 1, max: 5 }),
      isWide: fc.boolean(),
      magnitudes: fc.tuple(factor, factor),
      wideMagnitudes: fc.tuple(wide, wide),
      weight: fc.constantFrom(undefined, 1e-320, 1e20, 1e39, 1e300),
      reduction: fc.constantFrom('mean', 'sum'),
      temperature: fc.constantFrom(0.07, 1e-3, 1e-10, 1e-40, 1e-307, 1e30),
      isSymmetric: fc.boolean(),
      classWeight: fc.constantFrom(undefined, 1, 1e39, 1e-300),
      margin: fc.constantFrom(0, 0.5, 1e300, -1e300),
    });
    fc.assert(
      fc.property(problem, ({ n, d, isSymmetric, temperature, margin, ...rest }) => {
        const next = mulberry32(rest.seed);
        const row = (): Rows[number] => {
          const pick = next() < 0.5 ? 0 : 1;
          const magnitude = rest.isWide ? rest.wideMagnitudes[pick] : rest.magnitudes[pick];
          const entries = Array.from({ length: d }, () => magnitude * (next() - 0.5));
          return rest.isWide ? entries : Float32Array.from(entries);
        };
        const [a, p, q] = [0, 1, 2].map(() => Array.from({ length: n }, row)) as unknown as [Rows, Rows, Rows];
        const ofRows = rest.weight === undefined ? {} : { weights: a.map(() => rest.weight! * next()) };
        const options = { gradients: true, reduction: rest.reduction, ...ofRows } as const;
        const adapter = new LoRAAdapter({ dim: d, rank: 2, seed: 1 });
        const classWeights = Array.from({ length: d }, () => (next() < 0.5 ? 1 : (rest.classWeight ?? 1)));
        const losses: (() => LossResult)[] = [
          () =>
            LossComputer.contrastive(a, p, isSymmetric ? null : q, { ...options, temperature, symmetric: isSymmetric }),
          () =>
            LossComputer.contrastive(a, p, null, {
              ...options,
              temperature,
              adapters: new Map([['a', adapter]]),
              through,
            }),
          () =>
            LossComputer.crossEntropy(
              a,
              a.map((_, i) => i % d),
              { ...options, labelSmoothing: isSymmetric ? 0.1 : 0, ...(rest.classWeight && { classWeights }) },
            ),
          () => LossComputer.triplet(a, p, q, { ...options, margin, distance: isSymmetric ? 'cosine' : 'euclidean' }),
          () => LossComputer.mse(a, p, options),
          () =>
            LossComputer.cosineEmbedding(
              a,
              p,
              a.map((_, i) => (i % 2 ? 1 : -1)),
              { ...options, margin },
            ),
        ];
        for (const loss of losses) {
          const [simd, scalar] = (['simd', 'scalar'] as const).map(backend => outcomeOf(backend, loss));
          expect(simd).toBe(scalar);
          expect(simd).not.toBe('infinite');
        }
      }),
      { numRuns: 300 },
    );
  });

  /** "finite", or the message of a RangeError. */
  function outcomeOf(backend: 'simd' | 'scalar', loss: () => LossResult): string {
    const before = kernelBackend();
    useKernelBackend(backend);
    try {
      const {
        gradients,
        targetGradients,
        negativeGradients,
        adapterGradients,
        temperatureGradient = 0,
        ...rest
      } = loss();
      const matrices: (Rows | undefined)[] = [gradients, targetGradients, negativeGradients];
      for (const { gradA, gradB } of adapterGradients?.values() ?? []) matrices.push(gradA, gradB);
      const numbers = matrices.flatMap(matrix => (matrix ?? []).flatMap(row => Array.from(row)));
      return [rest.loss, temperatureGradient, ...numbers].every(Number.isFinite) ? 'finite' : 'infinite';
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return error.message;
    } finally {
      useKernelBackend(before);
    }
  }
});
