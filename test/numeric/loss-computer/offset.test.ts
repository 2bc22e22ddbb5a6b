import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ContrastiveOptions,
  type Float32Row,
  LoRAAdapter,
  LossComputer,
  type LossResult,
  packGradients,
  type Rows,
  sumInOrder,
} from '../../../src/index.js';
import { arbitraryContrastive, settings } from '../../support/contrastive.js';
import { mulberry32 } from '../../support/golden.js';

interface Problem {
  anchors: Rows;
  positives: Rows;
  negatives: Rows | null;
  options: ContrastiveOptions;
}

/** The loss of the anchors from `first` to `end`. */
function partOf({ anchors, positives, negatives, options }: Problem, first: number, end: number): LossResult {
  const isOwn = options.negativeMode?.endsWith('own') && negatives !== null;
  const perAnchor = isOwn ? negatives.length / anchors.length : 0;
  const own = <Value>(values: ArrayLike<Value>): Value[] =>
    Array.from(values).slice(first * perAnchor, end * perAnchor);
  return LossComputer.contrastive(anchors.slice(first, end), positives, isOwn ? own(negatives) : negatives, {
    ...options,
    ...(isOwn && options.negativeIds && { negativeIds: own<string | number>(options.negativeIds) }),
    gradients: true,
    offset: first,
  });
}

function cutAt(problem: Problem, ends: readonly number[]): LossResult[] {
  return ends.map((end, i) => partOf(problem, ends[i - 1] ?? 0, end));
}

function wholeOf({ anchors, positives, negatives, options }: Problem): LossResult {
  return LossComputer.contrastive(anchors, positives, negatives, { ...options, gradients: true });
}

const inOrder = (numbers: readonly number[]): number => numbers.reduce((sum, each) => sum + each);
const flatOf = (rows: Rows): Float32Array => Float32Array.from(rows.flatMap(row => Array.from(row)));

/** The gradients of the rows, where the parts' rows are joined or added up. */
function rowsOfParts(problem: Problem, parts: readonly LossResult[]): Record<string, Float32Array> {
  const all = (of: (part: LossResult) => Rows | undefined): Rows[] =>
    parts.flatMap(part => of(part) ?? []).length > 0 ? parts.map(part => of(part)!) : [];
  const isOwn = problem.options.negativeMode?.endsWith('own');
  const negatives = all(({ negativeGradients }) => negativeGradients);
  return {
    gradients: flatOf(all(({ gradients }) => gradients).flat()),
    targetGradients: sumInOrder(all(({ targetGradients }) => targetGradients).map(flatOf)),
    ...(negatives.length > 0 && {
      negativeGradients: isOwn ? flatOf(negatives.flat()) : sumInOrder(negatives.map(flatOf)),
    }),
  };
}

function rowsOfWhole({ gradients, targetGradients, negativeGradients }: LossResult): Record<string, Float32Array> {
  return {
    gradients: flatOf(gradients!),
    targetGradients: flatOf(targetGradients!),
    ...(negativeGradients?.length && { negativeGradients: flatOf(negativeGradients) }),
  };
}

function expectNear(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length);
  const largest = Array.from(expected).reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  for (let i = 0; i < expected.length; i++) {
    expect(Math.abs(actual[i]! - expected[i]!)).toBeLessThanOrEqual(2e-5 * largest);
  }
}

function randomRows(count: number, width: number, seed: number): Float32Row[] {
  const random = mulberry32(seed);
  return Array.from({ length: count }, () => Float32Array.from({ length: width }, () => random() - 0.5));
}

function adapterOf(dim: number, rank: number, seed: number): LoRAAdapter {
  const [loraA, loraB] = [randomRows(dim, rank, seed), randomRows(rank, dim, seed + 1)];
  return LoRAAdapter.from({ loraA, loraB, scaling: 0.5 });
}

describe('offset: parts of a batch', () => {
  it.each(settings.filter(({ symmetric }) => !symmetric))(
    'add up to the whole at any cut: negatives $mode, ids $ids',
    setting => {
      fc.assert(
        fc.property(arbitraryContrastive(setting), fc.array(fc.nat(4), { maxLength: 2 }), ({ rows, options }, cuts) => {
          const problem = { ...rows, options: { ...options, perRow: true } };
          const count = rows.anchors.length;
          const ends = [...new Set([...cuts.map(cut => 1 + (cut % count)), count])].sort((a, b) => a - b);
          const [whole, parts] = [wholeOf(problem), cutAt(problem, ends)];
          expectNear([inOrder(parts.map(({ loss }) => loss))], [whole.loss]);
          expectNear(
            parts.flatMap(({ perRow }) => [...perRow!]),
            whole.perRow!,
          );
          expectNear([inOrder(parts.map(part => part.temperatureGradient!))], [whole.temperatureGradient!]);
          const [actual, expected] = [rowsOfParts(problem, parts), rowsOfWhole(whole)];
          expect(Object.keys(actual)).toEqual(Object.keys(expected));
          for (const name of Object.keys(expected)) expectNear(actual[name]!, expected[name]!);
        }),
        { numRuns: 30 },
      );
    },
  );

  const COUNT = 530;
  const DIM = 16;
  const ids = Array.from({ length: COUNT }, (_, i) => i % 151);
  const weights = Array.from({ length: COUNT }, (_, i) => (i % 5) / 2);
  const query = adapterOf(DIM, 4, 5);
  const answer = adapterOf(DIM, 3, 7);
  const both = new Map([
    ['query', query],
    ['answer', answer],
  ]);
  const LONG = 1060;
  const longIds = Array.from({ length: LONG }, (_, i) => i % 251);
  const large = new Map([['query', adapterOf(6, 40, 9)]]);
  const explicit = randomRows(30, DIM, 3);
  const own = randomRows(2 * COUNT, DIM, 4);

  it.each<[string, ContrastiveOptions, Rows | null]>([
    ['a query adapter', { adapters: both, through: { anchors: 'query' }, ids, weights }, null],
    ['an answer adapter', { adapters: both, through: { positives: 'answer' }, perRow: true }, explicit],
    ['two adapters', { adapters: both, through: { anchors: 'query', positives: 'answer' }, weights }, null],
    ['one adapter for both sides', { adapters: both, through: { anchors: 'query', positives: 'query' }, ids }, null],
    ['int16', { adapters: both, through: { anchors: 'query', positives: 'query' }, precision: 'int16' }, null],
    [
      'an adapter and gradients of rows',
      {
        adapters: both,
        through: { anchors: 'query', positives: 'query' },
        wrt: ['anchors', 'positives', 'negatives'],
        negativeMode: 'inBatch+own',
      },
      own,
    ],
    ['a low temperature', { adapters: both, through: { anchors: 'query' }, temperature: 5e-4 }, null],
  ])('of 256 anchors, added in order, have the bits of the whole: %s', (_, options, negatives) => {
    const problem = { anchors: randomRows(COUNT, DIM, 1), positives: randomRows(COUNT, DIM, 2), negatives, options };
    expectSameBits(problem, [256, 512, COUNT]);
  });

  it.each<[string, ContrastiveOptions, Rows | null]>([
    ['an adapter of 40 ranks', { adapters: large, through: { anchors: 'query' } }, null],
    ['that adapter, gradients of rows', { adapters: large, through: { anchors: 'query' }, wrt: ['positives'] }, null],
    ['rows, ids and weights', { ids: longIds, weights: longIds.map(id => 1 + id) }, null],
    ['rows, own negatives', { negativeMode: 'inBatch+own', ids: longIds }, randomRows(LONG, 6, 4)],
    ['rows, own negatives alone', { negativeMode: 'own' }, randomRows(2 * LONG, 6, 4)],
    ['rows, explicit negatives', { negativeMode: 'explicit', reduction: 'sum' }, randomRows(9, 6, 4)],
    ['rows, negatives beside the batch', { negativeMode: 'inBatch+explicit', perRow: true }, randomRows(9, 6, 4)],
  ])('of 1024 anchors, added in order, have the bits of the whole: %s', (_, options, negatives) => {
    expectSameBits({ anchors: randomRows(LONG, 6, 1), positives: randomRows(LONG, 6, 2), negatives, options }, [
      1024,
      LONG,
    ]);
  });

  function expectSameBits(problem: Problem, ends: readonly number[]): void {
    const [whole, parts] = [wholeOf(problem), cutAt(problem, ends)];
    expectGroups(problem, whole, parts);
    expect(inOrder(parts.map(({ loss }) => loss))).toBe(whole.loss);
    expect(inOrder(parts.map(part => part.temperatureGradient!))).toBe(whole.temperatureGradient);
    const { adapters, wrt } = problem.options;
    if (!adapters || wrt?.length === 3) {
      const [actual, expected] = [rowsOfParts(problem, parts), rowsOfWhole(whole)];
      expect(actual).toEqual(expected);
    }
    if (!adapters) return;
    const used = new Map([...adapters].filter(([name]) => whole.adapterGradients!.has(name)));
    const packed = (part: LossResult): Float32Array => packGradients(used, part.adapterGradients!);
    expect(sumInOrder(parts.map(packed))).toEqual(packed(whole));
    if (problem.options.perRow) expect(parts.flatMap(({ perRow }) => [...perRow!])).toEqual([...whole.perRow!]);
  }

  /** One call with `perGroup` has the results of one call per group, and the whole as before. */
  function expectGroups(problem: Problem, whole: LossResult, parts: readonly LossResult[]): void {
    const { perGroup, ...others } = wholeOf({ ...problem, options: { ...problem.options, perGroup: true } });
    expect(others).toEqual(whole);
    expect(perGroup).toEqual(
      parts.map(({ loss, temperatureGradient, adapterGradients }) => ({
        loss,
        temperatureGradient,
        ...(adapterGradients && { adapterGradients }),
      })),
    );
    const { anchors, positives, negatives, options } = problem;
    const forward = LossComputer.contrastive(anchors, positives, negatives, { ...options, perGroup: true });
    expect(forward.perGroup).toEqual(perGroup!.map(({ loss }) => ({ loss })));
  }

  it('goes with perGroup: the groups begin at the offset', () => {
    const [anchors, positives] = [randomRows(COUNT, DIM, 1), randomRows(COUNT, DIM, 2)];
    const options = { adapters: both, through: { anchors: 'query', positives: 'answer' }, weights };
    const problem = { anchors, positives, negatives: null, options: { ...options, perGroup: true } };
    const [, part] = cutAt(problem, [200, COUNT]);
    const alone = cutAt({ ...problem, options }, [200, 456, COUNT]).slice(1);
    expect(part!.perGroup!.map(group => packGradients(both, group.adapterGradients!))).toEqual(
      alone.map(group => packGradients(both, group.adapterGradients!)),
    );
  });

  it('may be given with more positives than anchors, and 0 is an offset', () => {
    const [anchors, positives] = [randomRows(3, 4, 1), randomRows(5, 4, 2)];
    const problem = { anchors: [...anchors, ...randomRows(2, 4, 3)], positives, negatives: null, options: {} };
    const [first, last] = cutAt(problem, [3, 5]);
    expect(first!.gradients).toHaveLength(3);
    expect(first!.targetGradients).toHaveLength(5);
    expectNear([first!.loss + last!.loss], [wholeOf(problem).loss]);
  });

  it('are averaged by two calls where the loss is symmetric, to the bit', () => {
    const [anchors, positives] = [randomRows(COUNT, DIM, 1), randomRows(COUNT, DIM, 2)];
    const options = { adapters: both, ids, weights };
    const forward = { ...options, through: { anchors: 'query', positives: 'answer' } };
    const reverse = { ...options, through: { anchors: 'answer', positives: 'query' } };
    const ends = [256, 512, COUNT];
    const whole = wholeOf({ anchors, positives, negatives: null, options: { ...forward, symmetric: true } });
    const calls = [
      cutAt({ anchors, positives, negatives: null, options: forward }, ends),
      cutAt({ anchors: positives, positives: anchors, negatives: null, options: reverse }, ends),
    ];
    const sums = calls.map(parts => sumInOrder(parts.map(part => packGradients(both, part.adapterGradients!))));
    expect(sumInOrder(sums).map(each => each / 2)).toEqual(packGradients(both, whole.adapterGradients!));
    expect(calls.reduce((sum, parts) => sum + inOrder(parts.map(({ loss }) => loss)) / 2, 0)).toBe(whole.loss);
  });

  it('have the diagnostics of the part', () => {
    const [anchors, positives] = [randomRows(6, 4, 1), randomRows(6, 4, 2)];
    const adapters = new Map([['query', adapterOf(4, 2, 3)]]);
    const options = { adapters, through: { anchors: 'query' }, diagnostics: true };
    const whole = wholeOf({ anchors, positives, negatives: null, options }).components as Record<string, number>;
    const parts = cutAt({ anchors, positives, negatives: null, options }, [2, 6]);
    for (const name of ['accuracy', 'positiveCosine', 'negativeCosine']) {
      const values = parts.map(({ components }) => (components as Record<string, number>)[name]!);
      expectNear([(2 * values[0]! + 4 * values[1]!) / 6], [whole[name]!]);
    }
  });

  it.each([undefined, 'own'] as const)('have the diagnostics of their own weights, negatives %s', negativeMode => {
    const [anchors, positives] = [randomRows(6, 4, 1), randomRows(6, 4, 2)];
    const negatives = negativeMode ? randomRows(6, 4, 3) : null;
    const options = { weights: [1, 2, 3, 4, 5, 6], diagnostics: true, ...(negativeMode && { negativeMode }) };
    const whole = wholeOf({ anchors, positives, negatives, options }).components as Record<string, number>;
    const parts = cutAt({ anchors, positives, negatives, options }, [2, 6]);
    for (const name of ['accuracy', 'positiveCosine', 'negativeCosine']) {
      const values = parts.map(({ components }) => (components as Record<string, number>)[name]!);
      expectNear([(3 * values[0]! + 18 * values[1]!) / 21], [whole[name]!]);
    }
  });

  it.each<[string, ContrastiveOptions, number]>([
    ['offset must be an integer of at least 0, got -1', { offset: -1 }, 2],
    ['offset must be an integer of at least 0, got 0.5', { offset: 0.5 }, 2],
    ['positives has 4 rows, but offset 3 and 2 anchors need 5', { offset: 3 }, 2],
    ['offset does not go with symmetric; make two calls', { offset: 0, symmetric: true }, 2],
    ['perGroup does not go with symmetric; make two calls', { perGroup: true, symmetric: true }, 4],
    ['ids has 2 rows, positives has 4', { offset: 0, ids: [1, 2] }, 2],
    ['weights has 2 rows, positives has 4', { offset: 0, weights: [1, 2] }, 2],
    ['positives has 4 rows, anchors has 2', {}, 2],
  ])('refuses %s', (message, options, count) => {
    const [anchors, positives] = [randomRows(count, 3, 1), randomRows(4, 3, 2)];
    expect(() => LossComputer.contrastive(anchors, positives, null, options)).toThrow(
      `LossComputer.contrastive: ${message}`,
    );
  });
});
