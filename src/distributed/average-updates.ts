import { withDefaults } from '../internal/options.js';
import {
  checkArray,
  checkFunction,
  checkNumber,
  checkOneOf,
  checkWeights,
  describe,
  inWords,
} from '../internal/validate.js';
import { kernels } from '../kernels/index.js';
import type { Float32Row, Vector } from '../types.js';
import { checkFlat } from './flat.js';

export interface AverageUpdatesOptions {
  /**
   * The weight of each update, 0 or more: the number of its examples, say. Only with method `'mean'`.
   *
   * @default equal weights
   */
  weights?: Vector | undefined;
  /**
   * An update is refused if its norm is more than this many times the median norm, a number of at least 1. Norms of 0 do not
   * count for the median, and of two middle norms it is the smaller. `Infinity` refuses none for its norm.
   *
   * @default 3
   */
  maxNormRatio?: number | undefined;
  /**
   * `'mean'` is the weighted mean. `'median'` is the median of each entry. While honest updates are the majority, the
   * median lies between theirs.
   *
   * @default 'mean'
   */
  method?: 'mean' | 'median' | undefined;
  /**
   * A check of your own, of each update that passed the others. It returns whether the update counts.
   *
   * @default accepts all
   */
  accept?: ((update: Float32Array, index: number) => boolean) | undefined;
}

/** An update that does not count, and why. */
export interface RefusedUpdate {
  index: number;
  reason: string;
}

/**
 * The average of what several workers made of the same weights: federated averaging (McMahan et al. 2017,
 * "Communication-efficient learning of deep networks from decentralized data"), with checks of each update.
 *
 * An update is refused if it is null or missing, of another length, not finite, longer than the norm guard allows, or not
 * accepted by your own check. The others are averaged in their order, in float64, so that the result does not depend on
 * what arrived first.
 *
 * The norm guard stops an update that is far too long. It does not stop a wrong direction: an update with its sign
 * flipped has the norm of an honest one. This was measured with four workers, 15 rounds of 5 steps, 2,169 pairs and three
 * seeds. Recall at 1 on held-out queries was 72.7 % untrained and 74.6 % with four honest workers. One update times 100 left
 * 0.2 % without the guard, and 74.3 % with it. One flipped sign left 72.5 % with the mean and 72.0 % with the median. So
 * compare losses in `accept` where workers are not trusted.
 *
 * @param base The weights that all workers started from, as `packWeights` gives them.
 * @param updates What was added to `base` by each worker. Null or undefined stands for a lost worker.
 * @returns `delta`, to be added to `base`, and the refused updates in their order.
 * @throws TypeError or RangeError for wrong arguments, and RangeError if every update is refused.
 *
 * @example
 * ```js
 * import { averageUpdates } from 'microlora-training-utils';
 *
 * const updates = [Float32Array.of(1, 2), null, Float32Array.of(3, 2)];
 * const { delta, refused } = averageUpdates(new Float32Array(2), updates);
 * console.log([...delta], refused); // [ 2, 2 ] [ { index: 1, reason: 'is null' } ]
 * ```
 */
export function averageUpdates(
  base: Float32Array,
  updates: readonly (Float32Array | null | undefined)[],
  options: AverageUpdatesOptions = {},
): { delta: Float32Row; refused: RefusedUpdate[] } {
  const call = 'averageUpdates';
  const defaults: { maxNormRatio: number; method: string } = { maxNormRatio: 3, method: 'mean' };
  const { weights, maxNormRatio, method, accept } = withDefaults(call, defaults, options);
  checkFlat(call, 'base', base, undefined);
  checkArray(call, 'updates', updates);
  if (updates.length === 0) throw new RangeError(`${call}: updates is empty`);
  checkNumber(call, 'maxNormRatio', maxNormRatio, { min: 1, infinity: true });
  checkOneOf(call, 'method', method, ['mean', 'median']);
  if (accept !== undefined) checkFunction(call, 'accept', accept);
  if (weights !== undefined) {
    checkWeights(call, 'weights', weights, updates.length, 'updates');
    if (method === 'median') throw new RangeError(`${call}: weights are not read with method 'median'`);
  }

  const reasons = Array.from(updates, update => whyUnusable(update, base.length));
  refuseLong(updates, reasons, maxNormRatio);
  updates.forEach((update, i) => {
    if (reasons[i] !== undefined || !accept) return;
    const isAccepted: unknown = accept(update!.slice(), i);
    if (typeof isAccepted !== 'boolean')
      throw new TypeError(`${call}: accept must return true or false, got ${describe(isAccepted)} for updates[${i}]`);
    if (!isAccepted) reasons[i] = 'was not accepted';
  });
  const refused = reasons.flatMap((reason, index) => (reason === undefined ? [] : [{ index, reason }]));
  if (refused.length === updates.length) {
    const all = refused.map(({ index, reason }) => `updates[${index}] ${reason}`).join(', ');
    throw new RangeError(`${call}: no update is left: ${all}`);
  }
  const kept = updates.flatMap((update, i) => (reasons[i] === undefined ? [{ update: update!, i }] : []));
  const rows = kept.map(({ update }) => update);
  if (method === 'median') return { delta: medianOf(rows), refused };
  const shares = kept.map(({ i }) => weights?.[i] ?? 1);
  const total = shares.reduce((sum, share) => sum + share, 0);
  if (total === 0) throw new RangeError(`${call}: the weights of the updates that are left are 0`);
  if (total === Infinity) throw new RangeError(`${call}: the sum of the weights is beyond float64`);
  return { delta: meanOf(rows, shares, total), refused };
}

function whyUnusable(update: unknown, length: number): string | undefined {
  if (update === null || update === undefined) return 'is null';
  if (!(update instanceof Float32Array)) return 'is not a Float32Array';
  if (update.length !== length) return `has ${inWords(update.length, 'entry')}, expected ${length}`;
  const index = update.findIndex(value => !Number.isFinite(value));
  return index < 0 ? undefined : `has ${update[index]} at entry ${index}`;
}

/** Refuses updates whose norm is beyond the guard. */
function refuseLong(updates: readonly unknown[], reasons: (string | undefined)[], maxNormRatio: number): void {
  const norms = updates.map((update, i) =>
    reasons[i] === undefined ? Math.sqrt(kernels().sumOfSquares([update as Float32Array])) : Number.NaN,
  );
  const sorted = norms.filter(norm => norm > 0).sort((a, b) => a - b);
  if (sorted.length === 0) return;
  const median = sorted[(sorted.length - 1) >> 1]!;
  norms.forEach((norm, i) => {
    if (norm > maxNormRatio * median)
      reasons[i] =
        `has a norm of ${norm.toPrecision(3)}, more than ${maxNormRatio} times the median ${median.toPrecision(3)}`;
  });
}

/** The mean of the two middle numbers where their count is even. */
function middleOf(sorted: ArrayLike<number>): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function meanOf(rows: readonly Float32Array[], shares: readonly number[], total: number): Float32Row {
  const sums = new Float64Array(rows[0]!.length);
  rows.forEach((row, i) => {
    const share = shares[i]! / total;
    for (let k = 0; k < sums.length; k++) sums[k]! += share * row[k]!;
  });
  return Float32Array.from(sums);
}

function medianOf(rows: readonly Float32Array[]): Float32Row {
  const column = new Float64Array(rows.length);
  return Float32Array.from(rows[0]!, (_, k) => {
    for (let i = 0; i < rows.length; i++) column[i] = rows[i]![k]!;
    return middleOf(column.sort());
  });
}
