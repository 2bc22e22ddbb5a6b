import { expect } from 'vitest';

type Nested = number | ArrayLike<number> | readonly ArrayLike<number>[];

/** Expects every entry within `tolerance` of the expected one, relative to it (absolute below `floor`). */
export function expectClose(actual: Nested, expected: Nested, tolerance = 1e-5, floor = 1e-12): void {
  const a = flat(actual);
  const e = flat(expected);
  expect(a.length).toBe(e.length);
  const worst = a.reduce((max, value, i) => Math.max(max, difference(value, e[i]!, floor)), 0);
  expect(worst, `largest relative difference of ${show(a)} from ${show(e)}`).toBeLessThanOrEqual(tolerance);
}

/** Expects every entry within `tolerance` of the expected one, relative to the largest expected entry. */
export function expectCloseToLargest(actual: Nested, expected: Nested, tolerance = 1e-4): void {
  const largest = flat(expected).reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const a = flat(actual);
  const e = flat(expected);
  expect(a.length).toBe(e.length);
  const worst = a.reduce((max, value, i) => Math.max(max, Math.abs(value - e[i]!)), 0);
  expect(worst, `largest difference of ${show(a)} from ${show(e)}`).toBeLessThanOrEqual(tolerance * largest + 1e-12);
}

function difference(actual: number, expected: number, floor: number): number {
  if (actual === expected) return 0;
  const result = Math.abs(actual - expected) / Math.max(Math.abs(expected), floor);
  return Number.isNaN(result) ? Infinity : result;
}

function flat(values: Nested): number[] {
  if (typeof values === 'number') return [values];
  return Array.from(values as ArrayLike<number | ArrayLike<number>>, value =>
    typeof value === 'number' ? [value] : Array.from(value),
  ).flat();
}

function show(values: readonly number[]): string {
  return `[${values.slice(0, 6).join(', ')}${values.length > 6 ? ', …' : ''}]`;
}
