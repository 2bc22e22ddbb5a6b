import type { Rows } from '../../types.js';
import { crossEntropy as scalarCrossEntropy } from '../scalar/rows.js';
import { type KernelMemory, roundUp } from './memory.js';

/** Logits of float64 beyond this would lose too much as float32. */
const LARGEST_ROUNDED = 64;

export function crossEntropy(
  memory: KernelMemory,
  logits: Rows,
  targets: ArrayLike<number>,
  labelSmoothing: number,
  coefficients: Float64Array,
): number {
  let longest = 0;
  for (let i = 0; i < logits.length; i++) longest = Math.max(longest, logits[i]!.length);
  memory.begin();
  const data = memory.take(4 * roundUp(longest, 16));
  const results = memory.take(40);
  memory.commit();

  let loss = 0;
  for (let i = 0; i < logits.length; i++) {
    const row = logits[i]!;
    const { f32, f64 } = memory;
    const at = data / 4;
    const padded = roundUp(row.length, 16);
    f32.set(row, at);
    f32.fill(f32[at]!, at + row.length, at + padded);
    memory.call.logitSums(padded, padded - row.length, data, results);
    const at64 = results / 8;
    const [equal, others, sum] = [f64[at64]!, f64[at64 + 1]!, f64[at64 + 2]!];
    const [highest, lowest] = [f64[at64 + 3]!, f64[at64 + 4]!];
    const isExact = row instanceof Float32Array || (highest < LARGEST_ROUNDED && lowest > -LARGEST_ROUNDED);
    if (!isExact || !Number.isFinite(sum)) {
      const target = targets[i]!;
      loss += scalarCrossEntropy([row], [target], labelSmoothing, coefficients.subarray(i, i + 1));
      continue;
    }
    const ownGap = highest - f32[at + targets[i]!]!;
    const smoothGap = labelSmoothing === 0 ? 0 : (-labelSmoothing * sum) / row.length;
    loss += coefficients[i]! * (Math.log1p(equal - 1 + others) + (1 - labelSmoothing) * ownGap + smoothGap);
  }
  return loss;
}
