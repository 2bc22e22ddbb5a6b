import {
  checkNumber,
  checkOptions,
  checkRows,
  checkSameCount,
  isVector,
  throwNonFinite,
  wrongType,
} from '../internal/validate.js';
import { kernels } from '../kernels/index.js';
import type { LossResult, Rows, Vector } from '../types.js';
import { meanCoefficients } from './reduction.js';

export interface CrossEntropyOptions {
  /** Share of the target spread evenly over all classes, from 0 to 1 (Szegedy et al. 2016). Default 0. */
  labelSmoothing?: number;
}

const CALL = 'crossEntropy';

export function crossEntropy(predictions: Rows, targets: ArrayLike<number>, options: CrossEntropyOptions): LossResult {
  checkOptions(CALL, options);
  const { labelSmoothing = 0 } = options;
  checkRows(CALL, 'predictions', predictions);
  checkTargets(targets, predictions);
  checkNumber(CALL, 'labelSmoothing', labelSmoothing, { min: 0, max: 1 });

  const loss = kernels().crossEntropy(predictions, targets, labelSmoothing, meanCoefficients(predictions.length));
  if (!Number.isFinite(loss)) throwNonFinite(CALL, { predictions });
  return { loss, components: { crossEntropy: loss } };
}

function checkTargets(targets: ArrayLike<number>, predictions: Rows): void {
  if (!isVector(targets as Vector)) throw wrongType(CALL, 'targets', 'an array of class indices', targets);
  checkSameCount(CALL, 'targets', targets.length, 'predictions', predictions.length);
  for (let i = 0; i < targets.length; i++) {
    checkNumber(CALL, `targets[${i}]`, targets[i], { integer: true, min: 0, max: predictions[i]!.length - 1 });
  }
}
