import type { Adapter, Float32Row, MutableVector, Rows } from '../types.js';
import type { Int16Panels, int16Error } from './packed-int16.js';
import type { PackedRows, UnitRows } from './packed-rows.js';

/**
 * The numeric kernels: all work that touches every number of a matrix. Two backends implement this interface and pass
 * the same tests. Kernels assume valid shapes. A bad entry leads to a result that is not finite, and the caller checks
 * for it. Losses are `Σ coefficients[i] · loss of row i`: the caller puts reduction and example weights into the
 * coefficients. Where a problem has an array `losses`, the kernel writes the loss of each row without its coefficient.
 */
export interface Kernels {
  readonly name: 'scalar' | 'simd';

  /** InfoNCE over cosine similarities. */
  contrastive(problem: ContrastiveProblem): ContrastiveResult;
  /**
   * InfoNCE over rows that go through adapters first. Returns gradients of the adapters only, not of rows. Undefined
   * where this is not cheaper than {@link loraForward}, {@link contrastive} and {@link loraBackward}, and where the
   * result would not be finite.
   */
  loraContrastive(problem: LoraContrastiveProblem): LoraContrastiveResult[] | undefined;
  /**
   * For each anchor, the index of the most similar positive of another row. The first wins a tie. -1 where there is no
   * other row, or where a similarity is not a number.
   */
  hardestNegatives(anchors: Rows, positives: Rows): Int32Array;
  /** Cosine similarities of every anchor with all candidates. */
  cosineRows: CosineRows;
  /** Finds the candidates of each query whose cosine is above the query's threshold. */
  scan: Scan;
  /** Hinge loss on the distance to the positive minus the distance to the negative. */
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
  /** Expected squared gradients of the MSE objective, for targets drawn from the model itself. */
  exactFisher(adapter: Adapter, inputs: Rows): { fisherA: readonly Float64Array[]; fisherB: readonly Float64Array[] };
  /** `target += scale · rows²`, entry by entry. Returns whether all sums are finite. */
  addSquares(target: readonly MutableVector[], rows: Rows, scale: number): boolean;
  /**
   * Divides all entries by the largest entry of all matrices. Entries are 0 or more. Matrices of zeros do not change.
   */
  divideByLargest(matrices: readonly (readonly MutableVector[])[]): void;
  /**
   * Adds a quadratic penalty to the penalty `weight · Σ importance · (θ - anchor)²`, in place. Returns the least value
   * of the sum, which is the part that does not depend on θ.
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
  /** `Σ importance · (values - anchor)²`. NaN where a value is not a number. */
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

  /** `outputs = [inputs +] scaling · inputs · A · B`. The inputs are added where A · B is square. */
  loraForward(adapter: Adapter, inputs: Rows): { outputs: Float32Row[]; hidden: Rows };
  /**
   * Gradients of the adapter and of its inputs for one {@link loraForward}. Without `wantsInputs`, `gradInputs` has no
   * rows.
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
  /** `a · b`, or `aᵀ · b` with `isTransposed`. Rows of one matrix have equal length. */
  product(a: Rows, b: Rows, isTransposed: boolean): readonly (Float32Array | Float64Array)[];

  /** `Σ rows[i][j]²`. */
  sumOfSquares(rows: Rows): number;
  /** One AdamW step on one matrix, in place. */
  adamw(values: readonly MutableVector[], gradients: Rows, moments: AdamMoments, step: AdamStep): void;
  /** One SGD step on one matrix, in place. `velocity` is null without momentum. */
  sgd(
    values: readonly MutableVector[],
    gradients: Rows,
    velocity: readonly MutableVector[] | null,
    step: SgdStep,
  ): void;
}

/** Largest error of a cosine in float32, and so of a cosine of {@link CosineRows}. */
export const COSINE_ERROR = 4e-6;

/**
 * Calls `visit` for each anchor in turn, with one cosine per candidate. Cosines are exact to {@link COSINE_ERROR}, and
 * not finite for rows beyond float32. The array is reused for the next anchor. `visit` must not call kernels.
 */
export type CosineRows = (
  anchors: Rows,
  candidates: Rows,
  visit: (anchor: number, cosines: ArrayLike<number>) => void,
) => void;

/**
 * Largest difference of a cosine of {@link Scan} from the dot product in float64. A float32 sum of 256 products of unit
 * rows has an error of at most 256 · 2⁻²⁴ = 1.53e-5. Adding up to 70 such sums adds an error below the remaining
 * 0.47e-5.
 */
export const SCAN_ERROR = 2e-5;

/**
 * Compares the candidates, block by block, with every query. Calls `visit` for each query and block with a candidate
 * whose cosine is above `thresholds[query]`. `visit` gets `count` indices in ascending order and their cosines, exact
 * to {@link SCAN_ERROR}. Blocks come in ascending order, so all indices of a query do. `visit` may raise the threshold.
 * It must not call kernels. The arrays are reused for the next call.
 *
 * `int16` holds the same candidates in 16-bit integers. Cosines are then exact to {@link int16Error} only. A backend
 * that is not faster with integers may ignore them.
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
  /** Rows that every anchor is compared with. There may be none. */
  candidates: Rows;
  /**
   * What the candidates are. `'batch'`: the positives, then other rows; the positive of an anchor is one of its
   * candidates. `'others'`: rows other than the positives.
   */
  kind: 'batch' | 'others';
  /**
   * With kind `'batch'`, the index of the first anchor's positive among the candidates, where the anchors are a part of
   * a batch. Default 0.
   */
  firstOwn?: number;
  /** Further negatives that belong to one anchor each; null where there are none. */
  own: OwnNegatives | null;
  /** An anchor skips the candidates of its own group. Null skips none. */
  groups: { anchors: Int32Array; candidates: Int32Array } | null;
  temperature: number;
  coefficients: Float64Array;
  /** Which gradients are wanted beside the temperature's; null for no gradients at all. */
  wanted: WantedGradients | null;
  losses: Float64Array | null;
}

/** Negatives that belong to one anchor each. */
export interface OwnNegatives {
  /** k rows per anchor, at least 1. The first k belong to anchor 0. */
  rows: Rows;
  /** 1 for a row that is skipped. */
  isSkipped: Uint8Array;
}

export interface WantedGradients {
  anchors: boolean;
  /** The gradients of the candidates, where the positives are among the candidates. */
  positives: boolean;
  candidates: boolean;
  own: boolean;
}

export interface ContrastiveResult {
  loss: number;
  /** Null for rows that are not given, or whose gradients are not wanted. */
  gradients?: {
    anchors: Float32Row[] | null;
    /** Also null where the positives are among the candidates. */
    positives: Float32Row[] | null;
    candidates: Float32Row[] | null;
    own: Float32Row[] | null;
    temperature: number;
    /** Whether factors and norms rule out that a gradient of a finite loss overflows float32. */
    areBounded: boolean;
  };
}

/** A problem whose rows have not yet gone through the adapters. */
export interface LoraContrastiveProblem extends Omit<ContrastiveProblem, 'wanted'> {
  /** The adapter of the anchors, and the adapter of all other rows; null for none. */
  query: Adapter | null;
  answer: Adapter | null;
  gradients: boolean;
  /** Whether each group of anchors has a result of its own. Default: there is one result, the sum. */
  perGroup?: boolean;
  /** Precision of the cosines, except of an anchor's cosine with its own positive. Default float32. */
  precision?: Precision;
}

/** The numbers that similarities are computed in: float32, or 16-bit integers with 32-bit sums. */
export type Precision = 'float32' | 'int16';

export interface LoraContrastiveResult {
  loss: number;
  gradients?: {
    /** Null where that adapter is null. If both sides go through one adapter, `query` has the sum, and `answer` is null. */
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
  /**
   * Whether the distance of positive and negative takes the place of the anchor's to the negative where it is smaller.
   */
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
  /** -1 for an ignored row: the kernel does not read it, and its loss is 0. */
  targets: ArrayLike<number>;
  labelSmoothing: number;
  classWeights: ArrayLike<number> | null;
  /** 0 for an ignored row. */
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
  /** 1 for a similar pair; null where all pairs are similar. */
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
  /** Factor on the gradients that clipping gives. */
  gradientScale: number;
}

export interface SgdStep {
  lr: number;
  momentum: number;
  weightDecay: number;
  gradientScale: number;
}
