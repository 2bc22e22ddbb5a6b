import { checkNumber, checkOneOf, checkOptions, checkRows, checkSameCount } from '../internal/validate.js';
import { areFinite } from '../kernels/finite.js';
import { kernels } from '../kernels/index.js';
import type { LossResult, Rows } from '../types.js';
import { tripletDiagnostics } from './diagnostics.js';
import { throwOverflow } from './overflow.js';
import { coefficientsOf, countsOf, type DiagnosticsOptions, lossesOf, type ReductionOptions } from './reduction.js';

export interface TripletOptions extends ReductionOptions, DiagnosticsOptions {
  /**
   * By how much the negative should be farther than the positive, any finite number.
   *
   * @default 0.5
   */
  margin?: number;
  /**
   * `'euclidean'`, or `'cosine'` for 1 - cos.
   *
   * @default 'euclidean'
   */
  distance?: 'euclidean' | 'cosine';
  /**
   * Whether the distance of the negative is that from the anchor or from the positive, whichever is smaller (Balntas et
   * al. 2016, "Learning local feature descriptors with triplets and shallow convolutional neural networks").
   *
   * @default false: that from the anchor
   */
  swap?: boolean;
  /**
   * Whether to compute gradients.
   *
   * @default false
   */
  gradients?: boolean;
}

/** Parts of `LossComputer.triplet`. All except the loss need `diagnostics: true`. */
export type TripletComponents = {
  triplet: number;
  /** The share of triplets with a loss. */
  activeTriplets?: number;
};

const CALL = 'LossComputer.triplet';

export function triplet(
  anchors: Rows,
  positives: Rows,
  negatives: Rows,
  options: TripletOptions,
): LossResult<TripletComponents> {
  checkOptions(CALL, options);
  const { margin = 0.5, distance = 'euclidean', swap = false, gradients = false } = options;
  checkRows(CALL, 'anchors', anchors);
  checkRows(CALL, 'positives', positives);
  checkRows(CALL, 'negatives', negatives);
  checkSameCount(CALL, 'positives', positives.length, 'anchors', anchors.length);
  checkSameCount(CALL, 'negatives', negatives.length, 'anchors', anchors.length);
  checkNumber(CALL, 'margin', margin);
  checkOneOf(CALL, 'distance', distance, ['euclidean', 'cosine']);

  const coefficients = coefficientsOf(CALL, options, anchors.length, 'anchors');
  const losses = lossesOf(options, anchors.length);
  const rows = { anchors, positives, negatives };
  const problem = { ...rows, margin, distance, swap, coefficients, gradients, losses };
  const result = kernels().triplet(problem);
  const { loss } = result;
  const { anchors: ofAnchors, positives: ofPositives, negatives: ofNegatives } = result.gradients ?? {};
  if (!Number.isFinite(loss) || !areFinite(ofAnchors, ofPositives, ofNegatives))
    throwOverflow(CALL, rows, { coefficients, weights: options.weights, margin });
  const answer: LossResult<TripletComponents> = { loss, components: { triplet: loss } };
  if (options.diagnostics)
    Object.assign(answer.components, tripletDiagnostics(problem, countsOf(options, coefficients)));
  if (losses) answer.perRow = losses;
  if (result.gradients) {
    answer.gradients = result.gradients.anchors;
    answer.targetGradients = result.gradients.positives;
    answer.negativeGradients = result.gradients.negatives;
  }
  return answer;
}
