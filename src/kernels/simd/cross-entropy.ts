import type { Float32Row } from '../../types.js';
import type { CrossEntropyProblem } from '../kernels.js';
import { withJson } from '../matrix.js';
import { crossEntropy as scalarCrossEntropy } from '../scalar/rows.js';
import { type KernelMemory, roundUp } from './memory.js';

/** Float64 logits beyond this would lose too many digits in float32. */
const LARGEST_ROUNDED = 64;

export function crossEntropy(
  memory: KernelMemory,
  problem: CrossEntropyProblem,
): { loss: number; gradients?: Float32Row[] } {
  const { logits, targets, labelSmoothing, coefficients, losses } = problem;
  if (problem.classWeights) return scalarCrossEntropy(problem);
  let longest = 0;
  for (let i = 0; i < logits.length; i++) longest = Math.max(longest, logits[i]!.length);
  memory.begin();
  const data = memory.take(4 * roundUp(longest, 16));
  const results = memory.take(40);
  memory.commit();

  const { call, f32, f64 } = memory;
  const [at, at64] = [data / 4, results / 8];
  const gradients = problem.gradients ? withJson(logits.map(row => new Float32Array(row.length))) : undefined;
  let loss = 0;
  for (let i = 0; i < logits.length; i++) {
    const [row, target, scale] = [logits[i]!, targets[i]!, coefficients[i]!];
    if (target < 0 || (scale === 0 && !losses)) continue;
    const padded = roundUp(row.length, 16);
    f32.set(row, at);
    f32.fill(f32[at]!, at + row.length, at + padded);
    call.logitSums(padded, padded - row.length, data, results);
    const [equal, others, sum] = [f64[at64]!, f64[at64 + 1]!, f64[at64 + 2]!];
    const [highest, lowest] = [f64[at64 + 3]!, f64[at64 + 4]!];
    const isExact = row instanceof Float32Array || (highest < LARGEST_ROUNDED && lowest > -LARGEST_ROUNDED);
    if (!isExact || !Number.isFinite(sum)) {
      const only = {
        logits: [row],
        targets: [target],
        coefficients: coefficients.subarray(i, i + 1),
        losses: losses?.subarray(i, i + 1) ?? null,
      };
      const result = scalarCrossEntropy({ ...problem, ...only });
      loss += result.loss;
      if (gradients) gradients[i] = result.gradients![0]!;
      continue;
    }
    const ownGap = highest - f32[at + target]!;
    const smoothGap = labelSmoothing === 0 ? 0 : (-labelSmoothing * sum) / row.length;
    const rowLoss = Math.log1p(equal - 1 + others) + (1 - labelSmoothing) * ownGap + smoothGap;
    loss += scale * rowLoss;
    if (losses) losses[i] = rowLoss;
    if (!gradients || scale === 0) continue;
    call.softmaxGradient(padded, data, highest, scale / (equal + others), (scale * labelSmoothing) / row.length);
    f32[at + target]! -= scale * (1 - labelSmoothing);
    gradients[i]!.set(f32.subarray(at, at + row.length));
  }
  return gradients ? { loss, gradients } : { loss };
}
