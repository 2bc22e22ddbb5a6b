import { type Random, randomFor } from '../internal/random.js';

/** Resamples drawn for an interval. */
const RESAMPLES = 1000;
/** Share of the resampled means within the interval. */
const LEVEL = 0.95;

/** Ends of an interval: `[low, high]`. */
export type Interval = [low: number, high: number];

/**
 * Percentile intervals of the means of columns of equal height (Efron and Tibshirani 1993, "An introduction to the
 * bootstrap", chapter 13). Each resample draws as many rows as there are, with replacement. All columns share the rows.
 */
export function bootstrapIntervals(columns: readonly Float64Array[], seed: number): Interval[] {
  const means = columns.map(() => new Float64Array(RESAMPLES));
  const random = randomFor(seed);
  const rows = columns[0]!.length;
  const drawn = new Int32Array(rows);
  for (let resample = 0; resample < RESAMPLES; resample++) {
    draw(drawn, random);
    for (let c = 0; c < columns.length; c++) means[c]![resample] = meanOf(columns[c]!, drawn);
  }
  return means.map(values => {
    values.sort();
    return [quantile(values, (1 - LEVEL) / 2), quantile(values, (1 + LEVEL) / 2)];
  });
}

function draw(drawn: Int32Array, random: Random): void {
  const { length } = drawn;
  for (let i = 0; i < length; i++) drawn[i] = Math.floor(random() * length);
}

function meanOf(values: Float64Array, drawn: Int32Array): number {
  let sum = 0;
  for (let i = 0; i < drawn.length; i++) sum += values[drawn[i]!]!;
  return sum / drawn.length;
}

/** Quantile of sorted values, with linear interpolation. */
function quantile(sorted: Float64Array, share: number): number {
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  const above = Math.ceil(position);
  return sorted[below]! + (position - below) * (sorted[above]! - sorted[below]!);
}
