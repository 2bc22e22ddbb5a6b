import type { Rows } from '../../types.js';
import type { CosineEmbeddingProblem, MseProblem, PairResult, TripletProblem, TripletResult } from '../kernels.js';
import { commonWidth, isFloat32 } from '../matrix.js';
import * as scalar from '../scalar/rows.js';
import { COSINE_EPSILON } from '../vector.js';
import { type KernelMemory, strideOf } from './memory.js';

/**
 * The losses that treat each row by itself. Copying takes 30 ns per row, and the sums take a third of the time of a
 * loop in JavaScript. That loop computes float64 rows, which would lose digits here, and rows of unequal length.
 */

export function triplet(memory: KernelMemory, problem: TripletProblem): TripletResult {
  const { anchors, positives, negatives, margin, coefficients, losses } = problem;
  const isPlain = problem.distance === 'euclidean' && !problem.swap && !problem.gradients;
  const width = isPlain ? float32Width(anchors, positives, negatives) : 0;
  if (width === 0) return scalar.triplet(problem);
  const count = anchors.length;
  const { stride, matrices, results: toPositive } = layOut(memory, width, [anchors, positives, negatives], 2);
  const [[a, p, n], toNegative] = [matrices, toPositive + 8 * count];
  memory.call.squaredDistances(count, stride, a!, p!, 4 * stride, toPositive);
  memory.call.squaredDistances(count, stride, a!, n!, 4 * stride, toNegative);
  const { f64 } = memory;
  let loss = 0;
  for (let i = 0; i < count; i++) {
    const [near, far] = [Math.sqrt(f64[toPositive / 8 + i]!), Math.sqrt(f64[toNegative / 8 + i]!)];
    const rowLoss = scalar.tripletOf(near, far, margin);
    loss += coefficients[i]! * rowLoss;
    if (losses) losses[i] = rowLoss;
  }
  return { loss };
}

export function mse(memory: KernelMemory, problem: MseProblem): PairResult {
  const { predictions, targets, coefficients, losses } = problem;
  const width = problem.gradients ? 0 : float32Width(predictions, targets);
  if (width === 0) return scalar.mse(problem);
  const count = predictions.length;
  const { stride, matrices, results: distances } = layOut(memory, width, [predictions, targets], 1);
  const [a, b] = matrices;
  memory.call.squaredDistances(count, stride, a!, b!, 4 * stride, distances);
  let loss = 0;
  for (let i = 0; i < count; i++) {
    const squares = memory.f64[distances / 8 + i]!;
    loss += (coefficients[i]! * squares) / width;
    if (losses) losses[i] = squares / width;
  }
  return { loss };
}

export function cosineEmbedding(memory: KernelMemory, problem: CosineEmbeddingProblem): PairResult {
  const { predictions, targets, labels, margin, coefficients, losses } = problem;
  const width = problem.gradients ? 0 : float32Width(predictions, targets);
  if (width === 0) return scalar.cosineEmbedding(problem);
  const count = predictions.length;
  const { stride, matrices, results: products } = layOut(memory, width, [predictions, targets], 3);
  const [a, b] = matrices;
  memory.call.pairProducts(count, stride, a!, b!, 4 * stride, products);
  const { f64 } = memory;
  let loss = 0;
  for (let i = 0, at = products / 8; i < count; i++, at += 3) {
    const similarity = f64[at]! / (Math.sqrt(f64[at + 1]!) * Math.sqrt(f64[at + 2]!) + COSINE_EPSILON);
    const rowLoss = scalar.cosineEmbeddingOf(similarity, labels === null || labels[i] === 1, margin);
    loss += coefficients[i]! * rowLoss;
    if (losses) losses[i] = rowLoss;
  }
  return { loss };
}

/** Copies matrices of equal shape in, and reserves `resultsPerRow` float64 numbers per row. */
function layOut(
  memory: KernelMemory,
  width: number,
  matrices: readonly Rows[],
  resultsPerRow: number,
): { stride: number; matrices: number[]; results: number } {
  const [stride, count] = [strideOf(width), matrices[0]!.length];
  memory.begin();
  const pointers = matrices.map(() => memory.take(4 * count * stride));
  const results = memory.take(8 * count * resultsPerRow);
  memory.commit();
  matrices.forEach((rows, i) => {
    memory.writeRows(rows, pointers[i]!, stride);
  });
  return { stride, matrices: pointers, results };
}

/** The width of all rows where all are float32 and of equal length, else 0. */
function float32Width(...matrices: Rows[]): number {
  return matrices.every(rows => rows.every(isFloat32)) ? commonWidth(...matrices) : 0;
}
