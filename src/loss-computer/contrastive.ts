import {
  checkNumber,
  checkOneOf,
  checkOptions,
  checkRows,
  checkSameCount,
  describe,
  isVector,
  throwNonFinite,
  wrongType,
} from '../internal/validate.js';
import { kernels } from '../kernels/index.js';
import type { ContrastiveProblem } from '../kernels/kernels.js';
import type { Float32Row, LossResult, Rows } from '../types.js';
import { contrastiveDiagnostics } from './diagnostics.js';
import { coefficientsOf, type DiagnosticsOptions, type ReductionOptions } from './reduction.js';

export interface ContrastiveOptions extends ReductionOptions, DiagnosticsOptions {
  /** Divides the similarities; above 0. Default 0.07. */
  temperature?: number;
  /** Subtracted from every similarity, the positive's too, and so without effect; kept from the original. Default 0. */
  margin?: number;
  /** One label a row; rows with equal ids are never each other's in-batch negatives. Default: none are equal. */
  ids?: readonly (string | number)[] | ArrayLike<number>;
  /**
   * What given negatives are: `'explicit'`, the only negatives, all for every anchor; `'own'`, row i the only one of
   * anchor i, and none where it equals the positive, as a mined one may; `'inBatch+explicit'`, all for every anchor
   * beside the other positives. Default `'explicit'`.
   */
  negativeMode?: 'explicit' | 'own' | 'inBatch+explicit';
  /** Whether to average with the reverse, where positives look for their anchors in the batch. Default false. */
  symmetric?: boolean;
  /** Whether to compute gradients, that of the temperature too. Default false. */
  gradients?: boolean;
}

const CALL = 'contrastive';
const MODES = ['explicit', 'own', 'inBatch+explicit'] as const;

export function contrastive(
  anchors: Rows,
  positives: Rows,
  negatives: Rows | null | undefined,
  options: ContrastiveOptions,
): LossResult {
  checkOptions(CALL, options);
  const { temperature = 0.07, margin = 0, ids, negativeMode = 'explicit', symmetric, gradients = false } = options;
  checkRows(CALL, 'anchors', anchors);
  checkRows(CALL, 'positives', positives);
  checkSameCount(CALL, 'positives', positives.length, 'anchors', anchors.length);
  // No negatives at all is the original's loss of 0, so an empty list of them is no mistake.
  if (negatives && !(Array.isArray(negatives) && negatives.length === 0)) checkRows(CALL, 'negatives', negatives);
  checkOneOf(CALL, 'negativeMode', negativeMode, MODES);
  if (negativeMode === 'own') {
    if (!negatives) throw new RangeError(`${CALL}: negativeMode 'own' needs negatives, got ${describe(negatives)}`);
    checkSameCount(CALL, 'negatives', negatives.length, 'anchors', anchors.length);
  }
  checkNumber(CALL, 'temperature', temperature, { above: 0 });
  if (1 / temperature === Infinity) throw new RangeError(`${CALL}: temperature is too small, got ${temperature}`);
  checkNumber(CALL, 'margin', margin);

  const whole = coefficientsOf(CALL, options, anchors.length, 'anchors');
  const coefficients = symmetric ? whole.map(coefficient => coefficient / 2) : whole;
  const ownGroups = ids === undefined ? null : groupsOf(ids, anchors.length);
  // Property by property: spreading objects would take a quarter of the time of a batch of 8.
  const { candidates, kind, groups } = candidatesOf(positives, negatives, negativeMode, ownGroups);
  const problem = { anchors, positives, candidates, kind, groups, temperature, coefficients, gradients };
  const forward = kernels().contrastive(problem);
  const reverse = symmetric ? kernels().contrastive(reversed(problem, ownGroups)) : undefined;
  const loss = forward.loss + (reverse?.loss ?? 0);
  if (!Number.isFinite(loss)) throwNonFinite(CALL, { anchors, positives, negatives });

  const answer: LossResult = { loss, components: { contrastive: loss } };
  if (options.diagnostics) Object.assign(answer.components, contrastiveDiagnostics(problem));
  if (!forward.gradients) return answer;
  const ofCandidates = forward.gradients.candidates;
  const count = anchors.length;
  answer.gradients = forward.gradients.anchors;
  answer.targetGradients = forward.gradients.positives ?? ofCandidates.slice(0, count);
  if (negatives) answer.negativeGradients = forward.gradients.positives ? ofCandidates : ofCandidates.slice(count);
  answer.temperatureGradient = forward.gradients.temperature;
  if (reverse?.gradients) {
    addRows(answer.gradients, reverse.gradients.candidates);
    addRows(answer.targetGradients, reverse.gradients.anchors);
    answer.temperatureGradient += reverse.gradients.temperature;
  }
  return answer;
}

function candidatesOf(
  positives: Rows,
  negatives: Rows | null | undefined,
  mode: (typeof MODES)[number],
  groups: Int32Array | null,
): Pick<ContrastiveProblem, 'candidates' | 'kind' | 'groups'> {
  if (!negatives) return { candidates: positives, kind: 'batch', groups };
  if (mode !== 'inBatch+explicit')
    return { candidates: negatives, kind: mode === 'own' ? 'own' : 'others', groups: null };
  // Explicit negatives are in no anchor's group.
  const ofAll = groups && new Int32Array(positives.length + negatives.length).fill(-1);
  if (groups) ofAll?.set(groups);
  return { candidates: [...positives, ...negatives], kind: 'batch', groups: ofAll };
}

/** Positives look for their anchors among those of the batch. */
function reversed(problem: ContrastiveProblem, groups: Int32Array | null): ContrastiveProblem {
  const { anchors, positives } = problem;
  return { ...problem, anchors: positives, positives: anchors, candidates: anchors, kind: 'batch', groups };
}

function addRows(target: Float32Row[], source: readonly Float32Row[]): void {
  target.forEach((row, i) => {
    const other = source[i]!;
    for (let k = 0; k < row.length; k++) row[k]! += other[k]!;
  });
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
