import { checkIterable, checkNumber, checkObject, checkRows, checkSameCount } from '../internal/validate.js';
import type { LossResult } from '../types.js';

/** A loss and what it counts in a sum. */
export interface WeightedLoss {
  /** A loss; `components` may be absent. */
  loss: Pick<LossResult, 'loss'> & Partial<LossResult>;
  /** Its factor. */
  weight: number;
}

const CALL = 'combine';
const ARGUMENTS = ['gradients', 'targetGradients', 'negativeGradients'] as const;

export function combine(losses: Iterable<WeightedLoss>): LossResult {
  checkIterable(CALL, 'losses', losses);
  let total = 0;
  // A Map, as a component may bear any name, '__proto__' too.
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

/** Of each argument the weighted sum of the gradients, where all losses have them. */
function combinedGradients(parts: readonly WeightedLoss[]): Pick<LossResult, (typeof ARGUMENTS)[number]> {
  const combined: Pick<LossResult, (typeof ARGUMENTS)[number]> = {};
  for (const argument of ARGUMENTS) {
    if (parts.length === 0 || !parts.every(({ loss }) => loss[argument])) continue;
    const first: unknown = parts[0]!.loss[argument];
    checkRows(CALL, `losses[0].loss.${argument}`, first);
    combined[argument] = first.map(row => new Float32Array(row.length));
    parts.forEach(({ loss, weight }, i) => {
      const rows: unknown = loss[argument];
      checkRows(CALL, `losses[${i}].loss.${argument}`, rows);
      checkSameCount(CALL, `losses[${i}].loss.${argument}`, rows.length, `losses[0].loss.${argument}`, first.length);
      rows.forEach((row, n) => {
        const sum = combined[argument]![n]!;
        if (row.length !== sum.length) {
          const lengths = `${row.length} entries, losses[0] has ${sum.length}`;
          throw new RangeError(`${CALL}: losses[${i}].loss.${argument}[${n}] has ${lengths}`);
        }
        for (let k = 0; k < sum.length; k++) sum[k]! += weight * row[k]!;
      });
    });
  }
  return combined;
}
