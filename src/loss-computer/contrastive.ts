import {
  checkArray,
  checkFiniteRows,
  checkNumber,
  checkOneOf,
  checkOptions,
  checkRows,
  checkSameCount,
} from '../internal/validate.js';
import { areFinite, firstFinite } from '../kernels/finite.js';
import { kernels } from '../kernels/index.js';
import type { ContrastiveProblem, ContrastiveResult, Kernels, Precision } from '../kernels/kernels.js';
import { withJson } from '../kernels/matrix.js';
import type { Adapter, LossResult, Rows, Through } from '../types.js';
import { problemOf, reverseOf, type Setup } from './contrastive-problem.js';
import { contrastiveDiagnostics } from './diagnostics.js';
import { fused } from './fused.js';
import { type ContrastiveRows, checkNegatives, groupsOf, type Ids, type NegativeMode } from './negatives.js';
import { averaged, coefficientsOf, countsOf, type DiagnosticsOptions, type ReductionOptions } from './reduction.js';
import { adapt, type ContrastiveArgument, type RowGradients, routesOf, throwContrastiveOverflow } from './through.js';

export interface ContrastiveOptions extends ReductionOptions, DiagnosticsOptions {
  /**
   * Divides the similarities. A number above 0.
   *
   * @default 0.07
   */
  temperature?: number;
  /**
   * Subtracted from every similarity, that of the positive included. So it has no effect. It is kept from the original.
   *
   * @default 0
   */
  margin?: number;
  /**
   * One label per anchor. Rows with equal ids are never each other's in-batch negatives.
   *
   * @default no ids are equal
   */
  ids?: Ids;
  /**
   * One label per given negative. A negative does not count for anchors whose entry of `ids` is equal. Needs `ids`.
   *
   * @default all negatives count
   */
  negativeIds?: Ids;
  /**
   * What given negatives are:
   *
   * - `'explicit'`: they are the only negatives, and all count for every anchor.
   * - `'own'`: they are k rows per anchor, the first k rows for the first anchor. They are its only negatives.
   * - `'inBatch+explicit'` and `'inBatch+own'`: they count beside the other positives of the batch. With these modes
   *   negatives may be missing.
   *
   * An own negative that equals its anchor's positive does not count. Mined negatives may.
   *
   * @default 'explicit'
   */
  negativeMode?: NegativeMode;
  /**
   * Whether to average with the reverse direction, where positives look for their anchors among the anchors of the batch.
   * Given negatives count only in the forward direction.
   *
   * @default false
   */
  symmetric?: boolean;
  /**
   * Adapters by name. With `through`, rows go through them first. Plain `{ loraA, loraB, scaling }` work too. The memory
   * of a `LoRAAdapter`'s last `forward` is not touched.
   *
   * @default none
   */
  adapters?: ReadonlyMap<string, Adapter>;
  /**
   * The names of the adapters that rows go through: `anchors` for the anchors, `positives` for positives and negatives.
   * Rows without a name are used as they are. The same name twice is one adapter for both sides, and its gradients add up.
   * All outputs must have one length.
   *
   * @default none
   */
  through?: Through;
  /**
   * The arguments whose gradients are wanted, row by row, with respect to the rows passed in. Gradients that are not
   * wanted are not computed.
   *
   * @default all; with `adapters` none, as training needs only `adapterGradients`
   */
  wrt?: readonly ContrastiveArgument[];
  /**
   * Whether to compute gradients, that of the temperature included.
   *
   * @default false
   */
  gradients?: boolean;
  /**
   * What similarities between rows are computed in. Needs `adapters`. `'int16'` rounds the entries of unit rows to 16-bit
   * integers, which is 1.4 to 1.6 times as fast from batch 256 on. A cosine is then off by about 1e-5, and adapter
   * gradients by up to 2e-4 of their largest entry. An anchor's cosine with its own positive stays float32.
   *
   * Everything stays float32 if rows cannot be compared in one call: with own or explicit negatives alone, `wrt`,
   * `diagnostics`, large ranks, or the scalar kernels.
   *
   * @default 'float32'
   */
  precision?: Precision;
}

/** Parts of `LossComputer.contrastive`. All except the loss need `diagnostics: true`. */
export type ContrastiveComponents = {
  contrastive: number;
  /** The share of anchors whose positive is more similar than every negative. */
  accuracy?: number;
  /** The mean cosine of anchors and their positives. */
  positiveCosine?: number;
  /** The mean cosine of anchors and their negatives. */
  negativeCosine?: number;
};

const CALL = 'LossComputer.contrastive';
const ARGUMENTS = ['anchors', 'positives', 'negatives'] as const;

export function contrastive(
  anchors: Rows,
  positives: Rows,
  negatives: Rows | null | undefined,
  options: ContrastiveOptions,
): LossResult<ContrastiveComponents> {
  checkOptions(CALL, options);
  const { temperature = 0.07, margin = 0, negativeMode = 'explicit', symmetric = false } = options;
  checkRows(CALL, 'anchors', anchors);
  checkRows(CALL, 'positives', positives);
  checkSameCount(CALL, 'positives', positives.length, 'anchors', anchors.length);
  checkNegatives(CALL, negativeMode, anchors, negatives);
  checkNumber(CALL, 'temperature', temperature, { above: 0 });
  if (1 / temperature === Infinity) throw new RangeError(`${CALL}: temperature is too small, got ${temperature}`);
  checkNumber(CALL, 'margin', margin);
  const given = { anchors, positives, negatives: negatives ?? null };
  const groups = groupsOf(CALL, given, options.ids, options.negativeIds);
  // The loss does not show a bad entry of a negative that counts for no anchor.
  if (groups?.negatives && given.negatives?.length) checkFiniteRows(CALL, 'negatives', given.negatives);
  const routes = routesOf(CALL, options.adapters, options.through);
  checkPrecision(options);
  const wanted = wantedOf(options.wrt, routes.length === 0, given);
  const whole = coefficientsOf(CALL, options, anchors.length, 'anchors');

  const needed = { ...wanted };
  for (const { parts } of routes) for (const part of parts) needed[part] = true;
  const setup: Setup = { given, groups, routes, wanted, needed, negativeMode, temperature, symmetric, whole, options };
  const answer = fused(kernels(), setup) ?? firstFinite(backend => computed(backend, setup));
  if (!answer)
    throwContrastiveOverflow(CALL, given, routes, { coefficients: whole, weights: options.weights, temperature });
  return answer;
}

function checkPrecision({ precision = 'float32', adapters }: ContrastiveOptions): void {
  checkOneOf(CALL, 'precision', precision, ['float32', 'int16']);
  if (precision === 'int16' && adapters === undefined)
    throw new RangeError(`${CALL}: precision 'int16' needs adapters, got undefined`);
}

/** The loss on a backend. Undefined if it or a gradient is not finite. */
function computed(backend: Kernels, setup: Setup): LossResult<ContrastiveComponents> | undefined {
  const { given, groups, routes, wanted, needed, symmetric, whole, options } = setup;
  const adapted = routes.length > 0 ? adapt(CALL, backend, routes, given) : undefined;
  const rows = adapted ? adapted.rows : given;
  const problem = problemOf(setup, rows);
  const { kind, own } = problem;
  if (options.gradients) {
    const isOfPositives = kind === 'batch' && needed.positives;
    const isOfNegatives = own === null && needed.negatives;
    problem.wanted = {
      anchors: needed.anchors,
      positives: needed.positives,
      candidates: isOfPositives || isOfNegatives,
      own: needed.negatives,
    };
  }
  const reversed = symmetric ? reverseOf(problem, groups?.anchors ?? null) : undefined;
  const forward = backend.contrastive(problem);
  const reverse = reversed && backend.contrastive(reversed);
  const loss = forward.loss + (reverse?.loss ?? 0);
  if (!Number.isFinite(loss)) return undefined;

  const answer: LossResult<ContrastiveComponents> = { loss, components: { contrastive: loss } };
  if (problem.losses) answer.perRow = problem.losses;
  if (problem.losses && reversed?.losses) answer.perRow = averaged(problem.losses, reversed.losses);
  if (options.diagnostics) Object.assign(answer.components, contrastiveDiagnostics(problem, countsOf(options, whole)));
  if (!forward.gradients) return answer;

  answer.temperatureGradient = forward.gradients.temperature + (reverse?.gradients?.temperature ?? 0);
  let ofRows = byArgument(problem, forward.gradients, needed);
  if (reverse?.gradients) {
    if (ofRows.anchors) backend.addRows(ofRows.anchors, reverse.gradients.candidates!);
    if (ofRows.positives) backend.addRows(ofRows.positives, reverse.gradients.anchors!);
  }
  const areBounded = forward.gradients.areBounded && (reverse?.gradients?.areBounded ?? true);
  const areRowsFinite = areBounded || areFinite(ofRows.anchors, ofRows.positives, ofRows.negatives);
  if (!areRowsFinite || !Number.isFinite(answer.temperatureGradient)) return undefined;
  if (adapted) {
    const result = adapted.backward(ofRows, wanted);
    if (!result) return undefined;
    answer.adapterGradients = result.adapterGradients;
    ofRows = result.gradients;
  }
  if (wanted.anchors && ofRows.anchors) answer.gradients = ofRows.anchors;
  if (wanted.positives && ofRows.positives) answer.targetGradients = ofRows.positives;
  if (wanted.negatives && ofRows.negatives) answer.negativeGradients = ofRows.negatives;
  return answer;
}

function wantedOf(
  wrt: ContrastiveOptions['wrt'],
  isAll: boolean,
  { negatives }: ContrastiveRows,
): Record<ContrastiveArgument, boolean> {
  if (wrt !== undefined) {
    checkArray(CALL, 'wrt', wrt);
    wrt.forEach((argument, i) => {
      checkOneOf(CALL, `wrt[${i}]`, argument, ARGUMENTS);
    });
  }
  const isWanted = (argument: ContrastiveArgument): boolean => (wrt ? wrt.includes(argument) : isAll);
  return {
    anchors: isWanted('anchors'),
    positives: isWanted('positives'),
    negatives: isWanted('negatives') && negatives !== null,
  };
}

/** The gradients by argument. */
function byArgument(
  { anchors: { length: count }, kind, own }: ContrastiveProblem,
  { anchors, positives, candidates, own: ofOwn }: NonNullable<ContrastiveResult['gradients']>,
  needed: Record<ContrastiveArgument, boolean>,
): RowGradients {
  if (kind === 'others') return { anchors, positives, negatives: own ? ofOwn : candidates };
  const ofPositives = needed.positives && candidates ? withJson(candidates.slice(0, count)) : null;
  const ofOthers = needed.negatives && candidates ? withJson(candidates.slice(count)) : null;
  return { anchors, positives: ofPositives, negatives: own ? ofOwn : ofOthers };
}
