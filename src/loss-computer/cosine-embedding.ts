import {
  checkFinite,
  checkNumber,
  checkOptions,
  checkRows,
  checkSameCount,
  checkVector,
  isVector,
  throwNonFinite,
  wrongType,
} from '../internal/validate.js';
import { kernels } from '../kernels/index.js';
import type { LossResult, Rows, Vector } from '../types.js';
import { meanCoefficients } from './reduction.js';

export interface CosineEmbeddingOptions {
  /** Similarity up to which a dissimilar pair costs nothing. Default 0. */
  margin?: number;
}

const CALL = 'cosineEmbedding';

export function cosineEmbedding(
  predictions: Rows,
  targets: Rows,
  labels: ArrayLike<number> | null,
  options: CosineEmbeddingOptions,
): LossResult {
  checkOptions(CALL, options);
  const { margin = 0 } = options;
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

  const coefficients = meanCoefficients(predictions.length);
  const loss = kernels().cosineEmbedding(predictions, targets, labels, margin, coefficients);
  if (!Number.isFinite(loss)) throwNonFinite(CALL, { predictions, targets });
  return { loss, components: { cosineEmbedding: loss } };
}
