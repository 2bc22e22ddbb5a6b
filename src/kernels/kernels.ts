import type { Adapter, Float32Row, MutableVector, Rows } from '../types.js';
import type { PackedRows, UnitRows } from './packed-rows.js';

/**
 * The numeric kernels: everything that touches every number of a matrix. Two backends implement this interface and pass
 * the same tests. Kernels assume valid shapes; a bad entry shows as a result that is not finite, which the caller
 * checks. Losses are `Σ coefficients[i] · loss of row i`, so reduction and example weights are the caller's.
 */
export interface Kernels {
  readonly name: 'scalar' | 'simd';

  /** InfoNCE over cosine similarities. */
  contrastive(problem: ContrastiveProblem): ContrastiveResult;
  /**
   * For each anchor the index of the most similar positive of another row; the first wins a tie. -1 where there is no
   * other row or a similarity is not a number.
   */
  hardestNegatives(anchors: Rows, positives: Rows): Int32Array;
  /** Cosine similarities of every anchor with all candidates. */
  cosineRows: CosineRows;
  /** For every query the candidates whose cosine is above its threshold. */
  scan: Scan;
  /** Hinge on the difference of the distances to the positive and to the negative. */
  triplet(problem: TripletProblem): TripletResult;
  /** Softmax cross-entropy against class indices; rows with coefficient 0 are not read. */
  crossEntropy(problem: CrossEntropyProblem): { loss: number; gradients?: Float32Row[] };
  /** Mean squared error over the entries that both rows have. */
  mse(predictions: Rows, targets: Rows, coefficients: Float64Array, gradients: boolean): PairResult;
  /** `1 - cos` for rows labelled 1, `max(0, cos - margin)` for the others. */
  cosineEmbedding(problem: CosineEmbeddingProblem): PairResult;

  /** Mean squared gradients of the MSE objective over the pairs (`inputs[i]`, `targets[i]`). */
  mseFisher(
    adapter: Adapter,
    inputs: Rows,
    targets: Rows,
  ): { fisherA: readonly Float64Array[]; fisherB: readonly Float64Array[] };
  /** `Σ importance · (values - anchor)²`; NaN where a value is no number. */
  quadraticPenalty(values: Rows, anchor: Rows, importance: Rows): number;
  /** `target += scale · importance · (values - anchor)`. */
  addPenaltyGradient(
    target: readonly MutableVector[],
    values: Rows,
    anchor: Rows,
    importance: Rows,
    scale: number,
  ): void;
  /** `values -= min(1, rate · importance) · (values - anchor)`. */
  pullTowards(values: readonly MutableVector[], anchor: Rows, importance: Rows, rate: number): void;

  /** `outputs = [inputs +] scaling · inputs · A · B`; the residual is added when A and B make a square map. */
  loraForward(adapter: Adapter, inputs: Rows): { outputs: Float32Row[]; hidden: Rows };
  /** Gradients of the adapter and of its inputs for one {@link loraForward}. */
  loraBackward(adapter: Adapter, inputs: Rows, hidden: Rows, gradOutputs: Rows): LoraBackwardResult;

  /** `target += rows`. */
  addRows(target: readonly MutableVector[], rows: Rows): void;
  /** `a · b`, or `aᵀ · b`; every matrix of rows of equal length. */
  product(a: Rows, b: Rows, isTransposed: boolean): readonly (Float32Array | Float64Array)[];

  /** `Σ rows[i][j]²`. */
  sumOfSquares(rows: Rows): number;
  /** One AdamW step on one matrix, in place. */
  adamw(values: readonly MutableVector[], gradients: Rows, moments: AdamMoments, step: AdamStep): void;
  /** One SGD step on one matrix, in place; `velocity` is null without momentum. */
  sgd(
    values: readonly MutableVector[],
    gradients: Rows,
    velocity: readonly MutableVector[] | null,
    step: SgdStep,
  ): void;
}

/** Cosines in float32 are this close to the truth, and so are those of {@link CosineRows}. */
export const COSINE_ERROR = 4e-6;

/**
 * Calls `visit` for each anchor in turn with its cosines, one a candidate, to {@link COSINE_ERROR}, or not finite for
 * rows beyond float32. The array is written anew for the next
 * anchor; `visit` must not call kernels.
 */
export type CosineRows = (
  anchors: Rows,
  candidates: Rows,
  visit: (anchor: number, cosines: ArrayLike<number>) => void,
) => void;

/**
 * Cosines of {@link Scan} are this close to the dot product in float64: 256 products of rows of length 1 added up in
 * float32 are off by at most 256 · 2⁻²⁴ = 1.53e-5, and the sums of up to 70 such blocks by less than what is left.
 */
export const SCAN_ERROR = 2e-5;

/**
 * Goes through the candidates block after block, each block with every query. Calls `visit` for the candidates of a
 * block whose cosine is above `thresholds[query]`, where there are any: `count` indices in ascending order and their
 * cosines, to {@link SCAN_ERROR}. Blocks come in ascending order, so an index never comes after a greater one. `visit`
 * may raise the threshold; it must not call kernels, and the arrays are written anew for the next call.
 */
export type Scan = (
  queries: UnitRows,
  candidates: PackedRows,
  thresholds: Float32Row,
  visit: (query: number, count: number, indices: Int32Array, cosines: Float32Array) => void,
) => void;

export interface ContrastiveProblem {
  /** n rows. */
  anchors: Rows;
  /** n rows; row i belongs to anchor i. */
  positives: Rows;
  /** Rows that anchors are compared with. */
  candidates: Rows;
  /**
   * What the candidates are: `'batch'`, the positives first and then others, all for every anchor, an anchor's own
   * positive being its positive; `'others'`, other rows than the positives, all for every anchor; `'own'`, one row an
   * anchor, which counts nothing where it equals the positive.
   */
  kind: 'batch' | 'others' | 'own';
  /** One a candidate: those of the anchor's own group are left out. Of kind `'batch'` only; null leaves none out. */
  groups: Int32Array | null;
  temperature: number;
  coefficients: Float64Array;
  gradients: boolean;
}

export interface ContrastiveResult {
  loss: number;
  gradients?: {
    anchors: Float32Row[];
    /** Null where the positives are among the candidates. */
    positives: Float32Row[] | null;
    candidates: Float32Row[];
    temperature: number;
  };
}

export interface TripletProblem {
  anchors: Rows;
  positives: Rows;
  negatives: Rows;
  margin: number;
  distance: 'euclidean' | 'cosine';
  /** Whether the negative counts at its distance from the positive where that is smaller. */
  swap: boolean;
  coefficients: Float64Array;
  gradients: boolean;
}

export interface TripletResult {
  loss: number;
  gradients?: { anchors: Float32Row[]; positives: Float32Row[]; negatives: Float32Row[] };
}

export interface CrossEntropyProblem {
  logits: Rows;
  targets: ArrayLike<number>;
  labelSmoothing: number;
  classWeights: ArrayLike<number> | null;
  coefficients: Float64Array;
  gradients: boolean;
}

export interface CosineEmbeddingProblem {
  predictions: Rows;
  targets: Rows;
  /** 1 for similar; null where all are. */
  labels: ArrayLike<number> | null;
  margin: number;
  coefficients: Float64Array;
  gradients: boolean;
}

export interface PairResult {
  loss: number;
  gradients?: { predictions: Float32Row[]; targets: Float32Row[] };
}

export interface LoraBackwardResult {
  gradA: readonly Float32Row[];
  gradB: readonly Float32Row[];
  gradInputs: Float32Row[];
}

export interface AdamMoments {
  first: readonly MutableVector[];
  second: readonly MutableVector[];
}

export interface AdamStep {
  lr: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  /** 1 - beta1^t. */
  correction1: number;
  /** 1 - beta2^t. */
  correction2: number;
  /** Factor on the gradients, from clipping. */
  gradientScale: number;
}

export interface SgdStep {
  lr: number;
  momentum: number;
  weightDecay: number;
  gradientScale: number;
}
