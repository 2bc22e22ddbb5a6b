import { checkNumber, checkOneOf, checkWeights } from '../internal/validate.js';

/** How the losses of the rows become one loss. */
export interface ReductionOptions {
  /**
   * One weight per row, 0 or more. The mean is then `Σ w·l / Σ w`, the sum `Σ w·l`.
   *
   * @default all 1
   */
  weights?: ArrayLike<number>;
  /**
   * Whether the losses of the rows are averaged or added up.
   *
   * @default 'mean'
   */
  reduction?: 'mean' | 'sum';
  /**
   * Whether the result has `perRow`, the loss of each row before `weights` and `reduction`. A row of weight 0 has its
   * loss too.
   *
   * @default false
   */
  perRow?: boolean;
}

const REDUCTIONS = ['mean', 'sum'] as const;

/** An option of every loss except `mse`. */
export interface DiagnosticsOptions {
  /**
   * Whether `components` also tell how the training goes, at the cost of another pass. The components' type says what each
   * loss adds. Means are weighted by `weights`.
   *
   * @default false
   */
  diagnostics?: boolean;
}

/** Room for the loss of each row. Null if `perRow` is off. */
export function lossesOf({ perRow }: ReductionOptions, count: number): Float64Array | null {
  return perRow ? new Float64Array(count) : null;
}

/**
 * The weight of each row in diagnostics. It is the weight as given, so that shares are quotients of counts. A row that
 * does not count in the loss has weight 0.
 */
export function countsOf({ weights }: ReductionOptions, coefficients: Float64Array): Float64Array {
  return coefficients.map((coefficient, i) => (coefficient === 0 ? 0 : (weights?.[i] ?? 1)));
}

/**
 * The factor of each row's loss in the reduced loss. All are 0 if no row counts.
 *
 * @param shareOf A further weight of a row in the mean, 1 by default. Undefined for a row that is skipped.
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

/** The mean of the two directions' losses, row by row. */
export function averaged(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((loss, i) => (loss + b[i]!) / 2);
}
