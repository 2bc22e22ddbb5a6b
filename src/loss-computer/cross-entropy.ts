import {
  checkNumber,
  checkOptions,
  checkRows,
  checkSameCount,
  checkWeights,
  checkWidth,
  isVector,
  wrongType,
} from '../internal/validate.js';
import { areFinite, firstFinite } from '../kernels/finite.js';
import type { CrossEntropyProblem } from '../kernels/kernels.js';
import type { LossResult, Rows, Vector } from '../types.js';
import { crossEntropyDiagnostics } from './diagnostics.js';
import { areOrdinary, throwOverflow } from './overflow.js';
import { coefficientsOf, countsOf, type DiagnosticsOptions, lossesOf, type ReductionOptions } from './reduction.js';

export interface CrossEntropyOptions extends ReductionOptions, DiagnosticsOptions {
  /**
   * Share of the target that is spread evenly over all classes, from 0 to 1 (Szegedy et al. 2016, "Rethinking the
   * Inception architecture for computer vision").
   *
   * @default 0
   */
  labelSmoothing?: number;
  /**
   * One weight per class, 0 or more. The mean is then over the weights of the targets, as PyTorch's.
   *
   * @default all 1
   */
  classWeights?: ArrayLike<number>;
  /**
   * Rows with this target are skipped, and their `perRow` loss is 0. Any integer.
   *
   * @default no row is skipped
   */
  ignoreIndex?: number;
  /**
   * Whether to compute gradients.
   *
   * @default false
   */
  gradients?: boolean;
}

/** Parts of `LossComputer.crossEntropy`. All except the loss need `diagnostics: true`. */
export type CrossEntropyComponents = {
  crossEntropy: number;
  /** The share of rows whose target has the highest logit. */
  accuracy?: number;
};

const CALL = 'LossComputer.crossEntropy';

export function crossEntropy(
  predictions: Rows,
  targets: ArrayLike<number>,
  options: CrossEntropyOptions,
): LossResult<CrossEntropyComponents> {
  checkOptions(CALL, options);
  const { labelSmoothing = 0, classWeights, ignoreIndex, gradients = false } = options;
  checkRows(CALL, 'predictions', predictions);
  if (ignoreIndex !== undefined) checkNumber(CALL, 'ignoreIndex', ignoreIndex, { integer: true });
  checkTargets(targets, predictions, ignoreIndex);
  checkNumber(CALL, 'labelSmoothing', labelSmoothing, { min: 0, max: 1 });
  if (classWeights !== undefined) {
    checkWeights(CALL, 'classWeights', classWeights, predictions[0]!.length, 'predictions[0]');
    checkWidth(CALL, 'predictions', predictions, classWeights.length);
  }

  const isIgnored = (i: number): boolean => ignoreIndex !== undefined && targets[i] === ignoreIndex;
  const shareOf = (i: number): number | undefined => (isIgnored(i) ? undefined : (classWeights?.[targets[i]!] ?? 1));
  const coefficients = coefficientsOf(CALL, options, predictions.length, 'predictions', shareOf);
  const problem: CrossEntropyProblem = {
    logits: predictions,
    targets: ignoreIndex === undefined ? targets : Array.from(targets, (target, i) => (isIgnored(i) ? -1 : target)),
    labelSmoothing,
    classWeights: classWeights ?? null,
    coefficients,
    gradients,
    losses: lossesOf(options, predictions.length),
  };
  const areBounded = areOrdinary({ coefficients, classWeights });
  const result = firstFinite(backend => {
    const computed = backend.crossEntropy(problem);
    return areBounded || areFinite(computed.gradients) ? computed : undefined;
  });
  if (!result || !Number.isFinite(result.loss)) throwNoLoss(problem, options);
  const { loss } = result;
  const answer: LossResult<CrossEntropyComponents> = { loss, components: { crossEntropy: loss } };
  if (options.diagnostics)
    Object.assign(answer.components, crossEntropyDiagnostics(problem, countsOf(options, coefficients)));
  if (problem.losses) answer.perRow = problem.losses;
  if (result.gradients) answer.gradients = result.gradients;
  return answer;
}

function checkTargets(targets: ArrayLike<number>, predictions: Rows, ignoreIndex: number | undefined): void {
  if (!isVector(targets as Vector)) throw wrongType(CALL, 'targets', 'an array of class indices', targets);
  checkSameCount(CALL, 'targets', targets.length, 'predictions', predictions.length);
  for (let i = 0; i < targets.length; i++) {
    if (ignoreIndex !== undefined && targets[i] === ignoreIndex) continue;
    checkNumber(CALL, `targets[${i}]`, targets[i], { integer: true, min: 0, max: predictions[i]!.length - 1 });
  }
}

/** Names the reason why there is no finite loss: a target that -Infinity rules out, or a number that is too large. */
function throwNoLoss(problem: CrossEntropyProblem, { weights, classWeights }: CrossEntropyOptions): never {
  const { logits, targets, coefficients, labelSmoothing, losses } = problem;
  logits.forEach((row, i) => {
    const target = targets[i]!;
    if ((coefficients[i] === 0 && !losses) || row[target] !== -Infinity) return;
    throw new RangeError(`${CALL}: targets[${i}] is class ${target}, which predictions[${i}] rules out by -Infinity`);
  });
  const isRuledOut = logits.some(row => row.includes(-Infinity));
  if (labelSmoothing > 0 && isRuledOut && !logits.some(row => row.includes(Infinity) || row.some(Number.isNaN)))
    throw new RangeError(`${CALL}: labelSmoothing spreads over all classes, predictions rule some out by -Infinity`);
  // A class that is ruled out is no mistake, unless it is a target.
  const rows = logits.map(row => Array.from(row, logit => (logit === -Infinity ? 0 : logit)));
  throwOverflow(CALL, { predictions: rows }, { coefficients, weights, classWeights });
}
