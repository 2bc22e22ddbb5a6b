import { kernels } from '../kernels/index.js';
import {
  COSINE_ERROR,
  type ContrastiveProblem,
  type CrossEntropyProblem,
  type TripletProblem,
} from '../kernels/kernels.js';
import { cosineDistance, cosineOf, euclidean } from '../kernels/vector.js';
import type { Rows } from '../types.js';
import type { ContrastiveComponents } from './contrastive.js';
import type { CosineEmbeddingComponents } from './cosine-embedding.js';
import type { CrossEntropyComponents } from './cross-entropy.js';
import type { TripletComponents } from './triplet.js';

/**
 * The further components of a loss with `diagnostics: true`: shares and means over the rows. They are weighted as the loss
 * is, except for class weights, and 0 if no row counts. `counts` are the weights of the rows.
 */

/** See {@link ContrastiveComponents}. */
export function contrastiveDiagnostics(
  problem: ContrastiveProblem,
  counts: Float64Array,
): Omit<ContrastiveComponents, 'contrastive'> {
  const { anchors, positives, candidates, kind, own, groups } = problem;
  const [accuracy, positiveCosine, negativeCosine] = [new Mean(), new Mean(), new Mean()];
  const ownCount = own ? own.rows.length / anchors.length : 0;
  kernels().cosineRows(anchors, candidates, (i, cosines) => {
    const anchor = anchors[i]!;
    const ofPositive = cosineOf(anchor, positives[i]!);
    let [sum, count, highest] = [0, 0, -Infinity];
    const add = (similarity: number): void => {
      sum += similarity;
      count++;
      highest = Math.max(highest, similarity);
    };
    for (let j = 0; j < cosines.length; j++) {
      if (kind === 'batch' && j === (problem.firstOwn ?? 0) + i) continue;
      if (groups !== null && groups.anchors[i] === groups.candidates[j]) continue;
      // To be compared with the positive's cosine, a cosine near it must come from the same loop.
      const isSure = Math.abs(cosines[j]! - ofPositive) > COSINE_ERROR;
      add(isSure ? cosines[j]! : cosineOf(anchor, candidates[j]!));
    }
    for (let at = i * ownCount; at < (i + 1) * ownCount; at++)
      if (!own!.isSkipped[at]) add(cosineOf(anchor, own!.rows[at]!));
    accuracy.add(ofPositive > highest ? 1 : 0, counts[i]!);
    positiveCosine.add(ofPositive, counts[i]!);
    if (count > 0) negativeCosine.add(sum / count, count * counts[i]!);
  });
  return { accuracy: accuracy.value, positiveCosine: positiveCosine.value, negativeCosine: negativeCosine.value };
}

/** See {@link TripletComponents}. */
export function tripletDiagnostics(problem: TripletProblem, counts: Float64Array): Omit<TripletComponents, 'triplet'> {
  const { anchors, positives, negatives, margin, distance, swap } = problem;
  const measure = distance === 'cosine' ? cosineDistance : euclidean;
  const activeTriplets = new Mean();
  anchors.forEach((anchor, i) => {
    const [positive, negative] = [positives[i]!, negatives[i]!];
    const far = swap ? Math.min(measure(anchor, negative), measure(positive, negative)) : measure(anchor, negative);
    activeTriplets.add(measure(anchor, positive) - far + margin > 0 ? 1 : 0, counts[i]!);
  });
  return { activeTriplets: activeTriplets.value };
}

/** See {@link CrossEntropyComponents}. */
export function crossEntropyDiagnostics(
  { logits, targets }: CrossEntropyProblem,
  counts: Float64Array,
): Omit<CrossEntropyComponents, 'crossEntropy'> {
  const accuracy = new Mean();
  logits.forEach((row, i) => {
    let best = 0;
    for (let c = 1; c < row.length; c++) if (row[c]! > row[best]!) best = c;
    accuracy.add(best === targets[i] ? 1 : 0, counts[i]!);
  });
  return { accuracy: accuracy.value };
}

/** See {@link CosineEmbeddingComponents}. */
export function cosineEmbeddingDiagnostics(
  predictions: Rows,
  targets: Rows,
  labels: ArrayLike<number> | null,
  counts: Float64Array,
): Omit<CosineEmbeddingComponents, 'cosineEmbedding'> {
  const [positiveCosine, negativeCosine] = [new Mean(), new Mean()];
  predictions.forEach((prediction, i) => {
    const mean = labels === null || labels[i] === 1 ? positiveCosine : negativeCosine;
    mean.add(cosineOf(prediction, targets[i]!), counts[i]!);
  });
  return { positiveCosine: positiveCosine.value, negativeCosine: negativeCosine.value };
}

/** A weighted mean. */
class Mean {
  #sum = 0;
  #weights = 0;

  add(value: number, weight: number): void {
    this.#sum += weight * value;
    this.#weights += weight;
  }

  get value(): number {
    return this.#weights > 0 ? this.#sum / this.#weights : 0;
  }
}
