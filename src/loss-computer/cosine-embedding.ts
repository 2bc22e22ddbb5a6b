import {
  checkFinite,
  checkNumber,
  checkOptions,
  checkRows,
  checkSameCount,
  checkVector,
  isVector,
  wrongType,
} from '../internal/validate.js';
import { areFinite } from '../kernels/finite.js';
import { kernels } from '../kernels/index.js';
import type { LossResult, Rows, Vector } from '../types.js';
import { cosineEmbeddingDiagnostics } from './diagnostics.js';
import { throwOverflow } from './overflow.js';
import { coefficientsOf, countsOf, type DiagnosticsOptions, lossesOf, type ReductionOptions } from './reduction.js';

export interface CosineEmbeddingOptions extends ReductionOptions, DiagnosticsOptions {
  /**
   * Cosine up to which a dissimilar pair costs nothing, any finite number. Useful values are from 0 to 1.
   *
   * @default 0
   */
  margin?: number;
  /**
   * Whether to compute gradients.
   *
   * @default false
   */
  gradients?: boolean;
}

/** Parts of `LossComputer.cosineEmbedding`. All except the loss need `diagnostics: true`. */
export type CosineEmbeddingComponents = {
  cosineEmbedding: number;
  /** The mean cosine of similar pairs. */
  positiveCosine?: number;
  /** The mean cosine of dissimilar pairs. */
  negativeCosine?: number;
};

const CALL = 'LossComputer.cosineEmbedding';

export function cosineEmbedding(
  predictions: Rows,
  targets: Rows,
  labels: ArrayLike<number> | null,
  options: CosineEmbeddingOptions,
): LossResult<CosineEmbeddingComponents> {
  checkOptions(CALL, options);
  const { margin = 0, gradients = false } = options;
  checkRows(CALL, 'predictions', predictions);
  checkRows(CALL, 'targets', targets);
  checkSameCount(CALL, 'targets', targets.length, 'predictions', predictions.length);
  if (labels !== null) {
    if (!isVector(labels as Vector)) throw wrongType(CALL, 'labels', 'an array of numbers', labels);
    checkSameCount(CALL, 'labels', labels.length, 'predictions', predictions.length);
    checkVector(CALL, 'labels', labels);
    checkFinite(CALL, 'labels', labels);
  }
  checkNumber(CALL, 'margin', margin);

  const coefficients = coefficientsOf(CALL, options, predictions.length, 'predictions');
  const losses = lossesOf(options, predictions.length);
  const result = kernels().cosineEmbedding({ predictions, targets, labels, margin, coefficients, gradients, losses });
  const { loss } = result;
  if (!Number.isFinite(loss) || !areFinite(result.gradients?.predictions, result.gradients?.targets))
    throwOverflow(CALL, { predictions, targets }, { coefficients, weights: options.weights, margin });
  const answer: LossResult<CosineEmbeddingComponents> = { loss, components: { cosineEmbedding: loss } };
  if (options.diagnostics)
    Object.assign(
      answer.components,
      cosineEmbeddingDiagnostics(predictions, targets, labels, countsOf(options, coefficients)),
    );
  if (losses) answer.perRow = losses;
  if (result.gradients) {
    answer.gradients = result.gradients.predictions;
    answer.targetGradients = result.gradients.targets;
  }
  return answer;
}
