import {
  checkArray,
  checkCount,
  checkFiniteRows,
  checkNumber,
  checkOneOf,
  checkOptions,
  checkRows,
  checkSameCount,
  inWords,
} from '../internal/validate.js';
import { firstFinite } from '../kernels/finite.js';
import { kernels } from '../kernels/index.js';
import type { Kernels, Precision } from '../kernels/kernels.js';
import { withJson } from '../kernels/matrix.js';
import type { Adapter, Float32Row, LossResult, Rows, Through } from '../types.js';
import { composed } from './composed.js';
import { isInBatch, partOf, problemOf, reverseOf, type Setup } from './contrastive-problem.js';
import { contrastiveDiagnostics } from './diagnostics.js';
import { addGradients, type Direction, reversedGradients } from './direction.js';
import { fused } from './fused.js';
import { type ContrastiveRows, checkNegatives, groupsOf, type Ids, type NegativeMode } from './negatives.js';
import {
  averaged,
  coefficientsOf,
  countsOf,
  type DiagnosticsOptions,
  lossesOf,
  type ReductionOptions,
} from './reduction.js';
import { adapt, type ContrastiveArgument, routesOf, throwContrastiveOverflow } from './through.js';

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
   * For a part of a batch: anchor i belongs to positive `offset` + i. `positives`, `ids` and `weights` are those of the
   * whole batch. Own negatives are those of the anchors passed in, other negatives are all. The mean is that of the whole
   * batch, so losses and gradients of the parts add up to the whole. Parts of 256 anchors that are added in order by
   * `sumInOrder` give the bits of the whole. Without adapters, or with one of more than 32 ranks, parts of 1024 do.
   * Larger parts need `perGroup`, because (a + b) + (c + d) is not a + b + c + d in float32. Diagnostics are those of the
   * part.
   *
   * Refused with `symmetric`, which takes two calls. In the second call, the same rows of the positives are the anchors,
   * and all anchors are the positives. Half of the sum is the symmetric loss.
   *
   * @default the anchors are the whole batch
   */
  offset?: number;
  /**
   * Whether the result also has `perGroup`: the shares of groups of 256 anchors in the loss and in the gradients of
   * temperature and adapters. So one call gives what `offset` needs one call per group for. Without adapters, or with one
   * of more than 32 ranks, groups have 1024 anchors. Refused with `symmetric`.
   *
   * @default false
   */
  perGroup?: boolean;
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
  const { temperature = 0.07, margin = 0, negativeMode = 'explicit', symmetric = false, offset } = options;
  checkRows(CALL, 'anchors', anchors);
  checkRows(CALL, 'positives', positives);
  const rowsName = offset === undefined ? 'anchors' : 'positives';
  if (offset === undefined) checkSameCount(CALL, 'positives', positives.length, 'anchors', anchors.length);
  else checkOffset(offset, anchors, positives);
  if (symmetric) checkOneDirection(options);
  checkNegatives(CALL, negativeMode, anchors, negatives);
  checkNumber(CALL, 'temperature', temperature, { above: 0 });
  if (1 / temperature === Infinity) throw new RangeError(`${CALL}: temperature is too small, got ${temperature}`);
  checkNumber(CALL, 'margin', margin);
  const given = { anchors, positives, negatives: negatives ?? null };
  const groups = groupsOf(CALL, given, rowsName, options.ids, options.negativeIds);
  // The loss does not show a bad entry of a negative that counts for no anchor.
  if (groups?.negatives && given.negatives?.length) checkFiniteRows(CALL, 'negatives', given.negatives);
  const routes = routesOf(CALL, options.adapters, options.through);
  checkPrecision(options);
  const wanted = wantedOf(options.wrt, routes.length === 0, given);
  const ofBatch = coefficientsOf(CALL, options, positives.length, rowsName);
  const directions = symmetric ? ofBatch.map(coefficient => coefficient / 2) : ofBatch;

  const needed = { ...wanted };
  for (const { parts } of routes) for (const part of parts) needed[part] = true;
  const [count, first] = [anchors.length, offset ?? 0];
  const coefficients = offset === undefined ? directions : directions.subarray(first, first + count);
  const whole = {
    given,
    offset: first,
    groups,
    routes,
    wanted,
    needed,
    negativeMode,
    temperature,
    coefficients,
    losses: lossesOf(options, count),
    options,
  };
  const setup = offset === undefined || isInBatch(whole) ? whole : partOf(whole, 0, count);
  const answer = firstFinite(backend => answerOf(backend, setup));
  if (!answer) throwContrastiveOverflow(CALL, given, routes, { coefficients, weights: options.weights, temperature });
  if (options.diagnostics) Object.assign(answer.components, diagnosticsOf(setup));
  if (setup !== whole && answer.targetGradients) {
    const rows = positives.map(row => new Float32Array(row.length) as Float32Row);
    rows.splice(first, count, ...answer.targetGradients);
    answer.targetGradients = withJson(rows);
  }
  return answer;
}

function checkOneDirection({ offset, perGroup }: ContrastiveOptions): void {
  if (offset === undefined && !perGroup) return;
  throw new RangeError(
    `${CALL}: ${offset === undefined ? 'perGroup' : 'offset'} does not go with symmetric; make two calls, the second with the same positives as anchors and all anchors as positives, and halve their sum`,
  );
}

function checkOffset(offset: number, anchors: Rows, positives: Rows): void {
  checkCount(CALL, 'offset', offset, 0);
  const end = offset + anchors.length;
  if (end > positives.length)
    throw new RangeError(
      `${CALL}: positives has ${inWords(positives.length, 'row')}, but offset ${offset} and ${inWords(anchors.length, 'anchor')} need ${end}`,
    );
}

function checkPrecision({ precision = 'float32', adapters }: ContrastiveOptions): void {
  checkOneOf(CALL, 'precision', precision, ['float32', 'int16']);
  if (precision === 'int16' && adapters === undefined)
    throw new RangeError(`${CALL}: precision 'int16' needs adapters, got undefined`);
}

/** The loss on a backend. Undefined if it or a gradient is not finite. */
function answerOf(backend: Kernels, setup: Setup): LossResult<ContrastiveComponents> | undefined {
  const forward = directionOf(backend, setup);
  if (!forward) return undefined;
  const reversed = setup.options.symmetric ? reverseOf(setup) : null;
  const reverse = reversed && directionOf(backend, reversed);
  if (reverse === undefined) return undefined;
  const loss = forward.loss + (reverse?.loss ?? 0);
  const answer: LossResult<ContrastiveComponents> = { loss, components: { contrastive: loss } };
  if (setup.losses) answer.perRow = reversed?.losses ? averaged(setup.losses, reversed.losses) : setup.losses;
  if (forward.groups) answer.perGroup = forward.groups;
  if (!forward.gradients) return answer;

  const { gradients } = forward;
  if (reverse?.gradients && !addGradients(backend, gradients, reversedGradients(reverse.gradients))) return undefined;
  answer.temperatureGradient = gradients.temperature;
  if (setup.routes.length > 0) answer.adapterGradients = gradients.adapters;
  const { anchors, positives, negatives } = gradients.rows;
  const { wanted } = setup;
  if (wanted.anchors && anchors) answer.gradients = anchors;
  if (wanted.positives && positives) answer.targetGradients = positives;
  if (wanted.negatives && negatives) answer.negativeGradients = negatives;
  return answer;
}

/** One direction, in one call of the kernels where that is possible. */
function directionOf(backend: Kernels, setup: Setup): Direction | undefined {
  return fused(backend, setup) ?? composed(backend, setup);
}

function diagnosticsOf(setup: Setup): Omit<ContrastiveComponents, 'contrastive'> {
  const { routes, given, options, coefficients } = setup;
  const rows = routes.length > 0 ? adapt(CALL, kernels(), routes, given).rows : given;
  // Weights are those of the whole batch.
  const weights = options.weights && Array.from(options.weights).slice(options.offset ?? 0);
  return contrastiveDiagnostics(problemOf(setup, rows), countsOf({ ...(weights && { weights }) }, coefficients));
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
