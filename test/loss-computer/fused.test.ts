import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Adapter,
  type Float32Row,
  type KernelBackend,
  LossComputer,
  type LossResult,
  type Rows,
  useKernelBackend,
} from '../../src/index.js';
import { GROUP_ROWS, LARGE_GROUP_ROWS } from '../../src/kernels/anchor-groups.js';
import type { LoraContrastiveResult } from '../../src/kernels/kernels.js';
import { scalarKernels } from '../../src/kernels/scalar/index.js';
import { simdKernels } from '../../src/kernels/simd/index.js';
import { expectClose } from '../support/close.js';
import { mulberry32 } from '../support/golden.js';

/** The gradients of adapters without gradients of their outputs, against separate calls, which `wrt` leads to. */

interface Case {
  n: number;
  negatives: number;
  dims: { query: number; answer: number; width: number };
  ranks: { query: number; answer: number };
  through: { anchors?: string; positives?: string };
  options: object;
  ids: number;
  isWeighted: boolean;
  special: 'none' | 'zero rows' | 'tiny norms';
  seed: number;
}

/** Where rows have one or two numbers, or are all parallel, a cosine's gradient is smaller than its rounding. */
const widths = fc.constantFrom(3, 5, 15, 16, 17, 33, 48, 70);
const ranks = fc.constantFrom(1, 2, 7, 8, 9, 16, 33, 128);
const cases: fc.Arbitrary<Case> = fc.record({
  n: fc.constantFrom(1, 2, 3, 17, 64, 65, 131, 300),
  negatives: fc.constantFrom(0, 0, 1, 40),
  dims: fc
    .record({ query: widths, answer: widths, width: widths, isSquare: fc.boolean() })
    .map(({ query, answer, width, isSquare }) => ({
      query: isSquare ? width : query,
      answer: isSquare ? width : answer,
      width,
    })),
  ranks: fc.record({ query: ranks, answer: ranks }),
  through: fc.constantFrom(
    { anchors: 'query' },
    { positives: 'answer' },
    { anchors: 'query', positives: 'answer' },
    { anchors: 'query', positives: 'query' },
  ),
  options: fc.record({
    temperature: fc.constantFrom(0.05, 0.2, 1),
    symmetric: fc.boolean(),
    reduction: fc.constantFrom('mean', 'sum'),
    perRow: fc.boolean(),
  }),
  ids: fc.constantFrom(0, 0, 2, 20),
  isWeighted: fc.boolean(),
  special: fc.constantFrom('none', 'none', 'zero rows', 'tiny norms'),
  seed: fc.nat(1000),
});

function made(each: Case): { rows: readonly [Rows, Rows, Rows | null]; options: object } {
  const { n, dims, through, special } = each;
  const random = mulberry32(each.seed);
  const rowsOf = (count: number, width: number, scale = 1): Float32Row[] =>
    Array.from({ length: count }, () => Float32Array.from({ length: width }, () => scale * (random() - 0.5)));
  const isShared = through.anchors === through.positives;
  const inputs = {
    anchors: through.anchors ? dims.query : dims.width,
    positives: isShared ? dims.query : through.positives ? dims.answer : dims.width,
  };
  const adapterOf = (dim: number, given: number): Adapter => {
    const rank = dim === dims.width ? given : Math.max(3, given);
    const [loraA, loraB] = [rowsOf(dim, rank), rowsOf(rank, dims.width, 1 / rank)];
    return { loraA, loraB, scaling: 0.5 };
  };
  const [anchors, positives] = [rowsOf(n, inputs.anchors), rowsOf(n, inputs.positives)];
  const negatives = each.negatives > 0 ? rowsOf(each.negatives, inputs.positives) : null;
  const spoil = (row: Float32Row, i: number): void => {
    if (i % 3 !== 0) return;
    if (special === 'zero rows') row.fill(0);
    if (special === 'tiny norms') for (let k = 0; k < row.length; k++) row[k]! *= 1e-5;
  };
  anchors.forEach(spoil);
  positives.slice(1).forEach(spoil);
  const labels = (count: number): number[] => Array.from({ length: count }, () => Math.floor(random() * each.ids));
  const options = {
    ...each.options,
    ...(negatives && { negativeMode: 'inBatch+explicit' }),
    ...(each.ids > 0 && { ids: labels(n) }),
    ...(each.ids > 0 && negatives && { negativeIds: labels(negatives.length) }),
    ...(each.isWeighted && { weights: labels(n).map((_, i) => i % 4) }),
    adapters: new Map([
      ['query', adapterOf(dims.query, each.ranks.query)],
      ['answer', adapterOf(dims.answer, each.ranks.answer)],
    ]),
    through,
    gradients: true,
  };
  return { rows: [anchors, positives, negatives], options };
}

/** The largest difference from the truth, and the largest magnitude of the truth, at least 0.1. */
function errorOf(actual: Rows, truth: Rows): { error: number; largest: number } {
  let [error, largest] = [0, 0.1];
  truth.forEach((row, i) => {
    for (let k = 0; k < row.length; k++) {
      error = Math.max(error, Math.abs(actual[i]![k]! - row[k]!));
      largest = Math.max(largest, Math.abs(row[k]!));
    }
  });
  return { error, largest };
}

/**
 * Expects results as close to the truth as separate calls, which also have errors above 1e-5 where rows nearly cancel.
 */
function expectAsExact(actual: Rows, composed: Rows, truth: Rows): void {
  const { error, largest } = errorOf(actual, truth);
  expect(error).toBeLessThanOrEqual(1e-5 * largest + 8 * errorOf(composed, truth).error);
}

const onBackend = (backend: KernelBackend, { rows, options }: ReturnType<typeof made>, others = {}): LossResult => {
  useKernelBackend(backend);
  return LossComputer.contrastive(...rows, { ...options, ...others });
};
const wrt = ['anchors', 'positives', 'negatives'];

describe('adapters without gradients of rows', () => {
  it('have the loss and the gradients of separate calls, with all options', () => {
    fc.assert(
      fc.property(cases, each => {
        const problem = made(each);
        const [fused, composed] = [onBackend('simd', problem), onBackend('simd', problem, { wrt })];
        const truth = onBackend('scalar', problem);
        expectClose(fused.loss, composed.loss, 1e-6, 1e-3);
        expectClose(fused.temperatureGradient!, truth.temperatureGradient!, 1e-4, 1);
        expect(fused.perRow === undefined).toBe(composed.perRow === undefined);
        fused.perRow?.forEach((loss, i) => {
          expectClose(loss, composed.perRow![i]!, 1e-5, 1);
        });
        expect([...fused.adapterGradients!.keys()]).toEqual([...composed.adapterGradients!.keys()]);
        for (const [name, { gradA, gradB }] of composed.adapterGradients!) {
          const [actual, exact] = [fused.adapterGradients!.get(name)!, truth.adapterGradients!.get(name)!];
          expectAsExact(actual.gradA, gradA, exact.gradA);
          expectAsExact(actual.gradB, gradB, exact.gradB);
        }
        const { gradients: _, ...withoutGradients } = problem.options as { gradients: boolean };
        expect(onBackend('simd', { ...problem, options: withoutGradients }).loss).toBe(fused.loss);
      }),
      { numRuns: 100 },
    );
  });
});

describe('a batch cut at multiples of a group', () => {
  const groupsOf = (count: number): Int32Array => Int32Array.from({ length: count }, (_, i) => i % 37);

  it.each([
    { rank: 8, group: GROUP_ROWS },
    { rank: 40, group: LARGE_GROUP_ROWS },
  ])('gives the same bits as the whole, rank $rank', ({ rank, group }) => {
    const count = 2 * group + 3;
    const random = mulberry32(rank);
    const rowsOf = (height: number, width: number): Float32Row[] =>
      Array.from({ length: height }, () => Float32Array.from({ length: width }, () => random() - 0.5));
    const adapter = (): Adapter => ({ loraA: rowsOf(96, rank), loraB: rowsOf(rank, 96), scaling: 0.2 });
    const [anchors, candidates, query, answer] = [rowsOf(count, 96), rowsOf(count, 96), adapter(), adapter()];
    const kernels = simdKernels()!;
    const run = (first: number, end: number, perGroup = false): LoraContrastiveResult[] =>
      kernels.loraContrastive({
        anchors: anchors.slice(first, end),
        positives: candidates.slice(first, end),
        candidates,
        kind: 'batch',
        firstOwn: first,
        own: null,
        groups: { anchors: groupsOf(count).subarray(first, end), candidates: groupsOf(count) },
        temperature: 0.1,
        coefficients: new Float64Array(end - first).fill(1 / count),
        losses: null,
        query,
        answer: rank === 8 ? answer : null,
        gradients: true,
        perGroup,
      })!;
    const whole = run(0, count)[0]!;
    const parts = [...run(0, group), ...run(group, 2 * group), ...run(2 * group, count)];
    expect(run(0, count, true)).toEqual(parts);
    expect(parts.reduce((sum, { loss }) => sum + loss, 0)).toBe(whole.loss);
    for (const side of ['query', 'answer'] as const) {
      if (!whole.gradients![side]) continue;
      for (const matrix of ['gradA', 'gradB'] as const) {
        const rowsOfPart = ({ gradients }: LoraContrastiveResult): Rows => gradients![side]?.[matrix] ?? [];
        const sum = rowsOfPart(parts[0]!).map(row => Float32Array.from(row));
        for (const part of parts.slice(1)) kernels.addRows(sum, rowsOfPart(part));
        expect(sum).toEqual(rowsOfPart(whole).map(row => Float32Array.from(row)));
      }
    }
    expect(whole.gradients!.query!.gradB.some(row => row.some(value => value !== 0))).toBe(true);
    const temperature = parts.reduce((total, { gradients }) => total + gradients!.temperature, 0);
    expectClose(temperature, whole.gradients!.temperature, 1e-5, 1e-3);
  });
});

describe('the kernel', () => {
  const row = (value: number): number[] => [value, 1, 2];
  const problem = {
    anchors: [row(1), row(2)],
    positives: [row(3), row(4)],
    candidates: [row(3), row(4)],
    kind: 'batch' as const,
    own: null,
    groups: null,
    temperature: 0.1,
    coefficients: Float64Array.of(0.5, 0.5),
    losses: null,
    query: { loraA: [[1], [2], [3]], loraB: [[0.1, 0.2, 0.3]], scaling: 1 },
    answer: null,
    gradients: true,
  };

  it.each([
    ['nothing', {}, true],
    ['the least temperature', { temperature: 1e-3 }, true],
    ['a lower temperature', { temperature: 9e-4 }, false],
    ['rows of two lengths', { candidates: [row(3), [1, 2]] }, false],
    ['rows that do not fit the adapter', { anchors: [row(1).slice(1), row(2).slice(1)] }, false],
    ['a candidate that is not finite', { candidates: [row(3), row(Number.NaN)] }, false],
    ['an anchor that is not finite', { anchors: [row(1), row(Infinity)] }, false],
    ['weights beyond float32', { query: { ...problem.query, loraA: [[1e39], [1], [1]] } }, false],
    [
      'a rank as large as the width',
      {
        query: {
          ...problem.query,
          loraA: Array(3).fill(row(1).concat(Array(17).fill(0))),
          loraB: Array(20).fill(row(1)),
        },
      },
      false,
    ],
    ['candidates other than the positives', { kind: 'others' as const }, false],
  ])('returns a result only where it is cheaper and exact: %s', (_, changed, isAnswered) => {
    const result = simdKernels()!.loraContrastive({ ...problem, ...changed });
    expect(result !== undefined).toBe(isAnswered);
    expect(scalarKernels.loraContrastive({ ...problem, ...changed })).toBeUndefined();
  });
});
