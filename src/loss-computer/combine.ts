import { checkIterable, checkNumber, checkObject } from '../internal/validate.js';
import type { LossResult } from '../types.js';

/** A loss and what it counts in a sum. */
export interface WeightedLoss {
  /** A loss; `components` may be absent. */
  loss: Pick<LossResult, 'loss'> & Partial<LossResult>;
  /** Its factor. */
  weight: number;
}

const CALL = 'combine';

export function combine(losses: Iterable<WeightedLoss>): LossResult {
  checkIterable(CALL, 'losses', losses);
  let total = 0;
  // A Map, as a component may bear any name, '__proto__' too.
  const components = new Map<string, number>();
  Array.from(losses).forEach((part, i) => {
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
  return { loss: total, components: Object.fromEntries(components) };
}
