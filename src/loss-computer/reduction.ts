import { checkNumber, checkOneOf, checkWeights } from '../internal/validate.js';

/** How the losses of single rows become one, and whether the result has them. */
export interface ReductionOptions {
  /** One weight per row, 0 or more: the mean is then `Σ w·l / Σ w`, the sum `Σ w·l`. Default: all 1. */
  weights?: ArrayLike<number>;
  /** Whether rows are averaged or added up. Default `'mean'`. */
  reduction?: 'mean' | 'sum';
  /**
   * Whether the result has `perRow`, the loss of each row before `weights` and `reduction`: a row of weight 0 has its
   * loss too. Default false.
   */
  perRow?: boolean;
}

const REDUCTIONS = ['mean', 'sum'] as const;

/** What every loss except `mse` can compute beside itself. */
export interface DiagnosticsOptions {
  /**
   * Whether `components` also tell how the training goes, at the cost of another pass; each loss says what it adds.
   * Means are weighted by `weights`. Default false.
   */
  diagnostics?: boolean;
}

/** Room for the loss of each row, where it is asked for. */
export function lossesOf({ perRow }: ReductionOptions, count: number): Float64Array | null {
  return perRow ? new Float64Array(count) : null;
}

/**
 * What each row counts in diagnostics: its weight as given, so that shares are quotients of counts; 0 for a row that is
 * 0 in the loss too.
 */
export function countsOf({ weights }: ReductionOptions, coefficients: Float64Array): Float64Array {
  return coefficients.map((coefficient, i) => (coefficient === 0 ? 0 : (weights?.[i] ?? 1)));
}

/**
 * The factor of each row's loss in the reduced one; all 0 where no row counts.
 *
 * @param shareOf What a row counts in the mean beside its weight, or undefined for a row that is skipped. Default: 1.
 */
export function coefficientsOf(
  call: string,
  { weights, reduction = 'mean' }: ReductionOptions,
  count: number,
  rowsName: string,
  shareOf?: (row: number) => number | undefined,
): Float64Array {
  checkOneOf(call, 'reduction', reduction, REDUCTIONS);
  if (weights !== undefined) checkWeights(call, 'weights', weights, count, rowsName);
  if (!weights && !shareOf) return new Float64Array(count).fill(reduction === 'mean' ? 1 / count : 1);
  const coefficients = new Float64Array(count);
  let total = 0;
  for (let i = 0; i < count; i++) {
    const share = shareOf ? shareOf(i) : 1;
    if (share === undefined) continue;
    coefficients[i] = weights?.[i] ?? 1;
    total += share * coefficients[i]!;
  }
  if (reduction === 'sum') return coefficients;
  checkNumber(call, 'the sum of weights', total);
  return total > 0 ? coefficients.map(coefficient => coefficient / total) : coefficients.fill(0);
}

/** The loss of each row in both directions. */
export function averaged(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((loss, i) => (loss + b[i]!) / 2);
}
