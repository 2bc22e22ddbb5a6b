import {
  checkNumber,
  checkOptions,
  checkRows,
  checkSameCount,
  describe,
  isVector,
  throwNonFinite,
  wrongType,
} from '../internal/validate.js';
import { kernels } from '../kernels/index.js';
import type { LossResult, Rows } from '../types.js';
import { coefficientsOf, type ReductionOptions } from './reduction.js';

export interface ContrastiveOptions extends ReductionOptions {
  /** Divides the similarities; above 0. Default 0.07. */
  temperature?: number;
  /** Subtracted from every similarity, the positive's too, and so without effect; kept from the original. Default 0. */
  margin?: number;
  /** One label a row; rows with equal ids are never each other's in-batch negatives. Default: none are equal. */
  ids?: readonly (string | number)[] | ArrayLike<number>;
  /** Whether to compute gradients. Default false. */
  gradients?: boolean;
}

const CALL = 'contrastive';

export function contrastive(
  anchors: Rows,
  positives: Rows,
  negatives: Rows | null | undefined,
  options: ContrastiveOptions,
): LossResult {
  checkOptions(CALL, options);
  const { temperature = 0.07, margin = 0, ids, gradients = false } = options;
  checkRows(CALL, 'anchors', anchors);
  checkRows(CALL, 'positives', positives);
  checkSameCount(CALL, 'positives', positives.length, 'anchors', anchors.length);
  // No negatives at all is the original's loss of 0, so an empty list of them is no mistake.
  if (negatives && !(Array.isArray(negatives) && negatives.length === 0)) checkRows(CALL, 'negatives', negatives);
  checkNumber(CALL, 'temperature', temperature, { above: 0 });
  if (1 / temperature === Infinity) throw new RangeError(`${CALL}: temperature is too small, got ${temperature}`);
  checkNumber(CALL, 'margin', margin);

  const result = kernels().contrastive({
    anchors,
    positives,
    negatives: negatives ?? null,
    groups: ids === undefined ? null : groupsOf(ids, anchors.length),
    temperature,
    coefficients: coefficientsOf(CALL, options, anchors.length, 'anchors'),
    gradients,
  });
  if (!Number.isFinite(result.loss)) throwNonFinite(CALL, { anchors, positives, negatives });

  const { loss } = result;
  const answer: LossResult = { loss, components: { contrastive: loss } };
  if (result.gradients) {
    answer.gradients = result.gradients.anchors;
    answer.targetGradients = result.gradients.positives;
    if (result.gradients.negatives) answer.negativeGradients = result.gradients.negatives;
  }
  return answer;
}

/** Numbers the distinct ids, so that kernels compare integers. */
function groupsOf(ids: ArrayLike<string | number>, count: number): Int32Array {
  if (!isVector(ids)) throw wrongType(CALL, 'ids', 'an array of strings or numbers', ids);
  checkSameCount(CALL, 'ids', ids.length, 'anchors', count);
  const numbers = new Map<string | number, number>();
  return Int32Array.from(ids, (id, i) => {
    if (typeof id !== 'string' && typeof id !== 'number')
      throw wrongType(CALL, `ids[${i}]`, 'a string or a number', id);
    if (Number.isNaN(id)) throw new RangeError(`${CALL}: ids[${i}] is ${describe(id)}, which equals no id`);
    const known = numbers.get(id);
    if (known !== undefined) return known;
    numbers.set(id, numbers.size);
    return numbers.size - 1;
  });
}
