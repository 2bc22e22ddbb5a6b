import type { Vector } from '../types.js';

/**
 * One copy of a loop for each type of row: float32, float64, plain array. V8 collects types per copy, and a loop that
 * has seen all three types takes two to five times as long.
 *
 * @param make Must return a new closure at each call. Otherwise the copies are not separate.
 */
export function specialize<Loop>(make: () => Loop): (row: Vector) => Loop {
  const ofFloat32 = make();
  const ofFloat64 = make();
  const ofArray = make();
  return row => (row instanceof Float32Array ? ofFloat32 : row instanceof Float64Array ? ofFloat64 : ofArray);
}
