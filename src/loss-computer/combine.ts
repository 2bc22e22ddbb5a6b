import {
  checkIterable,
  checkMap,
  checkNumber,
  checkObject,
  checkRows,
  checkSameCount,
  describe,
  inWords,
  throwNonFinite,
} from '../internal/validate.js';
import { areFinite } from '../kernels/finite.js';
import { kernels } from '../kernels/index.js';
import { commonWidth, viewRows, withJson } from '../kernels/matrix.js';
import type { Float32Row, LossResult, Rows } from '../types.js';

/** A loss and its weight in a sum. */
export interface WeightedLoss {
  /** A loss. Only `loss` must be there. */
  loss: Pick<LossResult, 'loss'> & Partial<LossResult>;
  /** Its factor, any finite number. */
  weight: number;
}

const CALL = 'LossComputer.combine';
const ARGUMENTS = ['gradients', 'targetGradients', 'negativeGradients'] as const;

export function combine(losses: Iterable<WeightedLoss>): LossResult<Record<string, number>> {
  checkIterable(CALL, 'losses', losses);
  let total = 0;
  // A Map, as a component may have any name, '__proto__' included.
  const components = new Map<string, number>();
  const parts = Array.from(losses);
  parts.forEach((part, i) => {
    checkObject(CALL, `losses[${i}]`, part);
    checkObject(CALL, `losses[${i}].loss`, part.loss);
    const weight = checkNumber(CALL, `losses[${i}].weight`, part.weight);
    total += weight * checkNumber(CALL, `losses[${i}].loss.loss`, part.loss.loss);
    const ofPart = part.loss.components ?? {};
    checkObject(CALL, `losses[${i}].loss.components`, ofPart);
    for (const [name, value] of Object.entries(ofPart)) {
      const number = checkNumber(CALL, `losses[${i}].loss.components.${name}`, value);
      components.set(name, (components.get(name) ?? 0) + number * weight);
    }
  });
  checkNumber(CALL, 'the sum', total);
  return { loss: total, components: Object.fromEntries(components), ...combinedGradients(parts) };
}

/**
 * The weighted sums of the gradients of each argument and of each adapter, if all losses were computed with gradients. A
 * loss without a gradient of an argument does not depend on it: a loss without negatives, for example.
 */
function combinedGradients(parts: readonly WeightedLoss[]): Omit<Partial<LossResult>, 'loss' | 'components'> {
  if (parts.length === 0 || !parts.every(({ loss }) => loss.gradients ?? loss.adapterGradients)) return {};
  const combined: Omit<Partial<LossResult>, 'loss' | 'components'> = {};
  parts.forEach(({ loss, weight }, i) => {
    for (const argument of ARGUMENTS) {
      const rows: unknown = loss[argument];
      if (rows === undefined || (Array.isArray(rows) && rows.length === 0)) continue;
      const name = `losses[${i}].loss.${argument}`;
      checkRows(CALL, name, rows);
      combined[argument] ??= zerosLike(rows);
      addRows(name, combined[argument], rows, weight);
    }
    if (loss.adapterGradients !== undefined) {
      combined.adapterGradients ??= new Map();
      addAdapters(`losses[${i}].loss.adapterGradients`, combined.adapterGradients, loss.adapterGradients, weight);
    }
    if (loss.temperatureGradient === undefined) return;
    checkNumber(CALL, `losses[${i}].loss.temperatureGradient`, loss.temperatureGradient);
    combined.temperatureGradient = (combined.temperatureGradient ?? 0) + weight * loss.temperatureGradient;
  });
  return combined;
}

function addAdapters(
  name: string,
  sums: NonNullable<LossResult['adapterGradients']>,
  gradients: NonNullable<LossResult['adapterGradients']>,
  weight: number,
): void {
  checkMap(CALL, name, gradients);
  for (const [adapter, { gradA, gradB }] of gradients) {
    const label = `${name}.get(${describe(adapter)})`;
    checkRows(CALL, `${label}.gradA`, gradA);
    checkRows(CALL, `${label}.gradB`, gradB);
    const sum = sums.get(adapter) ?? { gradA: zerosLike(gradA), gradB: zerosLike(gradB) };
    addRows(`${label}.gradA`, sum.gradA, gradA, weight);
    addRows(`${label}.gradB`, sum.gradB, gradB, weight);
    sums.set(adapter, sum);
  }
}

function zerosLike(rows: Rows): Float32Row[] {
  if (commonWidth(rows) > 0)
    return viewRows(new Float32Array(rows.length * rows[0]!.length), rows.length, rows[0]!.length);
  return withJson(rows.map(row => new Float32Array(row.length)));
}

function addRows(name: string, sums: readonly Float32Row[], rows: Rows, weight: number): void {
  checkSameCount(CALL, name, rows.length, 'the one before', sums.length);
  rows.forEach((row, n) => {
    if (row.length === sums[n]!.length) return;
    const lengths = `${inWords(row.length, 'entry')}, the one before has ${sums[n]!.length}`;
    throw new RangeError(`${CALL}: ${name}[${n}] has ${lengths}`);
  });
  if (commonWidth(rows) > 0) kernels().blend(sums, 1, rows, weight);
  else for (const [n, row] of rows.entries()) kernels().blend([sums[n]!], 1, [row], weight);
  if (!areFinite(sums)) throwNonFinite(CALL, { [name]: rows, weight: [] });
}
