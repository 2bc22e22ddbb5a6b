import { checkOptions, checkRows, checkSameCount, throwNonFinite } from '../internal/validate.js';
import { kernels } from '../kernels/index.js';
import type { LossResult, Rows } from '../types.js';
import { coefficientsOf, type ReductionOptions } from './reduction.js';

export interface MseOptions extends ReductionOptions {
  /** Whether to compute gradients. Default false. */
  gradients?: boolean;
}

const CALL = 'mse';

export function mse(predictions: Rows, targets: Rows, options: MseOptions): LossResult {
  checkOptions(CALL, options);
  checkRows(CALL, 'predictions', predictions);
  checkRows(CALL, 'targets', targets);
  checkSameCount(CALL, 'targets', targets.length, 'predictions', predictions.length);

  const result = kernels().mse(
    predictions,
    targets,
    coefficientsOf(CALL, options, predictions.length, 'predictions'),
    options.gradients ?? false,
  );
  // A float32 gradient may overflow where the loss does not.
  const ofGradients = result.gradients ? kernels().sumOfSquares(result.gradients.predictions) : 0;
  if (!Number.isFinite(result.loss + ofGradients)) throwNonFinite(CALL, { predictions, targets });
  const answer: LossResult = {
    loss: result.loss,
    components: { mse: result.loss },
  };
  if (result.gradients) {
    answer.gradients = result.gradients.predictions;
    answer.targetGradients = result.gradients.targets;
  }
  return answer;
}
