import type { Float32Row, Rows, Vector } from '../../types.js';
import type {
  CosineEmbeddingProblem,
  CrossEntropyProblem,
  MseProblem,
  PairResult,
  TripletProblem,
  TripletResult,
} from '../kernels.js';
import { commonWidth, viewRows, withJson } from '../matrix.js';
import { specialize } from '../specialize.js';
import { addCosineGradient, cosineDistance, cosineOf, euclidean, squaredDistance } from '../vector.js';

/** The losses that treat each row by itself. */

export function triplet(problem: TripletProblem): TripletResult {
  const { anchors, positives, negatives, margin, distance, swap, coefficients, losses } = problem;
  const measure = distance === 'cosine' ? cosineDistance : euclidean;
  const addGradients = distance === 'cosine' ? addCosineDistanceGradients : addEuclideanGradients;
  const gradients = problem.gradients
    ? { anchors: zeroRowsLike(anchors), positives: zeroRowsLike(positives), negatives: zeroRowsLike(negatives) }
    : undefined;
  let loss = 0;
  for (let i = 0; i < anchors.length; i++) {
    const [anchor, positive, negative] = [anchors[i]!, positives[i]!, negatives[i]!];
    const near = measure(anchor, positive);
    const fromAnchor = measure(anchor, negative);
    const fromPositive = swap ? measure(positive, negative) : Infinity;
    const rowLoss = tripletOf(near, swap ? Math.min(fromAnchor, fromPositive) : fromAnchor, margin);
    const scale = coefficients[i]!;
    loss += scale * rowLoss;
    if (losses) losses[i] = rowLoss;
    if (!gradients || !(rowLoss > 0)) continue;
    const [ofAnchor, ofPositive, ofNegative] = [
      gradients.anchors[i]!,
      gradients.positives[i]!,
      gradients.negatives[i]!,
    ];
    addGradients(ofAnchor, ofPositive, anchor, positive, scale);
    if (fromPositive < fromAnchor) addGradients(ofPositive, ofNegative, positive, negative, -scale);
    else addGradients(ofAnchor, ofNegative, anchor, negative, -scale);
  }
  return gradients ? { loss, gradients } : { loss };
}

export function crossEntropy(problem: CrossEntropyProblem): { loss: number; gradients?: Float32Row[] } {
  const { logits, targets, labelSmoothing, classWeights, coefficients, losses } = problem;
  const gradients = problem.gradients ? zeroRowsLike(logits) : undefined;
  let loss = 0;
  for (let i = 0; i < logits.length; i++) {
    const scale = coefficients[i]!;
    const target = targets[i]!;
    if (target < 0 || (scale === 0 && !losses)) continue;
    const row = logits[i]!;
    let highest = -Infinity;
    for (let c = 0; c < row.length; c++) if (row[c]! > highest) highest = row[c]!;
    let exponentials = 0;
    let smoothGap = 0;
    let smoothWeight = 0;
    const smoothing = labelSmoothing / row.length;
    for (let c = 0; c < row.length; c++) {
      exponentials += Math.exp(row[c]! - highest);
      if (smoothing === 0) continue;
      // A logit of -Infinity rules its class out, so the mean over all classes must not count without smoothing.
      const weight = smoothing * (classWeights?.[c] ?? 1);
      smoothGap += weight * (highest - row[c]!);
      smoothWeight += weight;
    }
    // Cross-entropy against (1 - s) · one-hot + s · uniform, weighted by class. Logits are relative to the highest, so
    // no terms cancel.
    const ownWeight = (1 - labelSmoothing) * (classWeights?.[target] ?? 1);
    const weight = ownWeight + smoothWeight;
    const rowLoss = weight * Math.log(exponentials) + ownWeight * (highest - row[target]!) + smoothGap;
    loss += scale * rowLoss;
    if (losses) losses[i] = rowLoss;
    if (!gradients || scale === 0) continue;
    const gradient = gradients[i]!;
    for (let c = 0; c < row.length; c++) {
      const share = Math.exp(row[c]! - highest) / exponentials;
      const own = (c === target ? ownWeight : 0) + smoothing * (classWeights?.[c] ?? 1);
      gradient[c] = scale * (weight * share - own);
    }
  }
  return gradients ? { loss, gradients } : { loss };
}

export function mse({ predictions, targets, coefficients, gradients, losses }: MseProblem): PairResult {
  const results = gradients ? { predictions: zeroRowsLike(predictions), targets: zeroRowsLike(targets) } : undefined;
  let loss = 0;
  for (let i = 0; i < predictions.length; i++) {
    const prediction = predictions[i]!;
    const target = targets[i]!;
    const length = Math.min(prediction.length, target.length);
    const squares = squaredDistance(prediction, target, length);
    loss += (coefficients[i]! * squares) / length;
    if (losses) losses[i] = squares / length;
    if (results) {
      const scale = (2 * coefficients[i]!) / length;
      addDifference(results.predictions[i]!, results.targets[i]!, prediction, target, scale, length);
    }
  }
  return results ? { loss, gradients: results } : { loss };
}

export function cosineEmbedding(problem: CosineEmbeddingProblem): PairResult {
  const { predictions, targets, labels, margin, coefficients, losses } = problem;
  const gradients = problem.gradients
    ? { predictions: zeroRowsLike(predictions), targets: zeroRowsLike(targets) }
    : undefined;
  let loss = 0;
  for (let i = 0; i < predictions.length; i++) {
    const [prediction, target] = [predictions[i]!, targets[i]!];
    const isSimilar = labels === null || labels[i] === 1;
    const rowLoss = cosineEmbeddingOf(cosineOf(prediction, target), isSimilar, margin);
    loss += coefficients[i]! * rowLoss;
    if (losses) losses[i] = rowLoss;
    if (!gradients || (!isSimilar && !(rowLoss > 0))) continue;
    const scale = isSimilar ? -coefficients[i]! : coefficients[i]!;
    addCosineGradient(gradients.predictions[i]!, prediction, target, scale);
    addCosineGradient(gradients.targets[i]!, target, prediction, scale);
  }
  return gradients ? { loss, gradients } : { loss };
}

/** Triplet loss of one row. NaN for an infinite distance to the negative: otherwise bad input would give loss 0. */
export function tripletOf(toPositive: number, toNegative: number, margin: number): number {
  return toNegative === Infinity ? Number.NaN : Math.max(0, toPositive - toNegative + margin);
}

/** Cosine embedding loss of one row. */
export function cosineEmbeddingOf(similarity: number, isSimilar: boolean, margin: number): number {
  return isSimilar ? 1 - similarity : Math.max(0, similarity - margin);
}

/** Adds `scale · ∂(1 - cos)/∂a` and the same for b. */
function addCosineDistanceGradients(ofA: Float32Row, ofB: Float32Row, a: Vector, b: Vector, scale: number): void {
  addCosineGradient(ofA, a, b, -scale);
  addCosineGradient(ofB, b, a, -scale);
}

/** Adds `scale · ∂|a - b|/∂a` and the same for b; 0 where the rows are equal. */
function addEuclideanGradients(ofA: Float32Row, ofB: Float32Row, a: Vector, b: Vector, scale: number): void {
  const distance = euclidean(a, b);
  if (distance > 0) addDifference(ofA, ofB, a, b, scale / distance, Math.min(a.length, b.length));
}

const differenceLoop = specialize(
  () =>
    (ofA: Float32Row, ofB: Float32Row, a: Vector, b: Vector, scale: number, length: number): void => {
      for (let k = 0; k < length; k++) {
        const difference = scale * (a[k]! - b[k]!);
        ofA[k]! += difference;
        ofB[k]! -= difference;
      }
    },
);

/** Adds `scale · (a - b)` to the first gradient and subtracts it from the second. */
function addDifference(ofA: Float32Row, ofB: Float32Row, a: Vector, b: Vector, scale: number, length: number): void {
  differenceLoop(a)(ofA, ofB, a, b, scale, length);
}

/** Zeros in the shape of the rows: views of one buffer where all rows have equal length. */
function zeroRowsLike(rows: Rows): Float32Row[] {
  const width = commonWidth(rows);
  if (width === 0) return withJson(rows.map(row => new Float32Array(row.length)));
  return viewRows(new Float32Array(rows.length * width), rows.length, width);
}
