import type { Adapter, Float32Row, MutableVector, Rows } from '../types.js';
import type { Int16Panels, int16Error } from './packed-int16.js';
import type { PackedRows, UnitRows } from './packed-rows.js';

/**
 * The numeric kernels: everything that touches every number of a matrix. Two backends implement this interface and pass
 * the same tests. Kernels assume valid shapes; a bad entry shows as a result that is not finite, which the caller
 * checks. Losses are `Σ coefficients[i] · loss of row i`, so reduction and example weights are the caller's. Where a
 * problem has an array of `losses`, it gets the loss of each row without its coefficient.
 */
export interface Kernels {
  readonly name: 'scalar' | 'simd';

  /** InfoNCE over cosine similarities. */
  contrastive(problem: ContrastiveProblem): ContrastiveResult;
  /**
   * The same over rows that go through adapters first, with the gradients of these and no rows'. Undefined where that is
   * not cheaper than {@link loraForward}, {@link contrastive} and {@link loraBackward}, or the result would not be finite.
   */
  loraContrastive(problem: LoraContrastiveProblem): LoraContrastiveResult | undefined;
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
  /** Softmax cross-entropy against class indices. */
  crossEntropy(problem: CrossEntropyProblem): { loss: number; gradients?: Float32Row[] };
  /** Mean squared error over the entries that both rows have. */
  mse(problem: MseProblem): PairResult;
  /** `1 - cos` for rows labelled 1, `max(0, cos - margin)` for the others. */
  cosineEmbedding(problem: CosineEmbeddingProblem): PairResult;

  /** Mean squared gradients of the MSE objective over the pairs (`inputs[i]`, `targets[i]`). */
  mseFisher(
    adapter: Adapter,
    inputs: Rows,
    targets: Rows,
  ): { fisherA: readonly Float64Array[]; fisherB: readonly Float64Array[] };
  /** Expected squared gradients of the MSE objective for targets that the model itself gives. */
  exactFisher(adapter: Adapter, inputs: Rows): { fisherA: readonly Float64Array[]; fisherB: readonly Float64Array[] };
  /** `target += scale · rows²`, entry by entry. Returns whether all sums are finite. */
  addSquares(target: readonly MutableVector[], rows: Rows, scale: number): boolean;
  /** Divides all entries, 0 or more, by the largest of all matrices. Zeros stay. */
  divideByLargest(matrices: readonly (readonly MutableVector[])[]): void;
  /**
   * The sum of two quadratic penalties as one: `weight · Σ importance · (θ - anchor)²`, which gets the result, and the
   * other. Returns the least value of the sum, which is the part that does not depend on θ.
   */
  mergeQuadratics(
    importance: readonly MutableVector[],
    anchor: readonly MutableVector[],
    weight: number,
    otherImportance: Rows,
    otherAnchor: Rows,
    otherWeight: number,
  ): number;
  /** `target = a · target + b · rows`. */
  blend(target: readonly MutableVector[], a: number, rows: Rows, b: number): void;
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
  /**
   * Gradients of the adapter and of its inputs for one {@link loraForward}; no rows of inputs' gradients where they are
   * not wanted.
   */
  loraBackward(
    adapter: Adapter,
    inputs: Rows,
    hidden: Rows,
    gradOutputs: Rows,
    wantsInputs: boolean,
  ): LoraBackwardResult;

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
 *
 * With `int16`, the same candidates in 16-bit integers, cosines are exact to {@link int16Error} only. A backend that has
 * no faster way for these may leave them unread.
 */
export type Scan = (
  queries: UnitRows,
  candidates: PackedRows,
  thresholds: Float32Row,
  visit: (query: number, count: number, indices: Int32Array, cosines: Float32Array) => void,
  int16?: Int16Panels,
) => void;

export interface ContrastiveProblem {
  /** n rows. */
  anchors: Rows;
  /** n rows; row i belongs to anchor i. */
  positives: Rows;
  /** Rows that every anchor is compared with; maybe none. */
  candidates: Rows;
  /**
   * What the candidates are: `'batch'`, the positives first and then others, an anchor's own positive being its
   * positive; `'others'`, other rows than the positives.
   */
  kind: 'batch' | 'others';
  /** With kind `'batch'` the candidate that belongs to the first anchor, where anchors are a part of a batch. Default 0. */
  firstOwn?: number;
  /** Further negatives, of one anchor each; null where there are none. */
  own: OwnNegatives | null;
  /** Candidates whose group is the anchor's are skipped; null skips none. */
  groups: { anchors: Int32Array; candidates: Int32Array } | null;
  temperature: number;
  coefficients: Float64Array;
  /** Whose gradients are wanted, beside that of the temperature; null for none at all. */
  wanted: WantedGradients | null;
  losses: Float64Array | null;
}

/** Negatives of one anchor each. */
export interface OwnNegatives {
  /** k rows per anchor, at least 1: the first k belong to anchor 0. */
  rows: Rows;
  /** 1 for a row that counts nothing. */
  isSkipped: Uint8Array;
}

export interface WantedGradients {
  anchors: boolean;
  /** Those of the candidates where the positives are among them. */
  positives: boolean;
  candidates: boolean;
  own: boolean;
}

export interface ContrastiveResult {
  loss: number;
  /** Null for rows whose gradients are not wanted, or that are not there. */
  gradients?: {
    anchors: Float32Row[] | null;
    /** Null too where the positives are among the candidates. */
    positives: Float32Row[] | null;
    candidates: Float32Row[] | null;
    own: Float32Row[] | null;
    temperature: number;
    /** Whether factors and norms are such that no gradient of a finite loss can overflow float32. */
    areBounded: boolean;
  };
}

/** The rows of the problem are those before the adapters. */
export interface LoraContrastiveProblem extends Omit<ContrastiveProblem, 'wanted'> {
  /** The adapter of the anchors, and that of all other rows; null for none. */
  query: Adapter | null;
  answer: Adapter | null;
  gradients: boolean;
  /** Of the cosines, except those of the anchors with their own positives. Default float32. */
  precision?: Precision;
}

/** What similarities are computed in: float32, or 16-bit integers with 32-bit sums. */
export type Precision = 'float32' | 'int16';

export interface LoraContrastiveResult {
  loss: number;
  gradients?: {
    /** Null where there is no such adapter. */
    query: { gradA: readonly Float32Row[]; gradB: readonly Float32Row[] } | null;
    answer: { gradA: readonly Float32Row[]; gradB: readonly Float32Row[] } | null;
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
  losses: Float64Array | null;
}

export interface TripletResult {
  loss: number;
  gradients?: { anchors: Float32Row[]; positives: Float32Row[]; negatives: Float32Row[] };
}

export interface CrossEntropyProblem {
  /** Rows with coefficient 0 are read only where their losses are wanted. */
  logits: Rows;
  /** -1 for a row that is ignored: it is not read, and its loss is 0. */
  targets: ArrayLike<number>;
  labelSmoothing: number;
  classWeights: ArrayLike<number> | null;
  /** 0 for a row that is ignored. */
  coefficients: Float64Array;
  gradients: boolean;
  losses: Float64Array | null;
}

export interface MseProblem {
  predictions: Rows;
  targets: Rows;
  coefficients: Float64Array;
  gradients: boolean;
  losses: Float64Array | null;
}

export interface CosineEmbeddingProblem {
  predictions: Rows;
  targets: Rows;
  /** 1 for similar; null where all are. */
  labels: ArrayLike<number> | null;
  margin: number;
  coefficients: Float64Array;
  gradients: boolean;
  losses: Float64Array | null;
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
