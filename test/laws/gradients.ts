import fc from 'fast-check';
import { expectCloseToLargest } from '../support/close.js';

/** A loss as a function of the rows of one argument, with the other arguments fixed. */
type LossOf = (rows: number[][]) => number;

const STEP = 1e-2;

/** Central differences of fourth order, so that even a step wide enough for float32 kernels has a small error. */
export function finiteDifferences(loss: LossOf, rows: readonly ArrayLike<number>[]): number[][] {
  return rows.map((row, i) =>
    Array.from(row, (value, j) => {
      const at = (offset: number): number => {
        const moved = rows.map(each => Array.from(each));
        moved[i]![j] = value + offset;
        return loss(moved);
      };
      return (8 * (at(STEP) - at(-STEP)) - (at(2 * STEP) - at(-2 * STEP))) / (12 * STEP);
    }),
  );
}

/** The gradient law: the returned gradient equals finite differences of the loss. */
export function expectGradient(
  loss: LossOf,
  rows: readonly ArrayLike<number>[],
  gradient: readonly ArrayLike<number>[],
): void {
  // Differences of a large loss contain its float32 rounding.
  const floor = 1e-2 * Math.max(1, Math.abs(loss(rows.map(row => Array.from(row)))));
  const scale = Math.max(...gradient.flatMap(row => Array.from(row, Math.abs)), floor);
  const expected = finiteDifferences(loss, rows);
  // The added entry has the common scale, so that rows without a gradient stay comparable.
  expectCloseToLargest([...gradient, [scale]], [...expected, [scale]], 2e-3);
}

/** n rows of `dim` numbers of ordinary size. No number is near 0, so no part of a row is near the zero row. */
export function arbitraryRows(n: number, dim: number): fc.Arbitrary<number[][]> {
  const entry = fc.integer({ min: -900, max: 900 }).map(value => (value + Math.sign(value || 1) * 100) / 500);
  const row = fc.array(entry, { minLength: dim, maxLength: dim });
  return fc.array(row, { minLength: n, maxLength: n });
}
