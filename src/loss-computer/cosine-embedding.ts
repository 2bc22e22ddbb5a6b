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
  /** Similarity up to which a dissimilar pair costs nothing. Default 0. */
  margin?: number;
  /** Whether to compute gradients. Default false. */
  gradients?: boolean;
}

const CALL = 'cosineEmbedding';

export function cosineEmbedding(
  predictions: Rows,
  targets: Rows,
  labels: ArrayLike<number> | null,
  options: CosineEmbeddingOptions,
): LossResult {
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
  const answer: LossResult = { loss, components: { cosineEmbedding: loss } };
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
