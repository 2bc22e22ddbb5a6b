import {
  checkArray,
  checkFiniteRows,
  checkNumber,
  checkOneOf,
  checkOptions,
  checkRows,
  checkSameCount,
} from '../internal/validate.js';
import { areFinite } from '../kernels/finite.js';
import { kernels } from '../kernels/index.js';
import type { ContrastiveProblem, ContrastiveResult, Kernels, Precision } from '../kernels/kernels.js';
import { withJson } from '../kernels/matrix.js';
import { scalarKernels } from '../kernels/scalar/index.js';
import type { Adapter, LossResult, Rows, Through } from '../types.js';
import { problemOf, reverseOf, type Setup } from './contrastive-problem.js';
import { contrastiveDiagnostics } from './diagnostics.js';
import { fused } from './fused.js';
import { type ContrastiveRows, checkNegatives, groupsOf, type Ids, type NegativeMode } from './negatives.js';
import { averaged, coefficientsOf, countsOf, type DiagnosticsOptions, type ReductionOptions } from './reduction.js';
import { adapt, type ContrastiveArgument, type RowGradients, routesOf, throwContrastiveOverflow } from './through.js';

export interface ContrastiveOptions extends ReductionOptions, DiagnosticsOptions {
  /** Divides the similarities; above 0. Default 0.07. */
  temperature?: number;
  /** Subtracted from every similarity, the positive's too, and so without effect; kept from the original. Default 0. */
  margin?: number;
  /** One label per anchor; rows with equal ids are never each other's in-batch negatives. Default: none are equal. */
  ids?: Ids;
  /**
   * One label per given negative; a negative does not count for anchors whose entry of `ids` is equal. Needs `ids`.
   * Default: all count.
   */
  negativeIds?: Ids;
  /**
   * What given negatives are. `'explicit'`: the only negatives, all for every anchor. `'own'`: k rows per anchor, the
   * first k those of the first anchor, and the only negatives of theirs. `'inBatch+explicit'`, `'inBatch+own'`: the same
   * beside the other positives of the batch, which may do without negatives. An own negative that equals its positive, as
   * a mined one may, counts nothing. Default `'explicit'`.
   */
  negativeMode?: NegativeMode;
  /**
   * Whether to average with the reverse, where positives look for their anchors among those of the batch. Given
   * negatives, own ones too, are in the forward direction only. Default false.
   */
  symmetric?: boolean;
  /**
   * Adapters by name; with `through` rows go through them first. Plain `{ loraA, loraB, scaling }` work too. What a
   * `LoRAAdapter` remembers of its last `forward` is not touched.
   */
  adapters?: ReadonlyMap<string, Adapter>;
  /**
   * The names of the adapters that rows go through: `anchors` that of the anchors, `positives` that of positives and
   * negatives. Rows without a name are used as they are. The same name twice is one adapter for both sides, whose
   * gradients add up. Rows that come out must be of one length.
   */
  through?: Through;
  /**
   * The arguments whose gradients are wanted, row by row, with respect to the rows passed in. Negatives have one only
   * where they are given. Default: all; with `adapters` none, as training needs only `adapterGradients`. What nobody
   * wants is not computed.
   */
  wrt?: readonly ContrastiveArgument[];
  /** Whether to compute gradients, that of the temperature too. Default false. */
  gradients?: boolean;
  /**
   * What similarities between rows are computed in; needs `adapters`. `'int16'` rounds the entries of unit rows to 16-bit
   * integers, which is 1.4 to 1.6 times as fast from batch 256 on. A cosine is then off by about 1e-5, and adapter gradients by
   * up to 2e-4 of their largest entry. An anchor's cosine with its own positive stays float32. Everything stays float32
   * where rows cannot be compared in one call: own or explicit negatives alone, `wrt`, `diagnostics`, large ranks, the
   * scalar kernels. Default `'float32'`.
   */
  precision?: Precision;
}

const CALL = 'contrastive';
const ARGUMENTS = ['anchors', 'positives', 'negatives'] as const;

export function contrastive(
  anchors: Rows,
  positives: Rows,
  negatives: Rows | null | undefined,
  options: ContrastiveOptions,
): LossResult {
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
  // A negative that counts for no anchor would not show in the loss.
  if (groups?.negatives && given.negatives?.length) checkFiniteRows(CALL, 'negatives', given.negatives);
  const routes = routesOf(CALL, options.adapters, options.through);
  checkPrecision(options);
  const wanted = wantedOf(options.wrt, routes.length === 0, given);
  const whole = coefficientsOf(CALL, options, anchors.length, 'anchors');

  const needed = { ...wanted };
  for (const { parts } of routes) for (const part of parts) needed[part] = true;
  const setup: Setup = { given, groups, routes, wanted, needed, negativeMode, temperature, symmetric, whole, options };
  // Factors, norms and products beyond float32 may still give a result within it.
  const answer = fused(kernels(), setup) ?? computed(kernels(), setup) ?? computed(scalarKernels, setup);
  if (!answer)
    throwContrastiveOverflow(CALL, given, routes, { coefficients: whole, weights: options.weights, temperature });
  return answer;
}

function checkPrecision({ precision = 'float32', adapters }: ContrastiveOptions): void {
  checkOneOf(CALL, 'precision', precision, ['float32', 'int16']);
  if (precision === 'int16' && adapters === undefined)
    throw new RangeError(`${CALL}: precision 'int16' needs adapters, got undefined`);
}

/** The loss on a backend; undefined where it or a gradient is not finite. */
function computed(backend: Kernels, setup: Setup): LossResult | undefined {
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

  const answer: LossResult = { loss, components: { contrastive: loss } };
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

/** The gradients by the argument whose rows they belong to. */
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
