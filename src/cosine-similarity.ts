import { checkFinite, checkVector, inWords } from './internal/validate.js';
import { withSquares } from './kernels/packed-rows.js';
import { dot } from './kernels/vector.js';
import type { Vector } from './types.js';

/**
 * Cosine similarity of two rows in float64, from -1 to 1. It is 0 if one of the rows is zero.
 *
 * Nothing is added to the denominator, so the norms of the rows do not matter. `LossComputer._cosineSimilarity` divides by
 * |a||b| + 1e-8, as the original module does. So its result is smaller by the share 1e-8 / (|a||b|). It also takes rows of
 * unequal length.
 *
 * @throws TypeError or RangeError that names the argument and the value, for an empty row, rows of unequal length, or an
 *   entry that is not a finite number.
 *
 * @example
 * ```js
 * import { cosineSimilarity } from 'microlora-training-utils';
 *
 * console.log(cosineSimilarity([3, 4], [4, 3])); // 0.96
 * ```
 */
export function cosineSimilarity(a: Vector, b: Vector): number {
  const call = 'cosineSimilarity';
  for (const [name, row] of Object.entries({ a, b })) {
    checkVector(call, name, row);
    checkFinite(call, name, row);
  }
  if (a.length !== b.length) throw new RangeError(`${call}: b has ${inWords(b.length, 'entry')}, a has ${a.length}`);
  const left = withSquares(a);
  const right = withSquares(b);
  const squares = left.squares * right.squares;
  // The root of the product is exact for equal rows. The product of the roots is not.
  return squares === 0 ? 0 : Math.max(-1, Math.min(1, dot(left.row, right.row, a.length) / Math.sqrt(squares)));
}
