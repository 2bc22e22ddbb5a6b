import fc from 'fast-check';
import type { ContrastiveOptions, NegativeMode, Rows } from '../../src/index.js';
import { arbitraryRows } from '../laws/gradients.js';

/** A contrastive problem: its rows, and the options that decide which candidates count. */
export interface Contrastive {
  rows: { anchors: number[][]; positives: number[][]; negatives: number[][] | null };
  options: ContrastiveOptions & { temperature: number };
}

/** The options that decide the candidates. */
export interface Setting {
  mode: NegativeMode | null;
  ids: 'none' | 'anchors' | 'both';
  symmetric: boolean;
}

/** Every setting. Negatives have ids only where there are negatives and rows have ids. */
export const settings: Setting[] = ([null, 'explicit', 'own', 'inBatch+explicit', 'inBatch+own'] as const).flatMap(
  mode =>
    (mode === null ? (['none', 'anchors'] as const) : (['none', 'anchors', 'both'] as const)).flatMap(ids =>
      [false, true].map(symmetric => ({ mode, ids, symmetric })),
    ),
);

/** Problems of a setting, with or without weights, averaged or summed. k is up to 3. */
export function arbitraryContrastive({ mode, ids, symmetric }: Setting): fc.Arbitrary<Contrastive> {
  const shape = {
    n: fc.integer({ min: 1, max: 5 }),
    dim: fc.integer({ min: 2, max: 4 }),
    k: fc.integer({ min: 1, max: 3 }),
  };
  return fc.record(shape).chain(({ n, dim, k }) => {
    const count = mode?.includes('own') ? k * n : k + 1;
    const labels = (length: number): fc.Arbitrary<number[]> =>
      fc.array(fc.nat(2), { minLength: length, maxLength: length });
    return fc.record({
      rows: fc.record({
        anchors: arbitraryRows(n, dim),
        positives: arbitraryRows(n, dim),
        negatives: mode === null ? fc.constant(null) : arbitraryRows(count, dim),
      }),
      options: fc.record({
        temperature: fc.constantFrom(0.3, 0.5, 1),
        symmetric: fc.constant(symmetric),
        reduction: fc.constantFrom('mean', 'sum'),
        ...(mode && { negativeMode: fc.constant(mode) }),
        ...(ids !== 'none' && { ids: labels(n) }),
        ...(ids === 'both' && { negativeIds: labels(count) }),
        weights: fc.option(labels(n), { nil: undefined }),
      }),
    }) as fc.Arbitrary<Contrastive>;
  });
}

/** Problems with some negatives that equal a positive. */
export function withCopies({ rows, options }: Contrastive, copied: readonly boolean[]): Contrastive {
  const { anchors, positives, negatives } = rows;
  const perAnchor = (negatives?.length ?? 0) / anchors.length;
  const isOwn = options.negativeMode?.includes('own');
  const copies = negatives?.map((row, j) =>
    copied[j % copied.length] ? [...positives[isOwn ? Math.floor(j / perAnchor) : j % positives.length]!] : row,
  );
  return { rows: { ...rows, negatives: copies ?? null }, options };
}

/** Plain loops over all candidates, in float64: the loss, the loss of each row, and the cosines that count. */
export function bruteForce({ rows, options }: Contrastive): {
  loss: number;
  perRow: number[];
  cosines: { positive: number; negatives: number[] }[];
} {
  const { anchors, positives, negatives } = rows;
  const { ids, negativeIds, negativeMode: mode = 'explicit', symmetric, weights, reduction, temperature } = options;
  const forward = anchors.map((anchor, i) => {
    const others: number[][] = [];
    if (negatives === null || mode.startsWith('inBatch')) {
      positives.forEach((row, j) => {
        if (j !== i && !(ids && ids[i] === ids[j])) others.push(row);
      });
    }
    const perAnchor = (negatives?.length ?? 0) / anchors.length;
    negatives?.forEach((row, j) => {
      if (negativeIds && negativeIds[j] === ids![i]) return;
      const isOthers = Math.floor(j / perAnchor) !== i;
      const isPositive = row.every((value, k) => value === positives[i]![k]);
      if (mode.endsWith('own') && (isOthers || isPositive)) return;
      others.push(row);
    });
    return { positive: cosine(anchor, positives[i]!), negatives: others.map(row => cosine(anchor, row)) };
  });
  const backward = positives.map((positive, i) => ({
    positive: cosine(positive, anchors[i]!),
    negatives: anchors.filter((_, j) => j !== i && !(ids && ids[i] === ids[j])).map(row => cosine(positive, row)),
  }));
  const lossOf = (each: { positive: number; negatives: number[] }): number => {
    const logits = [each.positive, ...each.negatives].map(value => value / temperature);
    return Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0)) - logits[0]!;
  };
  const perRow = forward.map((each, i) => (symmetric ? (lossOf(each) + lossOf(backward[i]!)) / 2 : lossOf(each)));
  const all = perRow.map((_, i) => weights?.[i] ?? 1);
  const total = perRow.reduce((sum, loss, i) => sum + all[i]! * loss, 0);
  const weight = all.reduce((sum, each) => sum + each, 0);
  const loss = reduction === 'sum' ? total : weight === 0 ? 0 : total / weight;
  return { loss, perRow, cosines: forward };
}

function cosine(a: Rows[number], b: Rows[number]): number {
  const dot = (x: Rows[number], y: Rows[number]): number =>
    Array.from(x).reduce((sum, value, k) => sum + value * y[k]!, 0);
  return dot(a, b) / (Math.sqrt(dot(a, a)) * Math.sqrt(dot(b, b)) + 1e-8);
}
