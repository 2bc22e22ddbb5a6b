import type { Rows } from '../../types.js';
import type { PairResult } from '../kernels.js';
import { cosine, euclidean, squaredDistance } from '../vector.js';

/** The losses that look at each row by itself. */

export function triplet(
  anchors: Rows,
  positives: Rows,
  negatives: Rows,
  margin: number,
  coefficients: Float64Array,
): number {
  let loss = 0;
  for (let i = 0; i < anchors.length; i++) {
    const toPositive = euclidean(anchors[i]!, positives[i]!);
    const toNegative = euclidean(anchors[i]!, negatives[i]!);
    loss += coefficients[i]! * tripletOf(toPositive, toNegative, margin);
  }
  return loss;
}

export function crossEntropy(
  logits: Rows,
  targets: ArrayLike<number>,
  labelSmoothing: number,
  coefficients: Float64Array,
): number {
  let loss = 0;
  for (let i = 0; i < logits.length; i++) {
    const row = logits[i]!;
    let highest = -Infinity;
    let sum = 0;
    for (let c = 0; c < row.length; c++) {
      const logit = row[c]!;
      if (logit > highest) highest = logit;
      sum += logit;
    }
    let exponentials = 0;
    for (let c = 0; c < row.length; c++) exponentials += Math.exp(row[c]! - highest);
    // Cross-entropy against (1 - s) · one-hot + s · uniform, relative to the highest logit so that nothing cancels.
    // A logit of -Infinity rules its class out; without smoothing the mean over all classes must not count then.
    const ownGap = highest - row[targets[i]!]!;
    const smoothGap = labelSmoothing === 0 ? 0 : labelSmoothing * (highest - sum / row.length);
    loss += coefficients[i]! * (Math.log(exponentials) + (1 - labelSmoothing) * ownGap + smoothGap);
  }
  return loss;
}

export function mse(predictions: Rows, targets: Rows, coefficients: Float64Array, gradients: boolean): PairResult {
  const predictionGradients = gradients ? predictions.map(row => new Float32Array(row.length)) : undefined;
  const targetGradients = gradients ? targets.map(row => new Float32Array(row.length)) : undefined;
  let loss = 0;
  for (let i = 0; i < predictions.length; i++) {
    const prediction = predictions[i]!;
    const target = targets[i]!;
    const length = Math.min(prediction.length, target.length);
    loss += (coefficients[i]! * squaredDistance(prediction, target, length)) / length;
    if (predictionGradients && targetGradients) {
      const scale = (2 * coefficients[i]!) / length;
      for (let k = 0; k < length; k++) {
        const gradient = scale * (prediction[k]! - target[k]!);
        predictionGradients[i]![k] = gradient;
        targetGradients[i]![k] = -gradient;
      }
    }
  }
  if (!predictionGradients || !targetGradients) return { loss };
  return {
    loss,
    gradients: { predictions: predictionGradients, targets: targetGradients },
  };
}

export function cosineEmbedding(
  predictions: Rows,
  targets: Rows,
  labels: ArrayLike<number> | null,
  margin: number,
  coefficients: Float64Array,
): number {
  let loss = 0;
  for (let i = 0; i < predictions.length; i++) {
    const similarity = cosine(predictions[i]!, targets[i]!);
    loss += coefficients[i]! * cosineEmbeddingOf(similarity, labels === null || labels[i] === 1, margin);
  }
  return loss;
}

/** Triplet loss of one row. An infinite distance to the negative must show, or bad input would pass as loss 0. */
export function tripletOf(toPositive: number, toNegative: number, margin: number): number {
  return toNegative === Infinity ? Number.NaN : Math.max(0, toPositive - toNegative + margin);
}

/** Cosine embedding loss of one row. */
export function cosineEmbeddingOf(similarity: number, isSimilar: boolean, margin: number): number {
  return isSimilar ? 1 - similarity : Math.max(0, similarity - margin);
}
