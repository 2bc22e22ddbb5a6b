import { checkOptions, checkRows, checkSameCount } from '../internal/validate.js';
import { areFinite } from '../kernels/finite.js';
import { kernels } from '../kernels/index.js';
import type { LossResult, Rows } from '../types.js';
import { throwOverflow } from './overflow.js';
import { coefficientsOf, lossesOf, type ReductionOptions } from './reduction.js';

export interface MseOptions extends ReductionOptions {
  /**
   * Whether to compute gradients.
   *
   * @default false
   */
  gradients?: boolean;
}

/** Parts of `LossComputer.mse`. */
export type MseComponents = {
  mse: number;
};

const CALL = 'LossComputer.mse';

export function mse(predictions: Rows, targets: Rows, options: MseOptions): LossResult<MseComponents> {
  checkOptions(CALL, options);
  checkRows(CALL, 'predictions', predictions);
  checkRows(CALL, 'targets', targets);
  checkSameCount(CALL, 'targets', targets.length, 'predictions', predictions.length);

  const coefficients = coefficientsOf(CALL, options, predictions.length, 'predictions');
  const losses = lossesOf(options, predictions.length);
  const { gradients = false } = options;
  const result = kernels().mse({ predictions, targets, coefficients, gradients, losses });
  // A gradient may overflow float32 although the loss does not. The targets' gradient is its negative.
  if (!Number.isFinite(result.loss) || !areFinite(result.gradients?.predictions))
    throwOverflow(CALL, { predictions, targets }, { coefficients, weights: options.weights });
  const answer: LossResult<MseComponents> = {
    loss: result.loss,
    components: { mse: result.loss },
  };
  if (losses) answer.perRow = losses;
  if (result.gradients) {
    answer.gradients = result.gradients.predictions;
    answer.targetGradients = result.gradients.targets;
  }
  return answer;
}
